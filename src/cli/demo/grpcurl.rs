//! The calls to paste that the demo prints, and those that only the documentation shows. JSON names are those of
//! Adobe's tutorial.

use crate::{
    domain::RequestId,
    grpc::{DATAFLOW_SERVICE_NAME, SERVICE_NAME},
};

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

/// Brings in a table, in a form for reading.
pub(super) fn create_dataflow(grpc: &str, connection: &str, request_id: RequestId) -> String {
    let json = format!(
        r#"{{
  "requestId": "{request_id}",
  "name": "deals from HubSpot",
  "connectionId": "{connection}",
  "table": "Hubspot.All_Deals",
  "newDataset": {{"name": "HubSpot deals", "schemaFromTable": {{}}}},
  "schedule": {{"frequency": "FREQUENCY_ONCE"}}
}}"#
    );
    call_dataflows(grpc, "CreateHubSpotDataflow", &json)
}

fn call(grpc: &str, method: &str, json: &str) -> String {
    format!("grpcurl -plaintext -d '{json}' {grpc} {SERVICE_NAME}/{method}")
}

fn call_dataflows(grpc: &str, method: &str, json: &str) -> String {
    format!("grpcurl -plaintext -d '{json}' {grpc} {DATAFLOW_SERVICE_NAME}/{method}")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{GRPC_PORT, tour::TABLE},
        *,
    };

    /// Variables amidst single quotes.
    const ID: &str = "'$ID'";
    const DATAFLOW: &str = "'$DATAFLOW'";

    /// Those of the documentation.
    fn ids() -> [RequestId; 3] {
        [
            "8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7",
            "c2b7a1f4-0d3e-4b58-9a6c-51e7f0d82b96",
            "3c9f0b52-7d1e-4f6a-8b0d-2e64a9f1c735",
        ]
        .map(|id| RequestId::parse(id).unwrap())
    }

    /// The credentials of the others, on one line.
    const CREDENTIALS: &str = concat!(
        r#"{"clientId": "demo-hubspot-client", "clientSecret": "demo-hubspot-secret", "#,
        r#""accessToken": "demo-hubspot-access-token", "refreshToken": "demo-hubspot-refresh-token"}"#
    );

    /// One line for each of the other methods about connections, and for the options of a creation. `id` and `credentials`
    /// are inserted between single quotes of a shell; `request_id` is that of the creation.
    fn others(grpc: &str, id: &str, credentials: &str, request_id: RequestId) -> Vec<String> {
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
            ("ListHubSpotTables", one),
            ("GetHubSpotTable", format!(r#"{{"id": "{id}", "table": "{TABLE}"}}"#)),
            ("UpdateHubSpotConnection", format!(r#"{{"id": "{id}", "name": "renamed"}}"#)),
            ("UpdateHubSpotConnection", format!(r#"{{"id": "{id}", "credentials": {credentials}}}"#)),
            ("CreateHubSpotConnection", dry_run),
            ("CreateHubSpotConnection", tested),
        ]
        .map(|(method, json)| call(grpc, method, &json))
        .into()
    }

    /// One line for each of the other methods about dataflows, and for a plan. The last ones delete the dataflow, and that
    /// of the creation with this request id.
    fn dataflows(grpc: &str, connection: &str, id: &str, request_id: RequestId) -> Vec<String> {
        let one = format!(r#"{{"id": "{id}"}}"#);
        let plan = format!(
            r#"{{"name": "only checked", "connectionId": "{connection}", "table": "Hubspot.Blog_Authors", "newDataset": {{"name": "HubSpot authors", "schemaFromTable": {{}}}}, "schedule": {{"frequency": "FREQUENCY_DAY", "interval": 1, "deltaColumn": {{"name": "Created"}}}}, "validateOnly": true}}"#
        );
        [
            ("ListHubSpotDataflows", format!(r#"{{"connectionId": "{connection}"}}"#)),
            ("GetHubSpotDataflow", one.clone()),
            ("ListHubSpotDataflowRuns", one.clone()),
            ("CreateHubSpotDataflow", plan),
            ("PauseHubSpotDataflow", one.clone()),
            ("ResumeHubSpotDataflow", one.clone()),
            ("DeleteHubSpotDataflow", one),
            ("DeleteHubSpotDataflow", format!(r#"{{"createRequestId": "{request_id}"}}"#)),
        ]
        .map(|(method, json)| call_dataflows(grpc, method, &json))
        .into()
    }

    /// Deletes a connection.
    fn delete(grpc: &str, id: &str) -> String {
        call(grpc, "DeleteHubSpotConnection", &format!(r#"{{"id": "{id}"}}"#))
    }

    /// Every call, as the demo prints it or the documentation shows it.
    fn printed([first, second, third]: [RequestId; 3]) -> Vec<String> {
        [
            vec![create("", first), create_dataflow("", "id", third), delete("", "id")],
            others("", "id", CREDENTIALS, second),
            dataflows("", "id", "dataflow", third),
        ]
        .concat()
    }

    #[test]
    fn the_documentation_shows_the_calls_that_the_demo_prints_and_the_others() {
        let grpc = format!("localhost:{GRPC_PORT}");
        let [first, second, third] = ids();
        let api = include_str!("../../../proto/README.md");
        assert!(api.contains(&format!("\nCREDENTIALS='{CREDENTIALS}'\n")));
        for call in [create(&grpc, first), create_dataflow(&grpc, ID, third)] {
            assert!(api.contains(&call), "{call}");
        }
        let connections = others(&grpc, ID, r#"'"$CREDENTIALS"'"#, second);
        let lines = [connections, dataflows(&grpc, ID, DATAFLOW, third), vec![delete(&grpc, ID)]];
        for call in lines.concat() {
            assert!(api.contains(&format!("\n{call}\n")), "{call}");
        }
    }

    #[test]
    fn every_method_is_shown() {
        let connections =
            include_str!("../../../proto/hubspot_connection/v1/hubspot_connection_service.proto");
        let dataflows = include_str!("../../../proto/hubspot_connection/v1/hubspot_dataflow_service.proto");
        let lines = connections.lines().chain(dataflows.lines());
        let methods = lines.filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next());
        let methods: Vec<_> = methods.collect();
        assert_eq!(methods.len(), 8 + 7);
        let shown = printed(ids());
        for method in methods {
            assert!(shown.iter().any(|call| call.ends_with(&format!("/{method}"))), "{method}");
        }
    }

    #[test]
    fn a_creation_that_is_pasted_twice_creates_once() {
        let mut used = std::collections::BTreeSet::new();
        let fresh = || printed([0; 3].map(|_| RequestId::generate()));
        for call in [fresh(), fresh()].concat() {
            let (_, json) = call.split_once(" -d '").unwrap();
            let (json, method) = json.rsplit_once("' ").unwrap();
            if !method.contains("/Create") {
                continue;
            }
            let request: serde_json::Value = serde_json::from_str(json).unwrap();
            if request["validateOnly"] != true {
                let id = RequestId::parse(request["requestId"].as_str().unwrap()).unwrap();
                assert!(used.insert(id.to_string()), "{call}");
            }
        }
        // Three creations, and others with the next start.
        assert_eq!(used.len(), 6);
    }
}
