//! A JSON Web Key Set (RFC 7517), of which only the keys for signatures are used.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::value::RawValue;

use super::algorithm::{Algorithm, CURVES, ED25519_CURVE, RSA};
use crate::json::Object;

/// A token that names no key is tried with this many keys.
const MOST_KEYS: usize = 32;
/// Further unused keys are not logged.
const MOST_LEFT_OUT: usize = 32;
const MOST_ID_CHARS: usize = 100;
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The keys of an issuer.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    /// The published keys that are not used.
    pub(super) left_out: BTreeSet<LeftOut>,
}

#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    /// The key in the form of each algorithm that it is for.
    for_algorithms: Vec<(Algorithm, ParsedPublicKey)>,
}

/// A published key that is not used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LeftOut {
    /// Its `kid`, or its position in the list.
    pub(super) id: String,
    pub(super) reason: &'static str,
}

/// A key set without a usable key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeySet {
    #[error("this is no JSON Web Key Set: an object with a list \"keys\"")]
    NotASet,
    /// Every key is for something else, or of an unknown kind.
    #[error("the key set has no key for RS, PS, ES, Ed25519 or EdDSA signatures{0}")]
    NoKey(String),
}

impl KeySet {
    /// Reads a key set. Keys that are for something else, or of an unknown kind, are left out.
    ///
    /// # Errors
    /// [`InvalidKeySet`] if no key is left.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidKeySet> {
        let set = Object::parse(json).map_err(|_| InvalidKeySet::NotASet)?;
        let published = set.array("keys").ok_or(InvalidKeySet::NotASet)?;
        let mut set = Self::default();
        for (place, json) in published.into_iter().enumerate() {
            let reason = match Key::parse(json) {
                Ok(key) if set.keys.len() < MOST_KEYS => {
                    set.keys.push(key);
                    continue;
                }
                Ok(_) => "it is beyond the first 32",
                Err(reason) => reason,
            };
            if set.left_out.len() < MOST_LEFT_OUT {
                set.left_out.insert(LeftOut { id: shown_id(json, place), reason });
            }
        }
        if set.keys.is_empty() {
            let why = set.left_out.iter().map(|LeftOut { id, reason }| format!("; {id}: {reason}"));
            return Err(InvalidKeySet::NoKey(why.collect()));
        }
        Ok(set)
    }

    /// The keys that may have signed a token: if it names a key, those with this name and those without a name,
    /// otherwise all.
    pub(super) fn candidates(&self, id: Option<&str>) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.id.is_none() || key.is_named(id))
    }

    /// Whether a key has this name.
    pub(super) fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.is_named(Some(id)))
    }
}

impl Key {
    /// Reads a key, or returns why it cannot be used.
    fn parse(json: &RawValue) -> Result<Self, &'static str> {
        let jwk = Object::parse(json.get().as_bytes()).map_err(|_| "it is no object")?;
        if jwk.has_duplicates() {
            return Err("it has a member twice");
        }
        if jwk.has("use") && jwk.text("use").as_deref() != Some("sig") {
            return Err("its use is not sig");
        }
        if jwk.has("key_ops") && !allows_verifying(&jwk) {
            return Err("its key_ops lack verify");
        }
        let text = |name, problem| match jwk.text(name) {
            None if jwk.has(name) => Err(problem),
            text => Ok(text),
        };
        let id = text("kid", "its kid is not a string")?;
        // A key with an alg is for that algorithm alone.
        let meant = text("alg", "its alg is not a string")?;
        let meant = meant.map(|name| Algorithm::named(&name).ok_or("its alg is not accepted")).transpose()?;
        let for_algorithms = match jwk.text("kty").as_deref() {
            Some("RSA") => rsa(&jwk, meant)?,
            Some("EC") => vec![on_curve(&jwk, meant, true)?],
            Some("OKP") => vec![on_curve(&jwk, meant, false)?],
            _ => return Err("its kty is not RSA, EC or OKP"),
        };
        Ok(Self { id, for_algorithms })
    }

    /// Whether a token that names this key means it. A token without a name can mean any.
    pub(super) fn is_named(&self, id: Option<&str>) -> bool {
        id.is_none() || self.id.as_deref() == id
    }

    /// The key in the form of this algorithm, if it is for that.
    pub(super) fn for_algorithm(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        self.for_algorithms.iter().find(|(other, _)| *other == algorithm).map(|(_, key)| key)
    }
}

const OTHER_ALG: &str = "its alg does not go with its kty or crv";
const UNREADABLE: &str = "its value is malformed";

fn allows_verifying(jwk: &Object<'_>) -> bool {
    let operations = jwk.array("key_ops").unwrap_or_default();
    operations
        .iter()
        .any(|name| serde_json::from_str::<String>(name.get()).is_ok_and(|name| name == "verify"))
}

fn rsa(
    jwk: &Object<'_>,
    meant: Option<Algorithm>,
) -> Result<Vec<(Algorithm, ParsedPublicKey)>, &'static str> {
    let number = |name| {
        let bytes = bytes(jwk, name).ok_or(UNREADABLE)?;
        // Some issuers write a sign byte before it.
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Ok::<_, &'static str>(bytes[zeros..].to_vec())
    };
    let components = RsaPublicKeyComponents { n: number("n")?, e: number("e")? };
    let bits =
        components.n.first().map_or(0, |first| components.n.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("its modulus has not 2048 to 8192 bits");
    }
    let keys = RSA.iter().filter(|(algorithm, _)| meant.is_none_or(|meant| meant == *algorithm));
    let keys = keys.map(|(algorithm, parameters)| {
        let key = components.to_parsed_public_key(parameters).map_err(|_| UNREADABLE)?;
        Ok::<_, &'static str>((*algorithm, key))
    });
    let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
    if keys.is_empty() { Err(OTHER_ALG) } else { Ok(keys) }
}

fn on_curve(
    jwk: &Object<'_>,
    meant: Option<Algorithm>,
    has_y: bool,
) -> Result<(Algorithm, ParsedPublicKey), &'static str> {
    let crv = jwk.text("crv").filter(|crv| (crv != ED25519_CURVE) == has_y);
    let curve = CURVES.iter().find(|(name, ..)| crv.as_deref() == Some(name));
    let (_, algorithm, verification, length) =
        *curve.ok_or("its crv is not P-256, P-384, P-521 or, of an OKP, Ed25519")?;
    if meant.is_some_and(|meant| meant != algorithm) {
        return Err(OTHER_ALG);
    }
    let coordinate = |name| bytes(jwk, name).filter(|bytes| bytes.len() == length).ok_or(UNREADABLE);
    let point = if has_y {
        // The uncompressed form of SEC 1.
        [vec![4], coordinate("x")?, coordinate("y")?].concat()
    } else {
        coordinate("x")?
    };
    let key = ParsedPublicKey::new(verification, point).map_err(|_| UNREADABLE)?;
    Ok((algorithm, key))
}

fn bytes(jwk: &Object<'_>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(jwk.text(name)?).ok()
}

/// The name of a key in the log. The issuer chose it, so it is cleaned and cut.
fn shown_id(json: &RawValue, place: usize) -> String {
    let id = Object::parse(json.get().as_bytes()).ok().and_then(|jwk| jwk.text("kid"));
    let shown = id.map(|id| id.chars().filter(|c| !c.is_control()).take(MOST_ID_CHARS).collect::<String>());
    shown.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("without kid, at place {}", place + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 8037, appendix A.2.
    const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn keys(set: &str) -> Option<usize> {
        KeySet::parse(set.as_bytes()).ok().map(|set| set.keys.len())
    }

    /// Why a key is left out, which this member makes of the example.
    fn left_out(member: &str) -> &'static str {
        let odd = KEY.replacen('{', &format!("{{{member},"), 1);
        let set = KeySet::parse(format!(r#"{{"keys":[{odd},{KEY}]}}"#).as_bytes()).unwrap();
        set.left_out.first().map_or("", |left_out| left_out.reason)
    }

    #[test]
    fn a_key_set_is_an_object_with_a_list_of_objects() {
        assert_eq!(keys(&format!(r#"{{"keys":[{KEY}]}}"#)), Some(1));
        assert_eq!(keys(&format!("\u{feff}{{\"keys\":[{KEY},{KEY}],\"x\":[]}}")), Some(2));
        for set in [
            format!("[[{KEY}]]"),
            format!("[{KEY}]"),
            format!(r#"[{{"keys":[{KEY}]}}]"#),
            format!(r#"{{"keys":{KEY}}}"#),
            format!(r#"{{"keys":[[{KEY}]]}}"#),
            format!(r#"{{"keys":[{KEY}],"keys":[]}}"#),
            r#"{"keys":[["OKP","Ed25519","11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"]]}"#.to_owned(),
            r#"{"keys":[]}"#.to_owned(),
            KEY.to_owned(),
        ] {
            assert_eq!(keys(&set), None, "{set}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_read_concerns_no_other() {
        for odd in ["null", "[]", "[[]]", r#"{"kty":5}"#, r#"{"kty":"\ud800"}"#, r#"{"kty":1e999}"#] {
            assert_eq!(keys(&format!(r#"{{"keys":[{odd},{KEY}]}}"#)), Some(1), "{odd}");
        }
    }

    #[test]
    fn a_key_for_something_else_is_left_out_with_the_reason() {
        for (member, reason) in [
            (r#""use":"sig""#, ""),
            (r#""use":null"#, ""),
            (r#""alg":"EdDSA""#, ""),
            (r#""alg":"Ed25519""#, ""),
            (r#""key_ops":["sign","verify"]"#, ""),
            (r#""use":"enc""#, "its use is not sig"),
            (r#""use":["sig"]"#, "its use is not sig"),
            (r#""key_ops":["sign"]"#, "its key_ops lack verify"),
            (r#""key_ops":"verify""#, "its key_ops lack verify"),
            (r#""key_ops":[]"#, "its key_ops lack verify"),
            (r#""alg":"ES256""#, OTHER_ALG),
            (r#""alg":"RS256""#, OTHER_ALG),
            (r#""alg":"RSA-OAEP""#, "its alg is not accepted"),
            (r#""alg":5"#, "its alg is not a string"),
            (r#""kid":5"#, "its kid is not a string"),
            (r#""kty":"OKP""#, "it has a member twice"),
        ] {
            assert_eq!(left_out(member), reason, "{member}");
        }
        for (key, reason) in [
            (r#"{"kty":"oct","k":"AAAA"}"#, "its kty is not RSA, EC or OKP"),
            (r#"{"kty":"OKP","crv":"Ed448","x":"AAAA"}"#, "its crv is not"),
            (r#"{"kty":"OKP","crv":"P-256","x":"AAAA"}"#, "its crv is not"),
            (r#"{"kty":"EC","crv":"Ed25519","x":"AAAA","y":"AAAA"}"#, "its crv is not"),
            (r#"{"kty":"EC","crv":"secp256k1","x":"AAAA","y":"AAAA"}"#, "its crv is not"),
            (r#"{"kty":"EC","crv":"P-521","x":"AAAA","y":"AAAA"}"#, UNREADABLE),
            (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, "its modulus"),
            (r#"{"kty":"RSA","e":"AQAB"}"#, UNREADABLE),
        ] {
            let InvalidKeySet::NoKey(why) =
                KeySet::parse(format!(r#"{{"keys":[{key}]}}"#).as_bytes()).unwrap_err()
            else {
                panic!("{key}")
            };
            assert!(why.contains("without kid, at place 1") && why.contains(reason), "{key}: {why}");
        }
    }

    #[test]
    fn surplus_keys_are_left_out_by_name() {
        let named = |number| KEY.replacen('{', &format!(r#"{{"kid":"key-{number}\n","#), 1);
        let published: Vec<_> = (1..=34).map(named).collect();
        let set = KeySet::parse(format!(r#"{{"keys":[{}]}}"#, published.join(",")).as_bytes()).unwrap();
        let ids: Vec<_> = set.left_out.iter().map(|left_out| left_out.id.as_str()).collect();
        assert_eq!((set.keys.len(), &ids[..]), (32, &["key-33", "key-34"][..]));
    }
}
