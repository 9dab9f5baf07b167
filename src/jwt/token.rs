//! A signed JSON Web Token, read without a key: the compact form of RFC 7515 and the claims of RFC 7519.
//!
//! No derived code reads it, since that takes an array for an object and the last of two members of the same
//! name: what was signed would be read in two ways.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{BadToken, algorithm::Algorithm};
use crate::json::Object;

/// By how much the clocks of the issuer and of this service may differ.
const LEEWAY: Duration = Duration::from_secs(30);
/// Longer ones do not fit into a header anyway.
const LONGEST_SUBJECT: usize = 1024;

/// A token whose signature is not checked yet.
pub(super) struct Token<'a> {
    /// What is signed.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    pub(super) algorithm: Algorithm,
    /// The name of its key.
    pub(super) key_id: Option<String>,
    claims: Vec<u8>,
}

impl<'a> Token<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, BadToken> {
        let (signed, signature) = token.rsplit_once('.').ok_or(BadToken::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(BadToken::Malformed)?;
        // A dot is no character of it: neither is a token of five parts one.
        let decoded = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| BadToken::Malformed);
        let (header, claims, signature) = (decoded(header)?, decoded(claims)?, decoded(signature)?);
        let header = object(&header)?;
        // What is critical has to be understood, and nothing of it is here; an empty list is not allowed
        // either. Without it, b64 means nothing to others and the opposite of what it says to some.
        if header.names("crit") || (header.names("b64") && header.flag("b64") != Some(true)) {
            return Err(BadToken::Extension);
        }
        let algorithm = header.text("alg").ok_or(BadToken::HeaderType("alg"))?;
        let algorithm = Algorithm::named(&algorithm).ok_or(BadToken::Algorithm)?;
        let key_id = text(&header, "kid", BadToken::HeaderType("kid"))?;
        Ok(Self { signed: signed.as_bytes(), signature, algorithm, key_id, claims })
    }

    /// The subject, where every claim fits. It counts only once the signature is verified.
    pub(super) fn subject(&self, issuer: &str, audience: &str) -> Result<String, BadToken> {
        let claims = object(&self.claims)?;
        if text(&claims, "iss", BadToken::ClaimType("iss"))?.as_deref() != Some(issuer) {
            return Err(BadToken::Issuer);
        }
        if !audiences(&claims)?.iter().any(|name| name == audience) {
            return Err(BadToken::Audience);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let leeway = LEEWAY.as_secs_f64();
        match time(&claims, "exp")? {
            None => return Err(BadToken::NoExpiry),
            Some(end) if end + leeway <= now => return Err(BadToken::Expired),
            Some(_) => {}
        }
        if time(&claims, "nbf")?.is_some_and(|begin| begin > now + leeway) {
            return Err(BadToken::NotYetValid);
        }
        // No rule says that a token issued in the future is not valid: nbf is there for that.
        time(&claims, "iat")?;
        text(&claims, "sub", BadToken::Subject)?.filter(|subject| is_name(subject)).ok_or(BadToken::Subject)
    }
}

fn object(json: &[u8]) -> Result<Object<'_>, BadToken> {
    let object = Object::parse(json).map_err(|_| BadToken::Malformed)?;
    if object.has_duplicates() { Err(BadToken::Duplicate) } else { Ok(object) }
}

/// A member that is a string where it is there.
fn text(object: &Object<'_>, name: &str, error: BadToken) -> Result<Option<String>, BadToken> {
    if !object.names(name) {
        return Ok(None);
    }
    object.text(name).map(Some).ok_or(error)
}

/// A string, or a list of strings.
fn audiences(claims: &Object<'_>) -> Result<Vec<String>, BadToken> {
    if let Some(audience) = claims.text("aud") {
        return Ok(vec![audience]);
    }
    if !claims.names("aud") {
        return Ok(Vec::new());
    }
    let audiences = claims.array("aud").ok_or(BadToken::ClaimType("aud"))?;
    let texts = audiences.into_iter().map(|audience| serde_json::from_str(audience.get()));
    texts.collect::<Result<_, _>>().map_err(|_| BadToken::ClaimType("aud"))
}

/// Seconds since 1970 where they are there, which may have a fraction, and may not be written as a string.
fn time(claims: &Object<'_>, name: &'static str) -> Result<Option<f64>, BadToken> {
    if !claims.names(name) {
        return Ok(None);
    }
    let seconds = claims.value(name).and_then(|value| value.get().parse::<f64>().ok());
    seconds.filter(|seconds| seconds.is_finite()).map(Some).ok_or(BadToken::ClaimTime(name))
}

/// Whether a subject can be told in a line of the log.
fn is_name(subject: &str) -> bool {
    (1..=LONGEST_SUBJECT).contains(&subject.len()) && !subject.contains(char::is_control)
}
