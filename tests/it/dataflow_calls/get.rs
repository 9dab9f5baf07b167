use hubspot_connection_service::proto::{self, DataflowState, dataflow_schedule::Frequency};
use tonic::Code;

use super::{Flow, NOT_FOUND, Setup};
use crate::support::{Failure, salesforce};

#[tokio::test]
async fn a_created_dataflow_is_read_with_its_table_and_its_dataset() {
    let mut setup = Setup::new().await;
    let created = setup.create("Contacts").await;
    let read = setup.get(&created.id).await.unwrap();
    assert_eq!((&read.id, &read.etag), (&created.id, &created.etag));
    assert_eq!((&*read.name, &*read.description), ("Contacts", ""));
    assert_eq!(read.state(), DataflowState::Enabled);
    assert_eq!((&*read.sandbox_name, &read.connection_id), ("prod", &setup.connection));
    assert_eq!((&*read.table, &read.request_id), ("Hubspot.Contacts", &created.request_id));
    let (shown, made) = (read.resources.unwrap(), created.resources.unwrap());
    assert_eq!(shown.source_connection_id, made.source_connection_id);
    assert_eq!(shown.target_connection_id, made.target_connection_id);
    assert_eq!(shown.mapping_set_id, made.mapping_set_id);
    assert_eq!((&shown.dataset_id, &shown.schema_id), (&made.dataset_id, &made.schema_id));
    let schedule = read.schedule.unwrap();
    assert_eq!((schedule.frequency(), schedule.interval), (Frequency::Hour, 1));
    assert_eq!(schedule.start_time, created.start_time);
    assert_eq!(schedule.delta_column.unwrap().name, "Added_At");
    assert!(read.create_time.is_some() && read.update_time.is_some() && read.last_run.is_none());
}

#[tokio::test]
async fn a_dataflow_made_in_the_user_interface_is_read() {
    let mut setup = Setup::new().await;
    let flow = setup.create_elsewhere("By hand").await;
    let read = setup.get(&flow.id).await.unwrap();
    assert_eq!((&*read.name, &*read.table), ("By hand", "Hubspot.Contacts"));
    assert_eq!((&read.connection_id, &*read.request_id), (&setup.connection, ""));
    let resources = read.resources.unwrap();
    assert_eq!((resources.dataset_id, resources.schema_id), (flow.dataset, flow.schema));
    assert_eq!((resources.source_connection_id, resources.target_connection_id), (flow.source, flow.target));
    assert_eq!(resources.mapping_set_id, flow.mapping_set);
}

#[tokio::test]
async fn a_flow_of_another_source_is_not_found() {
    let mut setup = Setup::new().await;
    let connection = salesforce(&setup.service.emulator).await;
    let flow = Flow::of_salesforce(&setup.service.emulator, &connection, "Accounts").await;
    for id in [&*flow.id, "3f8a5c1e-0000-4000-8000-000000000000"] {
        let failure = setup.get(id).await.unwrap_err();
        assert_eq!(failure.row(), NOT_FOUND);
        assert_eq!(failure.metadata("dataflow_id"), id);
        assert_eq!(failure.resource.unwrap(), ("dataflow".to_owned(), id.to_owned()));
        assert!(failure.forbids_retry);
    }
}

#[tokio::test]
async fn a_dataflow_is_in_one_sandbox() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    for (sandbox, row) in [("dev", NOT_FOUND), ("secret", (Code::PermissionDenied, "SANDBOX_NOT_ALLOWED"))] {
        let at = (id.clone(), sandbox.to_owned());
        let (id, sandbox_name) = at.clone();
        let get = setup.client.get_hub_spot_dataflow(proto::GetHubSpotDataflowRequest { id, sandbox_name });
        assert_eq!(Failure::from(get.await.unwrap_err()).row(), row, "{sandbox}");
        let (id, sandbox_name) = at.clone();
        let pause = proto::PauseHubSpotDataflowRequest { id, sandbox_name };
        let pause = setup.client.pause_hub_spot_dataflow(pause);
        assert_eq!(Failure::from(pause.await.unwrap_err()).row(), row, "{sandbox}");
        let (id, sandbox_name) = at;
        let delete = proto::DeleteHubSpotDataflowRequest { sandbox_name, ..super::deletion(&id, false) };
        let delete = setup.client.delete_hub_spot_dataflow(delete);
        assert_eq!(Failure::from(delete.await.unwrap_err()).row(), row, "{sandbox}");
    }
    assert_eq!(setup.flow(&id).0, "enabled");
}

#[tokio::test]
async fn an_id_that_is_none_is_refused_before_anything_is_sent() {
    let mut setup = Setup::new().await;
    let sent = setup.service.emulator.received().len();
    for id in ["", "a/b", "../connections", "a b"] {
        let failure = setup.get(id).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"), "{id:?}");
        assert_eq!(failure.violations[0].0, "id");
    }
    assert_eq!(setup.service.emulator.received().len(), sent);
}
