//! The search finds a connection that a list shows with its ID, no matter how the list alters the rest.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt as _, stream};
use hubspot_connection_service::{
    emulator::Options,
    proto::{
        CreateHubSpotConnectionRequest,
        hub_spot_connection_service_client::HubSpotConnectionServiceClient as Client,
    },
};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::support::{Alterations, AlteringProxy, Failure, TestService, counted, request, start_emulator};

/// Each creation has its own sandbox, so that no other connection can be mistaken for it.
const CREATIONS: usize = 120;
/// Many times the usual duration.
const LIMIT: Duration = Duration::from_secs(400);
/// A description with much to alter.
const DESCRIPTION: &str = " für\nMärkte & <Kunden>, 100 %  ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_a_list_shows_is_never_absent_however_it_is_shown() {
    let most_are_found = 60;
    never_absent(Alterations::of_lists(), most_are_found).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_never_absent_where_its_own_description_is_altered_too() {
    never_absent(Alterations::of_lists_and_descriptions(), 0).await;
}

/// Loses the reply to each creation, and retries it until its outcome is known.
async fn never_absent(alterations: Alterations, found_at_least: usize) {
    let sandboxes: Vec<_> = (0..CREATIONS).map(|number| format!("sandbox-{number}")).collect();
    let emulator = start_emulator(Options::default()).await;
    let seed = fastrand::u64(..);
    let proxy = AlteringProxy::start(&emulator, fastrand::Rng::with_seed(seed), alterations).await;
    let service = TestService::against(
        emulator,
        [
            ("HCS_FLOW_SERVICE_URL", &*proxy.base_url()),
            ("HCS_ALLOWED_SANDBOXES", &*format!("prod,{}", sandboxes.join(","))),
            // So many at once take seconds on a machine that is busy.
            ("HCS_CREATE_TIMEOUT", "10s"),
            ("HCS_SETTLE_WINDOW", "1s"),
            ("HCS_SEARCH_FIRST", "never"),
        ],
    )
    .await;
    // Not by closed connections, which open the circuit breaker: it would then admit one creation in half a
    // minute, and close only if a search comes first.
    let lost = json!({"status": 201, "shape": "empty", "commit": true});
    service.inject(json!([{"route": "POST /connections", "count": CREATIONS, "action": lost}]));

    let requests = sandboxes.iter().map(|sandbox| CreateHubSpotConnectionRequest {
        request_id: Uuid::new_v4().to_string(),
        sandbox_name: sandbox.clone(),
        description: DESCRIPTION.to_owned(),
        ..request()
    });
    let client = service.client().await;
    let outcomes = requests.map(|request| outcome(client.clone(), request));
    let outcomes = stream::iter(outcomes).buffer_unordered(CREATIONS).collect::<Vec<_>>();
    let outcomes = timeout(LIMIT, outcomes).await.expect("it takes too long");

    let mut counts = BTreeMap::<_, usize>::new();
    for outcome in &outcomes {
        *counts.entry(outcome.as_deref().map_or_else(|reason| &**reason, |_| "found")).or_default() += 1;
    }
    // A creation that is considered absent is sent a second time.
    assert_eq!(service.requests_to("POST", "/connections"), CREATIONS, "seed {seed}: {counts:?}");
    // Pages in a cycle show a connection twice.
    assert_eq!(counted(service.admin, "hubspot_connection_duplicates_total").await, 0, "seed {seed}");
    let ledger = service.emulator.connections();
    for id in outcomes.iter().flatten() {
        assert!(ledger.iter().any(|entry| entry.id == *id), "seed {seed}");
    }
    let found = counts.get("found").copied().unwrap_or_default();
    let others: usize = counts.get("OUTCOME_AMBIGUOUS").copied().unwrap_or_default();
    assert_eq!(found + others, CREATIONS, "seed {seed}: {counts:?}");
    assert!(found >= found_at_least, "seed {seed}: {counts:?}");
}

/// The ID of the connection, or why there is none.
async fn outcome(
    mut client: Client<Channel>,
    request: CreateHubSpotConnectionRequest,
) -> Result<String, String> {
    loop {
        match client.create_hub_spot_connection(request.clone()).await.map_err(Failure::from) {
            Ok(created) => return Ok(created.into_inner().id),
            // It is not found within the patience of one call, or the machine is too busy.
            Err(Failure { retry_after: Some(pause), .. }) => sleep(pause).await,
            Err(failure) => return Err(failure.reason),
        }
    }
}
