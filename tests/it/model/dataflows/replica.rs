//! The calls of a replica about dataflows, with its responses translated into the model.

use std::time::Duration;

use hubspot_connection_service::{
    domain::{
        CallProgress, Column, ConnectionId, Description, Progress, RequestId, ResourceName, SandboxName,
        TablePath,
        dataflow::{
            ClassId, DataflowId, DataflowOptions, DataflowRef, DatasetId, NewDataflow, NewDataset, Schedule,
            SchemaFromTable, SchemaId, SchemaSource, StartTime, Target,
        },
    },
    service::dataflows::{
        CreateDataflowError, CreateHubSpotDataflow, DataflowError, Error, Failure, Leftover,
    },
};
use tokio::time::{Instant, timeout_at};

use super::{
    super::{replica::Replica, world::World},
    variant::To,
};

pub(super) const NAME: &str = "Contacts every day";
pub(super) const DESCRIPTION: &str = "for sales";
pub(super) const TABLE: &str = "Hubspot.Contacts";
pub(super) const TITLE: &str = "HubSpot contacts";
pub(super) const TENANT: &str = "acme";
pub(super) const COLUMNS: [&str; 2] = ["Vid", "Email"];
/// The existing dataset and its schema.
pub(super) const DATASET: &str = "dataset0";
pub(super) const SCHEMA: &str = "https://ns.adobe.com/acme/schemas/0";

/// The response to a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Answer {
    /// The ID of its dataflow.
    Created(String),
    /// The request is refused, and this is left behind.
    Refused {
        why: String,
        leftovers: Vec<String>,
    },
    /// A refused attempt is not undone yet.
    Undoing(Vec<String>),
    Withdrawn,
    /// It is deleted, and this is left behind.
    Deleted(Vec<String>),
    /// There is nothing to delete.
    Missing,
    MayExist,
    NothingCreated(&'static str),
    InProgress {
        retry_after: Duration,
    },
    Ambiguous,
    /// A response that no caller of the model should get.
    Unexpected(String),
    /// No response, or one without information.
    Nothing,
}

pub(in super::super) fn sandbox() -> SandboxName {
    SandboxName::parse("prod").unwrap()
}

/// The columns of the table.
pub(in super::super) fn columns() -> Vec<Column> {
    let of = str::to_owned;
    let column = |name: &&str| Column {
        name: of(name),
        kind: of("String"),
        xdm_type: of("string"),
        xdm_format: String::new(),
    };
    COLUMNS.iter().map(column).collect()
}

/// The content of the request.
fn dataflow(world: &World, connection: ConnectionId) -> NewDataflow {
    let variant = world.variant();
    let name = |name| ResourceName::parse(name).unwrap();
    let new = |schema| Target::NewDataset(NewDataset { name: name("Contacts"), description: None, schema });
    let target = match variant.to {
        To::Dataset => Target::Dataset(DatasetId::parse(DATASET).unwrap()),
        To::NewDataset => new(SchemaSource::Existing(SchemaId::parse(SCHEMA).unwrap())),
        To::NewSchema => new(SchemaSource::Table(SchemaFromTable {
            title: name(TITLE),
            class: ClassId::profile(),
            columns: Vec::new(),
        })),
    };
    let start = variant.start_after.map(|after| StartTime(world.began_ms() / 1000 + after));
    NewDataflow {
        sandbox: sandbox(),
        name: name(NAME),
        description: Description::parse(DESCRIPTION).unwrap(),
        connection,
        table: TablePath::parse(TABLE).unwrap(),
        target,
        mappings: Vec::new(),
        schedule: Schedule { start, repetition: None },
        options: DataflowOptions::default(),
    }
}

fn named(leftovers: &[Leftover]) -> Vec<String> {
    leftovers.iter().map(|Leftover { part, id, .. }| format!("{}/{id}", part.kind())).collect()
}

impl Replica {
    pub(in super::super) async fn create_dataflow(&self, request_id: RequestId, deadline: Instant) -> Answer {
        let progress = CallProgress::default();
        let world = &self.process().world;
        let dataflow = dataflow(world, world.connection());
        let command = CreateHubSpotDataflow { request_id: Some(request_id), dataflow };
        let call =
            timeout_at(deadline, self.dataflows().create_hubspot_dataflow(command, deadline, &progress));
        let response = tokio::select! {
            biased;
            () = self.process().dead.cancelled() => return Answer::Nothing,
            response = call => response,
        };
        let may_exist = progress.creation().is_none_or(Progress::may_exist);
        match response {
            Ok(Ok(created)) => Answer::Created(created.dataflow.id.to_string()),
            Ok(Err(error)) => in_words(&error.failure, may_exist),
            Err(_) if progress.creation().is_some() && may_exist => Answer::MayExist,
            Err(_) => Answer::NothingCreated("deadline"),
        }
    }

    /// Withdraws the creation.
    pub(in super::super) async fn withdraw_dataflow(
        &self,
        request_id: RequestId,
        deadline: Instant,
    ) -> Answer {
        let (progress, sandbox) = (CallProgress::default(), sandbox());
        let service = self.dataflows();
        let call =
            service.delete_abandoned_hubspot_dataflow(request_id, &sandbox, false, deadline, &progress);
        let response = tokio::select! {
            biased;
            () = self.process().dead.cancelled() => return Answer::Nothing,
            response = timeout_at(deadline, call) => response,
        };
        match response {
            Ok(Ok(leftovers)) => Answer::Deleted(named(&leftovers)),
            Ok(Err(Error { failure, .. })) => match &*failure {
                Failure::Operation(CreateDataflowError::NothingMade) => Answer::Missing,
                Failure::Operation(CreateDataflowError::Call { .. }) => Answer::Nothing,
                failure => in_words(failure, true),
            },
            Err(_) => Answer::Nothing,
        }
    }

    /// Deletes the dataflow.
    pub(in super::super) async fn delete_dataflow(&self, id: &str, deadline: Instant) -> Answer {
        let progress = CallProgress::default();
        let at = DataflowRef { sandbox: sandbox(), id: DataflowId::parse(id).unwrap() };
        let response = tokio::select! {
            biased;
            () = self.process().dead.cancelled() => return Answer::Nothing,
            response = timeout_at(deadline, self.dataflows().delete_hubspot_dataflow(&at, false, deadline, &progress)) => response,
        };
        match response {
            Ok(Ok(leftovers)) => Answer::Deleted(named(&leftovers)),
            Ok(Err(DataflowError::NotFound)) => Answer::Missing,
            Ok(Err(DataflowError::InProgress { retry_after })) => Answer::InProgress { retry_after },
            Ok(Err(error @ DataflowError::State { .. })) => Answer::Unexpected(error.to_string()),
            Ok(Err(_)) | Err(_) => Answer::Nothing,
        }
    }
}

/// The response for a failure, according to the gRPC layer.
fn in_words(failure: &Failure, may_exist: bool) -> Answer {
    match failure {
        Failure::OutcomeUnknown { .. } | Failure::Crashed => Answer::MayExist,
        Failure::Withdrawn => Answer::Withdrawn,
        Failure::Undoing { leftovers } => Answer::Undoing(leftovers.clone()),
        Failure::LeftBehind { failure, leftovers } => match in_words(failure, may_exist) {
            Answer::Refused { why, .. } => Answer::Refused { why, leftovers: leftovers.clone() },
            _ => Answer::Undoing(leftovers.clone()),
        },
        Failure::RequestInProgress { retry_after } => Answer::InProgress { retry_after: *retry_after },
        Failure::Ambiguous(_) => Answer::Ambiguous,
        Failure::RequestIdReused { .. } | Failure::RecordUnreadable { .. } => {
            Answer::Unexpected(failure.to_string())
        }
        Failure::NotCreated { error, may_exist: false } if error.refusal().is_some() => {
            Answer::Refused { why: "the flow".to_owned(), leftovers: Vec::new() }
        }
        Failure::NotCreated { may_exist: false, .. } => Answer::NothingCreated("not created"),
        Failure::Store { may_exist: false, .. } => Answer::NothingCreated("store"),
        Failure::Abandoned { may_exist: false } => Answer::NothingCreated("abandoned"),
        Failure::TooMany { may_exist: false } => Answer::NothingCreated("too many"),
        Failure::Operation(CreateDataflowError::TakenOver) => Answer::MayExist,
        Failure::Operation(_) if may_exist => Answer::Nothing,
        Failure::Operation(CreateDataflowError::Store(_)) => Answer::NothingCreated("store"),
        Failure::Operation(CreateDataflowError::Call { error, .. }) if error.refusal().is_none() => {
            Answer::NothingCreated("a call")
        }
        Failure::Operation(error) => Answer::Refused { why: error.to_string(), leftovers: Vec::new() },
        Failure::Store { may_exist: true, .. }
        | Failure::TooMany { may_exist: true }
        | Failure::Abandoned { may_exist: true }
        | Failure::NotCreated { may_exist: true, .. }
        | Failure::NotSearched(_) => Answer::Nothing,
    }
}
