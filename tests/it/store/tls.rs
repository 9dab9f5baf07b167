//! Redis over TLS: the trusted certificates of each side, and changed files.

use std::path::PathBuf;

use hubspot_connection_service::exactly_once::store::{Outage, RedisStore, RedisTlsFiles, Store};
use secrecy::SecretString;
use tokio::net::TcpListener;

use super::{
    RedisServer,
    expect::assert_fresh,
    lease,
    redis_server::ORG,
    subject::{BEGIN_MS, RETENTION},
};
use crate::support::{
    Mount, TestService,
    certificates::{Authority, Pair},
};

/// A server with TLS and its URL. `auth` is whether it requires certificates of clients.
struct TlsServer {
    server: RedisServer,
    url: String,
    _files: Mount,
}

impl TlsServer {
    async fn start(authority: &Authority, auth: &str) -> Option<Self> {
        let certificate = authority.server(1);
        let files = Mount::new(&[
            ("ca.crt", &authority.pem),
            ("tls.crt", &certificate.certificate_pem),
            ("tls.key", &certificate.key_pem),
        ]);
        // Redis cannot let the kernel choose its port.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port().to_string();
        let [ca, certificate, key] = ["ca.crt", "tls.crt", "tls.key"].map(|file| files.path(file));
        let arguments = [
            ["--tls-port", &port],
            ["--tls-ca-cert-file", &ca],
            ["--tls-cert-file", &certificate],
            ["--tls-key-file", &key],
            ["--tls-auth-clients", auth],
        ];
        let server = RedisServer::start_with(&arguments.concat()).await?;
        Some(Self { server, url: format!("rediss://localhost:{port}"), _files: files })
    }
}

fn store(url: &str, tls: RedisTlsFiles) -> RedisStore {
    RedisStore::connect(SecretString::from(url).into(), ORG, RETENTION).unwrap().with_tls(tls)
}

/// The files of a client.
fn mount(authority: &Authority, own: &Pair) -> Mount {
    Mount::new(&[("ca.crt", &authority.pem), ("tls.crt", &own.certificate_pem), ("tls.key", &own.key_pem)])
}

fn files(mount: &Mount) -> RedisTlsFiles {
    let [ca, certificate, key] = ["ca.crt", "tls.crt", "tls.key"].map(|file| PathBuf::from(mount.path(file)));
    RedisTlsFiles { ca: Some(ca), client: Some((certificate, key)) }
}

async fn assert_up(store: &RedisStore) {
    store.check().await;
    assert_eq!(store.outage(), None, "{:?}", store.failure());
    assert_fresh(store.claim(&lease(), BEGIN_MS).await.unwrap());
}

async fn assert_down(store: &RedisStore, outage: Outage) -> String {
    store.check().await;
    assert_eq!(store.outage(), Some(outage), "{:?}", store.failure());
    store.failure().unwrap()
}

#[tokio::test]
async fn a_configured_authority_replaces_those_of_the_system() {
    let authority = Authority::new("redis");
    let Some(server) = TlsServer::start(&authority, "no").await else { return };
    let own = authority.client(&["service"]);
    let mount = mount(&authority, &own);
    let tls = RedisTlsFiles { client: None, ..files(&mount) };
    let cause = assert_down(&store(&server.url, RedisTlsFiles::default()), Outage::Tls).await;
    assert!(cause.contains("HCS_REDIS_CA_FILE") && cause.contains("localhost:"), "{cause}");
    assert_up(&store(&server.url, tls.clone())).await;
    // The certificate has another name.
    let by_address = server.url.replace("localhost", "127.0.0.1");
    assert_down(&store(&by_address, tls), Outage::Tls).await;
    // With a password, as without TLS.
    super::weaknesses::run(&server.server, &["CONFIG", "SET", "requirepass", "right"]).await;
    let with_password = server.url.replace("://", "://:right@");
    assert_up(&store(&with_password, RedisTlsFiles { client: None, ..files(&mount) })).await;
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_it() {
    let authority = Authority::new("redis");
    let Some(server) = TlsServer::start(&authority, "yes").await else { return };
    let mount_of = |own: &Pair| mount(&authority, own);
    let mount = mount_of(&authority.client(&["service"]));
    assert_up(&store(&server.url, files(&mount))).await;
    let without = RedisTlsFiles { client: None, ..files(&mount) };
    assert_down(&store(&server.url, without), Outage::Tls).await;
    let stranger = mount_of(&Authority::new("another").client(&["service"]));
    assert_down(&store(&server.url, files(&stranger)), Outage::Tls).await;
}

#[tokio::test]
async fn replaced_files_are_used_from_the_next_connection_on() {
    let authority = Authority::new("redis");
    let Some(server) = TlsServer::start(&authority, "yes").await else { return };
    let another = Authority::new("another");
    let old = another.client(&["service"]);
    let mount = mount(&another, &old);
    let store = store(&server.url, files(&mount));
    assert_down(&store, Outage::Tls).await;
    let new = authority.client(&["service"]);
    let right = [("ca.crt", &*authority.pem), ("tls.crt", &*new.certificate_pem), ("tls.key", &*new.key_pem)];
    mount.replace(&right);
    assert_up(&store).await;
    // A key of another certificate, and then no file at all.
    mount.replace(&[right[0], right[1], ("tls.key", &old.key_pem)]);
    assert_up(&store).await;
    super::weaknesses::run(&server.server, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    store.check().await;
    let cause = assert_down(&store, Outage::Settings).await;
    assert!(cause.contains("HCS_REDIS_CLIENT_CERT_FILE: the certificate and the key of"), "{cause}");
    mount.replace(&right);
    assert_up(&store).await;
}

#[tokio::test]
async fn a_wrong_scheme_is_distinguished_from_other_outages() {
    let authority = Authority::new("redis");
    let Some(server) = TlsServer::start(&authority, "no").await else { return };
    let plain = server.url.replace("rediss://", "redis://");
    let cause = assert_down(&store(&plain, RedisTlsFiles::default()), Outage::Closed).await;
    assert!(cause.contains("rediss://"), "{cause}");
    let tls = server.server.url().replace("redis://", "rediss://");
    // It waits for the end of the command.
    let cause = assert_down(&store(&tls, RedisTlsFiles::default()), Outage::Timeout).await;
    assert!(cause.contains("does the server speak TLS at this port?"), "{cause}");
}

#[tokio::test]
async fn a_service_creates_over_tls_with_a_certificate_of_its_own() {
    let authority = Authority::new("redis");
    let Some(server) = TlsServer::start(&authority, "yes").await else { return };
    let mount = mount(&authority, &authority.client(&["service"]));
    let [ca, certificate, key] = ["ca.crt", "tls.crt", "tls.key"].map(|file| mount.path(file));
    let service = TestService::with([
        ("HCS_REDIS_URL", &*server.url),
        ("HCS_FINGERPRINT_KEY", "0123456789abcdef0123456789abcdef"),
        ("HCS_REDIS_CA_FILE", &*ca),
        ("HCS_REDIS_CLIENT_CERT_FILE", &*certificate),
        ("HCS_REDIS_CLIENT_KEY_FILE", &*key),
    ])
    .await;
    service.create().await.unwrap();
    // Its request id was generated, so that nothing else is kept.
    let keys = server.server.keys().await;
    assert!(matches!(&keys[..], [memory] if memory.ends_with(":memory")), "{keys:?}");
}
