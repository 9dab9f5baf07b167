//! The body of `POST /flows`, as Adobe's specification of flows from tables requires it, and its reply.

use bytes::Bytes;
use serde::Serialize;

use crate::{
    adobe::{NewFlow, answer::success::object, client::json, wire},
    domain::{
        Etag,
        dataflow::{CreatedDataflow, DataflowId, DataflowOptions, DeltaColumn, Repetition},
    },
    error::Cause,
};

/// The specification of flows from the tables of a source into a dataset: `CRMToAEP`.
pub(crate) const FLOW_SPEC_ID: &str = "14518937-270c-4525-bdec-c2ba7cce3860";
pub(crate) const FLOW_SPEC_VERSION: &str = "1.0";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateFlow<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    flow_spec: FlowSpec,
    source_connection_ids: [&'a str; 1],
    target_connection_ids: [&'a str; 1],
    transformations: Vec<Transformation<'a>>,
    schedule_params: ScheduleParams,
    options: Options,
}

#[derive(Serialize)]
struct FlowSpec {
    id: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "name", content = "params")]
enum Transformation<'a> {
    /// Required by every schedule but that of a single run, which forbids it.
    #[serde(rename_all = "camelCase")]
    Copy { delta_column: Delta<'a> },
    #[serde(rename_all = "camelCase")]
    Mapping { mapping_id: &'a str, mapping_version: u32 },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Delta<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_format: Option<&'a str>,
    timezone: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScheduleParams {
    /// In seconds since the Unix epoch.
    start_time: i64,
    frequency: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backfill: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    error_diagnostics_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial_ingestion_percent: Option<f64>,
}

/// The body that creates a flow.
pub(crate) fn body(flow: &NewFlow<'_>) -> Bytes {
    // The sandbox is a header.
    let NewFlow { sandbox: _, name, description, source, target, mapping_set, schedule, start, options } =
        *flow;
    let repetition = schedule.repetition.as_ref();
    let copy = repetition.map(|Repetition { delta_column: DeltaColumn { name, date_format }, .. }| {
        let date_format = date_format.as_ref().map(|format| format.as_str());
        Transformation::Copy { delta_column: Delta { name: name.as_str(), date_format, timezone: "UTC" } }
    });
    let mapping =
        Transformation::Mapping { mapping_id: mapping_set.id.as_str(), mapping_version: mapping_set.version };
    let DataflowOptions { error_diagnostics, partial_ingestion } = *options;
    json(&CreateFlow {
        name,
        description,
        flow_spec: FlowSpec { id: FLOW_SPEC_ID, version: FLOW_SPEC_VERSION },
        source_connection_ids: [source.as_str()],
        target_connection_ids: [target.as_str()],
        transformations: copy.into_iter().chain([mapping]).collect(),
        schedule_params: ScheduleParams {
            start_time: start.0,
            frequency: repetition.map_or("once", |repetition| repetition.frequency.name()),
            interval: repetition.map(|repetition| repetition.interval),
            backfill: repetition.map(|repetition| repetition.backfill),
        },
        options: Options {
            error_diagnostics_enabled: error_diagnostics,
            partial_ingestion_percent: partial_ingestion.map(|percent| percent.get()),
        },
    })
}

/// Reads the reply to a creation.
///
/// # Errors
/// It does not name a flow and its version.
pub(crate) fn read_created(body: &[u8]) -> Result<CreatedDataflow, Cause> {
    let created = object("the success holds no id and etag", body)?;
    match (wire::id(&created, "id", DataflowId::parse), wire::id(&created, "etag", Etag::parse)) {
        (Some(id), Some(etag)) => Ok(CreatedDataflow { id, etag }),
        _ => Err("the success holds no usable id and etag".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{
        SandboxName,
        dataflow::{
            ColumnName, Frequency, MappingSetId, MappingSetRef, Schedule, SourceConnectionId, StartTime,
            TargetConnectionId,
        },
    };

    fn sent(schedule: &Schedule) -> Value {
        let id = MappingSetId::parse("m").unwrap();
        let flow = NewFlow {
            sandbox: &SandboxName::parse("prod").unwrap(),
            name: "n",
            description: None,
            source: &SourceConnectionId::parse("s").unwrap(),
            target: &TargetConnectionId::parse("t").unwrap(),
            mapping_set: &MappingSetRef { id, version: 1 },
            schedule,
            start: StartTime(1_800_000_000),
            options: &DataflowOptions::default(),
        };
        serde_json::from_slice(&body(&flow)).unwrap()
    }

    #[test]
    fn a_single_run_has_neither_an_interval_nor_a_delta_column() {
        let once = sent(&Schedule { start: None, repetition: None });
        assert_eq!(once["scheduleParams"], json!({"startTime": 1_800_000_000, "frequency": "once"}));
        let mapping = json!({"name": "Mapping", "params": {"mappingId": "m", "mappingVersion": 1}});
        assert_eq!(once["transformations"], json!([mapping]));
        assert_eq!(once["options"], json!({"errorDiagnosticsEnabled": false}));
        let delta_column = DeltaColumn { name: ColumnName::parse("a").unwrap(), date_format: None };
        let repetition =
            Repetition { frequency: Frequency::Minute, interval: 15, backfill: false, delta_column };
        let often = sent(&Schedule { start: None, repetition: Some(repetition) });
        let schedule =
            json!({"startTime": 1_800_000_000, "frequency": "minute", "interval": 15, "backfill": false});
        assert_eq!(often["scheduleParams"], schedule);
        let copy = json!({"name": "Copy", "params": {"deltaColumn": {"name": "a", "timezone": "UTC"}}});
        assert_eq!(often["transformations"], json!([copy, mapping]));
    }
}
