//! How the text of a setting is read. Every error says how to write the value and never repeats it.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::Url;
use secrecy::zeroize::Zeroizing;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::{
    domain::{AllowedSandboxes, Invalid, SandboxName},
    exactly_once::SearchFirst,
};
use crate::{
    http_client::HttpVersion,
    secret::small_file::{self, ReadError},
    telemetry::LogFormat,
};

pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Invalid> {
    text.parse().map_err(|_| Invalid::from("must be an IP address and a port, as in 127.0.0.1:50051"))
}

pub(super) fn boolean(text: &str) -> Result<bool, Invalid> {
    text.parse().map_err(|_| Invalid::from("must be true or false"))
}

pub(super) fn search_first(text: &str) -> Result<SearchFirst, Invalid> {
    match text {
        "auto" => Ok(SearchFirst::Auto),
        "strict" => Ok(SearchFirst::Strict),
        "never" => Ok(SearchFirst::Never),
        _ => Err(Invalid::from("must be auto, strict or never")),
    }
}

pub(super) fn count(text: &str, most: usize) -> Result<NonZeroUsize, Invalid> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= most);
    number.ok_or_else(|| Invalid::from(format!("must be a whole number from 1 to {most}")))
}

/// A duration that may be zero.
pub(super) fn duration(text: &str) -> Result<Duration, Invalid> {
    // Far beyond any use, and far below what overflows a clock.
    const MOST: Duration = Duration::from_hours(365 * 24);
    if text.parse::<f64>().is_ok() {
        return Err(Invalid::from("the unit is missing: write a duration as 500ms, 30s or 5m"));
    }
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= MOST => Ok(duration),
        Ok(_) => Err(Invalid::from("must be at most 365 days")),
        Err(_) => Err(Invalid::from("must be a duration with a unit, as in 500ms, 30s or 5m")),
    }
}

/// The age at which a connection is ended: below a second, callers would do nothing but connect.
pub(super) fn connection_age(text: &str) -> Result<Duration, Invalid> {
    let long_enough = Some(duration(text)?).filter(|duration| *duration >= Duration::from_secs(1));
    long_enough.ok_or_else(|| Invalid::from("must be at least 1s, as in 30m"))
}

pub(super) fn timeout(text: &str) -> Result<Duration, Invalid> {
    let positive = Some(duration(text)?).filter(|duration| !duration.is_zero());
    positive.ok_or_else(|| Invalid::from("must be longer than zero, as in 30s"))
}

pub(super) fn org_id(text: &str) -> Result<String, Invalid> {
    let is_one = text.strip_suffix("@AdobeOrg").is_some_and(is_one_word);
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| Invalid::from("must be visible ASCII characters without spaces, ending in @AdobeOrg"))
}

/// A client ID, which has to fit into a header.
pub(super) fn client_id(text: &str) -> Result<String, Invalid> {
    word(text)
}

pub(super) fn scopes(text: &str) -> Result<Vec<String>, Invalid> {
    let scopes: Vec<_> = items(text).map(str::to_owned).collect();
    let are_words = scopes.iter().all(|scope| is_one_word(scope));
    are_words.then_some(scopes).ok_or_else(|| {
        Invalid::from("must be scopes separated by commas, each of visible ASCII characters without spaces")
    })
}

pub(super) fn allowed_sandboxes(text: &str) -> Result<AllowedSandboxes, Invalid> {
    if text.trim() == "*" {
        return Ok(AllowedSandboxes::Any);
    }
    let names: Result<_, Invalid> = items(text).map(SandboxName::parse).collect();
    names.map(AllowedSandboxes::Only).map_err(|Invalid { sentence, .. }| {
        Invalid::from(format!("must be * alone, or names separated by commas, of which each {sentence}"))
    })
}

/// The URL of a service to call. Plain http shows the credentials to everyone on the way, so
/// beyond loopback it has to be asked for.
pub(super) fn upstream_url(text: &str, http_is_allowed: bool) -> Result<Url, Invalid> {
    let plain_http = "must be https beyond loopback; HCS_UPSTREAM_ALLOW_HTTP=true allows plain http, \
                      which shows the credentials to the network";
    url(text, http_is_allowed, plain_http)
}

/// The URL of the keys of an issuer of tokens. Who can replace them can make tokens.
pub(super) fn jwks_url(text: &str, http_is_allowed: bool) -> Result<Url, Invalid> {
    let plain_http = "must be https beyond loopback; HCS_JWT_ALLOW_HTTP=true allows plain http, with which the \
                      network can put other keys in the place of the issuer's";
    url(text, http_is_allowed, plain_http)
}

fn url(text: &str, http_is_allowed: bool, plain_http: &'static str) -> Result<Url, Invalid> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url else {
        return Err(Invalid::from("must be an https URL, as in https://platform.adobe.io/data"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Invalid::from("must not hold a user name or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Invalid::from("must not hold a query (?) or a fragment (#)"));
    }
    if url.scheme() == "http" && !http_is_allowed && !is_loopback(&url) {
        return Err(Invalid::from(plain_http));
    }
    Ok(url)
}

/// The base URL of the Flow Service, without a slash at its end, so that routes can be appended.
pub(super) fn flow_service_url(text: &str, http_is_allowed: bool) -> Result<Url, Invalid> {
    url_with_path(text, http_is_allowed, "/data/foundation/flowservice", ".adobe.io")
}

/// The URL of the token endpoint of IMS.
pub(super) fn ims_url(text: &str, http_is_allowed: bool) -> Result<Url, Invalid> {
    url_with_path(text, http_is_allowed, "/ims/token/v3", ".adobelogin.com")
}

/// A URL whose path ends in the one that Adobe has, without a slash after it. A reverse proxy may have a prefix
/// before it, and `adobe`, the domain of Adobe's own hosts, has none. Any other path would be noticed only when
/// each call fails.
fn url_with_path(text: &str, http_is_allowed: bool, path: &str, adobe: &str) -> Result<Url, Invalid> {
    let mut url = upstream_url(text, http_is_allowed)?;
    let given = url.path().trim_end_matches('/').to_owned();
    let invalid = |what: String| Err(Invalid::from(what));
    match given.rsplit_once(path) {
        Some((prefix, "")) if prefix.is_empty() || !url.host_str().unwrap_or_default().ends_with(adobe) => {}
        Some((_, "")) => {
            return invalid(format!("must have the path {path} at Adobe: delete what is before it"));
        }
        Some((_, rest)) if rest.starts_with('/') => {
            return invalid(format!(
                "must end in {path}: delete what follows, which this service adds itself"
            ));
        }
        _ if given.is_empty() => {
            return invalid(format!("must have a path: add {path} to its end"));
        }
        _ => {
            return invalid(format!(
                "must end in {path}, after the prefix of a reverse proxy if there is one"
            ));
        }
    }
    url.set_path(&given);
    Ok(url)
}

pub(super) fn upstream_http(text: &str) -> Result<HttpVersion, Invalid> {
    match text {
        "http1" => Ok(HttpVersion::Http1),
        "http2" => Ok(HttpVersion::Http2),
        _ => Err(Invalid::from("must be http1 or http2")),
    }
}

/// The path of a file in PEM form. What is in it is looked at together with its companions.
pub(super) fn pem_file(text: &str) -> Result<PathBuf, Invalid> {
    content(text).map(|_| PathBuf::from(text))
}

/// The path of a file with the keys of an issuer of tokens.
pub(super) fn jwks_file(text: &str) -> Result<PathBuf, Invalid> {
    let keys = crate::jwt::KeySet::parse(&content(text)?);
    keys.map(|_| PathBuf::from(text)).map_err(|error| {
        Invalid::from(format!(
            "the file must hold a JSON Web Key Set with at least one key that can be used: {error}"
        ))
    })
}

/// One word, taken as it is.
pub(super) fn word(text: &str) -> Result<String, Invalid> {
    let is_one = is_one_word(text);
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| Invalid::from("must be visible ASCII characters without spaces"))
}

fn content(path: &str) -> Result<Zeroizing<Vec<u8>>, Invalid> {
    small_file::read(Path::new(path), crate::http_client::MOST_CA_BYTES).map_err(|error| match error {
        ReadError::Unreadable(error) => {
            Invalid::from(format!("the file cannot be read: {error}; it must exist and be readable"))
        }
        ReadError::TooLarge => {
            Invalid::from("the file is larger than 1 MiB: it must hold what it is for and nothing else")
        }
    })
}

/// The path of a file with certificates that a TLS client accepts as authorities.
pub(super) fn ca_file(text: &str) -> Result<PathBuf, Invalid> {
    let pem = content(text)?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
    // Decoding the PEM leaves its content unseen; only building a client looks into it.
    let is_usable = !certificates.is_empty()
        && reqwest::Client::builder().no_proxy().tls_certs_only(certificates).build().is_ok();
    let not_pem = || Invalid::from("the file must hold at least one certificate in PEM form");
    is_usable.then(|| PathBuf::from(text)).ok_or_else(not_pem)
}

pub(super) fn log_filter(text: &str) -> Result<String, Invalid> {
    // The parser takes almost anything for a target: of one that nobody has nothing is logged.
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_target = |word: &str| {
        !word.is_empty()
            && word.chars().all(|c| c.is_ascii_alphanumeric() || ['_', ':', '-', '.'].contains(&c))
    };
    // Except where it is of this crate.
    let is_own = |word: &str| {
        let path = word.strip_prefix(env!("CARGO_CRATE_NAME"));
        path.is_some_and(|path| path.is_empty() || path.starts_with("::")) && is_target(word)
    };
    let mut plain = items(text).filter(|directive| !directive.is_empty() && !directive.contains(['[', ']']));
    let is_filter = EnvFilter::try_new(text).is_ok()
        && plain.all(|directive| match directive.split_once('=') {
            None => is_level(directive) || is_own(directive),
            Some((target, level)) => is_target(target) && is_level(level),
        });
    is_filter.then(|| text.to_owned()).ok_or_else(|| {
        Invalid::from("must be a log filter: a level (error, warn, info, debug, trace) or target=level, comma separated")
    })
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, Invalid> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Invalid::from("must be text or json")),
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

fn is_one_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic())
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    /// Expects that a text is refused for a reason that holds these words, and not the text itself.
    fn refused<T: Debug>(parsed: Result<T, Invalid>, cure: &str) {
        let Invalid { sentence, .. } = parsed.expect_err(cure);
        assert!(sentence.contains(cure), "{sentence:?} does not say {cure:?}");
    }

    #[test]
    fn an_address_is_numeric_and_has_a_port() {
        assert!(socket_address("[::1]:0").is_ok());
        for text in ["localhost:50051", "127.0.0.1", ":50051", "127.0.0.1:65536"] {
            refused(socket_address(text), "127.0.0.1:50051");
        }
    }

    #[test]
    fn a_boolean_is_true_or_false() {
        assert_eq!((boolean("true"), boolean("false")), (Ok(true), Ok(false)));
        for text in ["1", "yes", "TRUE", " true"] {
            refused(boolean(text), "true or false");
        }
    }

    #[test]
    fn a_count_is_positive_and_bounded() {
        assert_eq!(count("8", 8), Ok(NonZeroUsize::new(8).unwrap()));
        for text in ["0", "-1", "9", "1.5", "1k", "99999999999999999999999"] {
            refused(count(text, 8), "from 1 to 8");
        }
    }

    #[test]
    fn a_duration_carries_its_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for text in ["30", "0", "1.5", "-1"] {
            refused(duration(text), "the unit is missing");
        }
        for text in ["s", "30 apples", "-1s"] {
            refused(duration(text), "as in 500ms, 30s or 5m");
        }
        refused(duration("2years"), "at most 365 days");
    }

    #[test]
    fn a_timeout_is_longer_than_zero() {
        assert_eq!(timeout("1ms"), Ok(Duration::from_millis(1)));
        refused(timeout("0s"), "longer than zero");
        refused(connection_age("999ms"), "at least 1s");
    }

    #[test]
    fn an_organization_id_ends_in_adobe_org() {
        assert!(org_id("1234@AdobeOrg").is_ok());
        for text in ["1234", "@AdobeOrg", "1234@adobeorg", "12 34@AdobeOrg", "1234@AdobeOrg ", "ä@AdobeOrg"]
        {
            refused(org_id(text), "ending in @AdobeOrg");
        }
    }

    #[test]
    fn a_client_id_fits_into_a_header() {
        assert!(client_id("abc-1").is_ok());
        for text in ["a b", "a\n", "ä", " "] {
            refused(client_id(text), "visible ASCII");
        }
    }

    #[test]
    fn scopes_are_separated_by_commas_with_or_without_spaces() {
        assert_eq!(scopes("openid, AdobeID"), Ok(vec!["openid".to_owned(), "AdobeID".to_owned()]));
        for text in ["openid,,AdobeID", "openid AdobeID", ",", " "] {
            refused(scopes(text), "separated by commas");
        }
    }

    #[test]
    fn allowed_sandboxes_are_names_or_a_star() {
        assert_eq!(allowed_sandboxes("*"), Ok(AllowedSandboxes::Any));
        let names = ["dev", "prod"].map(|name| SandboxName::parse(name).unwrap());
        assert_eq!(allowed_sandboxes("prod, dev"), Ok(AllowedSandboxes::Only(names.into())));
        for text in ["prod,", "*,prod", "Prod"] {
            refused(allowed_sandboxes(text), "separated by commas");
        }
    }

    #[test]
    fn an_upstream_url_is_bare() {
        refused(upstream_url("platform.adobe.io/data", false), "must be an https URL");
        refused(upstream_url("ftp://platform.adobe.io", false), "must be an https URL");
        refused(upstream_url("https://", false), "must be an https URL");
        refused(upstream_url("https://me:canary@platform.adobe.io", false), "user name or password");
        refused(upstream_url("https://platform.adobe.io?a=b", false), "query");
        refused(upstream_url("https://platform.adobe.io#a", false), "fragment");
    }

    #[test]
    fn plain_http_is_for_loopback_unless_it_is_asked_for() {
        for host in ["127.0.0.1:8080", "127.8.9.1", "[::1]:8080", "localhost", "LOCALHOST"] {
            assert!(upstream_url(&format!("http://{host}/x"), false).is_ok(), "{host}");
        }
        for host in ["emulator", "10.0.0.1", "127.0.0.1.example.com", "localhost.example.com", "[::2]"] {
            let url = format!("http://{host}/x");
            refused(upstream_url(&url, false), "HCS_UPSTREAM_ALLOW_HTTP=true");
            assert!(upstream_url(&url, true).is_ok(), "{host}");
            refused(jwks_url(&url, false), "HCS_JWT_ALLOW_HTTP=true");
            assert!(jwks_url(&url, true).is_ok(), "{host}");
        }
    }

    #[test]
    fn the_urls_of_adobe_end_in_the_paths_of_adobe() {
        let flow_service = |text: &str| flow_service_url(text, true);
        for (url, read) in [
            ("https://platform.adobe.io/data/foundation/flowservice", None),
            ("https://platform-stage.adobe.io/data/foundation/flowservice", None),
            (
                "https://platform.adobe.io/data/foundation/flowservice/",
                Some("https://platform.adobe.io/data/foundation/flowservice"),
            ),
            ("http://127.0.0.1:8080/data/foundation/flowservice", None),
            ("https://proxy.example.com/adobe/data/foundation/flowservice", None),
        ] {
            assert_eq!(flow_service(url).unwrap().as_str(), read.unwrap_or(url));
        }
        for (url, cure) in [
            ("https://platform.adobe.io", "add /data/foundation/flowservice"),
            ("https://platform.adobe.io/", "add /data/foundation/flowservice"),
            ("http://127.0.0.1:8080", "add /data/foundation/flowservice"),
            ("https://platform.adobe.io/data", "must end in /data/foundation/flowservice"),
            ("https://platform.adobe.io/data/foundation", "must end in /data/foundation/flowservice"),
            ("https://platform.adobe.io/flowservice", "must end in /data/foundation/flowservice"),
            ("https://platform.adobe.io/DATA/foundation/flowservice", "must end in"),
            ("https://platform.adobe.io/data//foundation/flowservice", "must end in"),
            ("https://platform.adobe.io/data/foundation/flowservices", "must end in"),
            ("https://platform.adobe.io/data/foundation/flowservice/connections", "delete what follows"),
            ("https://platform.adobe.io/data/foundation/flowservice/connections/", "delete what follows"),
            ("https://proxy.example.com/x/data/foundation/flowservice/flows", "delete what follows"),
            ("https://platform.adobe.io/adobe/data/foundation/flowservice", "delete what is before it"),
            ("https://platform.adobe.io//data/foundation/flowservice", "delete what is before it"),
            ("https://ims-na1.adobelogin.com/ims/token/v3", "must end in /data/foundation/flowservice"),
            ("https://platform.adobe.io/data/foundation/flowservice?", "query"),
            ("https://platform.adobe.io/data/foundation/flowservice#", "fragment"),
        ] {
            refused(flow_service(url), cure);
        }
        let ims = |text: &str| ims_url(text, true);
        for url in [
            "https://ims-na1.adobelogin.com/ims/token/v3",
            "https://ims-na1.adobelogin.com/ims/token/v3/",
            "http://127.0.0.1:8080/ims/token/v3",
            "https://proxy.example.com/adobe/ims/token/v3",
        ] {
            assert_eq!(ims(url).unwrap().as_str(), url.trim_end_matches('/'));
        }
        for (url, cure) in [
            ("https://ims-na1.adobelogin.com", "add /ims/token/v3"),
            ("https://ims-na1.adobelogin.com/", "add /ims/token/v3"),
            ("https://ims-na1.adobelogin.com/ims", "must end in /ims/token/v3"),
            ("https://ims-na1.adobelogin.com/ims/token", "must end in /ims/token/v3"),
            ("https://ims-na1.adobelogin.com/ims/token/v1", "must end in /ims/token/v3"),
            ("https://ims-na1.adobelogin.com/ims/exchange/jwt", "must end in /ims/token/v3"),
            ("https://ims-na1.adobelogin.com/ims/token/v3/x", "delete what follows"),
            ("https://ims-na1.adobelogin.com/x/ims/token/v3", "delete what is before it"),
            ("https://platform.adobe.io/data/foundation/flowservice", "must end in /ims/token/v3"),
        ] {
            refused(ims(url), cure);
        }
    }

    #[test]
    fn choices_name_what_can_be_chosen() {
        assert_eq!(upstream_http("http2"), Ok(HttpVersion::Http2));
        refused(upstream_http("h2"), "http1 or http2");
        assert_eq!(log_format("json"), Ok(LogFormat::Json));
        refused(log_format("JSON"), "text or json");
    }

    #[test]
    fn a_certificate_authority_is_a_pem_file_with_a_certificate() {
        let fixture = |name| format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        assert!(ca_file(&fixture("ca.pem")).is_ok());
        refused(ca_file(&fixture("ca-with-a-broken-certificate.pem")), "certificate in PEM form");
        refused(ca_file(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")), "certificate in PEM form");
        refused(ca_file(&fixture("no-such-file.pem")), "must exist");
    }

    #[test]
    fn a_log_filter_is_a_level_or_directives() {
        assert!(log_filter("info,hyper=warn").is_ok());
        assert!(log_filter("hubspot_connection_service").is_ok());
        assert!(log_filter("warn,hubspot_connection_service::jwt").is_ok());
        assert!(log_filter("off").is_ok() && log_filter("WARN,audit=off,").is_ok());
        for text in [
            "hyper=loud",
            "hyper",
            "warning",
            "info,verbose",
            "info;audit=off",
            "audit",
            "hubspot_connection_services",
            "=info=x",
            " ",
        ] {
            refused(log_filter(text), "target=level");
        }
    }
}
