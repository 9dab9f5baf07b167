//! A credential without a permission.

use serde_json::json;
use tonic::Code;

use super::{DATASETS, FIELD_GROUPS, FLOWS, SCHEMAS, SOURCES};
use crate::support::{TestService, dataflows::ONLY_A_CONNECTION};

#[tokio::test]
async fn a_missing_permission_is_named_with_its_service() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    for (route, shape, permission) in [
        (FIELD_GROUPS, "E", "Manage Schemas"),
        (SCHEMAS, "E", "Manage Schemas"),
        ("GET /data/foundation/schemaregistry/stats", "E", "Manage Schemas"),
        (DATASETS, "E", "Manage Datasets"),
        ("GET /data/foundation/catalog/dataSets", "E", "Manage Datasets"),
        (SOURCES, "A", "Manage Sources"),
        (FLOWS, "A", "Manage Sources"),
    ] {
        service.inject(json!([{"route": route, "action": {"status": 403, "shape": shape}}]));
        let failure = service.create_dataflow(request.clone()).await.unwrap_err();
        assert_eq!(
            failure.row(),
            (Code::FailedPrecondition, "PLATFORM_PERMISSION_MISSING"),
            "{route}: {failure:?}"
        );
        assert!(failure.message.contains(permission), "{route}: {failure:?}");
        assert_eq!(service.ledger(), ONLY_A_CONNECTION, "{route}");
    }
}
