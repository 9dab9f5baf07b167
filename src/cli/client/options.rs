//! The options of every subcommand: where the service is, how to reach it, and how to print the response.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Arg, ArgMatches, Command, value_parser};
use http::{Uri, uri::Scheme};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::ExposeSecret as _;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, ClientTlsConfig, Identity},
};

use super::output;
use crate::{
    cli::{option, value},
    config::CLIENT_ADDRESS,
    domain::SandboxName,
    secret::{Secret, read_for_setting},
};

const DEFAULT_ADDRESS: &str = "http://127.0.0.1:50051";
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
const HEADING: &str = "Options of every call";

/// What the subcommands have in common.
pub(super) struct Options {
    pub(super) address: Uri,
    /// Set for an https address.
    pub(super) tls: Option<ClientTlsConfig>,
    /// The value of the header `authorization`, which is never printed.
    pub(super) authorization: Option<MetadataValue<Ascii>>,
    /// Empty for the service's default.
    pub(super) sandbox: String,
    /// The longest that the whole subcommand may take, retries included.
    pub(super) timeout: Duration,
    pub(super) format: output::Format,
}

/// Adds them to a command and its subcommands.
pub(super) fn with_options(command: Command) -> Command {
    let file = |name, help| option(name, "FILE", help).value_parser(value_parser!(PathBuf));
    let options: [Arg; 8] = [
        option(
            "address",
            "URL",
            "gRPC address of the service [HCS_CLIENT_ADDRESS, default: http://127.0.0.1:50051]",
        ),
        file("ca-file", "PEM file with the authority of the service's certificate, in place of the system's"),
        file("cert-file", "PEM file with the certificate to show the service; needs --key-file"),
        file("key-file", "PEM file with its private key"),
        file("token-file", "File with the bearer token to send"),
        option("sandbox", "NAME", "Sandbox [default: that of the service]")
            .value_parser(|name: &str| SandboxName::parse(name).map(|name| name.as_str().to_owned())),
        option("timeout", "DURATION", "Longest time to wait, with all retries")
            .default_value("2m")
            .value_parser(timeout),
        output::option(),
    ];
    command
        .args(options.map(|option| option.global(true).help_heading(HEADING)))
        .subcommand_required(true)
        .after_help("`COMMAND --help` shows the options of each command and its exit statuses.")
}

impl Options {
    /// # Errors
    /// What to correct.
    pub(super) fn read(
        matches: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, String> {
        // clap would repeat a wrong one, which may have a password.
        let address = match matches.get_one::<String>("address") {
            Some(text) => address(text).map_err(|problem| format!("--address {problem}"))?,
            None => address_of(environment)?,
        };
        Ok(Self {
            tls: tls(matches, &address)?,
            address,
            authorization: path(matches, "token-file").map(authorization).transpose()?,
            sandbox: matches.get_one::<String>("sandbox").cloned().unwrap_or_default(),
            timeout: value(matches, "timeout"),
            format: output::format(matches),
        })
    }

    /// Warns before a secret is sent over a network in plaintext.
    pub(super) fn warn_of_plaintext(&self, secret: &str) -> io::Result<()> {
        if self.tls.is_some() || is_loopback(&self.address) {
            return Ok(());
        }
        writeln!(
            io::stderr(),
            "warning: {} is not encrypted: others in the network can read {secret}",
            self.address
        )
    }
}

fn is_loopback(address: &Uri) -> bool {
    let host = address.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn address_of(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Uri, String> {
    let mut variables = environment.into_iter();
    // Unset and empty mean the same.
    let given = variables.find(|(name, value)| name == CLIENT_ADDRESS && !value.is_empty());
    let text = given.map_or_else(|| DEFAULT_ADDRESS.into(), |(_, value)| value);
    address(&text.to_string_lossy()).map_err(|problem| format!("{CLIENT_ADDRESS} {problem}"))
}

fn address(text: &str) -> Result<Uri, &'static str> {
    let url = text.parse::<Uri>().ok();
    let is_address = |url: &Uri| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.path() == "/"
            && url.query().is_none()
            && url.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    };
    url.filter(is_address)
        .ok_or("must be an http or https URL with a host and a port, as in http://127.0.0.1:50051")
}

fn timeout(text: &str) -> Result<Duration, &'static str> {
    let duration = humantime::parse_duration(text).ok();
    let duration = duration.filter(|duration| !duration.is_zero() && *duration <= LONGEST_TIMEOUT);
    duration.ok_or("must be a duration with a unit, as in 30s or 2m, of at most a day")
}

fn path<'a>(matches: &'a ArgMatches, argument: &str) -> Option<&'a Path> {
    matches.get_one::<PathBuf>(argument).map(PathBuf::as_path)
}

fn tls(matches: &ArgMatches, address: &Uri) -> Result<Option<ClientTlsConfig>, String> {
    let [authority, certificate, key] = ["ca-file", "cert-file", "key-file"].map(|name| path(matches, name));
    if address.scheme() != Some(&Scheme::HTTPS) {
        let given = [authority, certificate, key].iter().any(Option::is_some);
        let message = "--ca-file, --cert-file and --key-file need an https address: correct --address";
        return if given { Err(message.to_owned()) } else { Ok(None) };
    }
    let config = match authority {
        Some(file) => {
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificates("ca-file", file)?))
        }
        None => ClientTlsConfig::new().with_native_roots(),
    };
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let identity =
                Identity::from_pem(certificates("cert-file", certificate)?, read("key-file", key)?);
            Ok(Some(config.identity(identity)))
        }
        (None, None) => Ok(Some(config)),
        (Some(_), None) | (None, Some(_)) => Err("--cert-file and --key-file need each other".to_owned()),
    }
}

/// tonic takes a file without a certificate for an empty list.
fn certificates(option: &str, path: &Path) -> Result<impl AsRef<[u8]>, String> {
    let pem = read(option, path)?;
    match CertificateDer::pem_slice_iter(pem.as_ref()).next() {
        Some(Ok(_)) => Ok(pem),
        Some(Err(_)) | None => Err(format!("--{option}: the file has no certificate in PEM")),
    }
}

/// The path is not repeated: it could be a secret that was given in its place.
fn read(option: &str, path: &Path) -> Result<impl AsRef<[u8]>, String> {
    read_for_setting(path).map_err(|problem| format!("--{option}: {problem}"))
}

fn authorization(path: &Path) -> Result<MetadataValue<Ascii>, String> {
    let token = Secret::File(path.to_owned()).read().map_err(|error| format!("--token-file: {error}"))?;
    let header = format!("Bearer {}", token.expose_secret());
    let mut header: MetadataValue<Ascii> =
        header.parse().map_err(|_| "--token-file: the token cannot be sent in a header".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_taken_from_the_environment_and_has_a_default() {
        let environment = |value: &str| [(OsString::from(CLIENT_ADDRESS), OsString::from(value))];
        assert_eq!(address_of(environment("https://a:1")).unwrap(), "https://a:1/");
        assert_eq!(address_of(environment("")).unwrap(), "http://127.0.0.1:50051/");
        assert!(address_of(environment("a:1")).unwrap_err().starts_with("HCS_CLIENT_ADDRESS must be"));
    }

    #[test]
    fn an_address_is_a_url_without_more_than_a_host_and_a_port() {
        for wrong in ["a:1", "ftp://a", "http://", "http://user:canary@a", "http://a/path", "http://a/?b", ""]
        {
            let problem = address(wrong).unwrap_err();
            assert!(!problem.contains("canary"), "{wrong}");
        }
    }

    #[test]
    fn only_loopback_needs_no_encryption() {
        for (address, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(&Uri::from_static(address)), expected, "{address}");
        }
    }

    #[test]
    fn a_timeout_has_a_unit_and_is_not_zero() {
        assert_eq!(timeout("90s"), Ok(Duration::from_secs(90)));
        for wrong in ["90", "0s", "25h", "9999999999y", "soon", ""] {
            assert!(timeout(wrong).is_err(), "{wrong}");
        }
    }
}
