//! A signed JSON Web Token: the compact form of RFC 7515 and the claims of RFC 7519.
//!
//! Derived deserializers do not suffice: they accept an array as an object, and of two members of the same name
//! the last one, so that another parser could read the same token differently.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{BadToken, algorithm::Algorithm};
use crate::json::Object;

/// How far the clocks of the issuer and of this service may differ.
const LEEWAY: Duration = Duration::from_secs(30);
/// Longer ones hardly fit into a header.
const LONGEST_SUBJECT: usize = 1024;

const NOT_A_TOKEN: BadToken = BadToken::Malformed(
    "the bearer token is not a signed JSON Web Token: three parts in base64url, the first two JSON objects",
);
const DUPLICATE: BadToken =
    BadToken::Malformed("the header or the claims of the bearer token name a member twice");
const EXTENSION: BadToken = BadToken::Malformed(
    "the bearer token needs an extension that this service does not have: its header has crit or b64",
);
const NO_EXPIRY: BadToken = BadToken::Malformed(
    "the bearer token has no claim exp, and one that never expires is not accepted: have its issuer set it",
);
const SUBJECT: BadToken = BadToken::Malformed(
    "the claim sub of the bearer token must be a string of 1 to 1024 bytes without control characters",
);

/// A token whose signature has not been verified.
pub(super) struct Token<'a> {
    /// The signed part.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    pub(super) algorithm: Algorithm,
    /// The `kid` of its header.
    pub(super) key_id: Option<String>,
    claims: Vec<u8>,
}

impl<'a> Token<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, BadToken> {
        let (signed, signature) = token.rsplit_once('.').ok_or(NOT_A_TOKEN)?;
        let (header, claims) = signed.split_once('.').ok_or(NOT_A_TOKEN)?;
        // Base64url has no dot, so this also rejects tokens of more parts.
        let decoded = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| NOT_A_TOKEN);
        let (header, claims, signature) = (decoded(header)?, decoded(claims)?, decoded(signature)?);
        let header = object(&header)?;
        // Critical extensions must be understood, and none is; an empty list is not allowed either. Without crit,
        // parsers disagree about the meaning of b64.
        if header.names("crit") || (header.names("b64") && header.flag("b64") != Some(true)) {
            return Err(EXTENSION);
        }
        let algorithm = header.text("alg").ok_or(BadToken::HeaderType("alg"))?;
        let algorithm = Algorithm::named(&algorithm).ok_or(BadToken::Algorithm)?;
        let key_id = text(&header, "kid", BadToken::HeaderType("kid"))?;
        Ok(Self { signed: signed.as_bytes(), signature, algorithm, key_id, claims })
    }

    /// The subject, if every claim is valid. To be trusted only after the signature has been verified.
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
            None => return Err(NO_EXPIRY),
            Some(end) if end + leeway <= now => return Err(BadToken::Expired),
            Some(_) => {}
        }
        if time(&claims, "nbf")?.is_some_and(|begin| begin > now + leeway) {
            return Err(BadToken::NotYetValid);
        }
        // A token that was issued in the future is not invalid for that: nbf has this purpose.
        time(&claims, "iat")?;
        let subject = text(&claims, "sub", SUBJECT)?.unwrap_or_default();
        // It must fit into a line of the log.
        let is_name = (1..=LONGEST_SUBJECT).contains(&subject.len()) && !subject.contains(char::is_control);
        if is_name { Ok(subject) } else { Err(SUBJECT) }
    }
}

fn object(json: &[u8]) -> Result<Object<'_>, BadToken> {
    let object = Object::parse(json).map_err(|_| NOT_A_TOKEN)?;
    if object.has_duplicates() { Err(DUPLICATE) } else { Ok(object) }
}

/// A member that must be a string if it is present.
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
    let texts = claims.value("aud").and_then(|audiences| serde_json::from_str(audiences.get()).ok());
    texts.ok_or(BadToken::ClaimType("aud"))
}

/// A member that must be seconds since 1970 if it is present: a number, also with a fraction, and not a string.
fn time(claims: &Object<'_>, name: &'static str) -> Result<Option<f64>, BadToken> {
    if !claims.names(name) {
        return Ok(None);
    }
    let seconds = claims.value(name).and_then(|value| value.get().parse::<f64>().ok());
    seconds.filter(|seconds| seconds.is_finite()).map(Some).ok_or(BadToken::ClaimTime(name))
}
