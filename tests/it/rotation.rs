//! Everything that can be rotated is rotated under load, and no call fails.

mod client_secret;
mod idempotency;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::task::JoinHandle;

use crate::{
    support::{
        Mount, TestService,
        certificates::{Authority, Pair, TlsClient, serial},
        counted, in_time, request, until, until_counted,
    },
    tls::files,
};

/// Continuous calls, each on a new connection if `client` returns one.
pub(crate) struct Load {
    ended: Arc<AtomicBool>,
    completed: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start<F, C>(call: F) -> Self
    where
        F: Fn() -> C + Clone + Send + 'static,
        C: Future<Output = ()> + Send,
    {
        let (ended, completed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let callers = (0..4).map(|_| {
            let (ended, completed, call) = (Arc::clone(&ended), Arc::clone(&completed), call.clone());
            tokio::spawn(async move {
                while !ended.load(Ordering::Relaxed) {
                    call().await;
                    completed.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let callers = callers.collect();
        Self { ended, completed, callers }
    }

    /// Waits until some more calls have succeeded.
    pub(crate) async fn goes_on(&self) {
        let enough = self.completed.load(Ordering::Relaxed) + 20;
        let goes_on = || {
            assert!(self.callers.iter().all(|caller| !caller.is_finished()), "a call failed");
            self.completed.load(Ordering::Relaxed) >= enough
        };
        until("calls under load", goes_on).await;
    }

    /// Stops the calls, and fails if any of them failed.
    pub(crate) async fn end(self) {
        self.ended.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
    }
}

/// A service with TLS files, and their authorities.
struct Rotating {
    service: TestService,
    servers: Authority,
    callers: Authority,
    server: Pair,
    files: Mount,
}

impl Rotating {
    async fn start() -> Self {
        let (servers, callers) = (Authority::new("servers"), Authority::new("callers"));
        let server = servers.server(1);
        let files = Mount::new(&files(&server, &callers.pem));
        let service = TestService::with([
            ("HCS_TLS_CERT_FILE", &*files.path("tls.crt")),
            ("HCS_TLS_KEY_FILE", &files.path("tls.key")),
            ("HCS_TLS_CLIENT_CA_FILE", &files.path("ca.crt")),
        ])
        .await;
        Self { service, servers, callers, server, files }
    }

    fn caller(&self) -> TlsClient {
        TlsClient::new(&self.servers, Some(&self.callers.client(&["crm"])))
    }

    /// Calls over existing connections, and over new ones.
    fn load(&self, client: &TlsClient) -> [Load; 2] {
        let (grpc, kept, fresh) = (self.service.grpc, client.client(self.service.grpc), client.clone());
        [
            Load::start(move || {
                let mut client = kept.clone();
                async move { drop(client.create_hub_spot_connection(request()).await.unwrap()) }
            }),
            Load::start(move || {
                let mut client = fresh.client(grpc);
                async move { drop(client.create_hub_spot_connection(request()).await.unwrap()) }
            }),
        ]
    }

    async fn reloads(&self, reloads: u64) {
        until_counted(self.service.admin, "hubspot_connection_tls_reloads_total", reloads).await;
    }
}

#[tokio::test]
async fn a_new_certificate_of_the_server_is_used_by_new_connections_and_no_call_fails() {
    let tls = Rotating::start().await;
    let client = tls.caller();
    let load = tls.load(&client);
    assert_eq!(serial(&client.hears(tls.service.grpc).await.unwrap()), 1);
    let before = client.hears(tls.service.grpc).await.unwrap();
    for number in 2..5 {
        for load in &load {
            load.goes_on().await;
        }
        tls.files.replace(&files(&tls.servers.server(number), &tls.callers.pem));
        tls.reloads(number - 1).await;
        assert_eq!(u64::from(serial(&client.hears(tls.service.grpc).await.unwrap())), number);
    }
    for load in load {
        load.goes_on().await;
        load.end().await;
    }
    // The old connection still exists.
    let mut byte = [0];
    let old = before.get_ref().0.try_read(&mut byte);
    assert!(!matches!(old, Ok(0)), "{old:?}");
}

#[tokio::test]
async fn a_new_authority_of_callers_takes_over_and_no_call_fails() {
    let tls = Rotating::start().await;
    let old = tls.caller();
    let next = Authority::new("next callers");
    let new = TlsClient::new(&tls.servers, Some(&next.client(&["crm"])));
    new.hears(tls.service.grpc).await.unwrap_err();

    // As operators do it: both for a while, then only the new one.
    let load = tls.load(&old);
    tls.files.replace(&files(&tls.server, &(tls.callers.pem.clone() + &next.pem)));
    tls.reloads(1).await;
    for load in load {
        load.goes_on().await;
        load.end().await;
    }
    let load = tls.load(&new);
    let kept = old.client(tls.service.grpc);
    kept.clone().create_hub_spot_connection(request()).await.unwrap();
    tls.files.replace(&files(&tls.server, &next.pem));
    tls.reloads(2).await;
    for load in load {
        load.goes_on().await;
        load.end().await;
    }
    old.hears(tls.service.grpc).await.unwrap_err();
    // Existing connections continue until their maximum age.
    kept.clone().create_hub_spot_connection(request()).await.unwrap();
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_the_old_ones_in_use() {
    let tls = Rotating::start().await;
    let client = tls.caller();
    let load = tls.load(&client);
    let failures = "hubspot_connection_tls_reload_failures_total";
    let other = tls.servers.server(9);
    let mut mismatched = tls.servers.server(2);
    mismatched.key_pem = other.key_pem;
    for (number, broken) in [
        files(&mismatched, &tls.callers.pem),
        files(&tls.server, "no certificate"),
        [("tls.crt", ""), ("tls.key", ""), ("ca.crt", "")],
        // One file is missing.
        [("tls.crt", &tls.server.certificate_pem), ("tls.key", &tls.server.key_pem), ("other", "")],
    ]
    .into_iter()
    .enumerate()
    {
        tls.files.replace(&broken);
        until_counted(tls.service.admin, failures, number as u64 + 1).await;
        assert_eq!(serial(&client.hears(tls.service.grpc).await.unwrap()), 1);
    }
    assert_eq!(counted(tls.service.admin, "hubspot_connection_tls_reloads_total").await, 0);
    tls.files.replace(&files(&tls.servers.server(3), &tls.callers.pem));
    tls.reloads(1).await;
    assert_eq!(serial(&client.hears(tls.service.grpc).await.unwrap()), 3);
    for load in load {
        in_time("the load", load.end()).await;
    }
}
