//! Errors of calls about dataflows.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tonic::Code;

use crate::{
    adobe::{CallError, Refusal},
    domain::{
        Invalid, SandboxName, Stage,
        dataflow::{DataflowRef, DataflowState},
    },
    error::error_chain,
    exactly_once::{Failure, Kind, store::StoreError},
    grpc::{
        call::Call,
        connections::{not_found, table_not_found},
        status::{
            DEFAULT_RETRY, Effect, FailureOfKind, Reason, RpcError, Upstream, call_failed, creation_failed,
            start, store_failed, too_many, unrecognized,
        },
        violations,
    },
    service::dataflows::{
        create,
        error::{CreateDataflowError, DataflowError, Part, Violation},
    },
};

/// When to repeat the deletion of a creation of which something may still appear.
const WITHDRAWAL_RETRY: Duration = Duration::from_secs(5);

impl FailureOfKind for CreateDataflowError {
    const KIND: Kind = Kind::Dataflow;
    const PART: Part = Part::Flow;

    fn failed(&self, sandbox: &SandboxName, _: bool, may_exist: bool) -> RpcError {
        let effect =
            if may_exist { Effect::MayExist(Kind::Dataflow) } else { Effect::NothingCreated(Kind::Dataflow) };
        let failure = not_created(self, sandbox, effect);
        let failure = if let Self::Call { error, .. } = self
            && error.refusal().is_none()
        {
            // What was prepared stays, and another request_id would prepare it again.
            failure.also(
                "repeat the call with the request_id in this error's metadata, which continues with what is prepared",
            )
        } else {
            failure
        };
        let may_exist = may_exist || matches!(self, Self::TakenOver);
        failure.at_stage(Stage::Prepare).metadata("may_exist", may_exist)
    }
}

/// The error of the deletion of what a creation has made that nobody will retry.
pub(super) fn withdrawal_failed(error: &create::Error) -> RpcError {
    let create::Error { request_id, sandbox, failure, .. } = error;
    if let Failure::OutcomeUnknown { .. } = &**failure {
        return withdrawal_unknown().metadata("request_id", request_id).cause(error_chain(error));
    }
    let Failure::Operation(cause) = &**failure else { return creation_failed(error) };
    let failure = not_created(cause, sandbox, Effect::None);
    let may_exist = !matches!(cause, CreateDataflowError::NothingMade);
    let failure = if may_exist {
        failure.also("some of it may be deleted already: repeat the call, which continues")
    } else {
        failure
    };
    let failure = failure.at_stage(Stage::Delete).metadata("may_exist", may_exist);
    failure.metadata("request_id", request_id).cause(error_chain(error))
}

fn withdrawal_unknown() -> RpcError {
    let message = "what was sent with this create_request_id may still appear: repeat the call with allow_missing until \
                   it succeeds; once HCS_SETTLE_WINDOW has passed, that proves that nothing is left";
    RpcError::new(Code::Unavailable, Reason::OutcomeUnknown, message)
        .at_stage(Stage::Delete)
        .metadata("may_exist", true)
        .retry_after(WITHDRAWAL_RETRY)
}

/// The error of a dry run.
pub(super) fn plan_failed(error: &CreateDataflowError, sandbox: &SandboxName, call: &Call) -> RpcError {
    not_created(error, sandbox, Effect::None).at_stage(call.progress.stage()).cause(error_chain(error))
}

fn not_created(error: &CreateDataflowError, sandbox: &SandboxName, effect: Effect) -> RpcError {
    match error {
        CreateDataflowError::Invalid(found) => {
            let violation = |Violation { field, reason, sentence }: &Violation| violations::Violation {
                field: field.clone().into(),
                invalid: Invalid::new(*reason, sentence.clone()),
            };
            RpcError::invalid(found.iter().map(violation).collect())
        }
        CreateDataflowError::ConnectionNotFound(id) => not_found(id.as_str(), sandbox),
        CreateDataflowError::TableNotFound(table) => table_not_found(table.as_str()),
        CreateDataflowError::DatasetNotFound(id) => RpcError::new(
            Code::NotFound,
            Reason::DatasetNotFound,
            format!(
                "there is no dataset {id} in the sandbox {sandbox}: correct dataset_id, name the sandbox that holds \
                 it, or have a new dataset created (new_dataset)"
            ),
        )
        .resource("dataset", id.as_str(), "is not a dataset of the sandbox"),
        CreateDataflowError::NothingMade => RpcError::new(
            Code::NotFound,
            Reason::DataflowNotFound,
            format!(
                "the sandbox {sandbox} has nothing that a creation with this create_request_id has made: correct it, \
                 name the sandbox of the creation, or set allow_missing; from now on the id creates nothing"
            ),
        ),
        CreateDataflowError::SchemaNotFound(id) => RpcError::new(
            Code::NotFound,
            Reason::SchemaNotFound,
            format!(
                "there is no schema {} in the sandbox {sandbox}: correct schema_id, name the sandbox that holds it, or \
                 have a new schema created (schema_from_table)",
                start(id.as_str())
            ),
        )
        .resource("schema", id.as_str(), "is not a schema of the sandbox"),
        CreateDataflowError::TitleTaken { title, owner } => RpcError::new(
            Code::AlreadyExists,
            Reason::SchemaTitleTaken,
            format!(
                "another schema of the sandbox {sandbox} has the title {:?}: set another \
                 new_dataset.schema_from_table.title, or use that schema (new_dataset.schema_id {owner})",
                start(title)
            ),
        )
        .resource("schema", owner.as_str(), "has the title of the new schema"),
        CreateDataflowError::Call { part, error } => call_failed(error, Upstream { part: *part, sandbox, effect }),
        CreateDataflowError::TakenOver => RpcError::new(
            Code::Aborted,
            Reason::RequestInProgress,
            "another process may have taken over the creation with this request_id: repeat the call to get its outcome",
        )
        .retry_after(DEFAULT_RETRY),
        CreateDataflowError::Store(StoreError::Unreadable(_)) => {
            unreadable("the store's record of what was deleted under this request_id", effect)
        }
        CreateDataflowError::Store(error) => store_failed(error, effect, ", with the same request_id"),
        CreateDataflowError::TooMany => too_many("too many calls are in progress: try again later"),
    }
}

/// What a call does with a dataflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Read,
    Pause,
    Resume,
    Delete,
}

impl Action {
    fn effect(self) -> Effect {
        match self {
            Self::Read => Effect::None,
            Self::Pause | Self::Resume => Effect::NothingChanged,
            Self::Delete => Effect::NothingDeleted,
        }
    }
}

/// The error of a call about a dataflow.
pub(super) fn failed<'a>(
    call: &'a Call,
    at: &'a DataflowRef,
    action: Action,
) -> impl Fn(DataflowError) -> RpcError + 'a {
    move |error| {
        dataflow_failed(&error, &at.sandbox, at.id.as_str(), action)
            .metadata("dataflow_id", &at.id)
            .at_stage(call.progress.stage())
            .cause(error_chain(&error))
    }
}

/// The error of a call about the dataflows of a sandbox.
pub(super) fn list_failed<'a>(
    call: &'a Call,
    sandbox: &'a SandboxName,
) -> impl Fn(DataflowError) -> RpcError + 'a {
    move |error| {
        dataflow_failed(&error, sandbox, "", Action::Read)
            .at_stage(call.progress.stage())
            .cause(error_chain(&error))
    }
}

fn dataflow_failed(error: &DataflowError, sandbox: &SandboxName, id: &str, action: Action) -> RpcError {
    let effect = action.effect();
    match error {
        DataflowError::NotFound => RpcError::new(
            Code::NotFound,
            Reason::DataflowNotFound,
            format!(
                "there is no dataflow {id} from HubSpot in the sandbox {sandbox}: take the ID from \
                 ListHubSpotDataflows, and name the sandbox that holds it"
            ),
        )
        .resource("dataflow", id, "is not a dataflow from HubSpot in the sandbox"),
        DataflowError::State { state } => {
            let state = match state {
                Some(state) => format!("the dataflow has the state {}", state_name(*state)),
                None => "the dataflow has a state that this service does not know".to_owned(),
            };
            state_forbids(&state, id, effect)
        }
        DataflowError::Call {
            part: Part::Flow,
            error: CallError::Refused { refusal: Refusal::State | Refusal::InUse, problem },
        } => {
            let what = format!("the state of the dataflow does not allow it {}", problem.said());
            state_forbids(&what, id, effect).problem(problem)
        }
        DataflowError::Call { part, error } => call_failed(error, Upstream { part: *part, sandbox, effect }),
        DataflowError::OutcomeUnknown(cause) => outcome_unknown(cause, action),
        DataflowError::InProgress { retry_after } => RpcError::new(
            Code::Aborted,
            Reason::RequestInProgress,
            "another call is deleting the dataflow: repeat the call to get its outcome",
        )
        .retry_after(*retry_after),
        DataflowError::Store(StoreError::Unreadable(_)) => {
            unreadable("the store's record of this deletion", effect)
        }
        DataflowError::Store(error) => store_failed(error, effect, ""),
    }
}

fn state_forbids(what: &str, id: &str, effect: Effect) -> RpcError {
    let cure = "GetHubSpotDataflow returns its state: wait until it is enabled or disabled, and repeat the call; one \
                that is a draft has to be published, and one that is being deleted is gone soon";
    RpcError::new(Code::FailedPrecondition, Reason::DataflowState, effect.message(what, cure))
        .preconditions([(format!("dataflows/{id}"), cure.to_owned())])
}

/// The name of the state in the API.
fn state_name(state: DataflowState) -> &'static str {
    crate::proto::DataflowState::from(state).as_str_name()
}

fn outcome_unknown(cause: &CallError, action: Action) -> RpcError {
    let (what, cure) = match action {
        Action::Delete => ("deletion", "repeat the call with allow_missing"),
        Action::Read | Action::Pause | Action::Resume => {
            ("change", "repeat the call, which is safe in either case")
        }
    };
    if let CallError::Unrecognized { retry_after, problem } = cause
        && !problem.replaces_lost_reply()
    {
        let what = format!("the {what} was sent, and the reply is not Adobe's");
        let effect = format!("it may have been executed, so {cure}");
        return unrecognized(&what, problem, *retry_after, &effect, Part::Flow);
    }
    let message = format!(
        "the {what} was sent to the Flow Service and the response was lost: it may have been executed, so {cure}"
    );
    RpcError::new(Code::Unavailable, Reason::OutcomeUnknown, message)
        .retry_after(DEFAULT_RETRY)
        .lost_reply(cause.problem())
}

fn unreadable(record: &str, effect: Effect) -> RpcError {
    let what = format!("{record} cannot be read: it is damaged, or a newer version of this service wrote it");
    let message = effect.message(&what, "an operator has to finish the update or repair the record");
    RpcError::new(Code::Internal, Reason::RecordUnreadable, message)
}
