//! TLS on the gRPC port: the certificate, its key and the authority of the callers' certificates, reloaded when
//! their files change.
//!
//! The reload is own code. Kubernetes replaces the files of a mounted Secret by swapping a symbolic link, which
//! file watchers miss, so the contents are read and compared. A reload needs all files to fit together, and the old
//! ones stay in use until they do. The resolvers of rustls replace a certificate alone, not the callers' authority.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ::aws_lc_rs::digest;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use x509_cert::der::Decode as _;
use zeroize::Zeroizing;

use crate::{
    domain::{FINGERPRINT, Identity, dns_name},
    metrics::Metrics,
    secret::read_small_file,
};

/// A certificate chain has a few KiB, a bundle of every public authority a quarter of a MiB.
const MOST_BYTES: u64 = 1 << 20;
/// How often the files are read. They are small, and a rotation should take effect at once.
const INTERVAL: Duration = Duration::from_secs(1);
/// The only protocol of gRPC.
const H2: &[u8] = b"h2";
/// Accepted in the handshake only to reject it with a clear error afterwards: otherwise a client sees nothing but a
/// failed handshake.
const HTTP1: &[u8] = b"http/1.1";

const CERT: &str = "HCS_TLS_CERT_FILE";
const KEY: &str = "HCS_TLS_KEY_FILE";
const CLIENT_CA: &str = "HCS_TLS_CLIENT_CA_FILE";

/// The files of TLS on the gRPC port, in PEM form.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The certificate, followed by those of its issuers.
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// The authority of the certificates that callers must show, if they must.
    pub client_ca_file: Option<PathBuf>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct TlsError {
    /// The setting to change.
    pub setting: &'static str,
    problem: String,
}

impl TlsError {
    pub(crate) fn new(setting: &'static str, problem: String) -> Self {
        Self { setting, problem }
    }

    fn of_file(setting: &'static str, problem: &str) -> Self {
        Self::new(setting, format!("the file of {setting} {problem}"))
    }
}

#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Zeroizing<Vec<u8>>>,
}

impl Contents {
    fn read(files: &TlsConfig) -> Result<Self, TlsError> {
        let read = |setting, path: &Path| {
            read_small_file(path, MOST_BYTES)
                .map_err(|error| TlsError::of_file(setting, &format!("cannot be read: {error}")))
        };
        Ok(Self {
            certificate: read(CERT, &files.cert_file)?,
            key: read(KEY, &files.key_file)?,
            client_ca: files.client_ca_file.as_deref().map(|path| read(CLIENT_CA, path)).transpose()?,
        })
    }

    fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let unfit = |error: rustls::Error| TlsError {
            setting: CERT,
            problem: format!("the certificate and the key cannot be used together: {error}"),
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(unfit)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => builder.with_client_cert_verifier(verifier(pem, provider)?),
        };
        let chain = certificate_chain(&self.certificate).map_err(|form| TlsError::of_file(CERT, form))?;
        let key = private_key(&self.key).map_err(|form| TlsError::of_file(KEY, form))?;
        let mut config = builder.with_single_cert(chain, key).map_err(unfit)?;
        config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
        if self.client_ca.is_some() {
            // A resumed session would not check the dates of the certificate again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }
}

/// The authorities in a PEM file. The errors of this and of the next two say what the file must hold.
pub(crate) fn authorities(pem: &[u8]) -> Result<RootCertStore, &'static str> {
    let mut roots = RootCertStore::empty();
    let are_usable = CertificateDer::pem_slice_iter(pem)
        .all(|certificate| certificate.is_ok_and(|certificate| roots.add(certificate).is_ok()));
    let roots = (are_usable && !roots.is_empty()).then_some(roots);
    roots.ok_or("must hold at least one certificate of an authority in PEM form")
}

pub(crate) fn certificate_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let chain: Option<Vec<_>> = CertificateDer::pem_slice_iter(pem).map(Result::ok).collect();
    let chain = chain.filter(|chain| !chain.is_empty());
    chain.ok_or("must hold the certificate in PEM form, and after it those of its issuers")
}

pub(crate) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, &'static str> {
    let key = PrivateKeyDer::from_pem_slice(pem);
    key.map_err(|_| "must hold one private key in PEM form, without a passphrase")
}

/// The verifier of the callers' certificates.
fn verifier(pem: &[u8], provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let roots = authorities(pem).map_err(|form| TlsError::of_file(CLIENT_CA, form))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map(|verifier| verifier as _).map_err(|error| TlsError {
        setting: CLIENT_CA,
        problem: format!("the certificates of {CLIENT_CA} cannot be used: {error}"),
    })
}

/// When each certificate of a PEM file expires, in seconds of Unix time; `None` if that cannot be read.
fn expiries(pem: &[u8]) -> impl Iterator<Item = Option<i64>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).map(|certificate| {
        let certificate = x509_cert::Certificate::from_der(&certificate).ok()?;
        let not_after = certificate.tbs_certificate.validity.not_after.to_unix_duration();
        i64::try_from(not_after.as_secs()).ok()
    })
}

/// The TLS configuration for the next connection.
#[derive(Clone)]
pub struct ServerTls(Arc<Shared>);

struct Shared {
    files: TlsConfig,
    current: watch::Sender<Current>,
}

struct Current {
    contents: Contents,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Reads the files.
    pub fn load(files: &TlsConfig) -> Result<Self, TlsError> {
        let contents = Contents::read(files)?;
        let config = contents.server_config()?.into();
        let current = watch::Sender::new(Current { contents, config });
        Ok(Self(Arc::new(Shared { files: files.clone(), current })))
    }

    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.current.borrow().config)
    }

    /// When the certificate in use expires, and the first one of the callers' authority, in seconds of Unix time.
    pub fn expiries(&self) -> [(&'static str, Option<i64>); 2] {
        let Contents { certificate, client_ca, .. } = &self.0.current.borrow().contents;
        let client_ca = client_ca.as_ref().and_then(|pem| expiries(pem).flatten().min());
        [("server", expiries(certificate).next().flatten()), ("client_ca", client_ca)]
    }

    /// Reloads the files when they change, for ever.
    pub async fn follow(self, metrics: Metrics) {
        let mut due = interval(INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The files are not replaced at the same instant, so the same broken contents must be seen twice to be an
        // error. They are one error, however long they stay.
        let (mut broken, mut times_seen) = (None, 0_u32);
        loop {
            due.tick().await;
            let (contents, error) = match self.reload() {
                Ok(is_new) => {
                    times_seen = 0;
                    metrics.tls_files_unusable.set(0);
                    if is_new {
                        metrics.tls_reloads.inc();
                        tracing::info!("took over new TLS files: new connections use them");
                    }
                    continue;
                }
                Err(unusable) => *unusable,
            };
            if contents != broken {
                (broken, times_seen) = (contents, 0);
            }
            times_seen = times_seen.saturating_add(1);
            if times_seen == 2 {
                metrics.tls_reload_failures.inc();
                metrics.tls_files_unusable.set(1);
                tracing::error!(
                    error = error.problem,
                    setting = error.setting,
                    "the new TLS files cannot be used: the old ones stay in use"
                );
            }
        }
    }

    /// Reads the files and returns whether they are new. An error comes with the contents, if they can be read.
    fn reload(&self) -> Result<bool, Box<(Option<Contents>, TlsError)>> {
        let contents = Contents::read(&self.0.files).map_err(|error| Box::new((None, error)))?;
        if self.0.current.borrow().contents == contents {
            return Ok(false);
        }
        match contents.server_config() {
            Ok(config) => {
                self.0.current.send_replace(Current { contents, config: config.into() });
                Ok(true)
            }
            Err(error) => Err(Box::new((Some(contents), error))),
        }
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.0.files).finish_non_exhaustive()
    }
}

/// More names than the certificate of any caller has.
const MOST_NAMES: usize = 64;

/// The identities of a peer with this certificate: its URIs and DNS names, or if it has none its fingerprint. A DNS
/// name with a wildcard identifies nobody.
pub fn certificate_names(certificate: &CertificateDer<'_>) -> Vec<Identity> {
    let digest = digest::digest(&digest::SHA256, certificate);
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let fingerprint = Identity::Fingerprint(format!("{FINGERPRINT}{hex}"));
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return vec![fingerprint] };
    let uris = certificate.valid_uri_names().map(|name| Identity::Uri(name.to_owned()));
    let dns_names = certificate.valid_dns_names().filter(|name| !name.contains('*'));
    let dns_names = dns_names.map(|name| Identity::Dns(dns_name(name)));
    // Names are logged, and a line break would forge a line of the log.
    let names = uris.chain(dns_names).filter(|name| !name.to_string().contains(char::is_control));
    let names: Vec<_> = names.take(MOST_NAMES).collect();
    if names.is_empty() { vec![fingerprint] } else { names }
}

/// Why a handshake failed, as a label of the metrics.
#[expect(clippy::wildcard_enum_match_arm, reason = "the words are few, the errors many and growing")]
pub fn handshake_failure(error: &io::Error) -> &'static str {
    use rustls::{CertificateError, Error};
    let inner = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    match inner {
        Some(Error::NoCertificatesPresented) => "no_certificate",
        Some(Error::InvalidCertificate(error)) => match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => "unknown_issuer",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not_yet_valid",
            _ => "bad_certificate",
        },
        Some(Error::NoApplicationProtocol) => "no_http2",
        Some(Error::PeerIncompatible(_)) => "incompatible",
        Some(Error::AlertReceived(_)) => "refused_by_peer",
        Some(_) => "not_tls",
        None => "aborted",
    }
}
