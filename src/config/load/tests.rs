//! What can be set, and which settings do not fit together.

use std::time::Duration;

use super::*;
use crate::config::SETTINGS;

const GOOD: [(&str, &str); 3] =
    [("HCS_ORG_ID", "1234@AdobeOrg"), ("HCS_CLIENT_ID", "client"), ("HCS_CLIENT_SECRET", "canary")];

fn pairs<'a>(variables: &'a [(&str, &str)]) -> impl Iterator<Item = (OsString, OsString)> + 'a {
    variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)))
}

fn load(variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
    Config::load(pairs(&GOOD).chain(pairs(variables)), Flags::default(), LogFormat::Json)
}

/// The only problem that the good configuration has with these variables on top.
fn problem(variables: &[(&str, &str)]) -> String {
    let Problems(problems) = load(variables).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

fn assert_problem(variables: &[(&str, &str)], name: &str, cure: &str) {
    let problem = problem(variables);
    assert!(problem.starts_with(&format!("{name}: ")), "{problem:?} does not blame {name}");
    assert!(problem.contains(cure), "{problem:?} does not say {cure:?}");
}

#[test]
fn nothing_is_searched_for_strictly_without_references() {
    let strict = ("HCS_SEARCH_FIRST", "strict");
    assert!(load(&[strict]).is_ok());
    let without = ("HCS_DESCRIPTION_REFERENCE", "false");
    assert_problem(&[strict, without], "HCS_SEARCH_FIRST", "HCS_DESCRIPTION_REFERENCE");
}

#[test]
fn durations_have_to_hold_together() {
    assert_problem(&[("HCS_SETTLE_WINDOW", "59s")], "HCS_SETTLE_WINDOW", "60s");
    assert!(load(&[("HCS_SETTLE_WINDOW", "60s")]).is_ok());
    let loopback = ("HCS_FLOW_SERVICE_URL", "http://127.0.0.1:1/data/foundation/flowservice");
    assert!(load(&[("HCS_SETTLE_WINDOW", "2s"), loopback]).is_ok());
    assert_problem(&[("HCS_REQUEST_ID_TTL", "219s")], "HCS_REQUEST_ID_TTL", "HCS_SETTLE_WINDOW");
    assert!(load(&[("HCS_REQUEST_ID_TTL", "220s")]).is_ok());
}

#[test]
fn redis_needs_a_key_that_replicas_share() {
    let redis = ("HCS_REDIS_URL", "rediss://:canary@redis:6379");
    let key = "0123456789abcdef0123456789abcdef";
    assert_problem(&[redis], "HCS_FINGERPRINT_KEY", "openssl rand");
    assert!(load(&[redis, ("HCS_FINGERPRINT_KEY", key)]).is_ok());
    assert!(load(&[redis, ("HCS_FINGERPRINT_KEY", &format!("{key},{key}"))]).is_ok());
    for bad in ["short", &format!("{key},short"), &format!("{key},{key},{key}")] {
        assert_problem(&[redis, ("HCS_FINGERPRINT_KEY", bad)], "HCS_FINGERPRINT_KEY", "32 bytes");
    }
    for bad in ["redis", "http://redis:6379", "redis://"] {
        assert_problem(&[("HCS_REDIS_URL", bad), ("HCS_FINGERPRINT_KEY", key)], "HCS_REDIS_URL", "rediss://");
    }
}

#[test]
fn the_url_of_redis_is_read_as_every_connection_reads_it() {
    let key = ("HCS_FINGERPRINT_KEY", "0123456789abcdef0123456789abcdef");
    for (bad, fix) in [
        ("redis://:can@ary@redis", "percent-encode"),
        ("redis://user:12/canary@redis", "percent-encode"),
        ("redis://:canary#x@redis", "percent-encode"),
        ("redis://redis/canary", "the number of a database"),
        ("rediss://:canary@redis#insecure", "HCS_REDIS_CA_FILE"),
        ("redis://canary@redis", "redis://:PASSWORD@"),
        ("redis+sentinel://:canary@redis", "name the primary"),
    ] {
        assert_problem(&[("HCS_REDIS_URL", bad), key], "HCS_REDIS_URL", fix);
        assert!(!problem(&[("HCS_REDIS_URL", bad), key]).contains("canary"), "{bad}");
    }
}

#[test]
fn the_files_of_redis_are_for_rediss_alone_and_a_pair() {
    let key = ("HCS_FINGERPRINT_KEY", "0123456789abcdef0123456789abcdef");
    let ca = format!("{}/tests/fixtures/ca.pem", env!("CARGO_MANIFEST_DIR"));
    let ca = ("HCS_REDIS_CA_FILE", &*ca);
    let tls = ("HCS_REDIS_URL", "rediss://redis");
    assert!(load(&[tls, key, ca]).is_ok());
    assert_problem(&[("HCS_REDIS_URL", "redis://redis"), key, ca], ca.0, "write rediss://");
    assert_problem(&[ca], ca.0, "set without HCS_REDIS_URL");
    assert_problem(&[tls, key, (ca.0, "/no/such/file")], ca.0, "must exist");
    let not_pem = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    assert_problem(&[tls, key, (ca.0, not_pem)], ca.0, "in PEM form");
    let broken = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ca-with-a-broken-certificate.pem");
    assert_problem(&[tls, key, (ca.0, broken)], ca.0, "in PEM form");
    let (one, other) = ("HCS_REDIS_CLIENT_CERT_FILE", "HCS_REDIS_CLIENT_KEY_FILE");
    assert_problem(&[tls, key, (one, ca.1)], one, other);
    assert_problem(&[tls, key, (other, ca.1)], other, one);
    assert_problem(&[tls, key, (one, ca.1), (other, ca.1)], other, "one private key");
    assert_problem(&[tls, key, (one, not_pem), (other, ca.1)], one, "in PEM form");
}

#[test]
fn a_placeholder_is_refused_in_every_setting() {
    for setting in SETTINGS {
        for placeholder in [
            "$(CANARY)",
            "x$(CANARY)",
            "${CANARY}",
            "$CANARY",
            "{{ .Values.canary }}",
            "<canary>",
            "{CANARY}",
            "\"canary\"",
        ] {
            // A part of a secret may look like anything.
            let is_drawn = setting.file_variable().is_some() && !setting.name.ends_with("_URL");
            if is_drawn && placeholder.starts_with('x') {
                continue;
            }
            let problem = problem(&[(setting.name, placeholder)]);
            assert!(problem.starts_with(setting.name), "{problem}");
            let has_fix = ["unexpanded", "template", "placeholder", "in quotes"];
            assert!(has_fix.iter().any(|fix| problem.contains(fix)), "{placeholder}: {problem}");
            assert!(!problem.to_lowercase().contains("canary"), "{problem}");
        }
        if let Some(variable) = setting.file_variable() {
            let unset = (setting.name, "");
            let problem = problem(&[unset, (&*variable, "$(CANARY)/x")]);
            assert!(problem.starts_with(&variable) && problem.contains("unexpanded"), "{problem}");
        }
    }
}

#[test]
fn every_setting_of_the_table_is_read() {
    let loaded = load(&[]).unwrap();
    let mut names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    names.sort_unstable();
    assert_eq!(loaded.effective.names(), names);
}

#[test]
fn three_variables_are_enough() {
    let Loaded { config, .. } = load(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(config.upstream.create_timeout, Duration::from_secs(65));
    assert_eq!(config.sandboxes.resolve(None).unwrap().as_str(), "prod");
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.adobe.scopes.len(), 4);
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    assert_eq!(load(&[("HCS_LOG", "")]).unwrap().config.log.filter, "info");
    assert_problem(&[("HCS_ORG_ID", "")], "HCS_ORG_ID", "required");
    assert!(load(&[("HCS_NO_SUCH", "")]).is_ok());
}

#[test]
fn every_problem_is_found_at_once() {
    let variables =
        [("HCS_LISTEN", "x"), ("HCS_SANDBOX", "X"), ("HCS_CREATE_TIMEOUT", "65"), ("HCS_LOGS", "x")];
    let Problems(problems) = Config::load(pairs(&variables), Flags::default(), LogFormat::Text).unwrap_err();
    let mut settings: Vec<_> = problems.iter().map(|problem| problem.setting.as_str()).collect();
    settings.sort_unstable();
    assert_eq!(
        settings,
        [
            "HCS_CLIENT_ID",
            "HCS_CLIENT_SECRET",
            "HCS_CREATE_TIMEOUT",
            "HCS_LISTEN",
            "HCS_LOGS",
            "HCS_ORG_ID",
            "HCS_SANDBOX"
        ]
    );
}

#[test]
fn every_setting_refuses_nonsense_under_its_own_name() {
    let accepts_any_word = [
        "HCS_CLIENT_ID",
        "HCS_SCOPES",
        "HCS_CLIENT_SECRET",
        "HCS_ACCESS_TOKEN",
        "HCS_JWT_ISSUER",
        "HCS_JWT_AUDIENCE",
    ];
    for setting in SETTINGS {
        let nonsense = if accepts_any_word.contains(&setting.name) { "a b" } else { "NON=SENSE=" };
        let problem = problem(&[(setting.name, nonsense)]);
        assert!(problem.starts_with(setting.name), "{problem}");
        assert!(!problem.contains(nonsense), "{problem} repeats the value");
    }
}

#[test]
fn exactly_one_credential_is_set() {
    assert_problem(&[("HCS_ACCESS_TOKEN", "ey")], "HCS_CLIENT_SECRET", "unset one of the two");
    assert_problem(&[("HCS_CLIENT_SECRET", "")], "HCS_CLIENT_SECRET", "HCS_CLIENT_SECRET_FILE");
    assert_problem(&[("HCS_CLIENT_SECRET_FILE", "/x")], "HCS_CLIENT_SECRET", "unset one of the two");
    let token = load(&[("HCS_CLIENT_SECRET", ""), ("HCS_ACCESS_TOKEN", "ey")]).unwrap();
    assert!(matches!(token.config.adobe.credential, AdobeCredential::AccessToken(_)));
}

#[test]
fn a_port_beyond_loopback_needs_tls_and_a_check_of_callers() {
    for address in ["0.0.0.0:50051", "[::]:50051", "10.0.0.1:1"] {
        assert_problem(&[("HCS_LISTEN", address)], "HCS_LISTEN", "no TLS and no check of callers");
        assert_problem(&[("HCS_LISTEN", address)], "HCS_LISTEN", "HCS_INSECURE=true");
        assert!(load(&[("HCS_LISTEN", address), ("HCS_INSECURE", "true")]).is_ok());
    }
    for address in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(load(&[("HCS_LISTEN", address)]).is_ok(), "{address}");
    }
}

#[test]
fn the_two_listeners_do_not_share_an_address() {
    let both = |one, other| [("HCS_LISTEN", one), ("HCS_ADMIN_LISTEN", other)];
    assert_problem(&both("127.0.0.1:1", "127.0.0.1:1"), "HCS_ADMIN_LISTEN", "another port");
    assert_problem(&both("127.0.0.1:1", "0.0.0.0:1"), "HCS_ADMIN_LISTEN", "another port");
    assert_problem(&both("127.0.0.1:1", "[::ffff:127.0.0.1]:1"), "HCS_ADMIN_LISTEN", "another port");
    assert!(load(&both("127.0.0.1:0", "127.0.0.1:0")).is_ok());
    assert!(load(&both("127.0.0.1:1", "127.0.0.2:1")).is_ok());
}

#[test]
fn the_default_sandbox_is_an_allowed_one() {
    let both = |default, allowed| [("HCS_SANDBOX", default), ("HCS_ALLOWED_SANDBOXES", allowed)];
    assert_problem(&both("dev", "prod"), "HCS_ALLOWED_SANDBOXES", "set another HCS_SANDBOX");
    assert!(load(&both("dev", "prod,dev")).is_ok());
    assert!(load(&both("dev", "*")).is_ok());
    let derived = load(&both("dev", "")).unwrap();
    assert!(derived.effective.to_string().contains("HCS_ALLOWED_SANDBOXES = dev (default)\n"));
}

#[test]
fn plain_http_must_be_allowed_explicitly() {
    let url = ("HCS_FLOW_SERVICE_URL", "http://emulator:8080/data/foundation/flowservice");
    assert_problem(&[url], "HCS_FLOW_SERVICE_URL", "HCS_UPSTREAM_ALLOW_HTTP=true");
    assert!(load(&[url, ("HCS_UPSTREAM_ALLOW_HTTP", "true")]).is_ok());
    let keys = [
        ("HCS_JWT_ISSUER", "issuer"),
        ("HCS_JWT_AUDIENCE", "audience"),
        ("HCS_JWT_JWKS_URL", "http://issuer/keys"),
        ("HCS_CALLERS", "jwt:a=read"),
    ];
    assert_problem(&keys, "HCS_JWT_JWKS_URL", "HCS_JWT_ALLOW_HTTP=true");
    assert!(load(&[&keys[..], &[("HCS_JWT_ALLOW_HTTP", "true")]].concat()).is_ok());
}

#[test]
fn of_the_urls_of_adobe_the_one_that_is_not_set_follows_the_other() {
    let adobe = "https://platform.adobe.io";
    let path = "/data/foundation/flowservice";
    for (flow_service, platform, read) in [
        ("", "", (format!("{adobe}{path}"), format!("{adobe}/"))),
        ("http://127.0.0.1:8080/data/foundation/flowservice", "", {
            let origin = "http://127.0.0.1:8080";
            (format!("{origin}{path}"), format!("{origin}/"))
        }),
        ("https://proxy.example.com/a/data/foundation/flowservice", "", {
            let prefixed = "https://proxy.example.com/a";
            (format!("{prefixed}{path}"), prefixed.to_owned())
        }),
        ("", "http://[::1]:8080", (format!("http://[::1]:8080{path}"), "http://[::1]:8080/".to_owned())),
        ("http://127.0.0.1:1/data/foundation/flowservice", adobe, {
            (format!("http://127.0.0.1:1{path}"), format!("{adobe}/"))
        }),
    ] {
        let loaded = load(&[("HCS_FLOW_SERVICE_URL", flow_service), ("HCS_PLATFORM_URL", platform)]).unwrap();
        let upstream = loaded.config.upstream;
        assert_eq!((upstream.flow_service_url.to_string(), upstream.platform_url.to_string()), read);
    }
    let exposed = [("HCS_PLATFORM_URL", "http://emulator:8080")];
    assert_problem(&exposed, "HCS_PLATFORM_URL", "HCS_UPSTREAM_ALLOW_HTTP=true");
}

#[test]
fn an_unknown_variable_gets_the_nearest_name_as_a_suggestion() {
    assert_eq!(problem(&[("HCS_ORGID", "x")]), "HCS_ORGID: unknown variable; did you mean HCS_ORG_ID?");
    assert_problem(&[("HCS_KUBERNETES", "x")], "HCS_KUBERNETES", "see --help");
    assert!(load(&[("HOME", "/"), ("HUBSPOT_CONNECTION_SERVICE_PORT", "1")]).is_ok());
}

#[test]
fn a_misspelt_secret_gets_a_suggestion_without_its_value() {
    for (slip, meant) in [
        ("HCS_CLIENT_SECRT", "HCS_CLIENT_SECRET"),
        ("HCS_CLIENTSECRET", "HCS_CLIENT_SECRET"),
        ("HCS_CLIENT_SECRET_FILES", "HCS_CLIENT_SECRET_FILE"),
        ("HCS_ACCESSTOKEN", "HCS_ACCESS_TOKEN"),
        ("HCS_REDIS_URI", "HCS_REDIS_URL"),
        ("HCS_FINGERPRINT_KEYS", "HCS_FINGERPRINT_KEY"),
    ] {
        let problem = problem(&[(slip, "canary")]);
        assert_eq!(problem, format!("{slip}: unknown variable; did you mean {meant}?"));
    }
}

#[test]
fn variables_that_kubernetes_adds_for_a_service_are_explained() {
    let links = [
        ("HCS_PORT", "tcp://10.0.0.1:50051"),
        ("HCS_PORT_50051_TCP", "tcp://10.0.0.1:50051"),
        ("HCS_PORT_50051_TCP_ADDR", "10.0.0.1"),
        ("HCS_SERVICE_HOST", "10.0.0.1"),
        ("HCS_SERVICE_PORT", "50051"),
    ];
    for link in links {
        assert_problem(&[link], link.0, "enableServiceLinks: false");
        assert!(!problem(&[link]).contains("did you mean"));
    }
    // One Service is one problem.
    assert_problem(&links, "HCS_PORT", "(and 4 more variables) to each pod for the Service hcs,");
    let Problems(two) = load(&[links[0], ("HCS_REDIS_SERVICE_HOST", "10.0.0.2")]).unwrap_err();
    assert_eq!(two.len(), 2, "{two:?}");
    // What is no link is a mistake like any other.
    assert_problem(&[("HCS_PORT", "50051")], "HCS_PORT", "unknown variable");
}

#[test]
fn the_address_that_the_client_calls_is_no_setting_and_no_mistake() {
    assert!(load(&[("HCS_CLIENT_ADDRESS", "http://10.0.0.1:50051")]).is_ok());
}

#[test]
fn a_flag_wins_over_its_variable_and_is_named_in_its_problem() {
    let load = |flag: &str| {
        let flags = Flags::from_iter([("HCS_LOG", OsString::from(flag))]);
        Config::load(pairs(&GOOD).chain(pairs(&[("HCS_LOG", "warn")])), flags, LogFormat::Text)
    };
    let loaded = load("debug").unwrap();
    assert_eq!(loaded.config.log.filter, "debug");
    assert!(loaded.effective.to_string().contains("HCS_LOG = debug (from --log)\n"));
    assert_eq!(load("").unwrap().config.log.filter, "warn");
    let Problems(problems) = load("x=loud").unwrap_err();
    assert_eq!(problems[0].setting, "HCS_LOG (given as --log)");
    let flags = Flags::from_iter([("HCS_UPSTREAM_PROXY", OsString::from("canary"))]);
    assert!(!format!("{flags:?}").contains("canary"));
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf_8_is_a_problem_of_its_setting() {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = || OsString::from_vec(vec![0xff]);
    for (name, setting) in [
        ("HCS_LOG", "HCS_LOG"),
        ("HCS_CLIENT_SECRET", "HCS_CLIENT_SECRET"),
        ("HCS_LOG_FORMAT", "HCS_LOG_FORMAT"),
    ] {
        let environment = pairs(&GOOD).chain([(OsString::from(name), bytes())]);
        let Problems(problems) = Config::load(environment, Flags::default(), LogFormat::Text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].setting, setting);
        assert!(problems[0].message.contains("not valid UTF-8"));
    }
    let flags = Flags::from_iter([("HCS_LOG", bytes())]);
    let Problems(problems) = Config::load(pairs(&GOOD), flags, LogFormat::Text).unwrap_err();
    assert_eq!(problems[0].to_string(), "HCS_LOG (given as --log): not valid UTF-8: set it to plain text");
}

#[test]
fn what_is_in_effect_prints_no_secret() {
    let loaded = load(&[("HCS_UPSTREAM_PROXY", "http://me:canary@proxy:3128")]).unwrap();
    let effective = loaded.effective.to_string();
    assert!(effective.contains("HCS_UPSTREAM_PROXY = http://[redacted]@proxy:3128\n"), "{effective}");
    assert!(effective.contains("HCS_CLIENT_SECRET = [redacted]\n"), "{effective}");
    assert!(effective.contains("HCS_ACCESS_TOKEN = unset (default)\n"), "{effective}");
    for printed in [effective, format!("{loaded:?}")] {
        assert!(!printed.contains("canary"), "{printed}");
    }
}
