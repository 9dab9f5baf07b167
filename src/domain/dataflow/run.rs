//! The runs of a dataflow.

use crate::domain::text::names;

/// One run. Adobe may leave out any part of it, and gives -1 for counts that it does not know: those are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    pub id: String,
    pub state: Option<RunState>,
    /// All times are in milliseconds since the Unix epoch.
    pub created_at_ms: Option<i64>,
    pub started_at_ms: Option<i64>,
    pub completed_at_ms: Option<i64>,
    pub window_start_ms: Option<i64>,
    pub window_end_ms: Option<i64>,
    pub input_records: Option<i64>,
    pub output_records: Option<i64>,
    pub failed_records: Option<i64>,
    pub skipped_records: Option<i64>,
    pub input_bytes: Option<i64>,
    pub output_bytes: Option<i64>,
    pub errors: Vec<RunError>,
    pub batch_ids: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError {
    /// Adobe's code, such as `CONNECTOR-1001-500`.
    pub code: String,
    pub message: String,
    /// `None` where the code does not say.
    pub stage: Option<RunStage>,
    /// Whether the credentials of the connection may be the cause.
    pub are_credentials_suspected: bool,
}

/// The part of a run that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStage {
    /// Copying from HubSpot.
    Copy,
    /// Parsing, validating and transforming.
    Process,
    /// Writing into the dataset.
    Ingest,
}

names! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum RunState {
        Scheduled = "scheduled",
        Queued = "queued",
        InProgress = "in_progress",
        Succeeded = "succeeded",
        PartiallySucceeded = "partially_succeeded",
        Failed = "failed",
    }
}

impl RunState {
    /// Ignores case and punctuation, of which Adobe's documents have several forms. `None` for an unknown state.
    pub fn parse(state: &str) -> Option<Self> {
        let letters: String =
            state.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()).collect();
        match letters.as_str() {
            "scheduled" => Some(Self::Scheduled),
            "queued" => Some(Self::Queued),
            "inprogress" => Some(Self::InProgress),
            "success" | "completed" => Some(Self::Succeeded),
            "partialsuccess" | "partialfailure" => Some(Self::PartiallySucceeded),
            "failed" => Some(Self::Failed),
            _ => None,
        }
    }
}
