//! Creating a dataflow, as an operation of the exactly-once engine.
//!
//! `marked` lists what earlier attempts of the request have made. `prepare` finds or creates (`steps`) everything that
//! the flow refers to, `undo` deletes it after a refusal, and `complete` removes what appeared late. What was prepared is
//! in the context of a sending and in the outcome (`prepared`, `outcome`). `withdraw` deletes everything of a creation
//! that nobody will retry.

mod complete;
mod marked;
mod operation;
mod outcome;
mod prepare;
mod prepared;
mod steps;
mod undo;
mod withdraw;

use std::sync::Arc;

pub(super) use self::withdraw::WithdrawDataflow;
use serde_json::json;

use super::{create::Observer, specs::Specs};
use crate::{
    domain::{
        Description, Identity, RequestId,
        dataflow::{NewDataflow, NewDataset, SchemaSource, Target},
    },
    exactly_once::WallClock,
    metrics::CreationMetrics,
};

/// The key of the tag of datasets.
const TAG: &str = "hubspotRequest";

/// The creation of one dataflow.
pub(super) struct CreateDataflow<P> {
    platform: Arc<P>,
    specs: Arc<Specs>,
    dataflow: NewDataflow,
    content: Vec<(&'static str, String)>,
    wall_clock: WallClock,
    metrics: CreationMetrics,
    /// Who began it, where callers are checked.
    caller: Option<Identity>,
    observer: Observer,
}

impl<P> CreateDataflow<P> {
    pub(super) fn new(
        platform: Arc<P>,
        specs: Arc<Specs>,
        dataflow: NewDataflow,
        (wall_clock, metrics): (WallClock, CreationMetrics),
        (caller, observer): (Option<Identity>, Observer),
    ) -> Self {
        let content = content(&dataflow);
        Self { platform, specs, dataflow, content, wall_clock, metrics, caller, observer }
    }

    fn makes_dataset(&self) -> bool {
        matches!(self.dataflow.target, Target::NewDataset(_))
    }

    fn makes_schema(&self) -> bool {
        matches!(self.dataflow.target, Target::NewDataset(NewDataset { schema: SchemaSource::Table(_), .. }))
    }

    fn now_ms(&self) -> i64 {
        (self.wall_clock)()
    }
}

/// The names that mark what a request makes.
struct Markers {
    id: String,
    source: String,
    target: String,
    mapping_set: String,
    field_group: String,
    tag: String,
}

impl Markers {
    fn of(request_id: RequestId) -> Self {
        let id = request_id.to_string();
        Self {
            source: format!("hubspot-{id}-source"),
            target: format!("hubspot-{id}-target"),
            mapping_set: format!("hubspot-{id}"),
            field_group: format!("hubspot-{id}-fields"),
            tag: format!("{TAG}:{id}"),
            id,
        }
    }

    /// The description of a schema's field group: the title of the schema, by which that is found, and the id.
    fn of_field_group(&self, title: &str) -> String {
        format!("{title} [request {}]", self.id)
    }

    /// The title of the schema in that description.
    fn schema_title<'a>(&self, description: &'a str) -> Option<&'a str> {
        description.strip_suffix(&format!(" [request {}]", self.id))
    }

    /// Whether a description is that of something that the request has made.
    fn is_in(&self, description: Option<&str>) -> bool {
        description.is_some_and(|description| description.to_ascii_lowercase().contains(&self.id))
    }
}

/// The fields that a retry has to repeat, with their values. One that is not set is empty.
fn content(dataflow: &NewDataflow) -> Vec<(&'static str, String)> {
    let NewDataflow { sandbox, name, description, connection, table, target, mappings, schedule, options } =
        dataflow;
    let text =
        |description: &Option<Description>| description.as_ref().map_or("", Description::as_str).to_owned();
    let (dataset, new) = match target {
        Target::Dataset(id) => (id.to_string(), None),
        Target::NewDataset(new) => (String::new(), Some(new)),
    };
    let (schema, from_table) = match new.map(|new| &new.schema) {
        Some(SchemaSource::Existing(id)) => (id.to_string(), None),
        Some(SchemaSource::Table(table)) => (String::new(), Some(table)),
        None => (String::new(), None),
    };
    let columns = from_table.map(|table| table.columns.iter().map(ToString::to_string).collect::<Vec<_>>());
    let mappings: Vec<_> = mappings
        .iter()
        .map(|mapping| json!([mapping.source.as_str(), mapping.destination.as_str(), mapping.kind.name()]))
        .collect();
    let repetition = schedule.repetition.as_ref();
    let delta = repetition.map(|repetition| &repetition.delta_column);
    let of_repetition = |text: Option<String>| text.unwrap_or_default();
    vec![
        ("sandbox_name", sandbox.to_string()),
        ("name", name.to_string()),
        ("description", text(description)),
        ("connection_id", connection.to_string()),
        ("table", table.to_string()),
        ("dataset_id", dataset),
        ("new_dataset.name", new.map(|new| new.name.to_string()).unwrap_or_default()),
        ("new_dataset.description", new.map(|new| text(&new.description)).unwrap_or_default()),
        ("new_dataset.schema_id", schema),
        (
            "new_dataset.schema_from_table.title",
            from_table.map(|table| table.title.to_string()).unwrap_or_default(),
        ),
        (
            "new_dataset.schema_from_table.class_id",
            from_table.map(|table| table.class.to_string()).unwrap_or_default(),
        ),
        (
            "new_dataset.schema_from_table.columns",
            columns.map(|columns| json!(columns).to_string()).unwrap_or_default(),
        ),
        ("mappings", json!(mappings).to_string()),
        (
            "schedule.frequency",
            repetition.map_or("once", |repetition| repetition.frequency.name()).to_owned(),
        ),
        ("schedule.interval", of_repetition(repetition.map(|repetition| repetition.interval.to_string()))),
        ("schedule.start_time", schedule.start.map(|start| start.0.to_string()).unwrap_or_default()),
        ("schedule.backfill", of_repetition(repetition.map(|repetition| repetition.backfill.to_string()))),
        ("schedule.delta_column.name", of_repetition(delta.map(|delta| delta.name.to_string()))),
        (
            "schedule.delta_column.date_format",
            of_repetition(delta.and_then(|delta| delta.date_format.as_ref()).map(ToString::to_string)),
        ),
        ("options.error_diagnostics", options.error_diagnostics.to_string()),
        (
            "options.partial_ingestion_percent",
            options.partial_ingestion.map(|percent| percent.get().to_string()).unwrap_or_default(),
        ),
    ]
}
