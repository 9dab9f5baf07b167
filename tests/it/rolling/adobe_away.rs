//! Adobe fails for a moment, and callers retry until it is back, however many calls have failed by then.

use std::time::Duration;

use hubspot_connection_service::{emulator::Options, proto::ListHubSpotConnectionsRequest};
use serde_json::json;
use tonic::Request;

use super::{
    load::{self, Calls, Load, Worker},
    replica::completed,
};
use crate::{
    chaos::print,
    support::{ServiceProcess, counted, inject, start_emulator, until},
};

/// So many calls in a second fail while the circuit breaker is open, for five seconds.
const RATE: u32 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_adobe_does_not_use_up_the_retries_of_a_channel() {
    let Some(python) = load::python() else { return };
    let emulator = start_emulator(Options::default()).await;
    let service = ServiceProcess::start(&emulator, &[]).await;
    let target = format!("ipv4:{}", service.grpc);
    let worker = Worker { calls: Calls::CreatesPerSecond(RATE), target };
    let load = Load::start(&python, &[worker], "", 0.0).await;
    inject(
        &emulator,
        json!([{"route": "GET /connections", "count": 0, "action": {"status": 503, "shape": "empty"}}]),
    );
    let mut client = service.client().await;
    while counted(service.admin, "hubspot_connection_breaker_opened_total").await == 0 {
        let mut read = Request::new(ListHubSpotConnectionsRequest::default());
        // So that it does not outlast the pause of the breaker, and prolong it.
        read.set_timeout(Duration::from_secs(1));
        let _ = client.list_hub_spot_connections(read).await;
    }
    inject(&emulator, json!([]));
    // All of the calls that failed at first, and some more.
    until("creations", || emulator.connections().len() >= 8 * RATE as usize).await;
    let calls = load.stop().await;
    let failed: Vec<_> = calls.iter().filter(|call| call.code != "OK").collect();
    let (_, output) = service.stop().await;
    let attempts = completed(&output).iter().filter(|code| *code == "UNAVAILABLE").count();
    let longest = calls.iter().map(|call| call.seconds).fold(0.0, f64::max);
    print(&format!(
        "an open breaker: {} of {} calls failed after {attempts} failed attempts, the longest took {longest:.1} s",
        failed.len(),
        calls.len()
    ));
    assert!(failed.is_empty(), "{failed:#?}");
    // A budget of a hundred tokens, of which half may be spent, would have been too small.
    assert!(attempts > 2 * RATE as usize, "{attempts}");
}
