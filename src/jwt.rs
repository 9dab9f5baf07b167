//! The bearer tokens of callers: JSON Web Tokens of one issuer, for this service.
//!
//! A key verifies only signatures of its own kind, and neither `none` nor a shared secret is any:
//! which algorithm a token names does not matter beyond that.

mod keys;

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation, decode, decode_header, errors::ErrorKind};
use serde::Deserialize;

pub use self::keys::{InvalidKeySet, KeySet, Keys};
use crate::{config::JwtConfig, json::Object};

/// By how much the clocks of the issuer and of this service may differ.
const LEEWAY: Duration = Duration::from_secs(30);
/// Longer ones do not fit into a header anyway.
const LONGEST_SUBJECT: usize = 1024;

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
    #[error("the bearer token is not a JSON Web Token with a subject")]
    Malformed,
    /// Its algorithm is none that the key is for.
    #[error("the signature algorithm of the bearer token is not accepted: RS, PS, ES and EdDSA are")]
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
    #[error("the bearer token is not valid yet: check the clocks")]
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
            Self::Malformed => "malformed_token",
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

#[derive(Deserialize)]
struct Claims {
    sub: String,
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
        let id = decode_header(token).ok().and_then(|header| header.kid);
        // A token that names no key is tried with each.
        let may_have_new_key =
            |error| error == BadToken::UnknownKey || (error == BadToken::Signature && id.is_none());
        match self.subject_by(token, &self.keys.current()) {
            Err(error) if may_have_new_key(error) => {}
            verified => return verified.map_err(NotAccepted::Bad),
        }
        let refreshed = self.keys.refreshed(id.as_deref()).await;
        match self.subject_by(token, &refreshed) {
            // Also where there are older keys: the issuer may have begun to use a new one since, and an
            // answer that it is unknown would make a caller with a valid token give up for our outage.
            Err(error) if may_have_new_key(error) && self.keys.is_failing() => {
                Err(NotAccepted::KeysUnavailable)
            }
            verified => verified.map_err(NotAccepted::Bad),
        }
    }

    /// The same by these keys alone.
    pub(crate) fn subject_by(&self, token: &str, keys: &KeySet) -> Result<String, BadToken> {
        let header = decode_header(token).map_err(|error| {
            if names_unknown_algorithm(token) { BadToken::Algorithm } else { bad(error.kind()) }
        })?;
        let validation = self.validation(header.alg)?;
        verify(token, keys, header.kid.as_deref(), &validation)
    }

    fn validation(&self, algorithm: Algorithm) -> Result<Validation, BadToken> {
        if keys::is_symmetric(algorithm) {
            return Err(BadToken::Algorithm);
        }
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY.as_secs();
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        Ok(validation)
    }
}

/// Whether a subject can be told in a line of the log.
fn is_name(subject: &str) -> bool {
    (1..=LONGEST_SUBJECT).contains(&subject.len()) && !subject.contains(char::is_control)
}

/// Whether the algorithm is what makes a header unreadable: `none`, or one that nobody here knows.
fn names_unknown_algorithm(token: &str) -> bool {
    let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let alg = header.and_then(|json| Object::parse(&json).ok()?.text("alg"));
    alg.is_some_and(|alg| alg.parse::<Algorithm>().is_err())
}

fn verify(token: &str, keys: &KeySet, id: Option<&str>, validation: &Validation) -> Result<String, BadToken> {
    let mut failure = BadToken::UnknownKey;
    for key in keys.named(id) {
        if !key.verifies(validation.algorithms[0]) {
            failure = BadToken::Algorithm;
            continue;
        }
        match decode::<Claims>(token, &key.key, validation) {
            Ok(token) if is_name(&token.claims.sub) => return Ok(token.claims.sub),
            Ok(_) => return Err(BadToken::Malformed),
            Err(error) => failure = bad(error.kind()),
        }
        if failure != BadToken::Signature {
            break;
        }
    }
    Err(failure)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest, and what is added to it, is no token")]
fn bad(kind: &ErrorKind) -> BadToken {
    match kind {
        ErrorKind::ExpiredSignature => BadToken::Expired,
        ErrorKind::ImmatureSignature => BadToken::NotYetValid,
        ErrorKind::InvalidIssuer => BadToken::Issuer,
        ErrorKind::InvalidAudience => BadToken::Audience,
        ErrorKind::InvalidSignature => BadToken::Signature,
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::MissingAlgorithm
        | ErrorKind::UnsupportedAlgorithm => BadToken::Algorithm,
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => BadToken::Issuer,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => BadToken::Audience,
        _ => BadToken::Malformed,
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
