//! Target connections.

use super::*;

#[tokio::test]
async fn a_created_target_connection_can_be_read_and_listed() {
    let chain = Chain::new().await;
    let caller = &chain.caller;
    let item = caller.item_at(&format!("/targetConnections/{}", chain.target)).await;
    let sent = target(&chain.dataset, &chain.schema);
    for field in ["name", "data", "params", "connectionSpec"] {
        assert_eq!(item[field], sent[field], "{field}");
    }
    assert_eq!((&item["state"], &item["version"]), (&json!("enabled"), &item["etag"]));
    let mut unnamed = sent;
    unnamed.as_object_mut().unwrap().remove("name");
    let unnamed = caller.new_id("/targetConnections", &unnamed).await;
    assert!(caller.item_at(&format!("/targetConnections/{unnamed}")).await.get("name").is_none());
    for (property, count) in [
        (format!("params.dataSetId=={}", chain.dataset), 2),
        ("name==target".to_owned(), 1),
        (format!("connectionSpec.id=={DATA_LAKE}"), 2),
    ] {
        let found = caller.items(&format!("/targetConnections?property={property}")).await;
        assert_eq!(found.len(), count, "{property}");
    }
}

#[tokio::test]
async fn a_wrong_target_connection_is_refused() {
    let chain = Chain::new().await;
    for (pointer, value, code) in [
        ("/connectionSpec/id", json!(HUBSPOT), "FLOW-1307-400"),
        ("/connectionSpec/version", json!("2.0"), "FLOW-1413-400"),
        ("/params/dataSetId", json!(""), "FLOW-1325-400"),
        ("/params/dataSetId", json!("5ed5639d798a22191b6987b2"), "FLOW-1101-404"),
        ("/data/schema", json!(null), "FLOW-1100-400"),
        ("/data/schema/version", json!(1), "FLOW-1100-400"),
        ("/data", json!([]), "FLOW-1100-400"),
        ("/name", json!(5), "FLOW-1100-400"),
    ] {
        let mut body = target(&chain.dataset, &chain.schema);
        *body.pointer_mut(pointer).unwrap() = value.clone();
        let response = chain.caller.posted("/targetConnections", &body).await;
        assert_eq!(code_of(response).await, code, "{pointer}: {value}");
    }
    assert_eq!(chain.caller.emulator.ledger().target_connections, 1);
}

#[tokio::test]
async fn a_target_connection_is_changed_by_its_etag() {
    let chain = Chain::new().await;
    let path = format!("/targetConnections/{}", chain.target);
    let instructions =
        json!([{"op": "add", "path": "/description", "value": "new"}, {"op": "remove", "path": "/name"}]);
    assert_eq!(chain.patch(&path, &instructions).await.status(), StatusCode::OK);
    let item = chain.caller.item_at(&path).await;
    assert_eq!((&item["description"], item.get("name")), (&json!("new"), None));
    let params = json!([{"op": "replace", "path": "/params", "value": {}}]);
    assert_eq!(code_of(chain.patch(&path, &params).await).await, "FLOW-1455-400");
}
