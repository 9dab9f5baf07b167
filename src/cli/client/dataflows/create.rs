//! `dataflows create`: the request from flat options.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use prost_types::Timestamp;

use crate::{
    cli::{
        client::{
            Problem,
            arguments::{flag, name, optional_text, request_id, subcommand, text, timestamp},
            creation,
            options::Options,
        },
        option,
    },
    proto::{
        CreateHubSpotDataflowRequest, DataflowOptions, DataflowSchedule, DeltaColumn, FieldMapping,
        NewDataset, SchemaFromTable, create_hub_spot_dataflow_request::Target, dataflow_schedule::Frequency,
        field_mapping::Kind, new_dataset::Schema,
    },
};

/// The options of mappings, and what the left side of each is.
const MAPPINGS: [(&str, &str, Kind, &str); 3] = [
    (
        "map",
        "COLUMN=PATH",
        Kind::Attribute,
        "Map a column to an XDM path; repeated. By column name if left out",
    ),
    ("map-expression", "EXPRESSION=PATH", Kind::Expression, "Map an expression of Data Prep; repeated"),
    ("map-constant", "TEXT=PATH", Kind::Static, "Map a constant; repeated"),
];

pub(super) fn command() -> Command {
    let mappings = MAPPINGS.map(|(name, value, _, help)| {
        option(name, value, help).action(ArgAction::Append).value_parser(sides)
    });
    let of_new = |arg: Arg| arg.conflicts_with("dataset").help_heading("New dataset");
    let of_schedule = |arg: Arg| arg.conflicts_with("once").help_heading("Schedule");
    subcommand(
        "create",
        "Bring a table into a dataset, whatever fails in between: retries with one request id",
    )
    .args([
        name("Name of the dataflow").required(true),
        option("description", "TEXT", "Description"),
        option("connection", "ID", "ID of the connection to read from").required(true),
        option("table", "PATH", "Path of the table, as `connections tables` shows it").required(true),
        option("dataset", "ID", "Existing dataset to write to"),
        option("new-dataset", "NAME", "Dataset to create and write to"),
        request_id(),
        flag("dry-run", "Check everything and show the plan, and create nothing"),
    ])
    .group(ArgGroup::new("target").args(["dataset", "new-dataset"]).required(true))
    .args(
        [
            option("dataset-description", "TEXT", "Description of the dataset"),
            option("schema", "ID", "$id of an existing schema. One from the table's columns if left out"),
            option("schema-title", "TITLE", "Title of the schema to create [default: name of the dataset]")
                .conflicts_with("schema"),
            option("schema-class", "ID", "$id of the schema's class [default: that of profiles]")
                .conflicts_with("schema"),
            option("column", "NAME", "Column of the schema; repeated. Every column if left out")
                .action(ArgAction::Append)
                .conflicts_with("schema"),
        ]
        .map(of_new),
    )
    .args(mappings)
    .args([
        flag("once", "Run once").help_heading("Schedule"),
        option("every", "TIME", "Run again and again, as in 15m, 1h, 1d or 1w; needs --delta-column")
            .value_parser(every)
            .help_heading("Schedule"),
        option("start", "TIME", "First run, as in 2030-01-31T12:00:00Z [default: as soon as is safe]")
            .value_parser(timestamp)
            .help_heading("Schedule"),
    ])
    .group(ArgGroup::new("schedule").args(["once", "every"]).required(true))
    .args(
        [
            option("delta-column", "NAME", "Date-time column that shows what is new"),
            option("delta-format", "FORMAT", "Form of its dates").requires("delta-column"),
            flag("no-backfill", "Bring in only what is new from the start on"),
        ]
        .map(of_schedule),
    )
    .args([
        flag("error-diagnostics", "Keep details about records that fail"),
        option("partial-ingestion", "PERCENT", "Accept a batch with up to so many failed records")
            .value_parser(value_parser!(f64))
            .requires("error-diagnostics"),
    ])
}

pub(super) async fn run(
    matches: &ArgMatches,
    arguments: &[OsString],
    options: &Options,
) -> Result<(), Problem> {
    creation::run(matches, arguments, options, |request_id| CreateHubSpotDataflowRequest {
        request_id,
        sandbox_name: options.sandbox.clone(),
        ..request(matches)
    })
    .await
}

fn request(matches: &ArgMatches) -> CreateHubSpotDataflowRequest {
    let percent = matches.get_one::<f64>("partial-ingestion").copied();
    let diagnostics = matches.get_flag("error-diagnostics");
    CreateHubSpotDataflowRequest {
        name: text(matches, "name"),
        description: text(matches, "description"),
        connection_id: text(matches, "connection"),
        table: text(matches, "table"),
        target: Some(target(matches)),
        mappings: MAPPINGS.iter().flat_map(|(name, _, kind, _)| mappings(matches, name, *kind)).collect(),
        schedule: Some(schedule(matches)),
        options: diagnostics.then(|| DataflowOptions {
            error_diagnostics: true,
            partial_ingestion_percent: percent.unwrap_or_default(),
        }),
        validate_only: matches.get_flag("dry-run"),
        ..CreateHubSpotDataflowRequest::default()
    }
}

fn target(matches: &ArgMatches) -> Target {
    let Some(name) = optional_text(matches, "new-dataset") else {
        return Target::DatasetId(text(matches, "dataset"));
    };
    let schema = optional_text(matches, "schema").map_or_else(
        || {
            Schema::SchemaFromTable(SchemaFromTable {
                title: text(matches, "schema-title"),
                class_id: text(matches, "schema-class"),
                columns: matches.get_many("column").into_iter().flatten().cloned().collect(),
            })
        },
        Schema::SchemaId,
    );
    let description = text(matches, "dataset-description");
    Target::NewDataset(NewDataset { name, description, schema: Some(schema) })
}

fn mappings(matches: &ArgMatches, option: &str, kind: Kind) -> impl Iterator<Item = FieldMapping> {
    let given = matches.get_many::<(String, String)>(option).into_iter().flatten();
    given.map(move |(source, destination)| FieldMapping {
        source: source.clone(),
        destination: destination.clone(),
        kind: kind.into(),
    })
}

/// The two sides of a mapping. An expression may have more equal signs, an XDM path has none.
fn sides(text: &str) -> Result<(String, String), &'static str> {
    let sides = text.rsplit_once('=').filter(|(source, path)| !source.is_empty() && !path.is_empty());
    let (source, path) = sides.ok_or("must be SOURCE=PATH, as in firstname=person.name.firstName")?;
    Ok((source.to_owned(), path.to_owned()))
}

fn schedule(matches: &ArgMatches) -> DataflowSchedule {
    let every = matches.get_one::<Interval>("every").copied();
    let Interval { frequency, number } = every.unwrap_or(Interval { frequency: Frequency::Once, number: 0 });
    let delta_column = optional_text(matches, "delta-column");
    DataflowSchedule {
        frequency: frequency.into(),
        interval: number,
        start_time: matches.get_one::<Timestamp>("start").copied(),
        backfill: matches.get_flag("no-backfill").then_some(false),
        delta_column: delta_column
            .map(|name| DeltaColumn { name, date_format: text(matches, "delta-format") }),
    }
}

/// The time between two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval {
    frequency: Frequency,
    number: i32,
}

fn every(text: &str) -> Result<Interval, &'static str> {
    let form = "must be a number and one of the units m, h, d and w, as in 15m or 1h";
    let start = text.find(|c: char| !c.is_ascii_digit()).ok_or(form)?;
    let (number, unit) = text.split_at(start);
    let frequency = match unit {
        "m" => Frequency::Minute,
        "h" => Frequency::Hour,
        "d" => Frequency::Day,
        "w" => Frequency::Week,
        _ => return Err(form),
    };
    let number = number.parse().ok().filter(|number| *number > 0).ok_or(form)?;
    Ok(Interval { frequency, number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &str) -> Result<CreateHubSpotDataflowRequest, clap::Error> {
        let words = format!("create --name n --connection c --table t {options}");
        command().try_get_matches_from(words.split_whitespace()).map(|matches| request(&matches))
    }

    #[test]
    fn flat_options_become_the_nested_request() {
        let request = parse(
            "--new-dataset d --schema-title s --column Vid --column Added_At --every 2h --delta-column Added_At \
             --start 2030-01-31T12:00:00Z --no-backfill --map Vid=_t.vid --map-expression iif(a=='b')=_t.x \
             --map-constant hubspot=_t.source --error-diagnostics --partial-ingestion 2.5 --dry-run",
        )
        .unwrap();
        let Some(Target::NewDataset(dataset)) = &request.target else { panic!("{request:?}") };
        let Some(Schema::SchemaFromTable(schema)) = &dataset.schema else { panic!("{request:?}") };
        assert_eq!((&*dataset.name, &*schema.title), ("d", "s"));
        assert_eq!(schema.columns, ["Vid", "Added_At"]);
        let schedule = request.schedule.as_ref().unwrap();
        assert_eq!((schedule.frequency(), schedule.interval), (Frequency::Hour, 2));
        assert_eq!((schedule.start_time.unwrap().seconds, schedule.backfill), (1_896_091_200, Some(false)));
        assert_eq!(schedule.delta_column.as_ref().unwrap().name, "Added_At");
        let mappings: Vec<_> =
            request.mappings.iter().map(|m| (&*m.source, &*m.destination, m.kind())).collect();
        assert_eq!(
            mappings,
            [
                ("Vid", "_t.vid", Kind::Attribute),
                ("iif(a=='b')", "_t.x", Kind::Expression),
                ("hubspot", "_t.source", Kind::Static),
            ]
        );
        assert!((request.options.unwrap().partial_ingestion_percent - 2.5).abs() < f64::EPSILON);
        assert!(request.validate_only);
    }

    #[test]
    fn what_is_left_out_is_left_to_the_service() {
        let request = parse("--dataset d --once").unwrap();
        assert_eq!(request.target, Some(Target::DatasetId("d".to_owned())));
        let schedule = request.schedule.unwrap();
        assert_eq!((schedule.frequency(), schedule.interval), (Frequency::Once, 0));
        assert_eq!((schedule.backfill, schedule.delta_column, schedule.start_time), (None, None, None));
        assert_eq!((request.options, request.mappings.len()), (None, 0));
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for options in [
            "--dataset d",
            "--once",
            "--dataset d --new-dataset e --once",
            "--dataset d --once --every 1h",
            "--dataset d --schema-title s --once",
            "--new-dataset d --schema x --schema-title s --once",
            "--dataset d --once --delta-column c",
            "--dataset d --once --map Vid",
            "--dataset d --once --partial-ingestion 5",
        ] {
            assert!(parse(options).is_err(), "{options}");
        }
    }

    #[test]
    fn an_interval_is_a_number_and_a_unit() {
        let interval = |frequency, number| Ok(Interval { frequency, number });
        assert_eq!(every("15m"), interval(Frequency::Minute, 15));
        assert_eq!(every("24h"), interval(Frequency::Hour, 24));
        assert_eq!(every("1w"), interval(Frequency::Week, 1));
        for wrong in ["", "15", "h", "0h", "-1h", "1.5h", "1 h", "1s", "99999999999h"] {
            assert!(every(wrong).is_err(), "{wrong}");
        }
    }
}
