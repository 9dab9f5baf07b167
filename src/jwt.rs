//! The bearer tokens of callers: JSON Web Tokens of one issuer, for this service.
//!
//! Own code, because the libraries for such tokens ignore `crit`, accept an array as an issuer or as an object, and
//! know neither ES512 nor Ed25519 by its name. Tokens are parsed strictly, with the reader of all foreign JSON, and
//! `aws-lc-rs` verifies the signatures. A key verifies only signatures of its own kind, whichever algorithm the
//! token names.

mod algorithm;
mod key_set;
mod keys;
mod token;

use std::path::PathBuf;

use self::token::Token;
pub use self::{
    key_set::{InvalidKeySet, KeySet},
    keys::Keys,
};
use crate::metrics::Metrics;

/// How the tokens of callers are checked.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    pub issuer: String,
    /// The name of this service in the tokens.
    pub audience: String,
    pub jwks: JwksSource,
}

/// Where the keys of the issuer are.
#[derive(Clone, Debug)]
pub enum JwksSource {
    Url(reqwest::Url),
    File(PathBuf),
}

#[derive(Debug)]
pub struct TokenCheck {
    config: JwtConfig,
    pub(crate) keys: Keys,
}

/// Why a token is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It cannot be read, or lacks what every token must have.
    #[error("{0}")]
    Malformed(&'static str),
    #[error("the header of the bearer token must have {0} as a string")]
    HeaderType(&'static str),
    #[error(
        "the claim {0} of the bearer token has the wrong type: it must be a string, or with aud a list of strings"
    )]
    ClaimType(&'static str),
    #[error("the claim {0} of the bearer token is not a number of seconds since 1970")]
    ClaimTime(&'static str),
    #[error(
        "the signature algorithm of the bearer token is not accepted, or not what its key is for: RS256, RS384, \
         RS512, PS256, PS384, PS512, ES256, ES384, ES512, Ed25519 and EdDSA with Ed25519 are"
    )]
    Algorithm,
    #[error("the bearer token is signed with a key that its issuer does not publish")]
    UnknownKey,
    #[error("the signature of the bearer token is not valid")]
    Signature,
    #[error("the bearer token has expired: get a new one")]
    Expired,
    #[error("the bearer token is not valid yet (nbf): check the clocks")]
    NotYetValid,
    #[error("the bearer token is of another issuer")]
    Issuer,
    #[error("the bearer token is for another audience")]
    Audience,
}

impl BadToken {
    /// The value of the label `reason` in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::HeaderType(_) | Self::ClaimType(_) | Self::ClaimTime(_) => {
                "malformed_token"
            }
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
    Bad(BadToken),
    /// Not the caller's fault: its key may be one that could not be fetched.
    KeysUnavailable,
}

impl TokenCheck {
    pub fn new(config: &JwtConfig, client: reqwest::Client, metrics: Metrics) -> Self {
        Self { config: config.clone(), keys: Keys::new(config.jwks.clone(), client, metrics) }
    }

    pub(crate) fn config(&self) -> &JwtConfig {
        &self.config
    }

    /// The subject of a valid token.
    ///
    /// # Errors
    /// [`NotAccepted`].
    pub async fn subject(&self, token: &str) -> Result<String, NotAccepted> {
        let token = Token::parse(token).map_err(NotAccepted::Bad)?;
        let id = token.key_id.as_deref();
        // A token that names no key is tried with every key.
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
            // Also if there are older keys: the issuer may use a new one since, and an error that it is unknown
            // would make a caller with a valid token give up because of our outage.
            Err(error) if may_have_new_key(error) && self.keys.is_failing() => {
                Err(NotAccepted::KeysUnavailable)
            }
            verified => verified.map_err(NotAccepted::Bad),
        }
    }

    /// The same with these keys alone.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn subject_by(&self, token: &str, keys: &KeySet) -> Result<String, BadToken> {
        self.verified(&Token::parse(token)?, keys)
    }

    fn verified(&self, token: &Token<'_>, keys: &KeySet) -> Result<String, BadToken> {
        // First, as it costs less, and a token with wrong claims must not cause a fetch of the keys.
        let subject = token.subject(&self.config.issuer, &self.config.audience)?;
        let mut failure = BadToken::UnknownKey;
        let id = token.key_id.as_deref();
        for key in keys.candidates(id) {
            let is_meant = key.is_named(id);
            match key.for_algorithm(token.algorithm) {
                Some(key) if key.verify_sig(token.signed, &token.signature).is_ok() => return Ok(subject),
                // The token may name a new key.
                _ if !is_meant => {}
                Some(_) => failure = BadToken::Signature,
                None if failure == BadToken::UnknownKey => failure = BadToken::Algorithm,
                None => {}
            }
        }
        Err(failure)
    }
}
