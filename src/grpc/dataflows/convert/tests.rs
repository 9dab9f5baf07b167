use prost_types::Timestamp;
use proto::{
    create_hub_spot_dataflow_request::Target as GivenTarget, dataflow_schedule::Frequency as GivenFrequency,
    field_mapping::Kind, new_dataset::Schema,
};

use super::*;
use crate::{
    adobe::PageToken,
    domain::{
        AllowedSandboxes,
        dataflow::{DataflowOptions, DatasetId, Frequency, Percent, Repetition, SchemaSource, Target},
    },
};

fn sandboxes() -> Sandboxes {
    let prod = SandboxName::parse("prod").unwrap();
    Sandboxes::new(prod.clone(), AllowedSandboxes::Only([prod].into())).unwrap()
}

/// The fields of an invalid request, and the reason of each violation.
fn violated<T: std::fmt::Debug>(converted: Result<T, Rejection>) -> Vec<(String, InvalidReason)> {
    match converted {
        Err(Rejection::Invalid(violations)) => {
            violations.into_iter().map(|v| (v.field.into_owned(), v.invalid.reason)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn hourly() -> proto::DataflowSchedule {
    proto::DataflowSchedule {
        frequency: GivenFrequency::Hour.into(),
        interval: 1,
        start_time: None,
        backfill: None,
        delta_column: Some(proto::DeltaColumn { name: "updatedAt".to_owned(), date_format: String::new() }),
    }
}

fn once() -> proto::DataflowSchedule {
    proto::DataflowSchedule { frequency: GivenFrequency::Once.into(), ..proto::DataflowSchedule::default() }
}

fn mapping(source: &str, destination: &str) -> proto::FieldMapping {
    proto::FieldMapping { source: source.to_owned(), destination: destination.to_owned(), kind: 0 }
}

fn valid() -> proto::CreateHubSpotDataflowRequest {
    proto::CreateHubSpotDataflowRequest {
        name: " Contacts ".to_owned(),
        connection_id: "c-1".to_owned(),
        table: "Hubspot.Contacts".to_owned(),
        target: Some(GivenTarget::DatasetId("d-1".to_owned())),
        schedule: Some(hourly()),
        ..proto::CreateHubSpotDataflowRequest::default()
    }
}

fn with_schema(schema: proto::SchemaFromTable) -> proto::CreateHubSpotDataflowRequest {
    let dataset = proto::NewDataset {
        name: "Contacts data".to_owned(),
        description: String::new(),
        schema: Some(Schema::SchemaFromTable(schema)),
    };
    proto::CreateHubSpotDataflowRequest { target: Some(GivenTarget::NewDataset(dataset)), ..valid() }
}

fn with_schedule(schedule: proto::DataflowSchedule) -> proto::CreateHubSpotDataflowRequest {
    proto::CreateHubSpotDataflowRequest { schedule: Some(schedule), ..valid() }
}

fn parsed(request: proto::CreateHubSpotDataflowRequest) -> NewDataflow {
    match create(request, &sandboxes()).unwrap() {
        Create::Command(command) => command.dataflow,
        Create::DryRun(dataflow) => dataflow,
    }
}

fn violations_of(request: proto::CreateHubSpotDataflowRequest) -> Vec<(String, InvalidReason)> {
    violated(create(request, &sandboxes()))
}

/// The one violation of a request.
fn violation_of(request: proto::CreateHubSpotDataflowRequest) -> (String, InvalidReason) {
    let mut violations = violations_of(request);
    assert_eq!(violations.len(), 1, "{violations:?}");
    violations.remove(0)
}

#[test]
fn a_valid_request_becomes_a_command() {
    let dataflow = parsed(valid());
    assert_eq!((dataflow.name.as_str(), dataflow.sandbox.as_str()), ("Contacts", "prod"));
    assert_eq!(dataflow.target, Target::Dataset(DatasetId::parse("d-1").unwrap()));
    let Repetition { frequency, interval, backfill, delta_column } = dataflow.schedule.repetition.unwrap();
    assert_eq!((frequency, interval, backfill), (Frequency::Hour, 1, true));
    assert_eq!((delta_column.name.as_str(), delta_column.date_format), ("updatedAt", None));
    assert_eq!(dataflow.schedule.start, None);
    assert_eq!(dataflow.options, DataflowOptions::default());
}

#[test]
fn every_violation_is_found_at_once() {
    let violations = violations_of(proto::CreateHubSpotDataflowRequest {
        description: "x".repeat(1001),
        request_id: "1".to_owned(),
        sandbox_name: "Prod".to_owned(),
        ..proto::CreateHubSpotDataflowRequest::default()
    });
    let fields: Vec<_> = violations.iter().map(|(field, reason)| (field.as_str(), *reason)).collect();
    use InvalidReason::*;
    assert_eq!(
        fields,
        [
            ("name", Required),
            ("description", TooLong),
            ("connection_id", Required),
            ("table", Required),
            ("target", Required),
            ("schedule", Required),
            ("sandbox_name", Malformed),
            ("request_id", Malformed),
        ]
    );
}

#[test]
fn a_dry_run_ignores_the_request_id() {
    let request =
        proto::CreateHubSpotDataflowRequest { request_id: "1".to_owned(), validate_only: true, ..valid() };
    assert!(matches!(create(request, &sandboxes()), Ok(Create::DryRun(_))));
}

#[test]
fn the_title_of_a_new_schema_is_by_default_that_of_its_dataset() {
    let title = |title: &str| {
        let schema = proto::SchemaFromTable { title: title.to_owned(), ..proto::SchemaFromTable::default() };
        match parsed(with_schema(schema)).target {
            Target::NewDataset(dataset) => match dataset.schema {
                SchemaSource::Table(schema) => (schema.title.to_string(), schema.class.to_string()),
                SchemaSource::Existing(_) => panic!("an existing schema"),
            },
            Target::Dataset(_) => panic!("an existing dataset"),
        }
    };
    let profile = "https://ns.adobe.com/xdm/context/profile";
    assert_eq!(title(""), ("Contacts data".to_owned(), profile.to_owned()));
    assert_eq!(title("Other").0, "Other");
}

#[test]
fn the_fields_of_a_new_dataset_have_their_paths() {
    use InvalidReason::*;
    let columns = ["email", "", "email"].map(str::to_owned).into();
    let schema = proto::SchemaFromTable { title: "a\nb".to_owned(), class_id: "profile".to_owned(), columns };
    let violations = violations_of(with_schema(schema));
    let path = |name: &str| format!("new_dataset.schema_from_table.{name}");
    assert_eq!(
        violations,
        [
            (path("title"), Malformed),
            (path("class_id"), Malformed),
            (path("columns[1]"), Required),
            (path("columns[2]"), Conflicting),
        ]
    );
    let dataset = proto::NewDataset::default();
    let target = Some(GivenTarget::NewDataset(dataset));
    let violations = violations_of(proto::CreateHubSpotDataflowRequest { target, ..valid() });
    let field = |name: &str| format!("new_dataset.{name}");
    assert_eq!(violations, [(field("name"), Required), (field("schema"), Required)]);
}

#[test]
fn a_destination_is_mapped_once() {
    let unknown = proto::FieldMapping { kind: 9, ..mapping("c", "person.c") };
    let constant = proto::FieldMapping { kind: Kind::Static.into(), ..mapping("x", "person.x") };
    let mappings =
        vec![mapping("a", "person.a"), mapping("", "person..b"), mapping("b", "person.a"), unknown];
    let violations = violations_of(proto::CreateHubSpotDataflowRequest { mappings, ..valid() });
    let field = |field: &str| field.to_owned();
    use InvalidReason::*;
    assert_eq!(
        violations,
        [
            (field("mappings[1].source"), Required),
            (field("mappings[1].destination"), Malformed),
            (field("mappings[2].destination"), Conflicting),
            (field("mappings[3].kind"), UnknownValue),
        ]
    );
    let mappings = vec![mapping("a", "person.a"), constant];
    let kinds: Vec<_> = parsed(proto::CreateHubSpotDataflowRequest { mappings, ..valid() })
        .mappings
        .into_iter()
        .map(|mapping| mapping.kind)
        .collect();
    assert_eq!(kinds, [MappingKind::Attribute, MappingKind::Static]);
}

#[test]
fn a_dataflow_that_runs_once_has_no_interval_and_no_delta_column() {
    assert_eq!(parsed(with_schedule(once())).schedule.repetition, None);
    let schedule =
        proto::DataflowSchedule { frequency: GivenFrequency::Once.into(), backfill: Some(false), ..hourly() };
    let violations = violations_of(with_schedule(schedule));
    let fields: Vec<_> = violations.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["schedule.interval", "schedule.backfill", "schedule.delta_column"]);
    assert!(violations.iter().all(|(_, reason)| *reason == InvalidReason::Conflicting));
}

#[test]
fn a_dataflow_that_repeats_has_an_interval_and_a_delta_column() {
    let every = |frequency: GivenFrequency, interval| {
        with_schedule(proto::DataflowSchedule { frequency: frequency.into(), interval, ..hourly() })
    };
    for (frequency, interval) in [(GivenFrequency::Minute, 15), (GivenFrequency::Week, 1)] {
        parsed(every(frequency, interval));
    }
    for (frequency, interval, reason) in [
        (GivenFrequency::Minute, 14, InvalidReason::OutOfRange),
        (GivenFrequency::Minute, 0, InvalidReason::Required),
        (GivenFrequency::Day, 0, InvalidReason::Required),
        (GivenFrequency::Day, -1, InvalidReason::OutOfRange),
    ] {
        assert_eq!(violation_of(every(frequency, interval)), ("schedule.interval".to_owned(), reason));
    }
    let without = proto::DataflowSchedule { delta_column: None, ..hourly() };
    let missing = ("schedule.delta_column".to_owned(), InvalidReason::Required);
    assert_eq!(violation_of(with_schedule(without)), missing);
    for (frequency, reason) in [(0, InvalidReason::Required), (9, InvalidReason::UnknownValue)] {
        let schedule = proto::DataflowSchedule { frequency, ..hourly() };
        assert_eq!(violation_of(with_schedule(schedule)), ("schedule.frequency".to_owned(), reason));
    }
}

#[test]
fn a_start_time_is_in_whole_seconds() {
    let at = |nanos| {
        let start_time = Some(Timestamp { seconds: 4_102_444_800, nanos });
        with_schedule(proto::DataflowSchedule { start_time, ..hourly() })
    };
    assert_eq!(parsed(at(0)).schedule.start.map(|start| start.0), Some(4_102_444_800));
    let fraction = ("schedule.start_time".to_owned(), InvalidReason::Malformed);
    assert_eq!(violation_of(at(1)), fraction);
}

#[test]
fn partial_ingestion_needs_diagnostics() {
    let with = |error_diagnostics, partial_ingestion_percent| {
        let options = proto::DataflowOptions { error_diagnostics, partial_ingestion_percent };
        proto::CreateHubSpotDataflowRequest { options: Some(options), ..valid() }
    };
    assert_eq!(parsed(with(true, 5.0)).options.partial_ingestion.map(Percent::get), Some(5.0));
    assert_eq!(parsed(with(false, 0.0)).options.partial_ingestion, None);
    for (diagnostics, percent, reason) in [
        (false, 5.0, InvalidReason::Conflicting),
        (true, 100.1, InvalidReason::OutOfRange),
        (true, -1.0, InvalidReason::OutOfRange),
        (false, f64::NAN, InvalidReason::OutOfRange),
    ] {
        let (field, found) = violation_of(with(diagnostics, percent));
        assert_eq!((field.as_str(), found), ("options.partial_ingestion_percent", reason));
    }
}

#[test]
fn a_deletion_names_a_dataflow_or_a_creation() {
    use proto::delete_hub_spot_dataflow_request::Dataflow;
    let parse = |dataflow| {
        let request = proto::DeleteHubSpotDataflowRequest { dataflow, ..Default::default() };
        delete(&request, &sandboxes())
    };
    let id = "8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7".to_owned();
    assert!(matches!(parse(Some(Dataflow::Id("f-1".to_owned()))), Ok(Delete::Dataflow(_))));
    assert!(matches!(parse(Some(Dataflow::CreateRequestId(id))), Ok(Delete::Abandoned { .. })));
    for (dataflow, field, reason) in [
        (None, "dataflow", InvalidReason::Required),
        (Some(Dataflow::Id("a/b".to_owned())), "id", InvalidReason::Malformed),
        (Some(Dataflow::CreateRequestId("f-1".to_owned())), "create_request_id", InvalidReason::Malformed),
    ] {
        assert_eq!(violated(parse(dataflow)), [(field.to_owned(), reason)]);
    }
}

#[test]
fn a_page_of_dataflows_belongs_to_its_filter() {
    let request =
        proto::ListHubSpotDataflowsRequest { connection_id: "c-1".to_owned(), ..Default::default() };
    let Ok(List::Page(first)) = list(request.clone(), &sandboxes()) else { panic!("no page") };
    let next = PageToken("next".to_owned());
    let page_token = page_token::encode(&next, &Query::dataflows(&first.sandbox, &first.filter));
    let request = proto::ListHubSpotDataflowsRequest { page_token, page_size: 500, ..request };
    let Ok(List::Page(second)) = list(request.clone(), &sandboxes()) else { panic!("no page") };
    assert_eq!((second.page, first.page_size, second.page_size), (Some(next), 50, 100));
    let other = proto::ListHubSpotDataflowsRequest { name: "x".to_owned(), ..request.clone() };
    let refused = |reason| [("page_token".to_owned(), reason)];
    assert_eq!(violated(list(other, &sandboxes())), refused(InvalidReason::Malformed));
    let count = proto::ListHubSpotDataflowsRequest { count_only: true, ..request };
    assert_eq!(violated(list(count, &sandboxes())), refused(InvalidReason::Conflicting));
}

#[test]
fn runs_are_filtered_by_state_and_time() {
    let at = |seconds| Some(Timestamp { seconds, nanos: 500_999_999 });
    let request = proto::ListHubSpotDataflowRunsRequest {
        id: "f-1".to_owned(),
        state: proto::RunState::Failed.into(),
        started_after: at(1),
        started_before: at(2),
        ..Default::default()
    };
    let command = runs(request.clone(), &sandboxes()).unwrap();
    assert_eq!(command.state, Some(RunState::Failed));
    assert_eq!((command.started_after_ms, command.started_before_ms), (Some(1500), Some(2500)));
    let request = proto::ListHubSpotDataflowRunsRequest { started_after: at(2), state: 9, ..request };
    let violations = [
        ("state".to_owned(), InvalidReason::UnknownValue),
        ("started_before".to_owned(), InvalidReason::OutOfRange),
    ];
    assert_eq!(violated(runs(request, &sandboxes())), violations);
}
