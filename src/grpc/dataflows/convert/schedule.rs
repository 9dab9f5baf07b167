//! When a dataflow runs, and how it ingests.

use crate::{
    domain::{
        Invalid, InvalidReason,
        dataflow::{
            ColumnName, DataflowOptions, DateFormat, DeltaColumn, Frequency, Percent, Repetition, Schedule,
            StartTime,
        },
    },
    grpc::{
        timestamp,
        violations::{Violations, optional, required},
    },
    proto,
};

const FREQUENCIES: &str = "FREQUENCY_ONCE, FREQUENCY_MINUTE, FREQUENCY_HOUR, FREQUENCY_DAY or FREQUENCY_WEEK";

pub(super) fn parse_schedule(
    violations: &mut Violations<'_>,
    schedule: Option<proto::DataflowSchedule>,
) -> Option<Schedule> {
    let schedule = violations.check("schedule", schedule.ok_or_else(|| required("is required")))?;
    let proto::DataflowSchedule { frequency, interval, start_time, backfill, delta_column } = schedule;
    let start = start_time.map(timestamp::whole_seconds).transpose();
    let start = violations.check("schedule.start_time", start).map(|start| start.map(StartTime));
    let frequency = violations.check("schedule.frequency", parse_frequency(frequency));
    let repetition = match frequency {
        Some(None) => parse_once(violations, interval, backfill, delta_column.as_ref()).map(|()| None),
        Some(Some(frequency)) => {
            let interval = violations.check("schedule.interval", parse_interval(frequency, interval));
            let delta_column = parse_delta_column(violations, delta_column);
            let repetition = || {
                let backfill = backfill.unwrap_or(true);
                Some(Repetition { frequency, interval: interval?, backfill, delta_column: delta_column? })
            };
            repetition().map(Some)
        }
        // Whether the others are right depends on it.
        None => None,
    };
    Some(Schedule { start: start?, repetition: repetition? })
}

/// `None`: once.
fn parse_frequency(frequency: i32) -> Result<Option<Frequency>, Invalid> {
    use proto::dataflow_schedule::Frequency as Given;
    match Given::try_from(frequency) {
        Ok(Given::Unspecified) => Err(required(&format!("is required: {FREQUENCIES}"))),
        Ok(Given::Once) => Ok(None),
        Ok(Given::Minute) => Ok(Some(Frequency::Minute)),
        Ok(Given::Hour) => Ok(Some(Frequency::Hour)),
        Ok(Given::Day) => Ok(Some(Frequency::Day)),
        Ok(Given::Week) => Ok(Some(Frequency::Week)),
        Err(_) => Err(Invalid::new(InvalidReason::UnknownValue, format!("must be {FREQUENCIES}"))),
    }
}

/// Checks that nothing is set that has no meaning for a dataflow that runs once.
fn parse_once(
    violations: &mut Violations<'_>,
    interval: i32,
    backfill: Option<bool>,
    delta_column: Option<&proto::DeltaColumn>,
) -> Option<()> {
    let fields = [
        ("schedule.interval", interval != 0),
        ("schedule.backfill", backfill.is_some()),
        ("schedule.delta_column", delta_column.is_some()),
    ];
    let conflict = || Invalid::new(InvalidReason::Conflicting, "must not be set with FREQUENCY_ONCE");
    let checked =
        fields.map(|(field, is_set)| violations.check(field, if is_set { Err(conflict()) } else { Ok(()) }));
    checked.into_iter().collect()
}

fn parse_interval(frequency: Frequency, interval: i32) -> Result<u32, Invalid> {
    let least = frequency.least_interval();
    match u32::try_from(interval) {
        Ok(interval) if interval >= least => Ok(interval),
        Ok(0) => {
            Err(required(&format!("is required, unless the frequency is FREQUENCY_ONCE: at least {least}")))
        }
        _ => Err(Invalid::new(
            InvalidReason::OutOfRange,
            format!("must be at least {least} for this frequency"),
        )),
    }
}

fn parse_delta_column(
    violations: &mut Violations<'_>,
    delta_column: Option<proto::DeltaColumn>,
) -> Option<DeltaColumn> {
    let missing = || {
        required(
            "is required, unless the frequency is FREQUENCY_ONCE: a column of the table with dates and times",
        )
    };
    let delta_column = violations.check("schedule.delta_column", delta_column.ok_or_else(missing))?;
    let proto::DeltaColumn { name, date_format } = delta_column;
    let name = violations.check("schedule.delta_column.name", ColumnName::parse(&name));
    let date_format =
        violations.check("schedule.delta_column.date_format", optional(&date_format, DateFormat::parse));
    Some(DeltaColumn { name: name?, date_format: date_format? })
}

pub(super) fn parse_options(
    violations: &mut Violations<'_>,
    options: proto::DataflowOptions,
) -> Option<DataflowOptions> {
    let proto::DataflowOptions { error_diagnostics, partial_ingestion_percent: percent } = options;
    let partial_ingestion = match Percent::parse(percent) {
        _ if percent == 0.0 => Ok(None),
        Ok(_) if !error_diagnostics => {
            Err(Invalid::new(InvalidReason::Conflicting, "needs options.error_diagnostics: set that too"))
        }
        parsed => parsed.map(Some),
    };
    let partial_ingestion = violations.check("options.partial_ingestion_percent", partial_ingestion)?;
    Some(DataflowOptions { error_diagnostics, partial_ingestion })
}
