//! The use case: test a connection, and report which part fails.
//!
//! The Flow Service replies to a test with one boolean. What a test needs, and what should be possible after
//! it, is checked as well.

use tokio::time::Instant;

use super::{
    checks::{Checks, SANDBOX_READ, TOKEN_ACCEPTED},
    source_cause::SourceCause,
};
use crate::service::{ConnectionError, Service, finding::respond_by};
use crate::{
    adobe::{Advice, AskedService, CallError, FlowService, Problem, Refusal, TokenErrorKind, redacted},
    domain::{
        CallProgress, CheckName, Connection, ConnectionRef, ConnectionState, HubSpotCredentials, Stage,
        TestReport,
    },
};

/// What to do about a source that refuses.
const SOURCE_CURE: &str = "check the credentials, and that the HubSpot application is still installed in the account; \
                           UpdateHubSpotConnection replaces the credentials of a connection";

/// Whether the source of a connection has certainly rejected the credentials. Other codes of a connector may
/// stand for a timeout.
pub(super) fn is_rejected_by_source(error: &CallError) -> bool {
    let is_rejected = |problem: &Problem| {
        let may_pass = cause(problem).is_some_and(SourceCause::may_pass);
        problem.code.is_some() && matches!(problem.status, 401 | 403) && !may_pass
    };
    error.refusal() == Some(Refusal::Source) && error.problem().is_some_and(is_rejected)
}

/// The cause that HubSpot's text in a reply names.
fn cause(problem: &Problem) -> Option<SourceCause> {
    problem.message.as_deref().and_then(SourceCause::of)
}

/// Whether a connection in this state becomes another one by itself.
pub(super) fn is_changing(state: ConnectionState) -> bool {
    matches!(state, ConnectionState::Initializing | ConnectionState::Updating)
}

/// The result of a test.
#[derive(Debug)]
pub(super) enum Diagnosis {
    /// Every check that could be made was made.
    Report {
        report: TestReport,
        /// Whether the Flow Service reports that it works, where it was asked and replied.
        works: Option<bool>,
    },
    /// There is no such connection.
    Missing,
    /// Something cannot be checked at the moment: the report has what was found before.
    Undecided(TestReport, CallError),
}

impl<F: FlowService> Service<F> {
    /// Tests a connection.
    ///
    /// # Errors
    /// [`ConnectionError`], where the checks cannot be made. A check that fails is a result.
    pub async fn test_hubspot_connection(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<TestReport, ConnectionError> {
        call.enter(Stage::Read);
        let flow_service = &*self.flow_service;
        let read = flow_service.get_connection(at, deadline).await;
        match diagnose(flow_service, at, read, None, deadline).await {
            Diagnosis::Report { report, works: _ } => Ok(report),
            Diagnosis::Missing => Err(ConnectionError::NotFound),
            Diagnosis::Undecided(_, error) => Err(ConnectionError::Call(error)),
        }
    }
}

/// Makes the checks, the first ones from the result of reading the connection. Its `credentials`, if
/// known, are removed from what the Flow Service replies.
pub(super) async fn diagnose<F: FlowService>(
    flow_service: &F,
    at: &ConnectionRef,
    read: Result<Option<Connection>, CallError>,
    credentials: Option<&HubSpotCredentials>,
    deadline: Instant,
) -> Diagnosis {
    let mut checks = Checks::of_connection();
    let replies = Replies { credentials };
    match read {
        Ok(Some(connection)) => {
            checks.passed_first(2);
            if let Some(obstacle) = obstacle(connection.state) {
                return checks.failed_for(obstacle);
            }
            checks.passed("the connection is to HubSpot and ready for use");
        }
        Ok(None) | Err(CallError::OtherSource) => return Diagnosis::Missing,
        Err(error) => return checks.stopped_by(error, &replies),
    }

    match flow_service.test_connection(at, deadline).await {
        Ok(true) => checks.passed("the Flow Service says that the connection works"),
        Ok(false) => {
            checks.failed(format!("the Flow Service says that the connection does not work: {SOURCE_CURE}"));
            return checks.report(Some(false));
        }
        Err(error) if error.refusal() == Some(Refusal::NotFound) => return Diagnosis::Missing,
        Err(error) => {
            let finding = replies.finding("test the connection", &error, "check its credentials");
            let Some(finding) = finding.filter(|_| error.refusal() != Some(Refusal::OwnRequest)) else {
                return Diagnosis::Undecided(checks.skipping_the_rest(), error);
            };
            checks.failed(finding);
            return checks.report(is_rejected_by_source(&error).then_some(false));
        }
    }

    match flow_service.list_tables(at, respond_by(deadline)).await {
        Ok(tables) if tables.is_empty() => {
            checks.failed("HubSpot shows no tables: check the scopes of the HubSpot application")
        }
        Ok(tables) => checks.passed(format!("HubSpot shows its tables: {}", tables.len())),
        Err(error) => {
            let cure = "check the scopes of the HubSpot application, and the credentials";
            match replies.finding("list the tables", &error, cure) {
                Some(finding) if error.refusal() != Some(Refusal::OwnRequest) => checks.failed(finding),
                Some(_) | None => {
                    checks.skipped("the tables cannot be listed at the moment: test the connection again")
                }
            }
        }
    }
    checks.report(Some(true))
}

/// The report on a connection of which nothing is known.
pub(super) fn untested(why: &str) -> TestReport {
    let mut checks = Checks::of_connection();
    CheckName::OF_CONNECTION.iter().for_each(|_| checks.skipped(why));
    checks.skipping_the_rest()
}

/// The report on a connection that was created and is missing since.
pub(super) fn missing() -> TestReport {
    let mut checks = Checks::of_connection();
    checks.passed_first(2);
    checks.failed("the connection does not exist any more: create another one");
    checks.skipping_the_rest()
}

/// Why a connection in this state cannot be tested.
fn obstacle(state: Option<ConnectionState>) -> Option<String> {
    // Where the state is not known, the test of the Flow Service decides.
    let state = state.filter(|state| *state != ConnectionState::Enabled)?;
    let name = state.name();
    Some(if is_changing(state) {
        format!("the connection is {name}: wait until it is enabled, and test it again")
    } else {
        format!(
            "the connection is {name}, not enabled: enable it in Adobe Experience Platform, or create another one"
        )
    })
}

impl Checks {
    fn of_connection() -> Self {
        Self::of(CheckName::OF_CONNECTION)
    }

    /// As many of the first two checks.
    fn passed_first(&mut self, count: usize) {
        [TOKEN_ACCEPTED, SANDBOX_READ].iter().take(count).for_each(|message| self.passed(*message));
    }

    fn failed_for(mut self, finding: String) -> Diagnosis {
        self.failed(finding);
        self.report(None)
    }

    fn report(self, works: Option<bool>) -> Diagnosis {
        Diagnosis::Report { report: self.skipping_the_rest(), works }
    }

    /// A failure before anything is known of the connection: its origin determines the check that has failed.
    fn stopped_by(mut self, error: CallError, replies: &Replies<'_>) -> Diagnosis {
        let is_of_source = error.problem().is_some_and(Problem::is_of_source);
        // An error of the source means that this service was let through to the connection.
        if let Some(finding) = replies.finding("read the connection", &error, SOURCE_CURE)
            && is_of_source
        {
            self.passed_first(2);
            return self.failed_for(finding);
        }
        if let CallError::Token(cause) = &error
            && (!cause.may_pass()
                || matches!(cause.kind, TokenErrorKind::TokenRefused | TokenErrorKind::SecretUnreadable))
        {
            let advice = cause.kind.advice();
            return self.failed_for(format!("{}{}: {}", advice.what, cause.said(), advice.cure));
        }
        let is_of_sandbox = matches!(error.refusal(), Some(Refusal::SandboxNotFound | Refusal::Permission));
        let advice = match error.refusal() {
            Some(refusal) if is_of_sandbox || refusal == Refusal::Credentials => {
                Some(refusal.advice(AskedService::FlowService))
            }
            None if matches!(error, CallError::TokenRefused { .. }) => {
                Some(TokenErrorKind::TokenRefused.advice())
            }
            Some(_) | None => None,
        };
        if let Some((advice, problem)) = advice.zip(error.problem()) {
            self.passed_first(is_of_sandbox.into());
            return self.failed_for(replies.advised(&advice, problem));
        }
        Diagnosis::Undecided(self.skipping_the_rest(), error)
    }
}

/// Replies of the Flow Service, without credentials.
struct Replies<'a> {
    credentials: Option<&'a HubSpotCredentials>,
}

impl Replies<'_> {
    /// What an error says about the connection, with a cure; `None` where it says nothing about it.
    fn finding(&self, what: &str, error: &CallError, cure: &str) -> Option<String> {
        let problem = error.problem()?;
        if let Some(refusal) = error.refusal() {
            return Some(self.cannot(what, refusal, problem, cure));
        }
        let is_of_source = matches!(error, CallError::Unavailable { .. }) && problem.is_of_source();
        is_of_source.then(|| self.source_fails(problem))
    }

    /// A refusal with the general advice, for an operator or somebody who knows the sandbox.
    fn advised(&self, advice: &Advice, problem: &Problem) -> String {
        format!("{} {}: {}", advice.what, self.words(problem), advice.cure)
    }

    /// A refusal to do something with the connection: the same, or most likely a problem of the connection, with
    /// its own cure.
    fn cannot(&self, what: &str, refusal: Refusal, problem: &Problem, cure: &str) -> String {
        let words = self.words(problem);
        let is_of_operator =
            matches!(refusal, Refusal::Credentials | Refusal::Permission | Refusal::OwnRequest);
        if is_of_operator || refusal == Refusal::SandboxNotFound {
            self.advised(&refusal.advice(AskedService::FlowService), problem)
        } else if let Some(SourceCause { what, cure }) = cause(problem) {
            format!("{what} {words}: {cure}")
        } else if refusal == Refusal::Source {
            format!("the source of the connection refuses {words}: {SOURCE_CURE}")
        } else {
            format!("the Flow Service cannot {what} {words}: {cure}")
        }
    }

    /// The source of the connection fails, possibly only for now.
    fn source_fails(&self, problem: &Problem) -> String {
        let words = self.words(problem);
        if let Some(SourceCause { what, cure }) = cause(problem) {
            return format!("{what} {words}: {cure}");
        }
        format!(
            "the source of the connection fails {words}: test it again; if that does not help, {SOURCE_CURE}"
        )
    }

    /// The text of the reply, the only part that can repeat a credential.
    fn words(&self, problem: &Problem) -> String {
        match self.credentials {
            Some(credentials) => redacted(&problem.said(), credentials),
            None => problem.said(),
        }
    }
}
