//! Source connections and flow specifications.

use hubspot_connection_service::emulator::SourceParams;

use super::*;

#[tokio::test]
async fn a_created_source_connection_can_be_read_and_listed() {
    let chain = Chain::new().await;
    let caller = &chain.caller;
    let item = caller.item_at(&format!("/sourceConnections/{}", chain.source)).await;
    let spec = json!({"id": HUBSPOT, "version": "1.0"});
    for (field, value) in [
        ("name", json!("source")),
        ("baseConnectionId", json!(chain.base)),
        ("state", json!("enabled")),
        ("data", json!({"format": "tabular", "schema": null, "properties": null})),
        ("params", json!({"path": "Hubspot.Contacts", "tableName": "Hubspot.Contacts"})),
        ("connectionSpec", spec.clone()),
        ("inheritedAttributes", json!({"baseConnection": {"id": chain.base, "connectionSpec": spec}})),
        ("version", item["etag"].clone()),
    ] {
        assert_eq!(item[field], value, "{field}");
    }
    let deals = caller.new_id("/sourceConnections", &source(&chain.base, "Hubspot.All_Deals")).await;
    for (property, ids) in [
        ("params.tableName==Hubspot.All_Deals".to_owned(), vec![&deals]),
        (format!("id=={deals},{}", chain.source), vec![&deals, &chain.source]),
        (format!("baseConnectionId=={}", chain.base), vec![&deals, &chain.source]),
        ("name==source&property=params.path==Hubspot.Contacts".to_owned(), vec![&chain.source]),
        ("name==other".to_owned(), vec![]),
    ] {
        let items = caller.items(&format!("/sourceConnections?property={property}")).await;
        let found: Vec<_> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!(found, ids, "{property}");
    }
    let count = body_of(caller.get("/sourceConnections?count=true").await).await;
    assert_eq!(count, json!({"count": 2}));
    let page = body_of(caller.get("/sourceConnections?limit=1").await).await;
    let next = page["_links"]["next"]["href"].as_str().unwrap();
    assert!(next.starts_with("/sourceConnections?continuationToken="), "{next}");
    assert_eq!(caller.items(next).await[0]["id"], chain.source);
}

#[tokio::test]
async fn a_wrong_source_connection_is_refused() {
    let chain = Chain::new().await;
    let caller = &chain.caller;
    let valid = source(&chain.base, "Hubspot.Contacts");
    let salesforce = json!({
        "name": "Salesforce",
        "auth": {"specName": "Basic Authentication", "params": {
            "username": "a", "password": "b", "securityToken": "c",
        }},
        "connectionSpec": {"id": "cfc0fee1-7dc0-40ef-b73e-d8b134c436f5", "version": "1.0"},
    });
    let salesforce = caller.new_id("/connections", &salesforce).await;
    for (pointer, value, code) in [
        ("/connectionSpec/id", json!("other"), "FLOW-1413-400"),
        ("/baseConnectionId", json!(null), "FLOW-1323-400"),
        ("/baseConnectionId", json!("other"), "FLOW-1101-404"),
        ("/baseConnectionId", json!(salesforce), "FLOW-1100-400"),
        ("/data", json!(null), "FLOW-1323-400"),
        ("/data/format", json!("json"), "FLOW-1327-400"),
        ("/params", json!({}), "FLOW-1323-400"),
        ("/name", json!(null), "FLOW-1100-400"),
    ] {
        let mut body = valid.clone();
        *body.pointer_mut(pointer).unwrap() = value.clone();
        let response = caller.posted("/sourceConnections", &body).await;
        assert_eq!(code_of(response).await, code, "{pointer}: {value}");
    }
    let elsewhere = caller.for_tenant(caller.org, "dev").posted("/sourceConnections", &valid).await;
    assert_eq!(code_of(elsewhere).await, "FLOW-1101-404");
    assert_eq!(caller.emulator.ledger().source_connections, 1);
}

#[tokio::test]
async fn settings_demand_a_parameter_and_explore_the_table() {
    let chain = Chain::new().await;
    let unknown = source(&chain.base, "Hubspot.Nothing");
    chain.settings(Settings { path_explores: true, ..Settings::default() });
    let response = chain.caller.posted("/sourceConnections", &unknown).await;
    assert_eq!(code_of(response).await, "FLOW-1330-400");
    chain.settings(Settings { source_params: Some(SourceParams::TableName), ..Settings::default() });
    let response = chain.caller.posted("/sourceConnections", &unknown).await;
    assert_eq!(code_of(response).await, "FLOW-1100-400");
    chain.settings(Settings::default());
    chain.caller.new_id("/sourceConnections", &unknown).await;
}

#[tokio::test]
async fn a_source_connection_is_changed_by_its_etag() {
    let chain = Chain::new().await;
    let path = format!("/sourceConnections/{}", chain.source);
    let params = json!({"tableName": "Hubspot.All_Deals"});
    let instructions = json!([
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "replace", "path": "/params", "value": params},
    ]);
    assert_eq!(chain.patch(&path, &instructions).await.status(), StatusCode::OK);
    let item = chain.caller.item_at(&path).await;
    assert_eq!((&item["name"], &item["params"]), (&json!("new"), &params));
    let base = json!([{"op": "replace", "path": "/baseConnectionId", "value": "other"}]);
    assert_eq!(code_of(chain.patch(&path, &base).await).await, "FLOW-1455-400");
}

#[tokio::test]
async fn the_flow_specification_is_found_by_its_name() {
    let chain = Chain::new().await;
    let found = chain.caller.items("/flowSpecs?property=name==%22CRMToAEP%22").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["id"], CRM_TO_AEP);
    assert_eq!(found[0]["targetConnectionSpecIds"], json!([DATA_LAKE]));
    assert!(found[0]["sourceConnectionSpecIds"].as_array().unwrap().contains(&json!(HUBSPOT)));
    assert_eq!(chain.caller.item_at(&format!("/flowSpecs/{CRM_TO_AEP}")).await, found[0]);
    assert!(chain.caller.items("/flowSpecs?property=name==Other").await.is_empty());
    assert_eq!(chain.caller.get("/flowSpecs/other").await.status(), StatusCode::NOT_FOUND);
}
