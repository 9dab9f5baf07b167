//! Requests become commands.

mod schedule;
mod target;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use self::{
    schedule::{parse_options, parse_schedule},
    target::parse_target,
};
use crate::{
    domain::{
        ConnectionId, Description, Invalid, InvalidReason, RequestId, ResourceName, SandboxName, Sandboxes,
        TablePath,
        dataflow::{
            DataflowId, DataflowRef, FieldMapping, MappingKind, MappingSource, NewDataflow, RunState, XdmPath,
        },
    },
    grpc::{
        page_token::{self, Query},
        timestamp,
        violations::{Rejection, Violations, optional, parse_page_size, required},
    },
    proto,
    service::dataflows::{
        create::CreateHubSpotDataflow,
        read::{DataflowFilter, ListHubSpotDataflows},
        runs::ListHubSpotDataflowRuns,
    },
};

#[derive(Debug)]
pub(super) enum Create {
    Command(CreateHubSpotDataflow),
    DryRun(NewDataflow),
}

pub(super) fn create(
    request: proto::CreateHubSpotDataflowRequest,
    sandboxes: &Sandboxes,
) -> Result<Create, Rejection> {
    let proto::CreateHubSpotDataflowRequest {
        name,
        description,
        connection_id,
        table,
        target,
        mappings,
        schedule,
        options,
        sandbox_name,
        request_id,
        validate_only,
    } = request;

    let mut violations = Violations::new(sandboxes);
    let name = violations.check("name", ResourceName::parse(&name));
    let description = violations.check("description", Description::parse(&description));
    let connection = violations.check("connection_id", ConnectionId::parse(&connection_id));
    let table = violations.check("table", TablePath::parse(&table));
    let target = parse_target(&mut violations, target);
    let mappings = parse_mappings(&mut violations, mappings);
    let schedule = parse_schedule(&mut violations, schedule);
    let options = parse_options(&mut violations, options.unwrap_or_default());
    let sandbox = violations.sandbox(&sandbox_name);
    // A dry run ignores it.
    let request_id = if validate_only { "" } else { &request_id };
    let request_id = violations.check("request_id", optional(request_id, RequestId::parse));
    let parsed = || {
        let dataflow = NewDataflow {
            sandbox: sandbox?,
            name: name?,
            description: description?,
            connection: connection?,
            table: table?,
            target: target?,
            mappings: mappings?,
            schedule: schedule?,
            options: options?,
        };
        Some((dataflow, request_id?))
    };
    let (dataflow, request_id) = violations.finish(parsed())?;
    Ok(if validate_only {
        Create::DryRun(dataflow)
    } else {
        Create::Command(CreateHubSpotDataflow { request_id, dataflow })
    })
}

fn parse_mappings(
    violations: &mut Violations<'_>,
    mappings: Vec<proto::FieldMapping>,
) -> Option<Vec<FieldMapping>> {
    let mut first = HashMap::new();
    let parsed: Vec<_> = mappings
        .into_iter()
        .enumerate()
        .map(|(index, proto::FieldMapping { source, destination, kind })| {
            let field = |name| format!("mappings[{index}].{name}");
            let source = violations.check(field("source"), MappingSource::parse(&source));
            let destination = XdmPath::parse(&destination).and_then(|path| {
                let earlier = *first.entry(path.clone()).or_insert(index);
                if earlier == index {
                    Ok(path)
                } else {
                    Err(twice(&format!("mappings[{earlier}].destination")))
                }
            });
            let destination = violations.check(field("destination"), destination);
            let kind = violations.check(field("kind"), parse_kind(kind));
            Some(FieldMapping { source: source?, destination: destination?, kind: kind? })
        })
        .collect();
    parsed.into_iter().collect()
}

/// The violation of a value that another field has already.
fn twice(field: &str) -> Invalid {
    Invalid::new(
        InvalidReason::Conflicting,
        format!("must not be the same as {field}: remove one of the two"),
    )
}

fn parse_kind(kind: i32) -> Result<MappingKind, Invalid> {
    use proto::field_mapping::Kind;
    match Kind::try_from(kind) {
        Ok(Kind::Unspecified | Kind::Attribute) => Ok(MappingKind::Attribute),
        Ok(Kind::Expression) => Ok(MappingKind::Expression),
        Ok(Kind::Static) => Ok(MappingKind::Static),
        Err(_) => Err(Invalid::new(
            InvalidReason::UnknownValue,
            "must be KIND_ATTRIBUTE, KIND_EXPRESSION or KIND_STATIC",
        )),
    }
}

pub(super) fn dataflow(
    id: &str,
    sandbox_name: &str,
    sandboxes: &Sandboxes,
) -> Result<DataflowRef, Rejection> {
    let mut violations = Violations::new(sandboxes);
    let at = parse_ref(&mut violations, id, sandbox_name);
    violations.finish(at)
}

fn parse_ref(violations: &mut Violations<'_>, id: &str, sandbox_name: &str) -> Option<DataflowRef> {
    let id = violations.check("id", DataflowId::parse(id));
    let sandbox = violations.sandbox(sandbox_name);
    Some(DataflowRef { sandbox: sandbox?, id: id? })
}

#[derive(Debug)]
pub(super) enum Delete {
    Dataflow(DataflowRef),
    /// What a creation has left.
    Abandoned {
        sandbox: SandboxName,
        request_id: RequestId,
    },
}

pub(super) fn delete(
    request: &proto::DeleteHubSpotDataflowRequest,
    sandboxes: &Sandboxes,
) -> Result<Delete, Rejection> {
    use proto::delete_hub_spot_dataflow_request::Dataflow;
    let proto::DeleteHubSpotDataflowRequest { dataflow, sandbox_name, allow_missing: _ } = request;
    let mut violations = Violations::new(sandboxes);
    let parsed = match dataflow {
        Some(Dataflow::Id(id)) => parse_ref(&mut violations, id, sandbox_name).map(Delete::Dataflow),
        Some(Dataflow::CreateRequestId(id)) => {
            let request_id = violations.check("create_request_id", RequestId::parse(id));
            let sandbox = violations.sandbox(sandbox_name);
            sandbox.zip(request_id).map(|(sandbox, request_id)| Delete::Abandoned { sandbox, request_id })
        }
        None => {
            violations.check::<()>("dataflow", Err(required("is required: set id or create_request_id")));
            violations.sandbox(sandbox_name);
            None
        }
    };
    violations.finish(parsed)
}

#[derive(Debug)]
pub(super) enum List {
    Page(ListHubSpotDataflows),
    /// Only the number of dataflows.
    Count {
        sandbox: SandboxName,
        filter: DataflowFilter,
    },
}

pub(super) fn list(
    request: proto::ListHubSpotDataflowsRequest,
    sandboxes: &Sandboxes,
) -> Result<List, Rejection> {
    let proto::ListHubSpotDataflowsRequest {
        sandbox_name,
        page_size,
        page_token,
        connection_id,
        name,
        count_only,
    } = request;
    let mut violations = Violations::new(sandboxes);
    let sandbox = violations.sandbox(&sandbox_name);
    let page_size = violations.check("page_size", parse_page_size(page_size));
    violations.no_page_of_a_count(count_only, &page_token);
    let connection = violations.check("connection_id", optional(&connection_id, ConnectionId::parse));
    let parsed = || Some((sandbox?, page_size?, connection?));
    let (sandbox, page_size, connection) = violations.finish(parsed())?;
    let filter = DataflowFilter { connection, name: Some(name).filter(|name| !name.is_empty()) };
    if count_only {
        return Ok(List::Count { sandbox, filter });
    }
    let query = Query::dataflows(&sandbox, &filter);
    let page = optional(&page_token, |token| page_token::decode(token, &query));
    let page = page.map_err(|invalid| Rejection::of("page_token", invalid))?;
    Ok(List::Page(ListHubSpotDataflows { sandbox, filter, page_size, page }))
}

pub(super) fn runs(
    request: proto::ListHubSpotDataflowRunsRequest,
    sandboxes: &Sandboxes,
) -> Result<ListHubSpotDataflowRuns, Rejection> {
    let proto::ListHubSpotDataflowRunsRequest {
        id,
        sandbox_name,
        page_size,
        page_token,
        state,
        started_after,
        started_before,
    } = request;
    let mut violations = Violations::new(sandboxes);
    let at = parse_ref(&mut violations, &id, &sandbox_name);
    let page_size = violations.check("page_size", parse_page_size(page_size));
    let state = violations.check("state", parse_run_state(state));
    let after = violations.check("started_after", started_after.map(timestamp::milliseconds).transpose());
    let before = started_before.map(timestamp::milliseconds).transpose();
    let before = violations.check("started_before", before.and_then(|before| is_later(after, before)));
    let parsed = || {
        let (started_after_ms, started_before_ms) = (after?, before?);
        let (page_size, page) = (page_size?, None);
        Some(ListHubSpotDataflowRuns {
            at: at?,
            page_size,
            page,
            state: state?,
            started_after_ms,
            started_before_ms,
        })
    };
    let command = violations.finish(parsed())?;
    let query = Query::runs(&command);
    let page = optional(&page_token, |token| page_token::decode(token, &query));
    let page = page.map_err(|invalid| Rejection::of("page_token", invalid))?;
    Ok(ListHubSpotDataflowRuns { page, ..command })
}

/// Whether a time is later than another one, where both are set and valid.
fn is_later(after: Option<Option<i64>>, before: Option<i64>) -> Result<Option<i64>, Invalid> {
    match (after.flatten(), before) {
        (Some(after), Some(before)) if before <= after => {
            Err(Invalid::new(InvalidReason::OutOfRange, "must be later than started_after"))
        }
        _ => Ok(before),
    }
}

fn parse_run_state(state: i32) -> Result<Option<RunState>, Invalid> {
    match proto::RunState::try_from(state) {
        Ok(proto::RunState::Unspecified) => Ok(None),
        Ok(proto::RunState::Scheduled) => Ok(Some(RunState::Scheduled)),
        Ok(proto::RunState::Queued) => Ok(Some(RunState::Queued)),
        Ok(proto::RunState::InProgress) => Ok(Some(RunState::InProgress)),
        Ok(proto::RunState::Succeeded) => Ok(Some(RunState::Succeeded)),
        Ok(proto::RunState::PartiallySucceeded) => Ok(Some(RunState::PartiallySucceeded)),
        Ok(proto::RunState::Failed) => Ok(Some(RunState::Failed)),
        Err(_) => Err(Invalid::new(
            InvalidReason::UnknownValue,
            "must be RUN_STATE_SCHEDULED, RUN_STATE_QUEUED, RUN_STATE_IN_PROGRESS, RUN_STATE_SUCCEEDED, \
             RUN_STATE_PARTIALLY_SUCCEEDED or RUN_STATE_FAILED",
        )),
    }
}
