//! The table of settings: their names, defaults and meaning. The environment, the command line and
//! its help, and the output of `check-config` all follow it.

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// What holds where it is not set.
    pub fallback: Fallback,
    /// Whether it is a secret: never shown, not a flag, and also readable from a file.
    pub secret: bool,
    /// What it sets, as one sentence.
    pub help: &'static str,
}

/// What holds where a setting is not set.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// Nothing does: it must be set.
    Required,
    /// This text, read as if it had been set.
    Text(&'static str),
    /// Something worked out when the configuration is loaded, described here.
    Derived(&'static str),
    /// The setting stays unset.
    Unset,
}

/// Every setting, in the order in which they are documented.
pub const SETTINGS: &[Setting] = &[
    plain("HCS_LISTEN", Fallback::Text("127.0.0.1:50051"), "IP address and port of the gRPC server."),
    plain(
        "HCS_ADMIN_LISTEN",
        Fallback::Text("127.0.0.1:9090"),
        "IP address and port of the plaintext health server.",
    ),
    plain(
        "HCS_FLOW_SERVICE_URL",
        Fallback::Text("https://platform.adobe.io/data/foundation/flowservice"),
        "Base URL of the Flow Service, ending in /data/foundation/flowservice.",
    ),
    plain(
        "HCS_IMS_URL",
        Fallback::Text("https://ims-na1.adobelogin.com/ims/token/v3"),
        "URL of the IMS token endpoint, ending in /ims/token/v3.",
    ),
    plain("HCS_ORG_ID", Fallback::Required, "ID of the organization at Adobe, ending in @AdobeOrg."),
    plain("HCS_CLIENT_ID", Fallback::Required, "Client ID of this service's credential at Adobe."),
    secret("HCS_CLIENT_SECRET", "Client secret of that credential; set it or HCS_ACCESS_TOKEN."),
    secret(
        "HCS_ACCESS_TOKEN",
        "A ready Adobe access token, for a quick try: it is not renewed; set it or HCS_CLIENT_SECRET.",
    ),
    plain(
        "HCS_SCOPES",
        Fallback::Text("openid,AdobeID,read_organizations,additional_info.projectedProductContext"),
        "IMS scopes, comma separated.",
    ),
    plain("HCS_SANDBOX", Fallback::Text("prod"), "Sandbox of the calls that name none."),
    plain(
        "HCS_ALLOWED_SANDBOXES",
        Fallback::Derived("the default sandbox"),
        "Sandboxes that callers may name, comma separated; * allows any.",
    ),
    secret("HCS_REDIS_URL", "URL of the shared idempotency store; where it is not set, memory is used."),
    plain(
        "HCS_REDIS_CA_FILE",
        Fallback::Unset,
        "Path of a PEM file with the authority of a rediss:// server, in place of the system's.",
    ),
    plain(
        "HCS_REDIS_CLIENT_CERT_FILE",
        Fallback::Unset,
        "Path of a PEM file with the certificate to show a rediss:// server.",
    ),
    plain("HCS_REDIS_CLIENT_KEY_FILE", Fallback::Unset, "Path of the PEM file with its private key."),
    secret(
        "HCS_FINGERPRINT_KEY",
        "Key that compares repeated requests, at least 32 bytes; required with Redis, else random.",
    ),
    plain("HCS_REQUEST_ID_TTL", Fallback::Text("24h"), "How long a request id is remembered, as a duration."),
    plain(
        "HCS_SETTLE_WINDOW",
        Fallback::Text("90s"),
        "How long a connection may stay invisible after the last moment at which it may have been created, as a \
         duration; a lost creation is not sent again before.",
    ),
    plain(
        "HCS_DESCRIPTION_REFERENCE",
        Fallback::Text("true"),
        "Stores the request id at the end of the description, which recognizes a lost creation: true or false.",
    ),
    plain(
        "HCS_SEARCH_FIRST",
        Fallback::Text("auto"),
        "Searches before sending where the store may have forgotten a request id: auto, strict or never.",
    ),
    plain(
        "HCS_REQUEST_TIMEOUT",
        Fallback::Text("60s"),
        "Longest time that a caller waits, as a duration; its own deadline counts where shorter.",
    ),
    plain(
        "HCS_ATTEMPT_TIMEOUT",
        Fallback::Text("20s"),
        "Longest time that one upstream attempt of anything but a creation may take, as a duration.",
    ),
    plain(
        "HCS_CREATE_TIMEOUT",
        Fallback::Text("65s"),
        "Longest time that a creation may take upstream, as a duration.",
    ),
    plain(
        "HCS_UPSTREAM_CA_FILE",
        Fallback::Unset,
        "Path of a PEM file with one more certificate authority to trust for Adobe and the JWKS URL.",
    ),
    plain(
        "HCS_UPSTREAM_PROXY",
        Fallback::Unset,
        "URL of the egress proxy for Adobe, and for a JWKS URL outside the cluster.",
    ),
    plain(
        "HCS_UPSTREAM_NO_PROXY",
        Fallback::Unset,
        "Hosts that the proxy does not serve, comma separated: example.com, .example.com, 10.0.0.0/8; names without a \
         dot, loopback, .svc and .cluster.local never go through it.",
    ),
    plain(
        "HCS_UPSTREAM_ALLOW_HTTP",
        Fallback::Text("false"),
        "Whether the URLs of Adobe may be plain http beyond loopback: true or false.",
    ),
    plain(
        "HCS_UPSTREAM_HTTP",
        Fallback::Text("http1"),
        "HTTP version spoken to the Flow Service: http1 or http2.",
    ),
    plain(
        "HCS_TLS_CERT_FILE",
        Fallback::Unset,
        "Path of the PEM file with the certificate of the gRPC port.",
    ),
    plain("HCS_TLS_KEY_FILE", Fallback::Unset, "Path of the PEM file with its private key."),
    plain(
        "HCS_TLS_CLIENT_CA_FILE",
        Fallback::Unset,
        "Path of the PEM file with the authority of the certificates that callers must show.",
    ),
    plain("HCS_JWT_ISSUER", Fallback::Unset, "Issuer of the bearer tokens that callers must send."),
    plain("HCS_JWT_AUDIENCE", Fallback::Unset, "Audience of those tokens: the name of this service there."),
    plain("HCS_JWT_JWKS_URL", Fallback::Unset, "URL of the issuer's keys; this or HCS_JWT_JWKS_FILE."),
    plain("HCS_JWT_JWKS_FILE", Fallback::Unset, "Path of a file with the issuer's keys."),
    plain(
        "HCS_JWT_ALLOW_HTTP",
        Fallback::Text("false"),
        "Whether HCS_JWT_JWKS_URL may be plain http beyond loopback: true or false.",
    ),
    plain(
        "HCS_CALLERS",
        Fallback::Unset,
        "Who may call, as IDENTITY=read or IDENTITY=write, comma separated; required with HCS_JWT_ISSUER.",
    ),
    plain(
        "HCS_INSECURE",
        Fallback::Text("false"),
        "Whether HCS_LISTEN may leave loopback without TLS and a check of callers: true or false.",
    ),
    plain("HCS_REFLECTION", Fallback::Text("true"), "Whether server reflection is served: true or false."),
    plain(
        "HCS_MAX_IN_FLIGHT",
        Fallback::Text("1024"),
        "Number of calls that may be under way at once; those beyond it are shed.",
    ),
    plain(
        "HCS_MAX_CONNECTION_AGE",
        Fallback::Text("30m"),
        "Age at which a caller's connection is ended gracefully, as a duration, at least 1s.",
    ),
    plain(
        "HCS_WORKER_THREADS",
        Fallback::Derived("the CPU limit"),
        "Number of worker threads. With 1, everything runs on one thread.",
    ),
    plain(
        "HCS_DRAIN_DELAY",
        Fallback::Text("5s"),
        "Time for which a stopping service says NOT_SERVING but still accepts, as a duration.",
    ),
    plain(
        "HCS_DRAIN_TIMEOUT",
        Fallback::Text("25s"),
        "Longest time that finishing the calls under way may take after that, as a duration.",
    ),
    plain("HCS_LOG", Fallback::Text("info"), "Log filter: a level, or target=level, comma separated."),
    plain(
        "HCS_LOG_FORMAT",
        Fallback::Derived("text on a terminal, else json"),
        "Form of a log line: text or json.",
    ),
];

const PREFIX: &str = "HCS_";

/// A variable of the client, which may be set for both.
pub(super) const CLIENT_ADDRESS: &str = "HCS_CLIENT_ADDRESS";

impl Setting {
    /// The flag without its dashes: `org-id` for `HCS_ORG_ID`. Secrets have none, because the
    /// arguments of a process are visible to others.
    pub fn flag(&self) -> Option<String> {
        let name = self.name.trim_start_matches(PREFIX);
        (!self.secret).then(|| name.to_ascii_lowercase().replace('_', "-"))
    }

    /// The variable that may hold the path of a file with the value; only secrets have one.
    pub fn file_variable(&self) -> Option<String> {
        self.secret.then(|| format!("{}_FILE", self.name))
    }

    /// The row of a variable.
    ///
    /// # Panics
    /// When the table has no such row.
    pub(super) fn named(name: &str) -> &'static Self {
        let row = SETTINGS.iter().find(|setting| setting.name == name);
        row.unwrap_or_else(|| panic!("{name} is not in the table of settings"))
    }
}

/// The secret that an argument of the command line most likely means, as `--client-secret` and
/// `HCS_CLIENT_SECRET=…` do. It is none of the flags.
pub(crate) fn secret_meant_by(argument: &str) -> Option<&'static Setting> {
    let name = argument.split('=').next().unwrap_or_default();
    let (dashes, name) = name.split_at(name.len() - name.trim_start_matches('-').len());
    let name = name.to_ascii_uppercase().replace('-', "_");
    if dashes.is_empty() && !is_ours(&name) {
        return None;
    }
    let name = format!("{PREFIX}{}", name.trim_start_matches(PREFIX));
    if SETTINGS.iter().any(|setting| !setting.secret && setting.name == name) {
        return None;
    }
    let meant = nearest(&name)?;
    SETTINGS.iter().find(|setting| {
        setting.secret && (setting.name == meant || setting.file_variable().is_some_and(|file| file == meant))
    })
}

/// Whether a variable is one of this service's, known or not.
pub(super) fn is_ours(variable: &str) -> bool {
    variable.starts_with(PREFIX)
}

/// The known variable that a misspelt one most likely means.
pub(super) fn nearest(unknown: &str) -> Option<String> {
    let variables = SETTINGS.iter().flat_map(|setting| {
        let file_variable = setting.file_variable();
        std::iter::once(setting.name.to_owned()).chain(file_variable)
    });
    // The prefix is the same for all and would make every name look alike.
    let stem = |name: &str| name.trim_start_matches(PREFIX).to_ascii_uppercase();
    let wanted = stem(unknown);
    let most_edits = (wanted.len() / 3).max(1);
    variables
        .map(|variable| (strsim::damerau_levenshtein(&stem(&variable), &wanted), variable))
        .filter(|(edits, _)| *edits <= most_edits)
        .min()
        .map(|(_, variable)| variable)
}

const fn plain(name: &'static str, fallback: Fallback, help: &'static str) -> Setting {
    Setting { name, fallback, secret: false, help }
}

const fn secret(name: &'static str, help: &'static str) -> Setting {
    Setting { name, fallback: Fallback::Unset, secret: true, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_named_like_its_variable_and_secrets_have_none() {
        assert_eq!(Setting::named("HCS_ORG_ID").flag().as_deref(), Some("org-id"));
        assert_eq!(Setting::named("HCS_CLIENT_SECRET").flag(), None);
    }

    #[test]
    fn only_secrets_can_come_from_a_file() {
        let of = |name| Setting::named(name).file_variable();
        assert_eq!(of("HCS_CLIENT_SECRET").as_deref(), Some("HCS_CLIENT_SECRET_FILE"));
        assert_eq!(of("HCS_ORG_ID"), None);
    }

    #[test]
    fn an_argument_that_means_a_secret_is_recognized() {
        for (argument, meant) in [
            ("--client-secret", "HCS_CLIENT_SECRET"),
            ("--client-secret=canary", "HCS_CLIENT_SECRET"),
            ("-client-secret=canary", "HCS_CLIENT_SECRET"),
            ("--client_secret", "HCS_CLIENT_SECRET"),
            ("--CLIENT-SECRET", "HCS_CLIENT_SECRET"),
            ("--client-secrets", "HCS_CLIENT_SECRET"),
            ("--client-secret-file", "HCS_CLIENT_SECRET"),
            ("--hcs-client-secret", "HCS_CLIENT_SECRET"),
            ("HCS_CLIENT_SECRET=canary", "HCS_CLIENT_SECRET"),
            ("--access-token", "HCS_ACCESS_TOKEN"),
            ("--redis-url=redis://:canary@redis", "HCS_REDIS_URL"),
            ("--redis-uri", "HCS_REDIS_URL"),
            ("--fingerprint-key", "HCS_FINGERPRINT_KEY"),
        ] {
            assert_eq!(secret_meant_by(argument).map(|setting| setting.name), Some(meant), "{argument}");
        }
        for argument in [
            "--client-id",
            "--org-id=x",
            "--listen",
            "--redis-ca-file=x",
            "serve",
            "client-secret",
            "--no-such-flag",
            "--",
            "-h",
            "",
        ] {
            assert!(secret_meant_by(argument).is_none(), "{argument}");
        }
    }

    #[test]
    fn a_slip_is_understood_and_a_stranger_is_not() {
        for (slip, meant) in [
            ("HCS_ORGID", "HCS_ORG_ID"),
            ("HCS_LSITEN", "HCS_LISTEN"),
            ("HCS_SANDBOXES", "HCS_SANDBOX"),
            ("HCS_CLIENT_SECRETS_FILE", "HCS_CLIENT_SECRET_FILE"),
            ("HCS_log", "HCS_LOG"),
        ] {
            assert_eq!(nearest(slip).as_deref(), Some(meant));
        }
        for stranger in ["HCS_", "HCS_KUBERNETES", "HCS_SOMETHING_ELSE"] {
            assert_eq!(nearest(stranger), None, "{stranger}");
        }
    }
}
