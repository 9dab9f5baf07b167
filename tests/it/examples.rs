//! The example clients of `proto/README.md`. `tests/tools/install.sh` generates and builds them with the commands of
//! that page, in an empty folder each; here the last command of each runs, against a real process.

mod contracts;
mod manifest;
mod program;

use std::collections::BTreeMap;

use futures_util::future::join_all;
use hubspot_connection_service::emulator::{Action, Emulator, Fault, Options};

use self::program::{LANGUAGES, Program, Ran};
use crate::{
    chaos::redis::SharedRedis,
    rolling::replica::Ports,
    support::{
        Mount, ServiceProcess, Signal,
        certificates::Authority,
        start_emulator,
        tokens::{AUDIENCE, ISSUER, TokenKey, claims, key_set},
        until,
    },
    tls::files,
};

/// The request to Adobe that creates.
const CREATE: &str = "POST /connections";
const CALLER: &str = "system:serviceaccount:crm:onboarding";

impl Ran {
    /// Checks that a connection was created, that both errors were read, and that no secret was printed.
    fn check(&self, emulator: &Emulator) {
        let Self { program, success, stdout, stderr } = self;
        let all = format!("{program}:\n{stdout}\n{stderr}");
        assert!(success, "{all}");
        let lines: Vec<_> = stdout.lines().collect();
        let values = |name: &str| {
            let values = lines.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            values.collect::<Vec<_>>()
        };
        let connections = emulator.connections();
        assert_eq!(connections.len(), 1, "{all}");
        assert_eq!(values("id"), [&*connections[0].id], "{all}");
        assert_eq!(values("etag"), [&*connections[0].etag], "{all}");
        assert_eq!(values("replayed").len(), 1, "{all}");
        let sent = emulator.received();
        let creations = sent.iter().filter(|sent| format!("{} {}", sent.method, sent.path) == posted());
        assert_eq!(creations.count(), 1, "{all}");

        assert_eq!(values("reason"), ["REQUEST_ID_REUSED", "INVALID_REQUEST"], "{all}");
        let metadata: BTreeMap<_, _> =
            values("metadata").into_iter().filter_map(|pair| pair.split_once(' ')).collect();
        let expected = [
            ("connection_id", &*connections[0].id),
            ("differs", "name"),
            ("request_id", values("request_id")[0]),
        ];
        assert_eq!(metadata, BTreeMap::from(expected), "{all}");
        let fields = values("field");
        assert_eq!(fields.len(), 1, "{all}");
        assert!(fields[0].starts_with("name is required"), "{all}");
        for secret in ["demo-hubspot-secret", "demo-hubspot-access", "demo-hubspot-refresh"] {
            assert!(!all.contains(secret), "{all}");
        }
    }
}

fn posted() -> String {
    format!("POST {}/connections", hubspot_connection_service::emulator::BASE_PATH)
}

/// Runs something for every language at once.
async fn for_each_language<F: Future<Output = ()>>(run: impl Fn(Program) -> F) {
    join_all(LANGUAGES.iter().filter_map(Program::of).map(run)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_creates_a_connection_and_reads_errors_over_tls_with_a_token() {
    for_each_language(|program| async move {
        let (servers, key) = (Authority::new("servers"), TokenKey::es256("key"));
        let certificate = servers.server(1);
        let keys = key_set(&[&key]).to_string();
        // As in many editors, the token ends with a line break.
        let token = key.sign(&claims(CALLER)) + "\n";
        let own = files(&certificate, &servers.pem);
        let files = Mount::new(&[&own[..], &[("jwks.json", &*keys), ("token", &*token)]].concat());
        let emulator = start_emulator(Options::default()).await;
        let callers = format!("jwt:{CALLER}=write");
        let settings = [
            ("HCS_TLS_CERT_FILE", &*files.path("tls.crt")),
            ("HCS_TLS_KEY_FILE", &files.path("tls.key")),
            ("HCS_JWT_ISSUER", ISSUER),
            ("HCS_JWT_AUDIENCE", AUDIENCE),
            ("HCS_JWT_JWKS_FILE", &files.path("jwks.json")),
            ("HCS_CALLERS", &callers),
        ];
        let service = ServiceProcess::start(&emulator, &settings).await;
        let variables = [("CA_FILE", &*files.path("ca.crt")), ("TOKEN_FILE", &files.path("token"))];
        // The name in the certificate.
        let address = format!("localhost:{}", service.grpc.port());
        program.start(&address, &variables).ran().await.check(&emulator);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_outlasts_a_replica_that_is_killed_and_creates_one_connection() {
    for_each_language(|program| async move {
        let Some(redis) = SharedRedis::start().await else { return };
        let emulator = start_emulator(Options::default()).await;
        let ports = Ports::hold();
        let replica = ports.start(&emulator, &redis, &[]).await;
        // Adobe creates the connection, and its reply does not come before the replica is gone.
        emulator.inject(vec![Fault::once(CREATE, Action::Delay(std::time::Duration::from_secs(600)))]);
        let running = program.start(&ports.grpc.to_string(), &[]);
        until("the creation", || !emulator.connections().is_empty()).await;
        replica.process.signal(Signal::KILL);
        let (status, _) = replica.process.wait().await;
        assert_eq!(status.code(), None);

        let _replica = ports.start(&emulator, &redis, &[]).await;
        running.ran().await.check(&emulator);
    })
    .await;
}
