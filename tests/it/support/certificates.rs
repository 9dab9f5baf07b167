//! Certificates, generated for one test, and clients that present them.

use std::{io, net::SocketAddr, sync::Arc};

use hubspot_connection_service::proto::hub_spot_connection_service_client::HubSpotConnectionServiceClient;
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// The first bytes of an HTTP/2 client: the preface and empty settings.
pub(crate) const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The validity of a certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Validity {
    Now,
    Past,
    Future,
}

/// An authority of certificates.
pub(crate) struct Authority {
    pub(crate) pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for the server at `localhost`.
    pub(crate) fn server(&self, serial: u64) -> Pair {
        self.issue(&["localhost"], Validity::Now, ExtendedKeyUsagePurpose::ServerAuth, serial)
    }

    /// A certificate of a caller, with these URIs and DNS names.
    pub(crate) fn client(&self, names: &[&str]) -> Pair {
        self.client_valid(names, Validity::Now)
    }

    pub(crate) fn client_valid(&self, names: &[&str], validity: Validity) -> Pair {
        self.issue(names, validity, ExtendedKeyUsagePurpose::ClientAuth, 1)
    }

    fn issue(&self, names: &[&str], validity: Validity, usage: ExtendedKeyUsagePurpose, serial: u64) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "common-name");
        params.subject_alt_names = names
            .iter()
            .map(|name| {
                let text = (*name).try_into().unwrap();
                if name.contains(':') { SanType::URI(text) } else { SanType::DnsName(text) }
            })
            .collect();
        params.extended_key_usages = vec![usage];
        params.serial_number = Some(SerialNumber::from(serial));
        let years = match validity {
            Validity::Now => (2020, 2200),
            Validity::Past => (2020, 2021),
            Validity::Future => (2199, 2200),
        };
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }
}

impl Pair {
    /// Accepts TLS with this certificate.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A TLS client.
#[derive(Clone)]
pub(crate) struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    /// Trusts the servers of this authority, and presents this certificate.
    pub(crate) fn new(server: &Authority, own: Option<&Pair>) -> Self {
        Self::speaking(rustls::ALL_VERSIONS, &["h2"], server, own)
    }

    /// The same with only these versions and protocols.
    pub(crate) fn speaking(
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
        server: &Authority,
        own: Option<&Pair>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(server.der.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            Some(own) => {
                builder.with_client_auth_cert(vec![own.certificate.clone()], own.key.clone_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }

    /// Completes the handshake. With TLS 1.3 the server may refuse the client only after that.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        let connector = TlsConnector::from(Arc::clone(&self.0));
        connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    /// Waits for the first bytes of the server in HTTP/2.
    pub(crate) async fn hears(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let mut stream = self.connect(address).await?;
        stream.write_all(HELLO).await?;
        let mut settings = [0; 9];
        stream.read_exact(&mut settings).await?;
        Ok(stream)
    }

    /// Connects when there is something to send, and again if the connection has ended.
    pub(crate) fn channel(&self, address: SocketAddr) -> Channel {
        let client = self.clone();
        Endpoint::from_static("http://localhost").connect_with_connector_lazy(service_fn(move |_| {
            let client = client.clone();
            async move { client.connect(address).await.map(TokioIo::new) }
        }))
    }

    pub(crate) fn client(&self, address: SocketAddr) -> HubSpotConnectionServiceClient<Channel> {
        HubSpotConnectionServiceClient::new(self.channel(address))
    }
}

/// The serial number of the server's certificate, if it is small.
pub(crate) fn serial(stream: &TlsStream<TcpStream>) -> u8 {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().unwrap()[0].clone();
    // version [0] { 2 }, and then the serial number.
    let start = certificate.windows(7).position(|w| w[..6] == [0xa0, 3, 2, 1, 2, 2]).unwrap();
    certificate[start + 7]
}
