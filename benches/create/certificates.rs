//! Certificates for mutual TLS, in files.

use std::{fs, io, path::Path, path::PathBuf, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// An authority, a server and a client, in a directory.
#[derive(Clone)]
pub(crate) struct Certificates {
    directory: PathBuf,
    connector: TlsConnector,
}

impl Certificates {
    pub(crate) fn create(directory: PathBuf) -> Self {
        fs::create_dir_all(&directory).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = params.self_signed(&key).unwrap();
        fs::write(directory.join("ca.pem"), authority.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        issue(&directory, "server", ExtendedKeyUsagePurpose::ServerAuth, &issuer);
        issue(&directory, "client", ExtendedKeyUsagePurpose::ClientAuth, &issuer);

        let (chain, key) = read(&directory, "client");
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(&directory))
            .with_client_auth_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self { connector: TlsConnector::from(Arc::new(config)), directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) async fn client(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

/// The TLS acceptor of a server with the certificates of a directory.
pub(crate) fn acceptor(directory: &Path) -> TlsAcceptor {
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(directory)), provider()).build().unwrap();
    let (chain, key) = read(directory, "server");
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn issue(directory: &Path, name: &str, usage: ExtendedKeyUsagePurpose, issuer: &Issuer<'_, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.extended_key_usages = vec![usage];
    let certificate = params.signed_by(&key, issuer).unwrap();
    fs::write(directory.join(format!("{name}.pem")), certificate.pem()).unwrap();
    fs::write(directory.join(format!("{name}-key.pem")), key.serialize_pem()).unwrap();
}

fn read(directory: &Path, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_file(directory.join(format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join(format!("{name}-key.pem"))).unwrap();
    (vec![certificate], key)
}

fn roots(directory: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(directory.join("ca.pem")).unwrap()).unwrap();
    roots
}
