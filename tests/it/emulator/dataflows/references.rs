//! What a new flow must refer to.

use super::*;

#[tokio::test]
async fn a_flow_has_one_source_one_target_and_a_known_specification() {
    let chain = Chain::new().await;
    let valid = chain.once(later());
    let source = &chain.source;
    for (pointer, value, code) in [
        ("/sourceConnectionIds", json!(null), "FLOW-1320-400"),
        ("/sourceConnectionIds", json!([]), "FLOW-1321-400"),
        ("/sourceConnectionIds", json!([source, source]), "FLOW-1321-400"),
        ("/sourceConnectionIds", json!([null]), "FLOW-1338-400"),
        ("/sourceConnectionIds", json!(["other"]), "FLOW-1101-404"),
        ("/sourceConnectionIds", json!([chain.target]), "FLOW-1101-404"),
        ("/targetConnectionIds", json!([source, source]), "FLOW-1321-400"),
        ("/targetConnectionIds", json!(["other"]), "FLOW-1101-404"),
        ("/flowSpec/id", json!(HUBSPOT), "FLOW-1413-400"),
        ("/flowSpec/version", json!("2.0"), "FLOW-1413-400"),
        ("/flowSpec", json!(null), "FLOW-1413-400"),
        ("/name", json!(null), "FLOW-1100-400"),
    ] {
        let mut body = valid.clone();
        *body.pointer_mut(pointer).unwrap() = value.clone();
        assert_eq!(chain.refusal(&body).await, code, "{pointer}: {value}");
    }
    for (field, value, code) in [
        ("state", json!("enabled"), "FLOW-1410-400"),
        ("options", json!({"partialIngestionPercent": 0}), "FLOW-1100-400"),
        ("options", json!({"errorDiagnosticsEnabled": "yes"}), "FLOW-1100-400"),
        ("labels", json!("core/C12"), "FLOW-1100-400"),
    ] {
        let mut body = valid.clone();
        body[field] = value;
        assert_eq!(chain.refusal(&body).await, code, "{field}");
    }
    let draft = chain.caller.posted("/flows?mode=draft", &valid).await;
    assert_eq!(code_of(draft).await, "FLOW-1368-400");
    assert_eq!(chain.caller.emulator.ledger().flows, 0);
}

#[tokio::test]
async fn the_mapping_must_exist_in_this_version_and_fit_the_dataset() {
    let chain = Chain::new().await;
    let valid = chain.once(later());
    let other_schema = chain.caller.new_schema("Deals").await;
    let other_mapping = chain.caller.new_mapping_set(&other_schema).await;
    let id = "/transformations/0/params/mappingId";
    for (pointer, value, code) in [
        (id, json!("500a9b747fcf4908a21917d49bd61780"), "FLOW-1419-400"),
        (id, json!(other_mapping), "FLOW-1425-400"),
        ("/transformations/0/params/mappingVersion", json!(1), "FLOW-1412-400"),
        ("/transformations/0/params/mappingVersion", json!(null), "FLOW-1412-400"),
        ("/transformations", json!([]), "FLOW-1328-400"),
        ("/transformations", json!(null), "FLOW-1328-400"),
        ("/transformations", json!({}), "FLOW-1100-400"),
    ] {
        let mut body = valid.clone();
        *body.pointer_mut(pointer).unwrap() = value.clone();
        assert_eq!(chain.refusal(&body).await, code, "{pointer}: {value}");
    }
    let other_target = target(&chain.dataset, &other_schema);
    let other_target = chain.caller.new_id("/targetConnections", &other_target).await;
    let mut body = valid.clone();
    body["targetConnectionIds"] = json!([other_target]);
    assert_eq!(chain.refusal(&body).await, "FLOW-1425-400");

    let mut body = valid;
    body["transformations"][0]["params"]["mappingVersion"] = json!("0");
    chain.new_flow(&body).await;
}

#[tokio::test]
async fn what_a_flow_refers_to_must_still_exist() {
    let chain = Chain::new().await;
    let flow = chain.once(later());
    let dataset = format!("/catalog/dataSets/{}", chain.dataset);
    chain.caller.platform(Method::DELETE, &dataset, &json!({})).await;
    assert_eq!(chain.refusal(&flow).await, "FLOW-1101-404");
    let chain = Chain::new().await;
    let flow = chain.once(later());
    assert_eq!(chain.delete(&format!("/connections/{}", chain.base)).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(chain.refusal(&flow).await, "FLOW-1101-404");
}

#[tokio::test]
async fn tenants_do_not_see_one_anothers_resources() {
    let chain = Chain::new().await;
    let flow = chain.new_flow(&chain.once(later())).await;
    let other = chain.caller.for_tenant(chain.caller.org, "dev");
    for (list, id) in
        [("sourceConnections", &chain.source), ("targetConnections", &chain.target), ("flows", &flow)]
    {
        assert!(other.items(&format!("/{list}")).await.is_empty(), "{list}");
        assert_eq!(other.get(&format!("/{list}/{id}")).await.status(), StatusCode::NOT_FOUND, "{list}");
    }
}
