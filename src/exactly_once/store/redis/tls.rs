//! The files of TLS with Redis. Each new connection reads them, so that renewed certificates work.

use std::path::{Path, PathBuf};

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::{crypto::aws_lc_rs, sign::CertifiedKey};
use zeroize::Zeroizing;

use crate::{
    secret::read_for_setting,
    tls::{TlsError, authorities, certificate_chain, private_key},
};

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

impl RedisTlsFiles {
    /// The first setting of a file, where there is one.
    pub(crate) fn setting(&self) -> Option<&'static str> {
        let client = self.client.is_some().then_some(CERT);
        self.ca.is_some().then_some(CA).or(client)
    }

    /// What the files hold, as far as it can be used.
    pub(crate) fn read(&self) -> Result<TlsCertificates, TlsError> {
        let root_cert = self.ca.as_deref().map(authority).transpose()?;
        let client_tls = self.client.as_ref().map(|(certificate, key)| pair(certificate, key)).transpose()?;
        Ok(TlsCertificates { client_tls, root_cert })
    }
}

fn authority(path: &Path) -> Result<Vec<u8>, TlsError> {
    let pem = read(CA, path)?;
    authorities(&pem).map_err(|form| TlsError::new(CA, format!("the file {form}")))?;
    Ok(pem.to_vec())
}

fn pair(certificate: &Path, key: &Path) -> Result<ClientTlsConfig, TlsError> {
    let (certificate, key) = (read(CERT, certificate)?, read(KEY, key)?);
    let chain =
        certificate_chain(&certificate).map_err(|form| TlsError::new(CERT, format!("the file {form}")))?;
    let private = private_key(&key).map_err(|form| TlsError::new(KEY, format!("the file {form}")))?;
    match CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()) {
        Ok(_) => Ok(ClientTlsConfig { client_cert: certificate.to_vec(), client_key: key.to_vec() }),
        Err(error) => Err(TlsError::new(
            CERT,
            format!("the certificate and the key of {KEY} cannot be used together: {error}"),
        )),
    }
}

fn read(setting: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    read_for_setting(path).map_err(|problem| TlsError::new(setting, problem))
}
