//! Calls about dataflows wait for a store that is away.

use hubspot_connection_service::proto::{
    DeleteHubSpotDataflowRequest, delete_hub_spot_dataflow_request::Dataflow,
};

use super::{shared, withdraw};
use crate::{
    chaos::redis::SharedRedis,
    support::{TestService, dataflows::ONE_OF_EACH, until_counted},
};

#[tokio::test]
async fn a_creation_a_deletion_and_a_withdrawal_wait_for_a_store_that_is_away() {
    let Some(mut redis) = SharedRedis::start_with(&["--appendonly", "yes"]).await else { return };
    let service = TestService::with(shared(&redis)).await;
    let create = async || {
        let request = service.dataflow_request().await;
        (request.request_id.clone(), service.create_dataflow(request).await.unwrap().id)
    };
    let ((_, deleted), (withdrawn, _)) = (create().await, create().await);
    let request = service.dataflow_request().await;
    redis.server().kill().await;

    let delete = async {
        let request = DeleteHubSpotDataflowRequest {
            dataflow: Some(Dataflow::Id(deleted)),
            ..DeleteHubSpotDataflowRequest::default()
        };
        service.dataflows().await.delete_hub_spot_dataflow(request).await
    };
    let back = async {
        until_counted(service.admin, "hubspot_connection_idempotency_store_waiting", 3).await;
        redis.server().run().await.unwrap();
    };
    let (created, deleted, withdrawn, ()) =
        tokio::join!(service.create_dataflow(request), delete, withdraw(&service, &withdrawn, false), back);
    assert!(!created.unwrap().replayed);
    deleted.unwrap();
    assert_eq!(withdrawn.unwrap().leftovers, []);
    let ledger = service.ledger();
    assert_eq!(
        (ledger.flows, ledger.source_connections),
        (ONE_OF_EACH.flows, ONE_OF_EACH.source_connections)
    );
}
