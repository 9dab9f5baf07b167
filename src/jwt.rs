//! The bearer tokens of callers: JSON Web Tokens of one issuer, for this service.
//!
//! They are read strictly, by the same reader as all foreign JSON, and `aws-lc-rs` verifies the signatures. The
//! libraries for such tokens ignore `crit`, take an array for an issuer or an object, and know neither ES512 nor
//! Ed25519 by its name. A key verifies only signatures of its own kind: which algorithm a token names does not
//! matter beyond that.

mod algorithm;
mod key_set;
mod keys;
mod token;

use std::{fmt, path::PathBuf};

use self::token::Token;
pub use self::{
    key_set::{InvalidKeySet, KeySet},
    keys::Keys,
};

/// How the tokens of callers are checked.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// Who issues them.
    pub issuer: String,
    /// Whom they are for: this service.
    pub audience: String,
    /// Where the issuer's keys are.
    pub jwks: JwksSource,
}

/// Where the keys of an issuer of tokens are.
#[derive(Clone, Debug)]
pub enum JwksSource {
    /// At a URL.
    Url(reqwest::Url),
    /// In a file.
    File(PathBuf),
}

/// Checks tokens.
pub struct TokenCheck {
    issuer: String,
    audience: String,
    keys: Keys,
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It is no token.
    #[error(
        "the bearer token is not a signed JSON Web Token: three parts in base64url, the first two JSON objects"
    )]
    Malformed,
    /// Two readers could read it in two ways.
    #[error("the header or the claims of the bearer token name a member twice")]
    Duplicate,
    /// Its header has something critical.
    #[error(
        "the bearer token needs an extension that this service does not have: its header has crit or b64"
    )]
    Extension,
    /// A member of its header has another type, or is missing.
    #[error("the header of the bearer token must have {0} as a string")]
    HeaderType(&'static str),
    /// A claim has another type.
    #[error(
        "the claim {0} of the bearer token has the wrong type: it must be a string, or with aud a list of strings"
    )]
    ClaimType(&'static str),
    /// A time has another type.
    #[error("the claim {0} of the bearer token is not a number of seconds since 1970")]
    ClaimTime(&'static str),
    /// It names nobody.
    #[error(
        "the claim sub of the bearer token must be a string of 1 to 1024 bytes without control characters"
    )]
    Subject,
    /// It would be valid for ever.
    #[error(
        "the bearer token has no claim exp, and one that never expires is not accepted: have its issuer set it"
    )]
    NoExpiry,
    /// Its algorithm is none that the key is for.
    #[error(
        "the signature algorithm of the bearer token is not accepted, or not what its key is for: RS256, RS384, \
         RS512, PS256, PS384, PS512, ES256, ES384, ES512, Ed25519 and EdDSA with Ed25519 are"
    )]
    Algorithm,
    /// Nobody knows its key.
    #[error("the bearer token is signed with a key that its issuer does not publish")]
    UnknownKey,
    /// Nobody signed it.
    #[error("the signature of the bearer token is not valid")]
    Signature,
    /// It is over.
    #[error("the bearer token has expired: get a new one")]
    Expired,
    /// It is not valid yet.
    #[error("the bearer token is not valid yet (nbf): check the clocks")]
    NotYetValid,
    /// Somebody else issued it.
    #[error("the bearer token is of another issuer than HCS_JWT_ISSUER")]
    Issuer,
    /// It is for somebody else.
    #[error("the bearer token is for another audience than HCS_JWT_AUDIENCE")]
    Audience,
}

impl BadToken {
    /// One word for it, for counting.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed
            | Self::Duplicate
            | Self::Extension
            | Self::HeaderType(_)
            | Self::ClaimType(_)
            | Self::ClaimTime(_)
            | Self::Subject
            | Self::NoExpiry => "malformed_token",
            Self::Algorithm => "token_algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "token_signature",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
        }
    }
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAccepted {
    /// It does not count.
    Bad(BadToken),
    /// It is not the caller's fault: its key may be one that could not be read.
    KeysUnavailable,
}

impl TokenCheck {
    /// Checks tokens by the keys that the issuer publishes.
    pub fn new(config: &JwtConfig, keys: Keys) -> Self {
        Self { issuer: config.issuer.clone(), audience: config.audience.clone(), keys }
    }

    /// The subject of a valid token.
    ///
    /// # Errors
    /// [`NotAccepted`].
    pub async fn subject(&self, token: &str) -> Result<String, NotAccepted> {
        let token = Token::parse(token).map_err(NotAccepted::Bad)?;
        let id = token.key_id.as_deref();
        // A token that names no key is tried with each.
        let may_have_new_key = |error| {
            error == BadToken::UnknownKey
                || (id.is_none() && matches!(error, BadToken::Signature | BadToken::Algorithm))
        };
        match self.verified(&token, &self.keys.current()) {
            Err(error) if may_have_new_key(error) => {}
            verified => return verified.map_err(NotAccepted::Bad),
        }
        let refreshed = self.keys.refreshed(id).await;
        match self.verified(&token, &refreshed) {
            // Also where there are older keys: the issuer may have begun to use a new one since, and an
            // answer that it is unknown would make a caller with a valid token give up for our outage.
            Err(error) if may_have_new_key(error) && self.keys.is_failing() => {
                Err(NotAccepted::KeysUnavailable)
            }
            verified => verified.map_err(NotAccepted::Bad),
        }
    }

    /// The same by these keys alone.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn subject_by(&self, token: &str, keys: &KeySet) -> Result<String, BadToken> {
        self.verified(&Token::parse(token)?, keys)
    }

    fn verified(&self, token: &Token<'_>, keys: &KeySet) -> Result<String, BadToken> {
        // First, since it costs less, and a token that does not fit makes nobody look for its key.
        let subject = token.subject(&self.issuer, &self.audience)?;
        let mut failure = BadToken::UnknownKey;
        let id = token.key_id.as_deref();
        for key in keys.candidates(id) {
            let is_meant = key.is_named(id);
            match key.for_algorithm(token.algorithm) {
                Some(key) if key.verify_sig(token.signed, &token.signature).is_ok() => return Ok(subject),
                // The key that it names may be a new one.
                _ if !is_meant => {}
                Some(_) => failure = BadToken::Signature,
                None if failure == BadToken::UnknownKey => failure = BadToken::Algorithm,
                None => {}
            }
        }
        Err(failure)
    }
}

impl fmt::Debug for TokenCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCheck")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
