//! The calls to paste that the demo prints and the README shows. JSON names are those of Adobe's
//! tutorial.

use super::tour::TABLE;
use crate::grpc::SERVICE_NAME;

/// The first one: it is meant to be read.
const CREATION: &str = r#"{
  "name": "another connection for HubSpot",
  "credentials": {
    "clientId": "demo-hubspot-client",
    "clientSecret": "demo-hubspot-secret",
    "accessToken": "demo-hubspot-access-token",
    "refreshToken": "demo-hubspot-refresh-token"
  }
}"#;

/// The credentials of the others, on one line.
pub(super) const CREDENTIALS: &str = concat!(
    r#"{"clientId": "demo-hubspot-client", "clientSecret": "demo-hubspot-secret", "#,
    r#""accessToken": "demo-hubspot-access-token", "refreshToken": "demo-hubspot-refresh-token"}"#
);

/// Creates a connection.
pub(super) fn create(grpc: &str) -> String {
    call(grpc, "CreateHubSpotConnection", CREATION)
}

/// A line for each of the other methods, and for what else a creation can do. The last one deletes
/// the connection. `id` and `credentials` are put between single quotes of a shell.
pub(super) fn others(grpc: &str, id: &str, credentials: &str) -> Vec<String> {
    let one = format!(r#"{{"id": "{id}"}}"#);
    let create =
        |name: &str, rest: &str| format!(r#"{{"name": "{name}", "credentials": {credentials}, {rest}}}"#);
    [
        ("GetHubSpotConnection", one.clone()),
        ("ListHubSpotConnections", r#"{"pageSize": 10}"#.to_owned()),
        ("ListHubSpotConnections", r#"{"name": "connection for HubSpot", "countOnly": true}"#.to_owned()),
        ("TestHubSpotConnection", one.clone()),
        ("ListHubSpotTables", one.clone()),
        ("GetHubSpotTable", format!(r#"{{"id": "{id}", "table": "{TABLE}"}}"#)),
        ("UpdateHubSpotConnection", format!(r#"{{"id": "{id}", "name": "renamed"}}"#)),
        ("UpdateHubSpotConnection", format!(r#"{{"id": "{id}", "credentials": {credentials}}}"#)),
        ("CreateHubSpotConnection", create("only checked", r#""validateOnly": true"#)),
        ("CreateHubSpotConnection", create("tested", r#""verification": "VERIFICATION_REQUIRE""#)),
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

    #[test]
    fn the_readme_shows_the_calls_that_the_demo_prints() {
        let readme = include_str!("../../../README.md");
        let grpc = format!("localhost:{GRPC_PORT}");
        assert!(readme.contains(&create(&grpc)));
        assert!(readme.contains(&format!("\nCREDENTIALS='{CREDENTIALS}'\n")));
        for call in others(&grpc, ID, r#"'"$CREDENTIALS"'"#) {
            assert!(readme.contains(&format!("\n{call}\n")), "{call}");
        }
    }

    #[test]
    fn every_method_is_shown() {
        let service = include_str!("../../../proto/hubspot_connection/v1/hubspot_connection_service.proto");
        let methods = service.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next());
        let methods: Vec<_> = methods.collect();
        assert_eq!(methods.len(), 8);
        let shown = [vec![create("")], others("", ID, CREDENTIALS)].concat();
        for method in methods {
            assert!(shown.iter().any(|call| call.ends_with(&format!("/{method}"))), "{method}");
        }
    }
}
