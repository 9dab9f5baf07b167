//! The cost of the store in memory per creation: the use case with it against the use case with a store
//! that remembers nothing, in turns within one run. `cargo bench --bench store`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and panics on an unexpected error"
)]

use std::{sync::Arc, time::Duration};

use hubspot_connection_service::{
    adobe::{CallError, ConnectionPage, FlowService, ListQuery, PageToken},
    domain::{
        CallProgress, Column, Connection, ConnectionChanges, ConnectionId, ConnectionRef, CreatedConnection,
        Credential, Etag, HubSpotCredentials, NewConnection, Progress, RequestId, ResourceName, SandboxName,
        Table, TablePath, Verification,
    },
    exactly_once::{
        Background, Engine, FingerprintKeys, Recovery, SearchFirst, Waiting,
        store::{Claim, LEASE, Lease, MemoryStore, Recorded, Retention, Step, Store, StoreError},
        wall_clock,
    },
    metrics::CreationMetrics,
    service::{CreateHubSpotConnection, Service},
};
use tokio::{runtime::Runtime, time::Instant};

const ROUNDS: usize = 15;
const CREATIONS: usize = 10_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let retention = Retention {
        request_id: Duration::from_secs(86_400),
        create_timeout: Duration::from_secs(60),
        settle_window: Duration::from_secs(90),
        lease: LEASE,
    };
    let memory = service(Arc::new(MemoryStore::new(retention, (ROUNDS + 1) * CREATIONS)), retention);
    let nothing = service(Arc::new(Nothing), retention);
    // Warm both up.
    round(&runtime, &memory);
    round(&runtime, &nothing);

    let mut with = Vec::new();
    let mut without = Vec::new();
    for _ in 0..ROUNDS {
        with.push(round(&runtime, &memory));
        without.push(round(&runtime, &nothing));
    }
    let mut ratios: Vec<_> = with.iter().zip(&without).map(|(with, without)| with / without).collect();
    println!("{ROUNDS} rounds of {CREATIONS} creations with a request id, microseconds each:");
    println!("  memory store {:.2}, no store {:.2}", median(&mut with), median(&mut without));
    let ratio = median(&mut ratios);
    println!("  ratio {ratio:.2} ({:.2} to {:.2})", ratios[0], ratios[ROUNDS - 1]);
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn service(store: Arc<dyn Store>, retention: Retention) -> Service<Instantly> {
    let engine = Engine {
        store,
        waiting: Waiting::new(512),
        fingerprint_keys: FingerprintKeys::random(),
        retention,
        // A search before the first attempt would cost both the same.
        recovery: Recovery { references: true, search_first: SearchFirst::Never },
        wall_clock,
        background: Background::default(),
        metrics: CreationMetrics::default(),
    };
    Service::new(Instantly, engine, 1024.try_into().unwrap())
}

/// Creates connections one after the other, and returns the microseconds that each took.
fn round(runtime: &Runtime, service: &Service<Instantly>) -> f64 {
    runtime.block_on(async {
        let started = Instant::now();
        for number in 0..CREATIONS {
            let command = CreateHubSpotConnection {
                request_id: Some(RequestId::generate()),
                connection: connection(&format!("HubSpot {number}")),
                verification: Verification::None,
            };
            let deadline = Instant::now() + Duration::from_secs(60);
            let call = CallProgress::default();
            service.create_hubspot_connection(command, deadline, &call).await.unwrap();
        }
        started.elapsed().as_secs_f64() * 1e6 / CREATIONS as f64
    })
}

fn connection(name: &str) -> NewConnection {
    let credential = || Credential::parse("a-credential-of-36-characters-or-so-x").unwrap();
    NewConnection {
        sandbox: SandboxName::parse("prod").unwrap(),
        name: ResourceName::parse(name).unwrap(),
        description: None,
        credentials: HubSpotCredentials {
            client_id: credential(),
            client_secret: credential(),
            access_token: credential(),
            refresh_token: credential(),
        },
    }
}

/// A Flow Service that responds at once.
struct Instantly;

impl FlowService for Instantly {
    type Permit = ();

    async fn permit(&self, _: Instant) -> Result<(), CallError> {
        Ok(())
    }

    fn retry_in(&self, _: u32, _: Option<Duration>, _: Instant) -> Option<Duration> {
        None
    }

    async fn create_connection(
        &self,
        (): &(),
        _: &NewConnection,
        _: Option<RequestId>,
        _: Instant,
        progress: &Arc<Progress>,
    ) -> Result<CreatedConnection, CallError> {
        Ok(CreatedConnection {
            id: ConnectionId::parse(&progress.request_id().to_string()).unwrap(),
            etag: Etag::parse("\"d403848a-0000-0200-0000-5e978f7b0000\"").unwrap(),
        })
    }

    async fn list_connections(
        &self,
        _: &ListQuery<'_>,
        _: Option<&PageToken>,
        _: Instant,
    ) -> Result<ConnectionPage, CallError> {
        Ok(ConnectionPage::default())
    }

    async fn count_connections(&self, _: &SandboxName, _: Instant) -> Result<u64, CallError> {
        unreachable!("{NO_PART}")
    }

    async fn get_connection(&self, _: &ConnectionRef, _: Instant) -> Result<Option<Connection>, CallError> {
        unreachable!("{NO_PART}")
    }

    async fn update_connection(
        &self,
        _: &SandboxName,
        _: &Connection,
        _: &ConnectionChanges,
        _: Instant,
    ) -> Result<Etag, CallError> {
        unreachable!("{NO_PART}")
    }

    async fn delete_connection(&self, _: &ConnectionRef, _: Instant) -> Result<(), CallError> {
        unreachable!("{NO_PART}")
    }

    async fn test_connection(&self, _: &ConnectionRef, _: Instant) -> Result<bool, CallError> {
        unreachable!("{NO_PART}")
    }

    async fn list_tables(&self, _: &ConnectionRef, _: Instant) -> Result<Vec<Table>, CallError> {
        unreachable!("{NO_PART}")
    }

    async fn list_columns(
        &self,
        _: &ConnectionRef,
        _: &TablePath,
        _: Instant,
    ) -> Result<Vec<Column>, CallError> {
        unreachable!("{NO_PART}")
    }

    async fn spec_drift(&self, _: &SandboxName, _: Instant) -> Result<Vec<String>, CallError> {
        unreachable!("{NO_PART}")
    }
}

const NO_PART: &str = "no part of a creation without verification";

/// A store that remembers nothing.
struct Nothing;

#[async_trait::async_trait]
impl Store for Nothing {
    async fn claim(&self, _: &Lease, _: i64) -> Result<Claim, StoreError> {
        Ok(Claim::Fresh { remembers_for: Duration::ZERO })
    }

    async fn step(&self, _: &Lease, _: Step, _: &str, _: i64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn record(&self, _: &Lease, _: Option<&str>, _: i64) -> Result<Recorded, StoreError> {
        Ok(Recorded::Done)
    }

    async fn replace(&self, _: &RequestId, _: &str, _: &str) -> Result<Recorded, StoreError> {
        Ok(Recorded::Done)
    }
}
