//! When a flow runs.

use serde_json::{Map, Value, json};

use crate::emulator::{
    flow_service::{from_provider, source_error},
    problem::Problem,
    settings::Settings,
};

/// The schedule of a flow, whose fields fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::emulator) struct Schedule {
    /// Seconds since the Unix epoch.
    pub(in crate::emulator) start: u64,
    pub(in crate::emulator) frequency: Frequency,
    /// `None` for `once` alone.
    pub(in crate::emulator) interval: Option<u64>,
    /// As it was given. Without it the first run takes everything.
    backfill: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Frequency {
    Once,
    Minute,
    Hour,
    Day,
    Week,
}

impl Frequency {
    pub(in crate::emulator) const fn name(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let all = [Self::Once, Self::Minute, Self::Hour, Self::Day, Self::Week];
        all.into_iter().find(|frequency| frequency.name() == name)
    }

    /// In seconds; 0 for `once`.
    const fn unit(self) -> u64 {
        match self {
            Self::Once => 0,
            Self::Minute => 60,
            Self::Hour => 60 * 60,
            Self::Day => 24 * 60 * 60,
            Self::Week => 7 * 24 * 60 * 60,
        }
    }

    const fn least_interval(self) -> u64 {
        match self {
            Self::Minute => 15,
            Self::Once | Self::Hour | Self::Day | Self::Week => 1,
        }
    }
}

impl Schedule {
    /// Parses `scheduleParams`. Numbers may be strings, as in the tutorials.
    ///
    /// # Errors
    /// Those of the sources' catalogue, for the first field that is wrong. A start in the past is
    /// [`Schedule::check_start`]'s.
    pub(super) fn parse(params: &Map<String, Value>, settings: &Settings) -> Result<Self, Problem> {
        let error = |code, detail: String| source_error(settings, code, detail);
        if params.is_empty() {
            let detail = "The provided schedule params are empty but should not be empty. \
                          Please provide valid schedule params and try again.";
            return Err(error(1317, detail.to_owned()));
        }
        let required = |field: &str| match params.get(field) {
            None | Some(Value::Null) => {
                let detail = format!(
                    "The mandatory field {field} is not provided. Please provide the {field} and try again."
                );
                Err(error(1304, detail))
            }
            Some(value) => Ok(value),
        };
        let given = required("frequency")?;
        let Some(frequency) = given.as_str().and_then(Frequency::parse) else {
            let detail = format!(
                "The provided frequency : {given} is invalid. Please provide a valid frequency and try again."
            );
            return Err(error(1397, detail));
        };
        let interval = match (frequency, params.get("interval")) {
            (Frequency::Once, Some(_)) => {
                let detail = "Interval is not allowed with one time ingestion. \
                              Please remove interval or change frequency and then try again.";
                return Err(error(1361, detail.to_owned()));
            }
            (Frequency::Once, None) => None,
            _ => Some(parse_interval(required("interval")?, frequency, settings)?),
        };
        let backfill = match params.get("backfill") {
            Some(_) if frequency == Frequency::Once => {
                let detail = "The backfill flag is not allowed when frequency is set to once. Please remove \
                              the backfill flag when frequency is set to once and try again.";
                return Err(error(1364, detail.to_owned()));
            }
            None => None,
            Some(given) => Some(boolean(given).ok_or_else(|| from_provider("backfill must be a boolean"))?),
        };
        let given = required("startTime")?;
        let Some(start) = number(given) else {
            let detail = format!(
                "An error occurred while parsing {given}. \
                 Please check the time format provided in the request and try again."
            );
            return Err(error(1340, detail));
        };
        Ok(Self { start, frequency, interval, backfill })
    }

    /// # Errors
    /// 1360-400 for a start before now.
    pub(super) fn check_start(&self, now_ms: u64, settings: &Settings) -> Result<(), Problem> {
        if self.has_started(now_ms) {
            let detail =
                "The start time cannot be set in the past. Please provide a valid start time and try again.";
            return Err(source_error(settings, 1360, detail));
        }
        Ok(())
    }

    pub(super) fn has_started(&self, now_ms: u64) -> bool {
        self.start.saturating_mul(1000) < now_ms
    }

    /// When a period begins, in milliseconds since the Unix epoch. `None` after the last one.
    pub(in crate::emulator) fn begins_ms(&self, period: u64) -> Option<u64> {
        let offset = match self.interval {
            None if period > 0 => return None,
            None => 0,
            Some(interval) => period.checked_mul(interval.checked_mul(self.frequency.unit())?)?,
        };
        self.start.checked_add(offset)?.checked_mul(1000)
    }

    /// How many periods have begun.
    pub(super) fn periods_begun(&self, now_ms: u64) -> u64 {
        let Some(passed_ms) = now_ms.checked_sub(self.start.saturating_mul(1000)) else { return 0 };
        let length_ms = self.interval.unwrap_or(0).saturating_mul(self.frequency.unit() * 1000);
        passed_ms.checked_div(length_ms).unwrap_or(0).saturating_add(1)
    }

    /// Whether the run of a period takes what was there before the start.
    pub(in crate::emulator) fn takes_everything(&self, period: u64) -> bool {
        period == 0 && self.backfill != Some(false)
    }

    /// As the service shows it: every value is a string.
    pub(super) fn shown(&self) -> Map<String, Value> {
        let mut shown = Map::new();
        shown.insert("startTime".to_owned(), json!(self.start.to_string()));
        shown.insert("frequency".to_owned(), json!(self.frequency.name()));
        if let Some(interval) = self.interval {
            shown.insert("interval".to_owned(), json!(interval.to_string()));
        }
        if let Some(backfill) = self.backfill {
            shown.insert("backfill".to_owned(), json!(backfill.to_string()));
        }
        shown
    }
}

fn parse_interval(given: &Value, frequency: Frequency, settings: &Settings) -> Result<u64, Problem> {
    let least = frequency.least_interval();
    match number(given) {
        None => {
            let detail = format!(
                "Interval {given} is not allowed with frequency: {}. \
                 Please provide a valid interval value and try again.",
                frequency.name()
            );
            Err(source_error(settings, 1363, detail))
        }
        Some(interval) if interval < least => {
            let detail = format!(
                "Interval cannot be less than {least}. Please provide a valid interval value and try again."
            );
            Err(source_error(settings, 1362, detail))
        }
        Some(interval) => Ok(interval),
    }
}

/// An integer, or a string of one.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn boolean(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(params: &Value) -> Result<Schedule, String> {
        let settings = Settings { source_error_prefix: "CONN".to_owned(), ..Settings::default() };
        Schedule::parse(params.as_object().unwrap(), &settings).map_err(|problem| {
            let Problem::Report { code, .. } = problem else { panic!("{problem:?}") };
            code
        })
    }

    #[test]
    fn integers_and_strings_are_taken_and_strings_are_shown() {
        let strings =
            json!({"startTime": "1700000000", "frequency": "hour", "interval": "2", "backfill": "true"});
        let numbers =
            json!({"startTime": 1_700_000_000, "frequency": "hour", "interval": 2, "backfill": true});
        let schedule = parse(&numbers).unwrap();
        assert_eq!(parse(&strings), Ok(schedule.clone()));
        assert_eq!(json!(schedule.shown()), strings);
        let once = json!({"startTime": "1700000000", "frequency": "once"});
        assert_eq!(json!(parse(&once).unwrap().shown()), once);
    }

    #[test]
    fn each_rule_has_its_code() {
        for (params, code) in [
            (json!({}), "CONN-1317-400"),
            (json!({"startTime": 5}), "CONN-1304-400"),
            (json!({"startTime": 5, "frequency": "month"}), "CONN-1397-400"),
            (json!({"startTime": 5, "frequency": "once", "interval": 15}), "CONN-1361-400"),
            (json!({"startTime": 5, "frequency": "once", "backfill": false}), "CONN-1364-400"),
            (json!({"startTime": 5, "frequency": "minute"}), "CONN-1304-400"),
            (json!({"startTime": 5, "frequency": "minute", "interval": 14}), "CONN-1362-400"),
            (json!({"startTime": 5, "frequency": "week", "interval": 0}), "CONN-1362-400"),
            (json!({"startTime": 5, "frequency": "day", "interval": -1}), "CONN-1363-400"),
            (json!({"startTime": 5, "frequency": "day", "interval": 1.5}), "CONN-1363-400"),
            (json!({"startTime": 5, "frequency": "day", "interval": 1, "backfill": "no"}), "1100"),
            (json!({"frequency": "once"}), "CONN-1304-400"),
            (json!({"startTime": "tomorrow", "frequency": "once"}), "CONN-1340-400"),
        ] {
            assert_eq!(parse(&params), Err(code.to_owned()), "{params}");
        }
        for (frequency, interval) in [("minute", 15), ("hour", 1), ("day", 1), ("week", 1)] {
            let params = json!({"startTime": 5, "frequency": frequency, "interval": interval});
            assert!(parse(&params).is_ok(), "{params}");
        }
    }

    #[test]
    fn a_start_must_not_be_past() {
        let once = parse(&json!({"startTime": 5, "frequency": "once"})).unwrap();
        assert!(once.check_start(5000, &Settings::default()).is_ok());
        assert!(once.check_start(5001, &Settings::default()).is_err());
    }

    #[test]
    fn periods_follow_one_another_unless_there_is_only_one() {
        let once = parse(&json!({"startTime": 5, "frequency": "once"})).unwrap();
        assert_eq!([once.begins_ms(0), once.begins_ms(1)], [Some(5000), None]);
        let hours = parse(&json!({"startTime": 5, "frequency": "hour", "interval": 2})).unwrap();
        assert_eq!([hours.begins_ms(0), hours.begins_ms(3)], [Some(5000), Some(5000 + 6 * 3_600_000)]);
        assert_eq!(hours.begins_ms(u64::MAX), None);
        let begun =
            [4999, 5000, 5000 + 7_199_999, 5000 + 7_200_000].map(|now_ms| hours.periods_begun(now_ms));
        assert_eq!(begun, [0, 1, 1, 2]);
        assert_eq!([once.periods_begun(4999), once.periods_begun(u64::MAX)], [0, 1]);
        assert!(hours.takes_everything(0) && !hours.takes_everything(1));
    }
}
