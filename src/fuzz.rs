//! What must hold of every reader of foreign bytes, whatever it reads: `tests` tries it with
//! what is near to the corpus in `fuzz/`, and cargo-fuzz with everything else.

mod adobe;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ffi::OsString, sync::LazyLock};

use self::adobe as upstream;
use crate::{
    adobe::PageToken,
    config::{Config, Flags, Problem, Problems, SETTINGS},
    domain::{Callers, HubSpotCredentials, Identity, SandboxName},
    grpc::page_token::{self, Query},
    hubspot::reply::{self, Head},
    jwt::{BadToken, JwksSource, JwtConfig, KeySet, TokenCheck},
    metrics::Metrics,
    service::Filter,
    telemetry::LogFormat,
};

/// Reads some bytes.
pub type Target = fn(&[u8]);

/// Each target by its name, which is also that of its folder in the corpus. It panics where a property
/// does not hold.
pub const TARGETS: &[(&str, Target)] = &[
    ("error_body", upstream::error_body),
    ("page", upstream::page),
    ("connection", upstream::connection),
    ("explore", upstream::explore),
    ("spec", upstream::spec),
    ("flow", upstream::flow),
    ("marker_list", upstream::marker_list),
    ("schema", upstream::schema),
    ("mapping_set", upstream::mapping_set),
    ("ims", upstream::ims),
    ("introspection", introspection),
    ("page_token", page_token_target),
    ("key_set", key_set),
    ("token", token),
    ("callers", callers),
    ("config", config),
];

/// Runs the target of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).expect("a target of the table");
    target(bytes);
}

/// What the corpus has in the places of secrets.
pub const SECRETS: [&str; 3] =
    ["fz-8d1c0b7e-canary-secret", "fz-CiQKJDMyY2FuYXJ5dG9rZW4/+==", "fz-pat\\na1\"quoted\"canary"];

/// The longest part of a secret that may be in a text by chance.
const BY_CHANCE: usize = 7;

/// Panics where a text holds a secret, or more of one than can be by chance.
pub(crate) fn assert_no_secret(text: &str) {
    assert!(!holds_secret(text), "a secret is in {text:?}");
}

fn holds_secret(text: &str) -> bool {
    let plain = text.replace('\\', "");
    SECRETS
        .map(|secret| secret.replace('\\', ""))
        .iter()
        .any(|secret| (BY_CHANCE..secret.len()).any(|end| plain.contains(&secret[end - BY_CHANCE..=end])))
}

/// A reply of HubSpot shows no credential, and only an object says yes or no.
fn introspection(bytes: &[u8]) {
    static CREDENTIALS: LazyLock<HubSpotCredentials> = LazyLock::new(|| {
        let [client_secret, access_token, refresh_token] = SECRETS;
        HubSpotCredentials::parse(["fz-client", client_secret, access_token, refresh_token])
            .expect("valid ones")
    });
    let is_object =
        String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').trim_start().starts_with('{');
    for status in [200, 400, 401, 429, 503] {
        let head = Head { status, content_type: None, is_hubspots: status.is_multiple_of(2) };
        let answer = reply::read(&head, bytes, &CREDENTIALS);
        if let Err(error) = &answer {
            assert_no_secret(&error.to_string());
        }
        if let Ok(answer) = &answer {
            assert!(is_object, "{answer:?}");
            assert_no_secret(&format!("{answer:?}"));
        }
    }
}

/// A token of a page is read as what it was made of, and no two texts are the same token.
fn page_token_target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let sandbox = |name| SandboxName::parse(name).expect("a valid name");
    let named = Filter { name: Some("name".to_owned()), request_id: None };
    let query = |name, filter| Query::connections(&sandbox(name), filter);
    let all = Filter::default();
    let (prod, any) = (query("prod", &named), query("prod", &all));
    if let Ok(page) = page_token::decode(text, &prod) {
        assert_eq!(page_token::encode(&page, &prod), text);
        assert!(page_token::decode(text, &query("dev", &named)).is_err());
        assert!(page_token::decode(text, &any).is_err());
    }
    let page = PageToken(text.to_owned());
    let token = page_token::encode(&page, &any);
    assert_eq!(page_token::decode(&token, &any), Ok(page));
}

/// The public key of the tokens in the corpus. Nobody has the private one any more.
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"ec-1","use":"sig","alg":"ES256","x":"IMtGznffXSQd89nc4W8L3VI3g9Rl1ZgKtKOHU9wqSHg","y":"7e3z4ArEX3FH-kMyqkuta_lkQ9OJWKjju30VAiBFYF4"}]}"#;
/// A token that it verifies until the year 2200.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjLTEiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjpbImh1YnNwb3QtY29ubmVjdGlvbnMiXSwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50OmNybTpvbmJvYXJkaW5nIiwiaWF0IjoxNzkwMDAwMDAwLCJuYmYiOjE3MDAwMDAwMDAsImV4cCI6NzI1ODExODQwMH0.A4bDv7wNubdrOk9szq99DhndO0nyN6IV6gOJxHnqjfWkvwzAkkD_26upqeGWQ8IgTQdQ3sRl94bmn6E6fyJQTg";
const SUBJECT: &str = "system:serviceaccount:crm:onboarding";

static CHECK: LazyLock<TokenCheck> = LazyLock::new(|| {
    let config = JwtConfig {
        issuer: "https://issuer.example".to_owned(),
        audience: "hubspot-connections".to_owned(),
        jwks: JwksSource::File("never-read".into()),
    };
    TokenCheck::new(&config, reqwest::Client::new(), Metrics::default())
});

/// A token is accepted only as it was signed.
fn token(bytes: &[u8]) {
    static SET: LazyLock<KeySet> = LazyLock::new(|| KeySet::parse(KEYS.as_bytes()).expect("a valid key set"));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match CHECK.subject_by(text, &SET) {
        Ok(subject) => {
            assert_eq!(subject, SUBJECT);
            // The signature is not compared: some have a second form.
            assert_eq!(
                text.rsplit_once('.').map(|(signed, _)| signed),
                TOKEN.rsplit_once('.').map(|(s, _)| s)
            );
        }
        Err(error) => assert_no_secret(&error.to_string()),
    }
}

/// A key set is an object. One with other keys than the signer's accepts nothing of the signer, and none at all accepts a
/// token that anybody could make.
fn key_set(bytes: &[u8]) {
    let Ok(keys) = KeySet::parse(bytes) else { return };
    if let Ok(set) = serde_json::from_slice::<serde_json::Value>(bytes) {
        assert!(set.is_object(), "{set}");
    }
    assert!(matches!(
        CHECK.subject_by(TOKEN, &keys).as_deref(),
        Ok(SUBJECT) | Err(BadToken::UnknownKey | BadToken::Algorithm | BadToken::Signature)
    ));
    for header in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiJ9"] {
        let claims = TOKEN.split('.').nth(1).unwrap_or_default();
        let unsigned = CHECK.subject_by(&format!("{header}.{claims}."), &keys);
        assert!(unsigned.is_err(), "{unsigned:?}");
    }
}

/// The order of the rules does not matter, and one more takes nothing away. The last line is the name
/// of a caller.
fn callers(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (rules, name) = text.rsplit_once('\n').unwrap_or((text, ""));
    let callers = match Callers::parse(rules) {
        Ok(callers) => callers,
        Err(error) => return assert_no_secret(&error.to_string()),
    };
    let reversed: Vec<_> = rules.split(',').rev().collect();
    let reversed = Callers::parse(&reversed.join(",")).expect("the same rules");
    let more = Callers::parse(&format!("{rules},jwt:one-more=read")).expect("the same rules and one more");
    for identity in [Identity::Uri, Identity::Dns, Identity::Fingerprint, Identity::Jwt] {
        let identity = identity(name.to_owned());
        let access = callers.access(&identity);
        assert_eq!(reversed.access(&identity), access);
        assert!(more.access(&identity) >= access);
    }
}

/// Neither a problem nor a configuration shows a secret. One `NAME=value` a line; files are not read.
fn config(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n').map(String::from_utf8_lossy);
    let variables: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .filter(|(name, _)| !name.ends_with("_FILE"))
        .collect();
    let is_secret = |name: &str| SETTINGS.iter().any(|setting| setting.secret && setting.name == name);
    let shown: String =
        variables.iter().filter(|(name, _)| !is_secret(name)).map(|(_, value)| &**value).collect();
    let pairs = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    match Config::load(pairs, Flags::default(), LogFormat::Json) {
        Ok(loaded) if !holds_secret(&shown) => {
            assert_no_secret(&loaded.effective.to_string());
            assert_no_secret(&format!("{:?}", loaded.config));
        }
        // They are in a setting that is shown.
        Ok(_) => {}
        Err(Problems(problems)) => {
            assert!(!problems.is_empty());
            for Problem { setting, message } in problems {
                assert!(setting.starts_with("HCS_"), "{setting:?}");
                assert_no_secret(&message);
            }
        }
    }
}
