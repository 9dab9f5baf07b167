//! TLS on the gRPC port: the certificate, its key and the authority of the callers' certificates, kept
//! up to date with their files.
//!
//! Kubernetes replaces the files of a mounted Secret by swapping a symbolic link, which no watch on a
//! file survives: the contents are read and compared. Where the new ones cannot be used the old ones
//! stay.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use ::aws_lc_rs::digest;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
};
use tokio::time::{MissedTickBehavior, interval};
use x509_cert::der::Decode as _;

use crate::{
    domain::{FINGERPRINT, Identity, dns_name},
    error::error_chain,
    metrics::Metrics,
    secret::{SmallFileError, read_small_file},
};

/// A chain of certificates is a few KiB, a bundle of every public authority a quarter of a MiB.
const MOST_BYTES: u64 = 1 << 20;
/// How often the files are read. They are small, and a rotation should not have to be waited for.
const INTERVAL: Duration = Duration::from_secs(1);
/// The one protocol of gRPC.
const H2: &[u8] = b"h2";
/// Spoken only to say that it is not: without it a client learns nothing but that the handshake failed.
const HTTP1: &[u8] = b"http/1.1";

/// The files of TLS on the gRPC port, in PEM form.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The certificate, and those of its issuers.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// The authority of the certificates that callers must show, where they must.
    pub client_ca_file: Option<PathBuf>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("the file of {0} cannot be read")]
    Unreadable(&'static str, #[source] SmallFileError),
    /// There is no certificate in the file of the certificate.
    #[error(
        "the file of HCS_TLS_CERT_FILE must hold the certificate in PEM form, and after it those of its issuers"
    )]
    NoCertificate,
    /// There is no key in the file of the key.
    #[error("the file of HCS_TLS_KEY_FILE must hold one private key in PEM form, without a passphrase")]
    NoKey,
    /// The certificate or its key is not usable, or they do not belong together.
    #[error("the certificate and the key cannot be used together")]
    Mismatch(#[source] rustls::Error),
    /// There is no usable certificate in the file of the callers' authority.
    #[error(
        "the file of HCS_TLS_CLIENT_CA_FILE must hold at least one certificate of an authority in PEM form"
    )]
    NoClientCa,
    /// The certificates of the callers' authority cannot be used.
    #[error("the certificates of HCS_TLS_CLIENT_CA_FILE cannot be used")]
    BadClientCa(#[source] VerifierBuilderError),
}

impl TlsError {
    /// The setting to blame.
    pub fn setting(&self) -> &'static str {
        match self {
            Self::Unreadable(setting, _) => setting,
            Self::NoCertificate | Self::Mismatch(_) => "HCS_TLS_CERT_FILE",
            Self::NoKey => "HCS_TLS_KEY_FILE",
            Self::NoClientCa | Self::BadClientCa(_) => "HCS_TLS_CLIENT_CA_FILE",
        }
    }
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: zeroize::Zeroizing<Vec<u8>>,
    key: zeroize::Zeroizing<Vec<u8>>,
    client_ca: Option<zeroize::Zeroizing<Vec<u8>>>,
}

impl Contents {
    fn read(files: &TlsConfig) -> Result<Self, TlsError> {
        let read = |setting, path: &Path| {
            read_small_file(path, MOST_BYTES).map_err(|error| TlsError::Unreadable(setting, error))
        };
        Ok(Self {
            certificate: read("HCS_TLS_CERT_FILE", &files.cert_file)?,
            key: read("HCS_TLS_KEY_FILE", &files.key_file)?,
            client_ca: match &files.client_ca_file {
                Some(path) => Some(read("HCS_TLS_CLIENT_CA_FILE", path)?),
                None => None,
            },
        })
    }

    fn expiry(&self) -> Expiry {
        let certificates = |pem| CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
        Expiry {
            server: certificates(&self.certificate).next().and_then(|certificate| expires(&certificate)),
            client_ca: self
                .client_ca
                .as_ref()
                .and_then(|pem| certificates(pem).filter_map(|certificate| expires(&certificate)).min()),
        }
    }

    fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Mismatch)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => builder.with_client_cert_verifier(verifier(pem, provider)?),
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::NoCertificate)?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsError::NoKey)?;
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Mismatch)?;
        config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
        if self.client_ca.is_some() {
            // A session that is resumed would go on without the certificate's dates being looked at again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }
}

/// When a certificate expires, in seconds of Unix time.
fn expires(certificate: &CertificateDer<'_>) -> Option<i64> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let not_after = certificate.tbs_certificate.validity.not_after.to_unix_duration();
    i64::try_from(not_after.as_secs()).ok()
}

fn verifier(
    pem: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| TlsError::NoClientCa)?;
        roots.add(certificate).map_err(|_| TlsError::NoClientCa)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoClientCa);
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    verifier.build().map(|verifier| verifier as _).map_err(TlsError::BadClientCa)
}

/// The TLS configuration for the next connection.
#[derive(Clone)]
pub struct ServerTls(Arc<Shared>);

struct Shared {
    files: TlsConfig,
    current: RwLock<Current>,
}

struct Current {
    contents: Contents,
    config: Arc<ServerConfig>,
    expiry: Expiry,
}

/// When the certificates expire, in seconds of Unix time; `None` where that cannot be read.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    /// The certificate of the gRPC port.
    pub server: Option<i64>,
    /// The first one of the callers' authority to expire.
    pub client_ca: Option<i64>,
}

impl Current {
    fn read(files: &TlsConfig) -> Result<Self, TlsError> {
        let contents = Contents::read(files)?;
        let config = contents.server_config()?;
        Ok(Self::new(contents, config))
    }

    fn new(contents: Contents, config: ServerConfig) -> Self {
        let expiry = contents.expiry();
        Self { contents, config: Arc::new(config), expiry }
    }
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(files: &TlsConfig) -> Result<Self, TlsError> {
        let current = RwLock::new(Current::read(files)?);
        Ok(Self(Arc::new(Shared { files: files.clone(), current })))
    }

    /// The configuration as it is now.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// When the certificates expire that are in use.
    pub fn expiry(&self) -> Expiry {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).expiry
    }

    /// Keeps it up to date with the files, for ever.
    pub async fn follow(self, metrics: Metrics) {
        let mut due = interval(INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The files are not replaced at the same instant: it takes two looks to tell that they are broken.
        // Those that stay broken are one error, not one each second.
        let (mut broken, mut looks) = (None, 0_u32);
        loop {
            due.tick().await;
            let contents = Contents::read(&self.0.files);
            if contents.as_ref().is_ok_and(|contents| self.is_current(contents)) {
                looks = 0;
                continue;
            }
            let error = match contents {
                Ok(contents) => match contents.server_config() {
                    Ok(config) => {
                        looks = 0;
                        self.replace(Current::new(contents, config));
                        metrics.tls_reloads.inc();
                        tracing::info!("took over new TLS files: new connections use them");
                        continue;
                    }
                    Err(error) => {
                        if broken.as_ref() != Some(&contents) {
                            (broken, looks) = (Some(contents), 0);
                        }
                        error
                    }
                },
                Err(error) => {
                    if broken.take().is_some() {
                        looks = 0;
                    }
                    error
                }
            };
            looks = looks.saturating_add(1);
            if looks == 2 {
                metrics.tls_reload_failures.inc();
                tracing::error!(
                    error = error_chain(&error),
                    setting = error.setting(),
                    "the new TLS files cannot be used: going on with the old ones"
                );
            }
        }
    }

    fn is_current(&self, contents: &Contents) -> bool {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).contents == *contents
    }

    fn replace(&self, new: Current) {
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = new;
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.0.files).finish_non_exhaustive()
    }
}

/// More names than any certificate of a caller has.
const MOST_NAMES: usize = 64;

/// The names by which the certificate of a peer can be allowed: its URIs and DNS names, and where it has
/// none its fingerprint. A DNS name with a wildcard names nobody.
pub fn certificate_names(certificate: &CertificateDer<'_>) -> Vec<Identity> {
    let digest = digest::digest(&digest::SHA256, certificate);
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let fingerprint = Identity::Fingerprint(format!("{FINGERPRINT}{hex}"));
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return vec![fingerprint] };
    let uris = certificate.valid_uri_names().map(|name| Identity::Uri(name.to_owned()));
    let dns_names = certificate.valid_dns_names().filter(|name| !name.contains('*'));
    let dns_names = dns_names.map(|name| Identity::Dns(dns_name(name)));
    // A name is told in the log: it must not begin another line there.
    let names = uris.chain(dns_names).filter(|name| !name.to_string().contains(char::is_control));
    let names: Vec<_> = names.take(MOST_NAMES).collect();
    if names.is_empty() { vec![fingerprint] } else { names }
}

/// Why a handshake failed, in one of a few words.
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
        None => "broken_off",
    }
}
