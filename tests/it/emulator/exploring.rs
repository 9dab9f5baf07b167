//! Testing and exploring connections, and the connection specifications.

use http::StatusCode;
use hubspot_connection_service::emulator::{Settings, connection_specs};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Caller, body_of};

const HUBSPOT: &str = "cc6a4487-9e91-433e-a3a3-9cf6626c1806";
const SALESFORCE: &str = "cfc0fee1-7dc0-40ef-b73e-d8b134c436f5";

async fn created(caller: &Caller) -> String {
    let created = body_of(caller.create("a").await.unwrap()).await;
    format!("/connections/{}", created["id"].as_str().unwrap())
}

fn member<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[name].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_failed_connection_test_is_no_error() {
    let caller = Caller::new().await;
    let path = created(&caller).await;
    for result in [true, false] {
        caller.emulator.settings(Settings { test_result: result, ..Settings::default() });
        let response = caller.get(&format!("{path}/test")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(body_of(response).await, json!({"result": result}));
    }
}

#[tokio::test]
async fn exploring_the_root_lists_tables_and_exploring_a_table_its_columns() {
    let caller = Caller::new().await;
    let path = created(&caller).await;
    let root = body_of(caller.get(&format!("{path}/explore?objectType=root")).await).await;
    let tables = ["Hubspot.All_Deals", "Hubspot.Blog_Authors", "Hubspot.Blog_Comments", "Hubspot.Contacts"];
    assert_eq!(member(&root, "path"), tables);
    assert_eq!(
        root[3],
        json!({
            "type": "table", "name": "Hubspot.Contacts", "path": "Hubspot.Contacts",
            "canPreview": true, "canFetchSchema": true,
        })
    );
    assert_eq!(body_of(caller.get(&format!("{path}/explore/?objectType=ROOT")).await).await, root);

    for (object_type, table) in ["TABLE", "table", "Table", "table"].iter().zip(tables) {
        let query =
            format!("objectType={object_type}&object={table}&FileType=Delimited&CompressionType=gzip");
        let schema = body_of(caller.get(&format!("{path}/explore?{query}")).await).await;
        assert_eq!(schema["format"], "flat");
        let columns = &schema["schema"]["columns"];
        assert!(member(columns, "name").len() > 3, "{schema}");
        if table == "Hubspot.Contacts" {
            assert!(member(columns, "name").contains(&"Vid"));
            assert_eq!(
                columns[2],
                json!({
                    "name": "Added_At", "type": "string", "meta:xdmType": "date-time",
                    "xdm": {"type": "string", "format": "date-time"},
                })
            );
        }
    }
}

#[tokio::test]
async fn what_cannot_be_explored_is_rejected() {
    let caller = Caller::new().await;
    let path = created(&caller).await;
    for (query, says) in [
        ("", "FLOW-1359-400"),
        ("?object=Hubspot.Contacts", "FLOW-1359-400"),
        ("?objectType=", "FLOW-1334-400"),
        ("?objectType=table", "FLOW-1337-400"),
        ("?objectType=table&object=", "FLOW-1337-400"),
        ("?objectType=FILE&object=a.csv", "FLOW-1358-400"),
        ("?objectType=rest", "FLOW-1358-400"),
        ("?objectType=schema", "FLOW-1358-400"),
        ("?objectType=root&preview=true", "FLOW-1451-400"),
        ("?objectType=table&object=Hubspot.Nothing", "No columns were found for table Hubspot.Nothing"),
        ("?objectType=table&object=Account", "FLOW-1100-400"),
    ] {
        let response = caller.get(&format!("{path}/explore{query}")).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
        let text = response.text().await.unwrap();
        assert!(text.contains(says), "{query}: {text}");
    }
}

#[tokio::test]
async fn a_connection_to_another_source_has_its_own_tables() {
    let caller = Caller::new().await;
    let body = json!({
        "name": "Salesforce",
        "auth": {"specName": "Basic Authentication", "params": {
            "username": "user", "password": "canary", "securityToken": "canary",
        }},
        "connectionSpec": {"id": SALESFORCE, "version": "1.0"},
    });
    let created = caller.try_send(Method::POST, "/connections", Some(body)).await.unwrap();
    let id = body_of(created).await["id"].as_str().unwrap().to_owned();
    let root = body_of(caller.get(&format!("/connections/{id}/explore?objectType=root")).await).await;
    assert_eq!(member(&root, "path"), ["Account", "Contact"]);
}

#[tokio::test]
async fn a_connection_specification_is_found_by_its_properties_and_its_id() {
    let caller = Caller::new().await;
    let provider = "0ed90a81-07f4-4586-8190-b40eccef1c5a";
    for (query, ids) in [
        (String::new(), &[HUBSPOT, SALESFORCE][..]),
        ("?property=name==%22hubspot%22".to_owned(), &[HUBSPOT]),
        ("?property=name==hubspot".to_owned(), &[HUBSPOT]),
        (format!("?property=id=={SALESFORCE},{HUBSPOT}"), &[HUBSPOT, SALESFORCE]),
        (format!("?property=providerId=={provider}&property=name==salesforce"), &[SALESFORCE]),
        (format!("?property=name==hubspot&property=id=={SALESFORCE}"), &[]),
        ("?property=name==other&limit=5".to_owned(), &[]),
    ] {
        let list = body_of(caller.get(&format!("/connectionSpecs{query}")).await).await;
        assert_eq!(member(&list["items"], "id"), ids, "{query}");
        assert!(list.get("_links").is_none(), "{query}");
    }
    let count = body_of(caller.get("/connectionSpecs?count=true").await).await;
    assert_eq!(count, json!({"count": 2}));

    let first = body_of(caller.get("/connectionSpecs?limit=1").await).await;
    assert_eq!(member(&first["items"], "id"), [HUBSPOT]);
    let next = first["_links"]["next"]["href"].as_str().unwrap();
    let second = body_of(caller.get(&format!("{next}&limit=1")).await).await;
    assert_eq!(member(&second["items"], "id"), [SALESFORCE]);
    assert!(second.get("_links").is_none());

    let one = body_of(caller.get(&format!("/connectionSpecs/{HUBSPOT}")).await).await;
    assert_eq!(one["items"], first["items"]);
    for (path, status) in [
        ("/connectionSpecs/other", 404),
        ("/connectionSpecs?limit=1&count=true", 400),
        ("/connectionSpecs?continuationToken=other", 400),
        ("/connectionSpecs?property=attributes==x", 400),
        ("/connectionSpecs?mode=draft", 400),
    ] {
        assert_eq!(caller.get(path).await.status().as_u16(), status, "{path}");
    }
    let nowhere = caller.for_tenant("nobody", "prod");
    assert_eq!(nowhere.get("/connectionSpecs").await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_specification_of_hubspot_shows_the_required_parameters() {
    let caller = Caller::new().await;
    let list = body_of(caller.get("/connectionSpecs?property=name==hubspot").await).await;
    let item = &list["items"][0];
    assert_eq!((&item["name"], &item["version"]), (&json!("hubspot"), &json!("1.0")));
    assert_eq!(item["permissionsInfo"]["manage"][0]["permissions"], json!(["write"]));
    assert_eq!(item["attributes"]["isSource"], true);
    let auth = &item["authSpec"][0];
    assert_eq!(auth["name"], "Basic Authentication");
    assert_eq!(auth["spec"]["required"], json!(["clientId", "clientSecret", "accessToken", "refreshToken"]));
    for connection_specs::Param { name, secret, .. } in connection_specs::HUBSPOT.params {
        let property = &auth["spec"]["properties"][name];
        assert_eq!(property["type"], "string");
        assert_eq!(property.get("format"), secret.then_some(&json!("password")), "{name}");
    }
}

#[tokio::test]
async fn a_changed_auth_spec_is_shown_and_has_no_other_effect() {
    let caller = Caller::new().await;
    let auth_spec = json!({"name": "OAuth2 Refresh Code", "spec": {"type": "object", "required": ["code"]}});
    for (setting, shown) in [
        (auth_spec.clone(), json!([auth_spec])),
        (json!([auth_spec, auth_spec]), json!([auth_spec, auth_spec])),
    ] {
        let settings = json!({"auth_spec": setting}).to_string();
        let set = caller.control(Method::PUT, "/settings", &settings).await;
        assert_eq!(set.status(), StatusCode::NO_CONTENT);
        let list = body_of(caller.get("/connectionSpecs").await).await;
        assert_eq!(list["items"][0]["authSpec"], shown);
        assert_eq!(list["items"][1]["authSpec"][0]["name"], "Basic Authentication");
        assert_eq!(caller.create("a").await.unwrap().status(), StatusCode::CREATED);
    }
}
