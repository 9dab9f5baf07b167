//! Results become responses.

use crate::{
    domain::{
        SandboxName,
        dataflow::{
            Dataflow, DataflowOptions, DataflowResources, DataflowState, FieldMapping, LastRun, MappingKind,
            Percent, Run, RunError, RunStage, RunState, StoredSchedule,
        },
        reference::split,
    },
    grpc::timestamp,
    proto,
    service::dataflows::{create::DataflowCreated, error::Leftover, plan::Plan, read::ReadDataflow},
};

impl From<DataflowCreated> for proto::CreateHubSpotDataflowResponse {
    fn from(created: DataflowCreated) -> Self {
        let DataflowCreated { request_id, dataflow, replayed, resources, mappings, unmapped_columns, start } =
            created;
        Self {
            id: dataflow.id.to_string(),
            etag: dataflow.etag.to_string(),
            request_id: request_id.to_string(),
            replayed,
            resources: Some(resources.into()),
            mappings: mappings.into_iter().map(Into::into).collect(),
            unmapped_columns,
            start_time: start.and_then(|start| timestamp::from_seconds(start.0)),
            checks: Vec::new(),
        }
    }
}

impl From<Plan> for proto::CreateHubSpotDataflowResponse {
    fn from(Plan { resources, mappings, unmapped_columns, start, checks }: Plan) -> Self {
        Self {
            resources: Some(resources.into()),
            mappings: mappings.into_iter().map(Into::into).collect(),
            unmapped_columns,
            start_time: start.and_then(|start| timestamp::from_seconds(start.0)),
            checks: checks.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

impl From<DataflowResources> for proto::DataflowResources {
    fn from(resources: DataflowResources) -> Self {
        let DataflowResources {
            source_connection,
            target_connection,
            mapping_set,
            dataset,
            schema,
            is_dataset_created,
            is_schema_created,
        } = resources;
        Self {
            source_connection_id: text(source_connection),
            target_connection_id: text(target_connection),
            mapping_set_id: text(mapping_set),
            dataset_id: text(dataset),
            schema_id: text(schema),
            dataset_created: is_dataset_created,
            schema_created: is_schema_created,
        }
    }
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

impl From<FieldMapping> for proto::FieldMapping {
    fn from(FieldMapping { source, destination, kind }: FieldMapping) -> Self {
        use proto::field_mapping::Kind;
        let kind = match kind {
            MappingKind::Attribute => Kind::Attribute,
            MappingKind::Expression => Kind::Expression,
            MappingKind::Static => Kind::Static,
        };
        Self { source: source.to_string(), destination: destination.to_string(), kind: kind.into() }
    }
}

pub(super) fn dataflow(read: ReadDataflow, sandbox: &SandboxName) -> proto::HubSpotDataflow {
    let ReadDataflow { flow, connection, table, dataset, schema } = read;
    let Dataflow { source_connections, target_connections, mapping_set, .. } = flow;
    let (description, request_id) = split(flow.description.as_deref().unwrap_or_default());
    let resources = DataflowResources {
        source_connection: source_connections.into_iter().next(),
        target_connection: target_connections.into_iter().next(),
        mapping_set: mapping_set.map(|set| set.id),
        dataset,
        schema,
        ..DataflowResources::default()
    };
    proto::HubSpotDataflow {
        id: text(flow.id),
        etag: text(flow.etag),
        name: flow.name.unwrap_or_default(),
        description: description.unwrap_or_default(),
        state: flow.state.map_or(proto::DataflowState::Unspecified, Into::into).into(),
        sandbox_name: sandbox.to_string(),
        connection_id: text(connection),
        table: table.unwrap_or_default(),
        resources: Some(resources.into()),
        schedule: Some(flow.schedule.into()),
        options: Some(flow.options.into()),
        last_run: flow.last_run.map(Into::into),
        create_time: flow.created_at_ms.and_then(timestamp::from_ms),
        update_time: flow.updated_at_ms.and_then(timestamp::from_ms),
        request_id: text(request_id),
    }
}

impl From<DataflowState> for proto::DataflowState {
    fn from(state: DataflowState) -> Self {
        match state {
            DataflowState::Initializing => Self::Initializing,
            DataflowState::Enabled => Self::Enabled,
            DataflowState::Disabled => Self::Disabled,
            DataflowState::Draft => Self::Draft,
            DataflowState::Updating => Self::Updating,
            DataflowState::Enabling => Self::Enabling,
            DataflowState::Disabling => Self::Disabling,
            DataflowState::Deleting => Self::Deleting,
        }
    }
}

impl From<StoredSchedule> for proto::DataflowSchedule {
    fn from(schedule: StoredSchedule) -> Self {
        use proto::dataflow_schedule::Frequency;
        let StoredSchedule { frequency, interval, start, backfill, delta_column, date_format } = schedule;
        let frequency = match frequency.map(|name| name.to_ascii_lowercase()).as_deref() {
            Some("once") => Frequency::Once,
            Some("minute") => Frequency::Minute,
            Some("hour") => Frequency::Hour,
            Some("day") => Frequency::Day,
            Some("week") => Frequency::Week,
            Some(_) | None => Frequency::Unspecified,
        };
        let date_format = date_format.unwrap_or_default();
        Self {
            frequency: frequency.into(),
            interval: interval.and_then(|interval| i32::try_from(interval).ok()).unwrap_or_default(),
            start_time: start.and_then(timestamp::from_seconds),
            backfill,
            delta_column: delta_column.map(|name| proto::DeltaColumn { name, date_format }),
        }
    }
}

impl From<DataflowOptions> for proto::DataflowOptions {
    fn from(DataflowOptions { error_diagnostics, partial_ingestion }: DataflowOptions) -> Self {
        let partial_ingestion_percent = partial_ingestion.map(Percent::get).unwrap_or_default();
        Self { error_diagnostics, partial_ingestion_percent }
    }
}

impl From<LastRun> for proto::LastRun {
    fn from(LastRun { id, state, started_at_ms, completed_at_ms }: LastRun) -> Self {
        Self {
            id: id.unwrap_or_default(),
            state: state.map_or(proto::RunState::Unspecified, Into::into).into(),
            start_time: started_at_ms.and_then(timestamp::from_ms),
            complete_time: completed_at_ms.and_then(timestamp::from_ms),
        }
    }
}

impl From<RunState> for proto::RunState {
    fn from(state: RunState) -> Self {
        match state {
            RunState::Scheduled => Self::Scheduled,
            RunState::Queued => Self::Queued,
            RunState::InProgress => Self::InProgress,
            RunState::Succeeded => Self::Succeeded,
            RunState::PartiallySucceeded => Self::PartiallySucceeded,
            RunState::Failed => Self::Failed,
        }
    }
}

impl From<Run> for proto::HubSpotDataflowRun {
    fn from(run: Run) -> Self {
        Self {
            id: run.id,
            state: run.state.map_or(proto::RunState::Unspecified, Into::into).into(),
            create_time: run.created_at_ms.and_then(timestamp::from_ms),
            start_time: run.started_at_ms.and_then(timestamp::from_ms),
            complete_time: run.completed_at_ms.and_then(timestamp::from_ms),
            window_start_time: run.window_start_ms.and_then(timestamp::from_ms),
            window_end_time: run.window_end_ms.and_then(timestamp::from_ms),
            input_records: run.input_records,
            output_records: run.output_records,
            failed_records: run.failed_records,
            skipped_records: run.skipped_records,
            input_bytes: run.input_bytes,
            output_bytes: run.output_bytes,
            errors: run.errors.into_iter().map(Into::into).collect(),
            batch_ids: run.batch_ids,
        }
    }
}

impl From<RunError> for proto::RunError {
    fn from(RunError { code, message, stage, are_credentials_suspected }: RunError) -> Self {
        use proto::run_error::Stage;
        let stage = match stage {
            None => Stage::Unspecified,
            Some(RunStage::Copy) => Stage::Copy,
            Some(RunStage::Process) => Stage::Process,
            Some(RunStage::Ingest) => Stage::Ingest,
        };
        Self { code, message, stage: stage.into(), credentials_suspected: are_credentials_suspected }
    }
}

impl From<Leftover> for proto::LeftoverResource {
    fn from(Leftover { part, id, reason }: Leftover) -> Self {
        Self { kind: part.kind().to_owned(), id, reason }
    }
}
