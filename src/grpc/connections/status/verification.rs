//! Errors of verifications: what can fail in the creation of a connection alone.

use tonic::Code;

use crate::{
    domain::{Check, CheckState, ConnectionId, SandboxName, Stage, TestReport},
    exactly_once::Kind,
    grpc::status::{Effect, FailureOfKind, Reason, RpcError, unknown},
    service::{VerificationError, dataflows::error::Part},
};

/// How much of a failed check the message repeats, in characters.
const MOST_FOUND: usize = 200;

impl FailureOfKind for VerificationError {
    const KIND: Kind = Kind::Connection;
    const PART: Part = Part::Connection;

    fn failed(&self, _: &SandboxName, generated: bool, may_exist: bool) -> RpcError {
        match self {
            Self::Refused(checks) => refused(checks, may_exist),
            Self::Failed { report, left_behind } => verification_failed(report, left_behind.as_ref()),
            Self::Pending { connection, report } => verification_pending(connection, report, generated),
        }
    }
}

/// HubSpot has refused the credentials before this call has sent anything.
fn refused(checks: &[Check], may_exist: bool) -> RpcError {
    let (effect, cure) = if may_exist {
        let cure = "look for it with ListHubSpotConnections and this request_id; if it is not there, correct what the \
                    checks report, and repeat the call with the same request_id; use a new one only once this error has \
                    may_exist: false";
        (Effect::MayExist(Kind::Connection), cure)
    } else {
        let cure = "correct what the checks report, and create the connection with a new request_id";
        (Effect::NothingCreated(Kind::Connection), cure)
    };
    let what = format!("HubSpot refuses the credentials ({}), and nothing was sent to Adobe", found(checks));
    RpcError::new(Code::FailedPrecondition, Reason::VerificationFailed, effect.message(&what, cure))
        .preconditions(failed(checks))
        .metadata("may_exist", may_exist)
        .at_stage(Stage::Verify)
}

fn verification_failed(report: &TestReport, left_behind: Option<&ConnectionId>) -> RpcError {
    let found = found(&report.checks);
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
        .preconditions(failed(&report.checks))
        .metadata("may_exist", left_behind.is_some())
        .metadata_if("connection_id", left_behind)
}

fn verification_pending(connection: &ConnectionId, report: &TestReport, generated: bool) -> RpcError {
    let what = format!(
        "the connection was created, and its verification is not finished ({})",
        first_open(&report.checks)
    );
    unknown(&what, generated, "it continues the verification", "without it another connection is created")
        .metadata("connection_id", connection)
        .at_stage(Stage::Verify)
}

/// The failed checks, as the violations of a precondition.
fn failed(checks: &[Check]) -> impl Iterator<Item = (String, String)> {
    let failed = checks.iter().filter(|check| check.state == CheckState::Failed);
    failed.map(|check| (check.name.name().to_owned(), check.message.clone()))
}

/// The start of the first check that has failed. The violations contain the whole message.
fn found(checks: &[Check]) -> String {
    let all = failed(checks).next().map_or_else(String::new, |(name, message)| format!("{name}: {message}"));
    let mut found: String = all.chars().take(MOST_FOUND).collect();
    if found.len() < all.len() {
        found.push('…');
    }
    found
}

/// The first check that has not passed.
fn first_open(checks: &[Check]) -> String {
    let check = checks.iter().find(|check| check.state != CheckState::Passed);
    check.map_or_else(String::new, |check| format!("{}: {}", check.name.name(), check.message))
}
