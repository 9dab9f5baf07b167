//! Reads the text of a setting. Every error says how to write the value and never repeats it.

mod file;
mod url;

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use serde::de::{
    DeserializeOwned,
    value::{self, StrDeserializer},
};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

pub(super) use self::{
    file::{ca_file, jwks_file, path, pem_file},
    url::{
        before_flow_service, flow_service_below, flow_service_url, hubspot_url, ims_url, is_exposed,
        platform_url, server_url, url,
    },
};
use crate::domain::{AllowedSandboxes, Invalid, SandboxName};

pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Invalid> {
    text.parse().map_err(|_| "must be an IP address and a port, as in 127.0.0.1:50051".into())
}

pub(super) fn boolean(text: &str) -> Result<bool, Invalid> {
    text.parse().map_err(|_| "must be true or false".into())
}

/// A name of an enum.
pub(super) fn choice<T: DeserializeOwned>(text: &str, problem: &str) -> Result<T, Invalid> {
    T::deserialize(StrDeserializer::<value::Error>::new(text)).map_err(|_| problem.into())
}

pub(super) fn count(text: &str, most: usize) -> Result<NonZeroUsize, Invalid> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= most);
    number.ok_or_else(|| format!("must be a whole number from 1 to {most}").into())
}

/// A duration that may be zero.
pub(super) fn duration(text: &str) -> Result<Duration, Invalid> {
    // Far beyond any use, and far below what overflows a clock.
    const MOST: Duration = Duration::from_hours(365 * 24);
    if text.parse::<f64>().is_ok() {
        return Err("the unit is missing: write a duration as 500ms, 30s or 5m".into());
    }
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= MOST => Ok(duration),
        Ok(_) => Err("must be at most 365 days".into()),
        Err(_) => Err("must be a duration with a unit, as in 500ms, 30s or 5m".into()),
    }
}

pub(super) fn timeout(text: &str) -> Result<Duration, Invalid> {
    let positive = Some(duration(text)?).filter(|duration| !duration.is_zero());
    positive.ok_or_else(|| "must be longer than zero, as in 30s".into())
}

/// The age at which a connection is ended. Below a second, callers would do nothing but connect.
pub(super) fn connection_age(text: &str) -> Result<Duration, Invalid> {
    let long_enough = Some(duration(text)?).filter(|duration| *duration >= Duration::from_secs(1));
    long_enough.ok_or_else(|| "must be at least 1s, as in 30m".into())
}

/// One word, which fits into a header.
pub(super) fn word(text: &str) -> Result<String, Invalid> {
    let word = is_word(text).then(|| text.to_owned());
    word.ok_or_else(|| "must be visible ASCII characters without spaces".into())
}

pub(super) fn org_id(text: &str) -> Result<String, Invalid> {
    let id = text.strip_suffix("@AdobeOrg").filter(|id| is_word(id)).map(|_| text.to_owned());
    id.ok_or_else(|| "must be visible ASCII characters without spaces, ending in @AdobeOrg".into())
}

pub(super) fn scopes(text: &str) -> Result<Vec<String>, Invalid> {
    let scopes: Option<_> = items(text).map(|scope| is_word(scope).then(|| scope.to_owned())).collect();
    scopes.ok_or_else(|| {
        "must be scopes separated by commas, each of visible ASCII characters without spaces".into()
    })
}

pub(super) fn allowed_sandboxes(text: &str) -> Result<AllowedSandboxes, Invalid> {
    if text.trim() == "*" {
        return Ok(AllowedSandboxes::Any);
    }
    let names: Result<_, Invalid> = items(text).map(SandboxName::parse).collect();
    names.map(AllowedSandboxes::Only).map_err(|Invalid { sentence, .. }| {
        format!("must be * alone, or names separated by commas, of which each {sentence}").into()
    })
}

/// The filter's own parser takes almost any word for a target, and logs nothing if nothing has that target. So a
/// word alone must be a level or a module of this crate.
pub(super) fn log_filter(text: &str) -> Result<String, Invalid> {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_target = |word: &str| {
        !word.is_empty()
            && word.chars().all(|c| c.is_ascii_alphanumeric() || ['_', ':', '-', '.'].contains(&c))
    };
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
        "must be a log filter: a level (error, warn, info, debug, trace) or target=level, comma separated"
            .into()
    })
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod testing {
    use crate::domain::Invalid;

    /// Expects that a text is rejected with these words in the reason.
    pub(super) fn refused<T: std::fmt::Debug>(parsed: Result<T, Invalid>, fix: &str) {
        let Invalid { sentence, .. } = parsed.expect_err(fix);
        assert!(sentence.contains(fix), "{sentence:?} does not say {fix:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::refused, *};
    use crate::{
        config::setting::{HCS_LOG_FORMAT, HCS_UPSTREAM_HTTP},
        http_client::HttpVersion,
        telemetry::LogFormat,
    };

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
        assert!(word("abc-1").is_ok());
        for text in ["a b", "a\n", "ä", " "] {
            refused(word(text), "visible ASCII");
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
    fn choices_name_what_can_be_chosen() {
        assert_eq!((HCS_UPSTREAM_HTTP.parse)("http2"), Ok(HttpVersion::Http2));
        refused((HCS_UPSTREAM_HTTP.parse)("h2"), "http1 or http2");
        assert_eq!((HCS_LOG_FORMAT.parse)("json"), Ok(LogFormat::Json));
        refused((HCS_LOG_FORMAT.parse)("JSON"), "text or json");
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
