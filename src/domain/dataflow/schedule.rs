//! When a dataflow runs, and how it ingests.

use super::ColumnName;
use crate::domain::{
    Invalid, InvalidReason,
    text::{check_line, names, text},
};

#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// `None`: as soon as is safe.
    pub start: Option<StartTime>,
    /// `None`: it runs once.
    pub repetition: Option<Repetition>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Repetition {
    pub frequency: Frequency,
    /// How many of the units of the frequency lie between two runs: at least 15 minutes, or 1 of any other unit.
    pub interval: u32,
    /// Whether the first run takes everything that is there.
    pub backfill: bool,
    pub delta_column: DeltaColumn,
}

names! {
    /// The unit of an interval, with Adobe's name.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Frequency {
        Minute = "minute",
        Hour = "hour",
        Day = "day",
        Week = "week",
    }
}

impl Frequency {
    pub fn least_interval(self) -> u32 {
        if self == Self::Minute { 15 } else { 1 }
    }
}

/// In seconds since the Unix epoch. Whether it lies in the future is checked when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StartTime(pub i64);

/// The column by which a run finds the rows that are new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaColumn {
    pub name: ColumnName,
    pub date_format: Option<DateFormat>,
}

/// A pattern of dates, such as `yyyy-MM-dd HH:mm:ss`: 1 to 100 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFormat(String);

text!(DateFormat);

impl DateFormat {
    /// # Errors
    /// [`Invalid`] when it is blank, too long or contains a control character.
    pub fn parse(format: &str) -> Result<Self, Invalid> {
        check_line(format, 100, "must be a pattern such as yyyy-MM-dd HH:mm:ss")?;
        Ok(Self(format.to_owned()))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DataflowOptions {
    pub error_diagnostics: bool,
    /// `None`: a run with a bad record fails.
    pub partial_ingestion: Option<Percent>,
}

/// Over 0, and up to 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(f64);

impl Percent {
    /// # Errors
    /// [`Invalid`] when it is not over 0 and up to 100.
    pub fn parse(percent: f64) -> Result<Self, Invalid> {
        if percent > 0.0 && percent <= 100.0 {
            Ok(Self(percent))
        } else {
            Err(Invalid::new(InvalidReason::OutOfRange, "must be over 0 and at most 100"))
        }
    }

    pub fn get(self) -> f64 {
        self.0
    }
}
