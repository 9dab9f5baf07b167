use std::sync::Arc;

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use super::*;
use crate::{
    adobe::Problem,
    domain::{
        InvalidReason, RequestId,
        dataflow::{DataflowId, DatasetId, SchemaId},
    },
    exactly_once::{Error, Failure, Made},
    grpc::status::creation_failed,
};

type DataflowFailure = Failure<DataflowId, CreateDataflowError>;

fn sandbox() -> SandboxName {
    SandboxName::parse("prod").unwrap()
}

fn error_of(failure: DataflowFailure) -> Error<DataflowId, CreateDataflowError> {
    let request_id = RequestId::generate();
    let failure = Arc::new(failure);
    Error { request_id, generated: false, sandbox: sandbox(), may_be_forgotten: false, failure }
}

/// The code, the message and the details of a failed creation.
fn of_creation(failure: DataflowFailure) -> (Code, String, ErrorDetails) {
    parts(creation_failed(&error_of(failure)))
}

fn parts(error: RpcError) -> (Code, String, ErrorDetails) {
    let status = Status::from(error);
    (status.code(), status.message().to_owned(), status.get_error_details())
}

fn reason(details: &ErrorDetails) -> &str {
    &details.error_info().unwrap().reason
}

fn metadata<'a>(details: &'a ErrorDetails, key: &str) -> Option<&'a str> {
    details.error_info()?.metadata.get(key).map(String::as_str)
}

fn of_dataflow(error: &DataflowError, action: Action) -> (Code, String, ErrorDetails) {
    parts(dataflow_failed(error, &sandbox(), "f-1", action))
}

fn refused(refusal: Refusal) -> CallError {
    CallError::Refused { refusal, problem: Problem { status: 403, ..Problem::default() } }
}

#[test]
fn what_does_not_fit_what_is_at_adobe_is_like_any_other_invalid_field() {
    let violation = Violation {
        field: "mappings[2].destination".to_owned(),
        reason: InvalidReason::NotFoundUpstream,
        sentence: "is not a field of the schema".to_owned(),
    };
    let failure = Failure::Operation(CreateDataflowError::Invalid(vec![violation]));
    let (code, message, details) = of_creation(failure);
    assert_eq!((code, reason(&details)), (Code::InvalidArgument, "INVALID_REQUEST"));
    assert_eq!(message, "mappings[2].destination is not a field of the schema");
    let found = &details.bad_request().unwrap().field_violations[0];
    assert_eq!((&*found.field, &*found.reason), ("mappings[2].destination", "NOT_FOUND_UPSTREAM"));
    assert!(metadata(&details, "request_id").is_some());
}

#[test]
fn what_the_request_names_and_does_not_exist_is_a_resource() {
    let schema = || SchemaId::parse("https://ns.adobe.com/acme/schemas/1").unwrap();
    let dataset = DatasetId::parse("d-1").unwrap();
    let title = "Contacts".to_owned();
    for (error, code, expected, name) in [
        (CreateDataflowError::DatasetNotFound(dataset), Code::NotFound, "DATASET_NOT_FOUND", "d-1"),
        (
            CreateDataflowError::SchemaNotFound(schema()),
            Code::NotFound,
            "SCHEMA_NOT_FOUND",
            schema().as_str(),
        ),
        (
            CreateDataflowError::TitleTaken { title, owner: schema() },
            Code::AlreadyExists,
            "SCHEMA_TITLE_TAKEN",
            schema().as_str(),
        ),
    ] {
        let (found, _, details) = of_creation(Failure::Operation(error));
        assert_eq!((found, reason(&details)), (code, expected));
        assert_eq!(details.resource_info().unwrap().resource_name, name);
    }
}

#[test]
fn a_missing_permission_is_named_with_its_service() {
    for (part, service, permission) in [
        (Part::Schema, "the Schema Registry", "Manage Schemas"),
        (Part::Dataset, "the Catalog", "Manage Datasets"),
        (Part::SourceConnection, "the Flow Service", "Manage Sources"),
    ] {
        let error = refused(Refusal::Permission);
        let (_, message, details) =
            of_creation(Failure::Operation(CreateDataflowError::Call { part, error }));
        assert_eq!(reason(&details), "PLATFORM_PERMISSION_MISSING");
        assert!(message.contains(permission), "{message}");
        let error = refused(Refusal::Request);
        let (_, message, _) = of_creation(Failure::Operation(CreateDataflowError::Call { part, error }));
        assert!(message.starts_with(service), "{message}");
    }
}

#[test]
fn a_preparation_that_failed_is_continued_with_the_same_request_id() {
    let error = CallError::Unreachable("refused".into());
    let failure = CreateDataflowError::Call { part: Part::MappingSet, error };
    let (code, message, details) = of_creation(Failure::Operation(failure));
    assert_eq!((code, reason(&details)), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert!(message.starts_with("Data Prep cannot be reached; no dataflow was created"), "{message}");
    assert!(message.contains("with the request_id in this error's metadata"), "{message}");
    assert_eq!(
        (metadata(&details, "stage"), metadata(&details, "may_exist")),
        (Some("prepare"), Some("false"))
    );
}

#[test]
fn where_the_store_may_have_forgotten_an_attempt_no_error_says_that_nothing_exists() {
    let error = || CallError::Unreachable("refused".into());
    let failed = || CreateDataflowError::Call { part: Part::MappingSet, error: error() };
    let forgotten = Error { may_be_forgotten: true, ..error_of(Failure::Operation(failed())) };
    let (_, message, details) = parts(creation_failed(&forgotten));
    assert!(message.contains("an earlier attempt may have created the dataflow"), "{message}");
    assert_eq!(metadata(&details, "may_exist"), Some("true"));
}

#[test]
fn a_withdrawal_that_fails_is_continued_by_the_same_call() {
    let error = CallError::Unreachable("refused".into());
    let failure = Failure::Operation(CreateDataflowError::Call { part: Part::Dataset, error });
    let (code, message, details) = parts(withdrawal_failed(&error_of(failure)));
    assert_eq!((code, reason(&details)), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert!(message.contains("repeat the call, which continues"), "{message}");
    assert_eq!(
        (metadata(&details, "stage"), metadata(&details, "may_exist")),
        (Some("delete"), Some("true"))
    );
    let nothing = Failure::Operation(CreateDataflowError::NothingMade);
    let (code, _, details) = parts(withdrawal_failed(&error_of(nothing)));
    assert_eq!((code, reason(&details)), (Code::NotFound, "DATAFLOW_NOT_FOUND"));
    assert_eq!(metadata(&details, "may_exist"), Some("false"));
}

#[test]
fn a_withdrawal_of_which_something_may_appear_is_repeated() {
    let unknown = Failure::OutcomeUnknown { problem: None, cause: None };
    let (code, message, details) = parts(withdrawal_failed(&error_of(unknown)));
    assert_eq!((code, reason(&details)), (Code::Unavailable, "OUTCOME_UNKNOWN"));
    assert!(message.contains("repeat the call with allow_missing"), "{message}");
    assert!(details.retry_info().is_some());
    assert_eq!(
        (metadata(&details, "stage"), metadata(&details, "may_exist")),
        (Some("delete"), Some("true"))
    );
}

#[test]
fn a_preparation_whose_lease_has_ended_is_in_progress_elsewhere() {
    let (code, message, details) = of_creation(Failure::Operation(CreateDataflowError::TakenOver));
    assert_eq!((code, reason(&details)), (Code::Aborted, "REQUEST_IN_PROGRESS"));
    assert!(message.contains("repeat the call"), "{message}");
    assert_eq!(metadata(&details, "may_exist"), Some("true"));
}

#[test]
fn what_a_refused_creation_leaves_behind_is_listed() {
    let error = refused(Refusal::Request);
    let failure = Box::new(Failure::NotCreated { error, may_exist: false });
    let leftovers = vec!["dataset/d-1".to_owned(), "schema/s-1".to_owned()];
    let (code, message, details) = of_creation(Failure::LeftBehind { failure, leftovers });
    assert_eq!((code, reason(&details)), (Code::InvalidArgument, "UPSTREAM_REJECTED"));
    assert_eq!(metadata(&details, "leftovers"), Some("dataset/d-1,schema/s-1"));
    assert!(message.contains("DeleteHubSpotDataflow"), "{message}");
}

#[test]
fn a_request_id_names_one_creation_whatever_its_method() {
    let created = |kind| Some(Made { kind, id: "x-1".to_owned() });
    for (kind, key) in [(Kind::Connection, "connection_id"), (Kind::Dataflow, "dataflow_id")] {
        let differs = vec!["method".to_owned()];
        let (_, message, details) = of_creation(Failure::RequestIdReused { differs, created: created(kind) });
        assert_eq!((reason(&details), metadata(&details, key)), ("REQUEST_ID_REUSED", Some("x-1")));
        assert!(message.ends_with("for another dataflow, use a new request_id"), "{message}");
    }
    let (code, _, details) = of_creation(Failure::Withdrawn);
    assert_eq!((code, reason(&details)), (Code::FailedPrecondition, "DATAFLOW_STATE"));
    assert_eq!(details.precondition_failure().unwrap().violations.len(), 1);
}

#[test]
fn an_unknown_outcome_is_that_of_a_dataflow() {
    let (code, message, details) = of_creation(Failure::OutcomeUnknown { problem: None, cause: None });
    assert_eq!((code, reason(&details)), (Code::Unavailable, "OUTCOME_UNKNOWN"));
    assert!(message.contains("the dataflow may exist"), "{message}");
}

#[test]
fn a_state_that_forbids_a_change_is_a_precondition() {
    let state = Some(DataflowState::Deleting);
    let (code, message, details) = of_dataflow(&DataflowError::State { state }, Action::Pause);
    assert_eq!((code, reason(&details)), (Code::FailedPrecondition, "DATAFLOW_STATE"));
    assert!(message.contains("DATAFLOW_STATE_DELETING; nothing was changed"), "{message}");
    assert_eq!(details.precondition_failure().unwrap().violations[0].subject, "dataflows/f-1");
}

#[test]
fn a_call_about_a_dataflow_says_how_to_go_on() {
    let retry_after = Duration::from_secs(1);
    let lost = || CallError::Unavailable { retry_after: None, problem: None, cause: "reset".into() };
    for (error, code, expected, words) in [
        (DataflowError::NotFound, Code::NotFound, "DATAFLOW_NOT_FOUND", "ListHubSpotDataflows"),
        (DataflowError::InProgress { retry_after }, Code::Aborted, "REQUEST_IN_PROGRESS", "repeat the call"),
        (DataflowError::OutcomeUnknown(lost()), Code::Unavailable, "OUTCOME_UNKNOWN", "allow_missing"),
        (
            DataflowError::Store(StoreError::Unreadable("damaged".to_owned())),
            Code::Internal,
            "RECORD_UNREADABLE",
            "an operator",
        ),
        (DataflowError::Store(StoreError::LeaseLost), Code::Unavailable, "STORE_UNAVAILABLE", "try again"),
        (
            DataflowError::Call { part: Part::MappingSet, error: lost() },
            Code::Unavailable,
            "UPSTREAM_UNAVAILABLE",
            "Data Prep cannot be reached or did not respond in time; nothing was deleted",
        ),
    ] {
        let (found, message, details) = of_dataflow(&error, Action::Delete);
        assert_eq!((found, reason(&details)), (code, expected));
        assert!(message.contains(words), "{message}");
    }
}
