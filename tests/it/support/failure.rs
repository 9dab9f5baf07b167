//! The parts of an error as a caller sees it.

use std::{collections::BTreeMap, time::Duration};

use hubspot_connection_service::proto;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The problem of a field.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) reason: String,
    pub(crate) description: String,
}

/// An error as a caller sees it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// The path of each field in `BadRequest`, with its problem.
    pub(crate) violations: Vec<(String, Violation)>,
    /// The type, subject and description of each violation in `PreconditionFailure`.
    pub(crate) preconditions: Vec<(String, String, String)>,
    /// The type and name in `ResourceInfo`.
    pub(crate) resource: Option<(String, String)>,
    pub(crate) retry_after: Option<Duration>,
    /// Whether the trailer exists that prevents gRPC from retrying the call.
    pub(crate) forbids_retry: bool,
}

impl From<Status> for Failure {
    /// Splits an error, and checks the rules for every error of the service.
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
        assert_eq!(info.domain, "hubspot-connection-service");
        assert!(proto::ErrorReason::from_str_name(&info.reason).is_some(), "{}", info.reason);
        let failure = Self {
            code: status.code(),
            reason: info.reason.clone(),
            message: status.message().to_owned(),
            metadata: info.metadata.clone().into_iter().collect(),
            violations: details
                .bad_request()
                .map(|bad| bad.field_violations.iter())
                .into_iter()
                .flatten()
                .map(|v| {
                    let (reason, description) = (v.reason.clone(), v.description.clone());
                    (v.field.clone(), Violation { reason, description })
                })
                .collect(),
            preconditions: details
                .precondition_failure()
                .map(|failure| failure.violations.iter())
                .into_iter()
                .flatten()
                .map(|v| (v.r#type.clone(), v.subject.clone(), v.description.clone()))
                .collect(),
            resource: details.resource_info().map(|r| (r.resource_type.clone(), r.resource_name.clone())),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            forbids_retry: status.metadata().get("grpc-retry-pushback-ms").is_some_and(|ms| ms == "-1"),
        };
        assert!(!failure.message.is_empty());
        for (field, Violation { reason, .. }) in &failure.violations {
            assert!(proto::ViolationReason::from_str_name(reason).is_some(), "{field}: {reason}");
        }
        assert_ne!(failure.retry_after.is_some(), failure.forbids_retry, "{failure:?}");
        failure
    }
}

impl Failure {
    /// The code and the reason: a row of the error table.
    pub(crate) fn row(&self) -> (Code, &str) {
        (self.code, &self.reason)
    }

    /// A value of the metadata, empty if it is missing.
    pub(crate) fn metadata(&self, key: &str) -> &str {
        self.metadata.get(key).map(String::as_str).unwrap_or_default()
    }
}
