//! The calls to paste that the demo prints and the documentation shows. JSON names are those of Adobe's
//! tutorial.

use super::tour::TABLE;
use crate::{domain::RequestId, grpc::SERVICE_NAME};

/// The credentials of the others, on one line.
pub(super) const CREDENTIALS: &str = concat!(
    r#"{"clientId": "demo-hubspot-client", "clientSecret": "demo-hubspot-secret", "#,
    r#""accessToken": "demo-hubspot-access-token", "refreshToken": "demo-hubspot-refresh-token"}"#
);

/// Creates a connection, in a form for reading. With a request id, a line that is pasted twice creates one connection.
pub(super) fn create(grpc: &str, request_id: RequestId) -> String {
    let json = format!(
        r#"{{
  "requestId": "{request_id}",
  "name": "another connection for HubSpot",
  "credentials": {{
    "clientId": "demo-hubspot-client",
    "clientSecret": "demo-hubspot-secret",
    "accessToken": "demo-hubspot-access-token",
    "refreshToken": "demo-hubspot-refresh-token"
  }}
}}"#
    );
    call(grpc, "CreateHubSpotConnection", &json)
}

/// One line for each of the other methods, and for the options of a creation. The last one deletes the connection.
/// `id` and `credentials` are inserted between single quotes of a shell; `request_id` is that of the creation.
pub(super) fn others(grpc: &str, id: &str, credentials: &str, request_id: RequestId) -> Vec<String> {
    let one = format!(r#"{{"id": "{id}"}}"#);
    let dry_run =
        format!(r#"{{"name": "only checked", "credentials": {credentials}, "validateOnly": true}}"#);
    let tested = format!(
        r#"{{"requestId": "{request_id}", "name": "tested", "credentials": {credentials}, "verification": "VERIFICATION_REQUIRE"}}"#
    );
    [
        ("GetHubSpotConnection", one.clone()),
        ("ListHubSpotConnections", r#"{"pageSize": 10}"#.to_owned()),
        ("ListHubSpotConnections", r#"{"name": "connection for HubSpot", "countOnly": true}"#.to_owned()),
        ("TestHubSpotConnection", one.clone()),
        ("ListHubSpotTables", one.clone()),
        ("GetHubSpotTable", format!(r#"{{"id": "{id}", "table": "{TABLE}"}}"#)),
        ("UpdateHubSpotConnection", format!(r#"{{"id": "{id}", "name": "renamed"}}"#)),
        ("UpdateHubSpotConnection", format!(r#"{{"id": "{id}", "credentials": {credentials}}}"#)),
        ("CreateHubSpotConnection", dry_run),
        ("CreateHubSpotConnection", tested),
        ("DeleteHubSpotConnection", one),
    ]
    .map(|(method, json)| call(grpc, method, &json))
    .into()
}

fn call(grpc: &str, method: &str, json: &str) -> String {
    format!("grpcurl -plaintext -d '{json}' {grpc} {SERVICE_NAME}/{method}")
}

#[cfg(test)]
mod tests {
    use super::{super::GRPC_PORT, *};

    /// A variable amidst single quotes.
    const ID: &str = "'$ID'";

    /// Those of the documentation.
    fn ids() -> [RequestId; 2] {
        ["8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7", "c2b7a1f4-0d3e-4b58-9a6c-51e7f0d82b96"]
            .map(|id| RequestId::parse(id).unwrap())
    }

    #[test]
    fn the_documentation_shows_the_calls_that_the_demo_prints() {
        let grpc = format!("localhost:{GRPC_PORT}");
        let [first, second] = ids();
        assert!(include_str!("../../../README.md").contains(&create(&grpc, first)));
        let api = include_str!("../../../proto/README.md");
        assert!(api.contains(&format!("\nCREDENTIALS='{CREDENTIALS}'\n")));
        for call in others(&grpc, ID, r#"'"$CREDENTIALS"'"#, second) {
            assert!(api.contains(&format!("\n{call}\n")), "{call}");
        }
    }

    #[test]
    fn every_method_is_shown() {
        let service = include_str!("../../../proto/hubspot_connection/v1/hubspot_connection_service.proto");
        let methods = service.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next());
        let methods: Vec<_> = methods.collect();
        assert_eq!(methods.len(), 8);
        let [first, second] = ids();
        let shown = [vec![create("", first)], others("", ID, CREDENTIALS, second)].concat();
        for method in methods {
            assert!(shown.iter().any(|call| call.ends_with(&format!("/{method}"))), "{method}");
        }
    }

    #[test]
    fn a_creation_that_is_pasted_twice_creates_one_connection() {
        let generate = RequestId::generate;
        let printed = || [vec![create("", generate())], others("", "id", CREDENTIALS, generate())].concat();
        let mut used = std::collections::BTreeSet::new();
        for call in [printed(), printed()].concat() {
            let (_, json) = call.split_once(" -d '").unwrap();
            let (json, method) = json.rsplit_once("' ").unwrap();
            if !method.ends_with("/CreateHubSpotConnection") {
                continue;
            }
            let request: serde_json::Value = serde_json::from_str(json).unwrap();
            if request["validateOnly"] != true {
                let id = RequestId::parse(request["requestId"].as_str().unwrap()).unwrap();
                assert!(used.insert(id.to_string()), "{call}");
            }
        }
        // Two creations, and others with the next start.
        assert_eq!(used.len(), 4);
    }
}
