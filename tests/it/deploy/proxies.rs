//! The route of a Gateway. `reverse_proxies` runs nginx and HAProxy.

use std::collections::BTreeSet;

use hubspot_connection_service::grpc::{DATAFLOW_SERVICE_NAME, SERVICE_NAME};
use serde_json::Value;

use super::{
    manifests::{Manifests, text},
    tools,
};

const ROUTE: &str = include_str!("../../../deploy/proxies/grpc-route.yaml");

#[test]
fn the_route_of_a_gateway_fits_its_definition_and_leads_every_service_to_the_pods() {
    let Some(production) = Manifests::of("production") else { return };
    assert_eq!(tools::custom_resources(ROUTE), Ok(vec!["GRPCRoute/hubspot-connection-service".to_owned()]));
    // What GRPCRoute does not have, unlike HTTPRoute.
    let with_time_outs =
        ROUTE.replace("      backendRefs:", "      timeouts: {request: 90s}\n      backendRefs:");
    assert_ne!(with_time_outs, ROUTE);
    let error = tools::custom_resources(&with_time_outs).unwrap_err();
    assert!(error.contains("timeouts"), "{error}");

    let route: Value = serde_json::from_str(&tools::script("yaml_to_json.py", ROUTE)).unwrap();
    let rule = &route[0]["spec"]["rules"][0];
    let matches = rule["matches"].as_array().unwrap();
    let routed: BTreeSet<_> = matches.iter().map(|rule| text(&rule["method"]["service"])).collect();
    assert_eq!(routed, BTreeSet::from([SERVICE_NAME, DATAFLOW_SERVICE_NAME, "grpc.health.v1.Health"]));
    let backend = &rule["backendRefs"][0];
    let service = production.get("Service", text(&backend["name"]));
    let ports = service["spec"]["ports"].as_array().unwrap();
    assert!(ports.iter().any(|port| port["name"] == "grpc" && port["port"] == backend["port"]));
}
