//! The use case: test a connection, and report which part fails.
//!
//! The Flow Service replies to a test with one boolean. What a test needs, and what should be possible after
//! it, is checked as well.

use std::time::Duration;

use tokio::time::Instant;

use crate::service::{ConnectionError, Service};
use crate::{
    adobe::redacted,
    adobe::{CallError, FlowService, Problem, Refusal, TokenErrorKind},
    domain::{
        CallProgress, Check, CheckName, CheckState, Connection, ConnectionRef, ConnectionState,
        HubSpotCredentials, Stage, TestReport,
    },
};

/// How much earlier than its deadline the last step of a test ends.
const RESPONDING: Duration = Duration::from_millis(100);

/// What to do about a source that refuses.
const SOURCE_CURE: &str = "check the credentials, and that the HubSpot application is still installed in the account; \
                           UpdateHubSpotConnection replaces the credentials of a connection";

/// Whether the source of a connection has certainly rejected the credentials. Other codes of a connector may
/// stand for a timeout.
pub(super) fn is_rejected_by_source(refusal: Refusal, problem: &Problem) -> bool {
    refusal == Refusal::Source && problem.code.is_some() && matches!(problem.status, 401 | 403)
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
    let mut checks = Checks::default();
    let replies = Replies { credentials };
    match read {
        Ok(Some(connection)) => {
            checks.passed("Adobe gives this service an access token and accepts it");
            checks.passed("this service may look into the sandbox");
            if let Some(obstacle) = obstacle(connection.state) {
                checks.failed(obstacle);
                return checks.report(None);
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
        Err(CallError::Refused { refusal, problem }) if refusal != Refusal::OwnRequest => {
            let cure = "check its credentials";
            checks.failed(replies.cannot("test the connection", refusal, &problem, cure));
            return checks.report(is_rejected_by_source(refusal, &problem).then_some(false));
        }
        Err(CallError::Unavailable { problem: Some(problem), .. }) if problem.is_of_source() => {
            checks.failed(replies.source_fails(&problem));
            return checks.report(None);
        }
        Err(error) => return Diagnosis::Undecided(checks.skipping_the_rest(), error),
    }

    // What was found is worth more to the caller than an exceeded deadline.
    let respond_by = deadline.checked_sub(RESPONDING).unwrap_or(deadline);
    match flow_service.list_tables(at, respond_by).await {
        Ok(tables) if tables.is_empty() => {
            checks.failed("HubSpot shows no tables: check the scopes of the HubSpot application")
        }
        Ok(tables) => checks.passed(format!("HubSpot shows its tables: {}", tables.len())),
        Err(CallError::Refused { refusal, problem }) if refusal != Refusal::OwnRequest => {
            let cure = "check the scopes of the HubSpot application, and the credentials";
            checks.failed(replies.cannot("list the tables", refusal, &problem, cure));
        }
        Err(CallError::Unavailable { problem: Some(problem), .. }) if problem.is_of_source() => {
            checks.failed(replies.source_fails(&problem));
        }
        Err(_) => checks.skipped("the tables cannot be listed at the moment: test the connection again"),
    }
    checks.report(Some(true))
}

/// The report on a connection of which nothing is known.
pub(super) fn untested(why: &str) -> TestReport {
    let mut checks = Checks::default();
    CheckName::ALL.iter().for_each(|_| checks.skipped(why));
    TestReport { checks: checks.0 }
}

/// The report on a connection that was created and is missing since.
pub(super) fn missing() -> TestReport {
    let mut checks = Checks::default();
    checks.passed("Adobe gives this service an access token and accepts it");
    checks.passed("this service may look into the sandbox");
    checks.failed("the connection does not exist any more: create another one");
    checks.skipping_the_rest()
}

/// Why a connection in this state cannot be tested.
fn obstacle(state: Option<ConnectionState>) -> Option<String> {
    match state {
        // The test of the Flow Service decides.
        Some(ConnectionState::Enabled) | None => None,
        Some(state @ (ConnectionState::Initializing | ConnectionState::Updating)) => {
            Some(format!("the connection is {}: wait until it is enabled, and test it again", state.name()))
        }
        Some(
            state @ (ConnectionState::Disabled
            | ConnectionState::Draft
            | ConnectionState::Disabling
            | ConnectionState::Deleting),
        ) => Some(format!(
            "the connection is {}, not enabled: enable it in Adobe Experience Platform, or create another one",
            state.name()
        )),
    }
}

/// The checks that were made so far.
#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn passed(&mut self, message: impl Into<String>) {
        self.add(CheckState::Passed, message.into());
    }

    fn failed(&mut self, message: impl Into<String>) {
        self.add(CheckState::Failed, message.into());
    }

    fn skipped(&mut self, message: impl Into<String>) {
        self.add(CheckState::Skipped, message.into());
    }

    /// The next one in the order of the checks.
    fn add(&mut self, state: CheckState, message: String) {
        let next = CheckName::ALL.get(self.0.len());
        self.0.extend(next.map(|&name| Check { name, state, message }));
    }

    fn skipping_the_rest(mut self) -> TestReport {
        let failed = self.0.iter().find(|check| check.state == CheckState::Failed);
        let why = match failed {
            Some(failed) => format!("not checked, because {} failed", failed.name.name()),
            None => "not checked: the Flow Service cannot tell at the moment".to_owned(),
        };
        while self.0.len() < CheckName::ALL.len() {
            self.skipped(why.clone());
        }
        TestReport { checks: self.0 }
    }

    fn report(self, works: Option<bool>) -> Diagnosis {
        Diagnosis::Report { report: self.skipping_the_rest(), works }
    }

    /// A failure before anything is known of the connection: its origin determines the check that has failed.
    fn stopped_by(mut self, error: CallError, replies: &Replies<'_>) -> Diagnosis {
        if let CallError::Token(cause) = &error
            && (!cause.may_pass()
                || matches!(cause.kind, TokenErrorKind::TokenRefused | TokenErrorKind::SecretUnreadable))
        {
            let advice = cause.kind.advice();
            self.failed(format!("{}{}: {}", advice.what, cause.said(), advice.cure));
            return self.report(None);
        }
        if let CallError::TokenRefused { problem } = &error {
            let advice = TokenErrorKind::TokenRefused.advice();
            self.failed(format!("{} {}: {}", advice.what, replies.words(problem), advice.cure));
            return self.report(None);
        }
        // An error of the source means that this service was let through to the connection.
        if let Some(problem) = error.problem().filter(|problem| problem.is_of_source()) {
            let finding = match (error.refusal(), &error) {
                (Some(refusal), _) => {
                    Some(replies.cannot("read the connection", refusal, problem, SOURCE_CURE))
                }
                (None, CallError::Unavailable { .. }) => Some(replies.source_fails(problem)),
                (None, _) => None,
            };
            if let Some(finding) = finding {
                self.passed("Adobe gives this service an access token and accepts it");
                self.passed("this service may look into the sandbox");
                self.failed(finding);
                return self.report(None);
            }
        }
        if let CallError::Refused { refusal, problem } = &error {
            let is_of_sandbox = matches!(refusal, Refusal::SandboxNotFound | Refusal::Permission);
            if is_of_sandbox {
                self.passed("Adobe gives this service an access token and accepts it");
            }
            if is_of_sandbox || *refusal == Refusal::Credentials {
                self.failed(replies.refused(*refusal, problem));
                return self.report(None);
            }
        }
        Diagnosis::Undecided(self.skipping_the_rest(), error)
    }
}

/// Replies of the Flow Service, without credentials.
struct Replies<'a> {
    credentials: Option<&'a HubSpotCredentials>,
}

impl Replies<'_> {
    /// A refusal that an operator has to resolve, or somebody who knows the sandbox.
    fn refused(&self, refusal: Refusal, problem: &Problem) -> String {
        let advice = refusal.advice();
        format!("{} {}: {}", advice.what, self.words(problem), advice.cure)
    }

    /// A refusal to do something with the connection: the same, or most likely a problem of the connection, with
    /// its own cure.
    fn cannot(&self, what: &str, refusal: Refusal, problem: &Problem, cure: &str) -> String {
        match refusal {
            Refusal::Source => {
                format!("the source of the connection refuses {}: {SOURCE_CURE}", self.words(problem))
            }
            Refusal::Credentials | Refusal::Permission | Refusal::SandboxNotFound | Refusal::OwnRequest => {
                self.refused(refusal, problem)
            }
            Refusal::Request
            | Refusal::NotFound
            | Refusal::EtagMismatch
            | Refusal::InUse
            | Refusal::State => {
                format!("the Flow Service cannot {what} {}: {cure}", self.words(problem))
            }
        }
    }

    /// The source of the connection fails, possibly only for now.
    fn source_fails(&self, problem: &Problem) -> String {
        let words = self.words(problem);
        format!(
            "the source of the connection fails {words}: test it again; where that does not help, {SOURCE_CURE}"
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
