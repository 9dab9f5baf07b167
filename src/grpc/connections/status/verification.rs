//! Errors of verifications: what can fail in the creation of a connection alone.

use tonic::Code;

use crate::{
    domain::{CheckState, ConnectionId, SandboxName, Stage, TestReport},
    exactly_once::Kind,
    grpc::status::{FailureOfKind, Reason, RpcError, unknown},
    service::{VerificationError, dataflows::error::Part},
};

/// How much of a failed check the message repeats, in characters.
const MOST_FOUND: usize = 200;

impl FailureOfKind for VerificationError {
    const KIND: Kind = Kind::Connection;
    const PART: Part = Part::Connection;

    fn failed(&self, _: &SandboxName, generated: bool, _: bool) -> RpcError {
        match self {
            Self::Failed { report, left_behind } => verification_failed(report, left_behind.as_ref()),
            Self::Pending { connection, report } => verification_pending(connection, report, generated),
        }
    }
}

fn verification_failed(report: &TestReport, left_behind: Option<&ConnectionId>) -> RpcError {
    let failed = report.checks.iter().filter(|check| check.state == CheckState::Failed);
    let violations = failed.map(|check| (check.name.name().to_owned(), check.message.clone()));
    // The violations contain the whole message.
    let all = found(report);
    let mut found: String = all.chars().take(MOST_FOUND).collect();
    if found.len() < all.len() {
        found.push('…');
    }
    let cleanup = match left_behind {
        None => "and is deleted again".to_owned(),
        Some(id) => format!(
            "and was not deleted: delete {id} with DeleteHubSpotConnection, unless it is another creation's or \
             works by now"
        ),
    };
    let message = format!(
        "the connection was created, does not work {cleanup} ({found}): correct what the checks report, and create it \
         with a new request_id"
    );
    RpcError::new(Code::FailedPrecondition, Reason::VerificationFailed, message)
        .preconditions(violations)
        .metadata("may_exist", left_behind.is_some())
        .metadata_if("connection_id", left_behind)
}

fn verification_pending(connection: &ConnectionId, report: &TestReport, generated: bool) -> RpcError {
    let what =
        format!("the connection was created, and its verification is not finished ({})", found(report));
    unknown(&what, generated, "it continues the verification", "without it another connection is created")
        .metadata("connection_id", connection)
        .at_stage(Stage::Verify)
}

/// The first check of a report that has not passed.
fn found(report: &TestReport) -> String {
    let check = report.checks.iter().find(|check| check.state != CheckState::Passed);
    check.map_or_else(String::new, |check| format!("{}: {}", check.name.name(), check.message))
}
