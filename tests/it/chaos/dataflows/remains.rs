//! What exists of one request, found by its markers.

use std::fmt;

use hubspot_connection_service::emulator::{BASE_PATH, CLIENT_ID, DEMO_ACCESS_TOKEN, Emulator, ORG_ID};
use serde_json::Value;

use super::requests::{Aim, Wish};

/// The IDs of what exists, by kind.
pub(super) struct Remains {
    pub(super) flow: Option<String>,
    flows: Vec<String>,
    parts: [Vec<String>; 4],
}

impl Remains {
    pub(super) async fn of(emulator: &Emulator, wish: &Wish) -> Self {
        let id = &wish.request.request_id;
        let flows: Vec<_> = emulator
            .flows()
            .into_iter()
            .filter(|flow| flow.name == wish.request.name)
            .map(|flow| flow.id)
            .collect();
        let parts = [
            list(emulator, &format!("{BASE_PATH}/sourceConnections?property=name==hubspot-{id}-source"))
                .await,
            list(emulator, &format!("{BASE_PATH}/targetConnections?property=name==hubspot-{id}-target"))
                .await,
            list(emulator, &format!("/data/foundation/conversion/mappingSets?limit=100&name=hubspot-{id}"))
                .await,
            list(emulator, &format!("/data/foundation/catalog/dataSets?tags=hubspotRequest:{id}")).await,
        ];
        Self { flow: flows.first().cloned(), flows, parts }
    }

    /// The numbers of flows, source connections, target connections, mapping sets and datasets.
    pub(super) fn counts(&self) -> [usize; 5] {
        let [sources, targets, mapping_sets, datasets] = self.parts.each_ref().map(Vec::len);
        [self.flows.len(), sources, targets, mapping_sets, datasets]
    }

    pub(super) fn expected(wish: &Wish) -> [usize; 5] {
        let dataset = usize::from(wish.makes_dataset());
        match wish.aim {
            Aim::Created => [1, 1, 1, 1, dataset],
            // Its dataset could have data.
            Aim::Deleted => [0, 0, 0, 0, dataset],
            Aim::Refused | Aim::GivenUp => [0; 5],
        }
    }
}

impl fmt::Display for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flow: _, flows, parts: [sources, targets, mapping_sets, datasets] } = self;
        write!(
            f,
            "flows {flows:?}, source connections {sources:?}, target connections {targets:?}, mapping sets \
             {mapping_sets:?}, datasets {datasets:?}"
        )
    }
}

/// The IDs in a list.
async fn list(emulator: &Emulator, path_and_query: &str) -> Vec<String> {
    let request = reqwest::Client::new().get(format!("http://{}{path_and_query}", emulator.addr()));
    let request = request.bearer_auth(DEMO_ACCESS_TOKEN).header("x-api-key", CLIENT_ID);
    let request = request.header("x-gw-ims-org-id", ORG_ID).header("x-sandbox-name", "prod");
    let response = request.send().await.unwrap();
    assert!(response.status().is_success(), "{response:?}");
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
    match (&body["items"], &body["data"]) {
        (Value::Array(items), _) | (_, Value::Array(items)) => items.iter().map(id).collect(),
        // The Catalog has its IDs as keys.
        _ => body.as_object().unwrap().keys().cloned().collect(),
    }
}
