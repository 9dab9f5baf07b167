//! Requests for dataflows, and what their callers want.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use hubspot_connection_service::proto::{
    CreateHubSpotDataflowRequest, DataflowSchedule, FieldMapping, NewDataset, SchemaFromTable,
    create_hub_spot_dataflow_request::Target, dataflow_schedule::Frequency, field_mapping::Kind,
    new_dataset::Schema,
};
use uuid::Uuid;

/// What a caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    Created,
    /// The request is always refused, once its schema exists.
    Refused,
    /// The dataflow is created, and then deleted.
    Deleted,
    /// The caller has called once, and then wants nothing to remain.
    GivenUp,
}

pub(super) struct Wish {
    pub(super) aim: Aim,
    pub(super) request: CreateHubSpotDataflowRequest,
}

/// What the requests refer to.
pub(super) struct Basis {
    pub(super) connection: String,
    pub(super) dataset: String,
    pub(super) schema: String,
}

impl Wish {
    pub(super) fn makes_dataset(&self) -> bool {
        matches!(self.request.target, Some(Target::NewDataset(_)))
    }

    pub(super) fn makes_schema(&self) -> bool {
        let Some(Target::NewDataset(dataset)) = &self.request.target else { return false };
        matches!(dataset.schema, Some(Schema::SchemaFromTable(_)))
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.aim, self.request.request_id)
    }
}

/// So many dataflows that are to be created, and after every third one a request of another kind.
pub(super) fn wishes(number: usize, basis: &Basis) -> Vec<Wish> {
    let others = [Aim::Refused, Aim::GivenUp, Aim::Deleted];
    let wishes = (0..number).flat_map(|index| {
        let other = (index % 3 == 0).then(|| others[index / 3 % 3]);
        [Some(Aim::Created), other].into_iter().flatten().map(move |aim| wish(aim, index / 3, basis))
    });
    wishes.collect()
}

fn wish(aim: Aim, index: usize, basis: &Basis) -> Wish {
    let target = match (aim, index % 3) {
        // The mappings of other schemas are checked before anything is created.
        (Aim::Refused, _) | (_, 0) => new_dataset(from_table()),
        (_, 1) => new_dataset(Schema::SchemaId(basis.schema.clone())),
        (_, _) => Target::DatasetId(basis.dataset.clone()),
    };
    let mut request = request(&basis.connection, target);
    if aim == Aim::Refused {
        request.mappings.push(FieldMapping {
            kind: Kind::Expression.into(),
            source: "concat(Vid".to_owned(),
            destination: "_id".to_owned(),
        });
    }
    if aim == Aim::GivenUp {
        // A dataset with data would stay.
        let tomorrow = SystemTime::now() + Duration::from_secs(24 * 60 * 60);
        let seconds = tomorrow.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let schedule = request.schedule.as_mut().unwrap();
        schedule.start_time =
            Some(prost_types::Timestamp { seconds: i64::try_from(seconds).unwrap(), nanos: 0 });
    }
    Wish { aim, request }
}

/// A dataflow with a new dataset and a new schema.
pub(super) fn first(connection: &str) -> CreateHubSpotDataflowRequest {
    request(connection, new_dataset(from_table()))
}

fn request(connection: &str, target: Target) -> CreateHubSpotDataflowRequest {
    let once = DataflowSchedule { frequency: Frequency::Once.into(), ..DataflowSchedule::default() };
    CreateHubSpotDataflowRequest {
        name: format!("dataflow {}", Uuid::new_v4()),
        connection_id: connection.to_owned(),
        table: "Hubspot.Contacts".to_owned(),
        target: Some(target),
        schedule: Some(once),
        request_id: Uuid::new_v4().to_string(),
        ..CreateHubSpotDataflowRequest::default()
    }
}

fn new_dataset(schema: Schema) -> Target {
    Target::NewDataset(NewDataset {
        name: format!("dataset {}", Uuid::new_v4()),
        description: String::new(),
        schema: Some(schema),
    })
}

fn from_table() -> Schema {
    Schema::SchemaFromTable(SchemaFromTable::default())
}
