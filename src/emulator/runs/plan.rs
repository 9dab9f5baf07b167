//! How the next runs end.

use serde::Deserialize;

/// How the next runs of a flow end, in place of success with all rows of its table.
///
/// In JSON: `{"flow": "*", "outcome": "partial", "input_records": 100, "failed_records": 3, "message": "…",
/// "count": 1}`, of which the last four are optional.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedRun {
    /// The id of a flow, or `*` for any.
    pub flow: String,
    pub outcome: Outcome,
    /// How many rows are read, without it as many as the table has.
    #[serde(default)]
    pub input_records: Option<u64>,
    /// How many of them fail.
    #[serde(default)]
    pub failed_records: Option<u64>,
    /// The error's, in place of one that fits the outcome.
    #[serde(default)]
    pub message: Option<String>,
    /// How many runs it affects. 0 means all.
    #[serde(default = "once")]
    pub count: u32,
}

fn once() -> u32 {
    1
}

/// How a run ends, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Succeeded,
    /// Succeeds, although some rows failed: one, if the number is not given.
    Partial,
    /// Reading the table fails, as with revoked credentials.
    FailedCopy,
    /// Parsing, checking or mapping the rows fails.
    FailedProcess,
    /// Writing to the dataset fails.
    FailedIngest,
    /// It never ends.
    InProgress,
}

impl PlannedRun {
    /// One run with this outcome, of a flow or of any (`*`).
    pub fn once(flow: &str, outcome: Outcome) -> Self {
        let flow = flow.to_owned();
        Self { flow, outcome, input_records: None, failed_records: None, message: None, count: 1 }
    }

    pub(super) fn is_for(&self, flow: &str) -> bool {
        self.flow == "*" || self.flow == flow
    }
}

/// The planned runs. Those of one flow apply in this order.
#[derive(Debug, Default)]
pub(in crate::emulator) struct Plan(Vec<PlannedRun>);

impl Plan {
    pub(in crate::emulator) fn replace(&mut self, planned: Vec<PlannedRun>) {
        self.0 = planned;
    }

    /// Takes the plan for the next run of a flow.
    pub(super) fn take(&mut self, flow: &str) -> Option<PlannedRun> {
        let index = self.0.iter().position(|planned| planned.is_for(flow))?;
        let planned = &mut self.0[index];
        match planned.count {
            0 => Some(planned.clone()),
            1 => Some(self.0.remove(index)),
            more => {
                planned.count = more - 1;
                Some(planned.clone())
            }
        }
    }
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunResult {
    pub(super) outcome: Outcome,
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) failed: u64,
    /// The code and the message of its error.
    pub(super) error: Option<(&'static str, String)>,
}

impl RunResult {
    pub(super) fn new(outcome: Outcome, rows: u64, planned: Option<&PlannedRun>) -> Self {
        let given = |of: fn(&PlannedRun) -> Option<u64>| planned.and_then(of);
        let usual_input = if outcome == Outcome::FailedCopy { 0 } else { rows };
        let input = given(|planned| planned.input_records).unwrap_or(usual_input);
        let usual_failed = match outcome {
            Outcome::Succeeded | Outcome::FailedCopy | Outcome::InProgress => 0,
            Outcome::Partial => 1,
            Outcome::FailedProcess | Outcome::FailedIngest => input,
        };
        let failed = given(|planned| planned.failed_records).unwrap_or(usual_failed).min(input);
        let output = match outcome {
            Outcome::Succeeded | Outcome::Partial => input - failed,
            Outcome::FailedCopy | Outcome::FailedProcess | Outcome::FailedIngest | Outcome::InProgress => 0,
        };
        let message = |usual: &str| {
            planned.and_then(|planned| planned.message.clone()).unwrap_or_else(|| usual.to_owned())
        };
        let error = outcome.error().map(|(code, usual)| (code, message(usual)));
        Self { outcome, input, output, failed, error }
    }

    /// The status of the batch that it wrote, `None` if it wrote none.
    pub(super) fn batch_status(&self) -> Option<&'static str> {
        match self.outcome {
            Outcome::Succeeded | Outcome::Partial => Some("success"),
            Outcome::FailedProcess | Outcome::FailedIngest => Some("failed"),
            Outcome::FailedCopy | Outcome::InProgress => None,
        }
    }
}

impl Outcome {
    /// As the bodies of runs write it.
    pub(super) fn status(self) -> &'static str {
        match self {
            Self::Succeeded | Self::Partial => "success",
            Self::FailedCopy | Self::FailedProcess | Self::FailedIngest => "failed",
            Self::InProgress => "inProgress",
        }
    }

    fn error(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Succeeded | Self::InProgress => None,
            Self::Partial => Some(("INGEST-1212-400", "Some rows do not match the schema of the dataset.")),
            // The text is the back end's, Azure Data Factory, with what HubSpot says of a revoked token.
            Self::FailedCopy => Some((
                "CONNECTOR-1001-500",
                "There was an error while copying data from the source. ErrorCode=UserErrorOdbcOperationFailed,\
                 'Type=Microsoft.DataTransfer.Common.Shared.HybridDeliveryException,Message=HubSpot: 401 \
                 Unauthorized, BAD_REFRESH_TOKEN: refresh token is invalid, expired or revoked'",
            )),
            Self::FailedProcess => Some((
                "CONNECTOR-2001-500",
                "There was an error while processing the data: it could not be parsed, checked or transformed.",
            )),
            Self::FailedIngest => {
                Some(("CONNECTOR-3001-500", "There was an error while promoting the batch to the dataset."))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planned_runs_of_one_flow_happen_in_turn() {
        let planned = |flow, outcome, count| PlannedRun { count, ..PlannedRun::once(flow, outcome) };
        let mut plan = Plan::default();
        plan.replace(vec![
            planned("a", Outcome::FailedCopy, 2),
            planned("*", Outcome::Partial, 1),
            planned("b", Outcome::InProgress, 0),
        ]);
        let mut take = |flow| plan.take(flow).map(|planned| planned.outcome);
        let taken = ["a", "b", "a", "a", "b", "b"].map(&mut take);
        let [copy, partial, progress] =
            [Outcome::FailedCopy, Outcome::Partial, Outcome::InProgress].map(Some);
        assert_eq!(taken, [copy, partial, copy, None, progress, progress]);
    }

    #[test]
    fn rows_are_read_written_or_failed() {
        let counts = |outcome, planned: Option<&PlannedRun>| {
            let RunResult { input, output, failed, error, .. } = RunResult::new(outcome, 5, planned);
            (input, output, failed, error.is_some())
        };
        assert_eq!(counts(Outcome::Succeeded, None), (5, 5, 0, false));
        assert_eq!(counts(Outcome::Partial, None), (5, 4, 1, true));
        assert_eq!(counts(Outcome::FailedCopy, None), (0, 0, 0, true));
        assert_eq!(counts(Outcome::FailedProcess, None), (5, 0, 5, true));
        assert_eq!(counts(Outcome::FailedIngest, None), (5, 0, 5, true));
        assert_eq!(counts(Outcome::InProgress, None), (5, 0, 0, false));
        let once = PlannedRun::once("*", Outcome::Partial);
        let planned = PlannedRun { input_records: Some(100), failed_records: Some(3), ..once.clone() };
        assert_eq!(counts(Outcome::Partial, Some(&planned)), (100, 97, 3, true));
        let planned = PlannedRun { failed_records: Some(9), ..once };
        assert_eq!(counts(Outcome::Partial, Some(&planned)), (5, 0, 5, true));
    }
}
