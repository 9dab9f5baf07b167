//! Creating, reading, listing and deleting flows.

use super::*;

#[tokio::test]
async fn a_created_flow_can_be_read() {
    let chain = Chain::new().await;
    let mut body = chain.hourly(later());
    body["scheduleParams"]["backfill"] = json!(true);
    body["options"] = json!({"errorDiagnosticsEnabled": true, "partialIngestionPercent": 10});
    let created = chain.caller.posted("/flows", &body).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let location = created.headers()[header::LOCATION].to_str().unwrap().to_owned();
    let created = body_of(created).await;
    let id = created["id"].as_str().unwrap();
    assert!(location.ends_with(&format!("/flows/{id}")), "{location}");

    let flow = chain.flow(id).await;
    for field in [
        "name",
        "description",
        "flowSpec",
        "sourceConnectionIds",
        "targetConnectionIds",
        "transformations",
        "options",
    ] {
        assert_eq!(flow[field], body[field], "{field}");
    }
    let start = body["scheduleParams"]["startTime"].to_string();
    let hubspot = json!({"id": HUBSPOT, "version": "1.0"});
    for (field, value) in [
        ("etag", created["etag"].clone()),
        ("version", created["etag"].clone()),
        ("state", json!("enabled")),
        (
            "scheduleParams",
            json!({"startTime": start, "frequency": "hour", "interval": "1", "backfill": "true"}),
        ),
        (
            "inheritedAttributes",
            json!({
                "properties": {"isSourceFlow": true},
                "sourceConnections": [{
                    "id": chain.source, "connectionSpec": hubspot,
                    "baseConnection": {"id": chain.base, "connectionSpec": hubspot},
                }],
                "targetConnections": [{
                    "id": chain.target, "connectionSpec": {"id": DATA_LAKE, "version": "1.0"},
                }],
            }),
        ),
        ("runs", json!(format!("/runs?property=flowId=={id}"))),
    ] {
        assert_eq!(flow[field], value, "{field}");
    }
    assert_eq!(flow["lastOperation"]["operation"], "create");
    assert!(flow.get("lastRunDetails").is_none() && flow.get("labels").is_none(), "{flow}");

    let [entry] = &chain.caller.emulator.flows()[..] else { panic!("one flow") };
    assert_eq!((&entry.id, &entry.mapping_set_id), (&id.to_owned(), &chain.mapping_set));
    assert_eq!((entry.frequency, entry.start_time.to_string()), ("hour", start));
}

#[tokio::test]
async fn flows_are_filtered_by_what_they_use() {
    let chain = Chain::new().await;
    let caller = &chain.caller;
    let first = chain.new_flow(&chain.once(later())).await;
    let other_source = caller.new_id("/sourceConnections", &source(&chain.base, "Hubspot.All_Deals")).await;
    let mut body = chain.once(later());
    body["sourceConnectionIds"] = json!([other_source]);
    body["name"] = json!("Deals");
    let second = chain.new_flow(&body).await;
    let both = vec![&second, &first];
    for (property, ids) in [
        (format!("sourceConnectionIds[]=={other_source}"), vec![&second]),
        (format!("sourceConnectionIds[]=={},{other_source}", chain.source), both.clone()),
        ("sourceConnectionIds[]==other".to_owned(), vec![]),
        (format!("targetConnectionIds[]=={}", chain.target), both.clone()),
        (format!("inheritedAttributes.sourceConnections[].connectionSpec.id=={HUBSPOT}"), both.clone()),
        (format!("inheritedAttributes.sourceConnections[].baseConnection.id=={}", chain.base), both.clone()),
        ("inheritedAttributes.properties.isSourceFlow==true".to_owned(), both.clone()),
        (format!("transformations[].params.mappingId=={}", chain.mapping_set), both),
        ("name==Deals".to_owned(), vec![&second]),
        ("state==disabled".to_owned(), vec![]),
    ] {
        let items = caller.items(&format!("/flows?property={property}")).await;
        let found: Vec<_> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!(found, ids, "{property}");
    }
    let page = body_of(caller.get("/flows?limit=1&orderby=name").await).await;
    assert_eq!(page["items"][0]["name"], "Contacts");
    let next = page["_links"]["next"]["href"].as_str().unwrap();
    assert_eq!(caller.items(next).await[0]["name"], "Deals");
    assert_eq!(body_of(caller.get("/flows?count=true").await).await, json!({"count": 2}));
}

#[tokio::test]
async fn a_lagging_index_hides_every_resource_from_its_list_alone() {
    let chain = Chain::new().await;
    let flow = chain.new_flow(&chain.once(later())).await;
    chain.make_run(PlannedRun::once(&flow, Outcome::Succeeded));
    let run = chain.runs(&flow).await[0]["id"].as_str().unwrap().to_owned();
    chain.settings(Settings { index_lag: Duration::from_secs(3600), ..Settings::default() });
    for (list, id) in [
        ("/sourceConnections", &chain.source),
        ("/targetConnections", &chain.target),
        ("/flows", &flow),
        ("/runs", &run),
    ] {
        assert!(chain.caller.items(list).await.is_empty(), "{list}");
        assert_eq!(chain.caller.item_at(&format!("{list}/{id}")).await["id"], *id);
    }
}

#[tokio::test]
async fn what_a_flow_uses_stays_until_the_flow_is_gone() {
    let chain = Chain::new().await;
    let caller = &chain.caller;
    let flow = chain.new_flow(&chain.once(later())).await;
    let [source, target] =
        [format!("/sourceConnections/{}", chain.source), format!("/targetConnections/{}", chain.target)];
    let base = format!("/connections/{}", chain.base);
    let refused = chain.delete(&base).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let body = body_of(refused).await;
    assert!(body["type"].as_str().unwrap().ends_with("FLOW-1418-400"), "{body}");
    assert_eq!(body["report"]["flows"], json!([flow]));
    for path in [&source, &target] {
        assert_eq!(code_of(chain.delete(path).await).await, "FLOW-1447-400");
    }
    let path = format!("/flows/{flow}");
    assert_eq!(chain.delete(&path).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(caller.get(&path).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(chain.delete(&path).await.status(), StatusCode::NOT_FOUND);
    for path in [&source, &target, &base] {
        assert_eq!(chain.delete(path).await.status(), StatusCode::NO_CONTENT, "{path}");
        assert_eq!(caller.get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let left = Ledger { mapping_sets: 1, datasets: 1, schemas: 1, ..Ledger::default() };
    assert_eq!(caller.emulator.ledger(), left);
    let shown = body_of(caller.control(Method::GET, "/ledger", "").await).await;
    assert_eq!(
        shown,
        json!({
            "connections": 0, "source_connections": 0, "target_connections": 0, "flows": 0,
            "mapping_sets": 1, "datasets": 1, "schemas": 1, "field_groups": 0,
        })
    );
}

#[tokio::test]
async fn settings_change_what_can_be_deleted() {
    let chain = Chain::new().await;
    let flow = chain.new_flow(&chain.once(later())).await;
    let no_flows = [(chain.base.clone(), Vec::new())].into();
    chain.settings(Settings {
        protect_used_connections: false,
        flows: no_flows,
        delete_status: StatusCode::ACCEPTED,
        ..Settings::default()
    });
    for path in [
        format!("/sourceConnections/{}", chain.source),
        format!("/targetConnections/{}", chain.target),
        format!("/connections/{}", chain.base),
        format!("/flows/{flow}"),
    ] {
        assert_eq!(chain.delete(&path).await.status(), StatusCode::ACCEPTED, "{path}");
        assert_eq!(chain.caller.get(&path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}
