//! Faults and unknown paths.

use hubspot_connection_service::emulator::{Action, Fault, Moment};

use super::*;

#[tokio::test]
async fn every_route_can_fail() {
    let chain = Chain::new().await;
    let resources = ["sourceConnections", "targetConnections", "flows"];
    let mut routes = vec!["POST /flows/{id}/action".to_owned()];
    for name in resources {
        routes.push(format!("POST /{name}"));
        routes.extend(["PATCH", "DELETE"].map(|method| format!("{method} /{name}/{{id}}")));
    }
    for name in resources.into_iter().chain(["flowSpecs", "runs"]) {
        routes.extend([format!("GET /{name}"), format!("GET /{name}/{{id}}")]);
    }
    for route in &routes {
        let fault = Fault::once(route, Action::status(StatusCode::SERVICE_UNAVAILABLE));
        chain.caller.emulator.inject(vec![fault]);
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace("{id}", "x");
        let method: Method = method.parse().unwrap();
        let response = chain.caller.try_send(method, &path, None).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{route}");
    }
}

#[tokio::test]
async fn a_flow_is_created_although_its_reply_is_lost() {
    let chain = Chain::new().await;
    chain.caller.inject("POST /flows", Action::Close(Moment::AfterCommit));
    let sent = chain.caller.try_send(Method::POST, "/flows", Some(chain.once(later()))).await;
    assert!(sent.is_err());
    let found = chain.caller.items(&format!("/flows?property=sourceConnectionIds[]=={}", chain.source)).await;
    assert_eq!(found.len(), 1);
    assert_eq!(chain.caller.emulator.ledger().flows, 1);
}

#[tokio::test]
async fn only_the_flow_service_has_codes_of_the_flow_service() {
    let caller = Caller::new().await;
    let status_and_type = async |path: &str| {
        let url = format!("http://{}{path}", caller.emulator.addr());
        let request = caller.client.get(url).bearer_auth(DEMO_ACCESS_TOKEN).header("x-api-key", CLIENT_ID);
        let response = request.header("x-gw-ims-org-id", caller.org).send().await.unwrap();
        (response.status(), body_of(response).await["type"].as_str().unwrap_or_default().to_owned())
    };
    let not_found = |kind: &str| (StatusCode::NOT_FOUND, kind.to_owned());
    let flow_service = not_found("https://ns.adobe.com/aep/errors/FLOW-1439-404");
    assert_eq!(status_and_type("/data/foundation/flowservice/policies").await, flow_service);
    for path in ["/data/foundation/catalog/views", "/data/foundation/flowservices/flows", "/other"] {
        assert_eq!(status_and_type(path).await, not_found("/placeholder/type/uri"), "{path}");
    }
    let url = format!("http://{}/data/foundation/catalog/views", caller.emulator.addr());
    let body = body_of(caller.client.get(url).send().await.unwrap()).await;
    assert_eq!(body["error_code"], "403010");
}

#[tokio::test]
async fn bodies_of_dataflow_requests_are_shown() {
    let chain = Chain::new().await;
    let flow = chain.once(later());
    chain.new_flow(&flow).await;
    let shown = body_of(chain.caller.control(Method::GET, "/requests", "").await).await;
    let bodies: Vec<_> = shown.as_array().unwrap().iter().map(|request| &request["body"]).collect();
    for sent in [source(&chain.base, "Hubspot.Contacts"), target(&chain.dataset, &chain.schema), flow] {
        assert!(bodies.contains(&&sent), "{sent}");
    }
    assert!(!shown.to_string().contains("canary"), "{shown}");
}
