//! What HubSpot says about credentials before they are used.

mod causes;
mod creation;
mod replies;
pub(crate) mod server;
mod update;
mod way;
mod words;

use hubspot_connection_service::{
    emulator::{Emulator, Options},
    proto::{
        Check, CreateHubSpotConnectionRequest,
        check::State::{self, Failed},
    },
};
use serde_json::{Value, json};

use crate::support::{TestService, request, start_emulator};

pub(crate) const INTROSPECT: &str = "/oauth/2026-03/token/introspect";
const NAMES: [&str; 4] = ["hubspot_app", "hubspot_refresh_token", "hubspot_access_token", "hubspot_scopes"];

/// A service that asks the emulator, with these settings as well.
async fn asking<const N: usize>(settings: [(&str, &str); N]) -> TestService {
    let emulator = start_emulator(Options::default()).await;
    let url = emulator.hubspot_url();
    service(emulator, &url, settings).await
}

/// A service that asks the HubSpot at this URL.
async fn service<const N: usize>(emulator: Emulator, url: &str, settings: [(&str, &str); N]) -> TestService {
    // What is not needed repeats the URL.
    let mut all = [("HCS_HUBSPOT_URL", url); 8];
    assert!(N < all.len());
    all[1..=N].copy_from_slice(&settings);
    TestService::against(emulator, all).await
}

fn dry_run() -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest { validate_only: true, ..request() }
}

/// Describes tokens, in the form of the control route.
fn describe(service: &TestService, tokens: Value) {
    service.emulator.describe_tokens(serde_json::from_value(tokens).unwrap());
}

/// The state of HubSpot for one of the credentials of every request.
fn described(token: &str, state: &str) -> Value {
    json!([{"token": token, "state": state}])
}

const REFRESH: &str = "hs-refresh-token";
const ACCESS: &str = "hs-access-token";

/// How often HubSpot was asked.
fn asked(service: &TestService) -> usize {
    service.requests_to("POST", INTROSPECT)
}

/// The four checks of a dry run, after those at Adobe.
async fn found(service: &TestService) -> [Check; 4] {
    let checks = service.send(dry_run()).await.unwrap().checks;
    of_hubspot(&checks)
}

/// The four checks at the end of all.
#[track_caller]
fn of_hubspot(checks: &[Check]) -> [Check; 4] {
    let (_, checks) = checks.split_at(checks.len() - NAMES.len());
    let names: Vec<_> = checks.iter().map(|check| &*check.name).collect();
    assert_eq!(names, NAMES);
    for check in checks {
        assert!(!check.message.is_empty(), "{checks:?}");
        assert!(check.state() != Failed || check.message.contains(": "), "no cure in {check:?}");
    }
    checks.to_vec().try_into().unwrap()
}

fn states(checks: &[Check; 4]) -> [State; 4] {
    checks.each_ref().map(Check::state)
}
