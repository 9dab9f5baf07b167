//! The files of TLS with Redis. Each new connection reads them, so that renewed certificates work.

use std::path::{Path, PathBuf};

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use crate::secret::{SmallFileError, read_small_file};

/// A chain of certificates is a few KiB, a bundle of every public authority a quarter of a MiB.
const MOST_BYTES: u64 = 1 << 20;

const CA: &str = "HCS_REDIS_CA_FILE";
const CERT: &str = "HCS_REDIS_CLIENT_CERT_FILE";
const KEY: &str = "HCS_REDIS_CLIENT_KEY_FILE";

/// The files of TLS with Redis, in PEM form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTlsFiles {
    /// The authority of the server's certificate, in place of those of the system.
    pub ca: Option<PathBuf>,
    /// The certificate to show the server, and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub(crate) struct RedisTlsError {
    /// The setting to blame.
    pub(crate) setting: &'static str,
    problem: String,
}

impl RedisTlsFiles {
    /// The first setting of a file, where there is one.
    pub(crate) fn setting(&self) -> Option<&'static str> {
        let client = self.client.is_some().then_some(CERT);
        self.ca.is_some().then_some(CA).or(client)
    }

    /// What the files hold, as far as it can be used.
    pub(crate) fn read(&self) -> Result<TlsCertificates, RedisTlsError> {
        let root_cert = self.ca.as_deref().map(authority).transpose()?;
        let client_tls = self.client.as_ref().map(|(certificate, key)| pair(certificate, key)).transpose()?;
        Ok(TlsCertificates { client_tls, root_cert })
    }
}

fn authority(path: &Path) -> Result<Vec<u8>, RedisTlsError> {
    let pem = read(CA, path)?;
    let mut roots = RootCertStore::empty();
    let is_usable = CertificateDer::pem_slice_iter(&pem)
        .all(|certificate| certificate.is_ok_and(|certificate| roots.add(certificate).is_ok()));
    if !is_usable || roots.is_empty() {
        return Err(unusable(CA, "the file must hold at least one certificate of an authority in PEM form"));
    }
    Ok(pem.to_vec())
}

fn pair(certificate: &Path, key: &Path) -> Result<ClientTlsConfig, RedisTlsError> {
    let (certificate, key) = (read(CERT, certificate)?, read(KEY, key)?);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate).collect();
    let Some(chain) = chain.ok().filter(|chain| !chain.is_empty()) else {
        let form = "the file must hold the certificate in PEM form, and after it those of its issuers";
        return Err(unusable(CERT, form));
    };
    let Ok(private) = PrivateKeyDer::from_pem_slice(&key) else {
        return Err(unusable(KEY, "the file must hold one private key in PEM form, without a passphrase"));
    };
    match CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()) {
        Ok(_) => Ok(ClientTlsConfig { client_cert: certificate.to_vec(), client_key: key.to_vec() }),
        Err(error) => Err(RedisTlsError {
            setting: CERT,
            problem: format!("the certificate and the key of {KEY} cannot be used together: {error}"),
        }),
    }
}

fn read(setting: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, RedisTlsError> {
    read_small_file(path, MOST_BYTES).map_err(|error| RedisTlsError {
        setting,
        problem: match error {
            SmallFileError::Unreadable(error) => {
                format!("the file cannot be read: {error}; it must exist and be readable")
            }
            SmallFileError::TooLarge => {
                "the file is larger than 1 MiB: it must hold what it is for and nothing else".to_owned()
            }
        },
    })
}

fn unusable(setting: &'static str, problem: &str) -> RedisTlsError {
    RedisTlsError { setting, problem: problem.to_owned() }
}
