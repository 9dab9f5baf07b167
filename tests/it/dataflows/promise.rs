//! One request creates one dataflow, and one request id names one creation.

use hubspot_connection_service::proto::{
    CreateHubSpotConnectionRequest, CreateHubSpotDataflowRequest, field_mapping::Kind, new_dataset::Schema,
};
use serde_json::json;
use tonic::Code;

use super::{FLOWS, hiding, left_unknown, mapping, shared, unnamed};
use crate::{
    chaos::redis::SharedRedis,
    support::{
        TestService,
        dataflows::{ONE_OF_EACH, hourly, new_dataset},
        request, request_with_id,
    },
};

#[tokio::test]
async fn a_replay_returns_the_first_response_even_when_everything_is_gone() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let first = service.create_dataflow(request.clone()).await.unwrap();
    let again = service.create_dataflow(request.clone()).await.unwrap();
    assert!(again.replayed);
    assert_eq!((&again.id, &again.etag, &again.resources), (&first.id, &first.etag, &first.resources));
    assert_eq!((&again.mappings, again.start_time), (&first.mappings, first.start_time));
    assert_eq!(service.ledger(), ONE_OF_EACH);

    service.emulator.reset();
    let upper_case =
        CreateHubSpotDataflowRequest { request_id: request.request_id.to_uppercase(), ..request };
    let again = service.create_dataflow(upper_case).await.unwrap();
    assert_eq!((again.id, again.replayed), (first.id, true));
    assert_eq!(service.posted_to("/flows").len(), 0, "not since the reset");
}

#[tokio::test]
async fn concurrent_calls_with_one_id_create_one_dataflow() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    service.inject(json!([{"route": FLOWS, "action": {"delay": "300ms"}}]));
    let calls = (0..5).map(|_| service.create_dataflow(request.clone()));
    let created: Vec<_> =
        futures_util::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert!(created.iter().all(|each| each.id == created[0].id));
    assert_eq!(created.iter().filter(|each| !each.replayed).count(), 1);
    assert_eq!(service.ledger(), ONE_OF_EACH);
}

#[tokio::test]
async fn a_call_without_a_request_id_gets_one() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let created = service.create_dataflow(unnamed(&request)).await.unwrap();
    assert_eq!(created.request_id.len(), 36);
    let named = CreateHubSpotDataflowRequest { request_id: created.request_id.clone(), ..request.clone() };
    assert_eq!(service.create_dataflow(named).await.unwrap().id, created.id);
}

#[tokio::test]
async fn a_request_id_with_other_content_is_refused_with_what_differs() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let created = service.create_dataflow(request.clone()).await.unwrap();
    let change = |change: &dyn Fn(&mut CreateHubSpotDataflowRequest)| {
        let mut changed = request.clone();
        change(&mut changed);
        changed
    };
    let into = new_dataset("other", Schema::SchemaId("https://ns.adobe.com/acme/schemas/1".to_owned()));
    for (changed, field) in [
        (change(&|r| r.name = "another".to_owned()), "name"),
        (change(&|r| r.description.clear()), "description"),
        (change(&|r| r.connection_id = "another".to_owned()), "connection_id"),
        (change(&|r| r.table = "Hubspot.All_Deals".to_owned()), "table"),
        (change(&|r| r.sandbox_name = "dev".to_owned()), "sandbox_name"),
        (change(&|r| r.schedule = Some(hourly("Added_At"))), "schedule.frequency"),
        (change(&|r| r.mappings.push(mapping("Vid", "_id", Kind::Attribute))), "mappings"),
        (change(&|r| r.target = Some(into.clone())), "new_dataset.schema_id"),
    ] {
        let failure = service.create_dataflow(changed).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "REQUEST_ID_REUSED"), "{field}: {failure:?}");
        assert!(failure.metadata("differs").split(',').any(|each| each == field), "{failure:?}");
        assert_eq!(failure.metadata("dataflow_id"), created.id);
    }
    assert_eq!(service.ledger(), ONE_OF_EACH);
}

#[tokio::test]
async fn one_request_id_names_one_creation_whatever_the_method() {
    let service = TestService::start().await;
    let dataflow = service.dataflow_request().await;
    let created = service.create_dataflow(dataflow.clone()).await.unwrap();
    let connection = CreateHubSpotConnectionRequest { request_id: dataflow.request_id.clone(), ..request() };
    let failure = service.send(connection).await.unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    assert_eq!((failure.metadata("dataflow_id"), failure.metadata("differs")), (&*created.id, "method"));

    let connection = request_with_id();
    let created = service.send(connection.clone()).await.unwrap();
    let dataflow = CreateHubSpotDataflowRequest { request_id: connection.request_id, ..dataflow.clone() };
    let failure = service.create_dataflow(dataflow).await.unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    assert_eq!((failure.metadata("connection_id"), failure.metadata("differs")), (&*created.id, "method"));
    assert_eq!((service.ledger().connections, service.ledger().flows), (2, 1));
}

#[tokio::test]
async fn a_flow_that_shows_neither_its_source_nor_its_reference_is_a_candidate_and_none_is_created() {
    let Some(redis) = SharedRedis::start().await else { return };
    let (emulator, request) = left_unknown(&redis, "after_commit").await;
    let proxy = hiding(&emulator, &["sourceConnectionIds", "description"]).await.base_url();
    let [url, key, create_timeout, settle_window] = shared(&redis);
    let settings = [url, key, create_timeout, settle_window, ("HCS_FLOW_SERVICE_URL", &*proxy)];
    let service = TestService::against(emulator, settings).await;
    let failure = service.repeat_dataflow_until_known(&request).await.unwrap_err();
    assert_eq!(failure.row(), (Code::FailedPrecondition, "OUTCOME_AMBIGUOUS"), "{failure:?}");
    assert_eq!(failure.metadata("candidates"), service.emulator.flows()[0].id);
    assert_eq!(failure.metadata("may_exist"), "true");
    assert!(failure.message.contains("dataflow"), "{failure:?}");
    assert_eq!(service.ledger(), ONE_OF_EACH);
}
