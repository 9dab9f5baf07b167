//! Changing flows.

use super::*;

fn replace(path: &str, value: Value) -> Value {
    json!({"op": "replace", "path": path, "value": value})
}

#[tokio::test]
async fn a_patch_changes_the_documented_fields() {
    let chain = Chain::new().await;
    let id = chain.new_flow(&chain.hourly(later())).await;
    let path = format!("/flows/{id}");
    let before = chain.flow(&id).await;
    let schema = chain.caller.item_at(&format!("/targetConnections/{}", chain.target)).await;
    let mapping = chain.caller.new_mapping_set(schema["data"]["schema"]["id"].as_str().unwrap()).await;
    let mapping = json!({"name": "Mapping", "params": {"mappingId": mapping, "mappingVersion": 0}});
    let response = chain
        .patch(
            &path,
            &json!([
                replace("/name", json!("new")),
                replace("/description", json!("text")),
                replace("/scheduleParams/frequency", json!("day")),
                replace("/scheduleParams/interval", json!(2)),
                replace("/transformations/0", mapping.clone()),
                {"op": "add", "path": "/options", "value": {"partialIngestionPercent": 5}},
                {"op": "add", "path": "/options/errorDiagnosticsEnabled", "value": true},
                {"op": "add", "path": "/labels", "value": ["core/C12"]},
            ]),
        )
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    let flow = chain.flow(&id).await;
    assert_eq!(body_of(response).await, json!({"id": id, "etag": flow["etag"]}));
    assert_ne!(flow["etag"], before["etag"]);
    let start = &before["scheduleParams"]["startTime"];
    for (field, value) in [
        ("name", json!("new")),
        ("description", json!("text")),
        ("scheduleParams", json!({"startTime": start, "frequency": "day", "interval": "2"})),
        ("transformations", json!([mapping, before["transformations"][1]])),
        ("options", json!({"errorDiagnosticsEnabled": true, "partialIngestionPercent": 5})),
        ("labels", json!(["core/C12"])),
    ] {
        assert_eq!(flow[field], value, "{field}");
    }
    assert_eq!(flow["lastOperation"]["operation"], "update");
}

#[tokio::test]
async fn each_mistake_has_its_error_and_leaves_the_flow_as_it_was() {
    let chain = Chain::new().await;
    let id = chain.new_flow(&chain.hourly(later())).await;
    let path = format!("/flows/{id}");
    let before = chain.flow(&id).await;
    let unknown_mapping = json!({"name": "Mapping", "params": {"mappingId": "m", "mappingVersion": 0}});
    for (instruction, code) in [
        (replace("/flowSpec", json!({})), "FLOW-1365-400"),
        (replace("/transformations/2", unknown_mapping.clone()), "FLOW-1365-400"),
        (replace("/transformations/0", unknown_mapping), "FLOW-1419-400"),
        (json!({"op": "add", "path": "/transformations", "value": []}), "FLOW-1367-400"),
        (replace("/scheduleParams/frequency", json!("once")), "FLOW-1361-400"),
        (replace("/scheduleParams/interval", json!(0)), "FLOW-1362-400"),
        (replace("/scheduleParams/startTime", json!(now() - 10)), "FLOW-1360-400"),
        (replace("/options/color", json!("red")), "FLOW-1100-400"),
        (json!({"op": "move", "path": "/name"}), "FLOW-1434-400"),
    ] {
        let instructions = json!([replace("/name", json!("new")), instruction]);
        assert_eq!(code_of(chain.patch(&path, &instructions).await).await, code, "{instruction}");
        assert_eq!(chain.flow(&id).await, before);
    }
    let without = chain.caller.request(Method::PATCH, &path).header(header::CONTENT_TYPE, "application/json");
    let without = without.body(json!([replace("/name", json!("new"))]).to_string());
    assert_eq!(code_of(without.send().await.unwrap()).await, "FLOW-1403-400");
}
