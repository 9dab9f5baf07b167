//! Dataflows.

use hubspot_connection_service::proto::{
    CreateHubSpotDataflowRequest, DataflowSchedule, ListHubSpotDataflowRunsRequest, NewDataset,
    SchemaFromTable, create_hub_spot_dataflow_request::Target, dataflow_schedule::Frequency,
    hub_spot_dataflow_service_client::HubSpotDataflowServiceClient, new_dataset::Schema,
};
use serde_json::json;

use crate::support::{TestService, counted};

#[tokio::test]
async fn an_undo_counts_by_what_it_leaves() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let refused = json!({"route": "POST /flows", "action": {"status": 400, "code": "1413"}});
    let delete = "DELETE /sourceConnections/{id}";
    for (faults, outcome) in [
        (json!([refused]), "deleted"),
        (json!([refused, {"route": delete, "action": {"status": 403, "code": "2120"}}]), "kept"),
        (json!([refused, {"route": delete, "action": {"status": 503, "shape": "empty"}}]), "remains"),
    ] {
        service.inject(faults);
        let request = CreateHubSpotDataflowRequest { request_id: String::new(), ..request.clone() };
        service.create_dataflow(request).await.unwrap_err();
        let undone = format!("hubspot_connection_undos_total{{outcome=\"{outcome}\"}}");
        assert_eq!(counted(service.admin, &undone).await, 1, "{outcome}");
    }
}

#[tokio::test]
async fn parts_of_dataflows_count_by_result_and_runs_by_state_each_time_they_are_read() {
    let service = TestService::start().await;
    let connection = service.create().await.unwrap();
    let dataset = NewDataset {
        name: "contacts".to_owned(),
        schema: Some(Schema::SchemaFromTable(SchemaFromTable::default())),
        ..NewDataset::default()
    };
    let once = DataflowSchedule { frequency: Frequency::Once.into(), ..DataflowSchedule::default() };
    let request = CreateHubSpotDataflowRequest {
        name: "contacts".to_owned(),
        connection_id: connection.id,
        table: "Hubspot.Contacts".to_owned(),
        target: Some(Target::NewDataset(dataset)),
        schedule: Some(once),
        ..CreateHubSpotDataflowRequest::default()
    };
    let mut client = HubSpotDataflowServiceClient::connect(format!("http://{}", service.grpc)).await.unwrap();
    let id = client.create_hub_spot_dataflow(request).await.unwrap().into_inner().id;
    for part in ["schema", "dataset", "mapping_set", "source_connection", "target_connection", "flow"] {
        let created =
            format!("hubspot_connection_dataflow_steps_total{{part=\"{part}\",outcome=\"created\"}}");
        assert_eq!(counted(service.admin, &created).await, 1, "{part}");
    }

    let runs =
        json!([{"flow": id, "outcome": "succeeded", "count": 2}, {"flow": id, "outcome": "failed_copy"}]);
    service.emulator.make_runs(&serde_json::from_value::<Vec<_>>(runs).unwrap()).unwrap();
    for reads in 1..=2 {
        let request =
            ListHubSpotDataflowRunsRequest { id: id.clone(), ..ListHubSpotDataflowRunsRequest::default() };
        let listed = client.list_hub_spot_dataflow_runs(request).await.unwrap().into_inner();
        assert_eq!(listed.runs.len(), 3);
        for (state, runs) in [("succeeded", 2), ("failed", 1), ("unknown", 0)] {
            let read = format!("hubspot_connection_dataflow_runs_read_total{{state=\"{state}\"}}");
            assert_eq!(counted(service.admin, &read).await, runs * reads, "{state}");
        }
    }
}
