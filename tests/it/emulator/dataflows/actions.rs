//! Enabling and disabling flows.

use super::*;

async fn act(chain: &Chain, flow: &str, query: &str) -> Response {
    // As the service sends it: without a body and its type.
    let path = format!("/flows/{flow}/action?{query}");
    chain.caller.try_send(Method::POST, &path, None).await.unwrap()
}

#[tokio::test]
async fn an_action_changes_the_state_and_the_etag() {
    let chain = Chain::new().await;
    let id = chain.new_flow(&chain.once(later())).await;
    let mut etag = chain.flow(&id).await["etag"].clone();
    for (query, state) in [
        ("op=disable", "disabled"),
        ("op=enable", "enabled"),
        ("op=DISABLE", "disabled"),
        ("op=ENABLE", "enabled"),
    ] {
        let response = act(&chain, &id, query).await;
        assert_eq!(response.status(), StatusCode::OK);
        let flow = chain.flow(&id).await;
        assert_eq!(flow["state"], state);
        assert_ne!(flow["etag"], etag);
        etag = flow["etag"].clone();
        assert_eq!(body_of(response).await, json!({"id": id, "etag": etag}));
    }
}

#[tokio::test]
async fn an_action_needs_a_state_that_allows_it() {
    let chain = Chain::new().await;
    let id = chain.new_flow(&chain.once(later())).await;
    for (state, query, code) in [
        ("enabled", "op=enable", "FLOW-1422-400"),
        ("disabled", "op=disable", "FLOW-1422-400"),
        ("draft", "op=enable", "FLOW-1422-400"),
        ("updating", "op=enable", "FLOW-1421-400"),
        ("enabling", "op=disable", "FLOW-1421-400"),
        ("delete-finalizing", "op=disable", "FLOW-1421-400"),
        ("enabled", "op=publish", "FLOW-1452-400"),
        ("enabled", "", "FLOW-1452-400"),
        ("enabled", "op=disable&subOp=PROGRESS", "FLOW-1436-400"),
        ("enabled", "op=disable&force=true", "FLOW-1451-400"),
    ] {
        assert!(chain.caller.emulator.set_state(&id, state));
        assert_eq!(code_of(act(&chain, &id, query).await).await, code, "{state}: {query}");
        assert_eq!(chain.flow(&id).await["state"], state);
    }
    assert_eq!(act(&chain, "other", "op=enable").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_flow_in_transition_is_neither_changed_nor_deleted() {
    let chain = Chain::new().await;
    let id = chain.new_flow(&chain.once(later())).await;
    let path = format!("/flows/{id}");
    for (state, patch, delete) in [
        ("disabling", "FLOW-1420-400", "FLOW-1420-400"),
        ("delete-finalizing", "FLOW-1457-400", "FLOW-1458-400"),
    ] {
        chain.caller.emulator.set_state(&id, state);
        let rename = json!([{"op": "replace", "path": "/name", "value": "new"}]);
        assert_eq!(code_of(chain.patch(&path, &rename).await).await, patch);
        assert_eq!(code_of(chain.delete(&path).await).await, delete);
    }
}
