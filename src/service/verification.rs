//! What follows a creation whose caller wants to know whether the connection works.
//!
//! The record of the connection says that its verification is pending, until a verdict is recorded.
//! The first verdict stays, whichever replica comes to it, and only then is anything done about it: a
//! connection is deleted again only by who finds it recorded as failed. Whoever repeats the request
//! goes on where the record says.

use std::{error::Error, time::Duration};

use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout};

use super::{
    Failure,
    create_hubspot_connection::Landing,
    creation::Creation,
    delete::delete,
    diagnosis::{Diagnosis, diagnose, missing, untested},
};
use crate::{
    domain::{
        Connection, ConnectionRef, ConnectionState, CreatedConnection, Stage, TestReport, Verification,
    },
    error_chain::error_chain,
    flow_service::{CallError, FlowService, redacted},
    idempotency::Verdict,
    metrics::VerificationOutcome,
};

/// How long a new connection may take to be established.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How much earlier than its deadline the caller is answered: it takes a step of the store.
const ANSWERING: Duration = Duration::from_millis(500);
/// How long that step may take.
const RECORDING: Duration = Duration::from_millis(300);
/// How long a connection is tested for nobody.
const UNAWAITED_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection that does not work is tried to be deleted.
const DELETION_TIMEOUT: Duration = Duration::from_secs(20);

const NO_ANSWER: &str = "not checked: there was no answer";
const NOT_SEEN: &str = "not checked: the new connection cannot be seen yet";

/// A connection that was created, before it is known whether it works.
pub(super) struct Landed {
    pub(super) connection: CreatedConnection,
    /// Whether it is an earlier creation's.
    pub(super) replayed: bool,
    /// Where its verification stands; `None` where none was asked for.
    pub(super) verdict: Option<Verdict>,
    /// Where it is known from.
    pub(super) origin: Origin,
}

/// How it is known which connection a creation made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The Flow Service has just said so.
    Answer,
    /// The same, and the store does not know it.
    Unrecorded,
    /// The record says so, or it was looked for and found: somebody may have done something with it
    /// since, or may have made it.
    Record,
}

impl<F: FlowService> Creation<F> {
    /// Brings the verification to its end, where one was asked for.
    pub(super) async fn conclude(&self, landed: Landed) -> Result<Landing, Failure> {
        let Landed { connection, replayed, verdict, origin } = landed;
        match verdict {
            None => Ok(Landing { connection, replayed, test: None }),
            // In a box, so that only those have room for it that ask for it.
            Some(verdict) => Box::pin(self.verify(connection, replayed, verdict, origin)).await,
        }
    }

    async fn verify(
        &self,
        connection: CreatedConnection,
        replayed: bool,
        verdict: Verdict,
        origin: Origin,
    ) -> Result<Landing, Failure> {
        let at = ConnectionRef { sandbox: self.lease.key.sandbox.clone(), id: connection.id.clone() };
        let verdict = match verdict {
            Verdict::Pending => {
                // Whoever waited for a lost connection to be found waits for its test from here.
                self.flight.flying();
                self.flight.progress.set_may_exist(true);
                let (report, works) = self.test(&at, replayed).await;
                self.metrics.verified(match works {
                    Some(true) => VerificationOutcome::Passed,
                    Some(false) => VerificationOutcome::Failed,
                    None => VerificationOutcome::Undecided,
                });
                let works = works.filter(|_| origin != Origin::Unrecorded);
                match self.decide(&at, report, works).await {
                    Ok(verdict) => verdict,
                    Err(report) => return self.undecided(connection, replayed, report),
                }
            }
            verdict @ (Verdict::Passed(_) | Verdict::Failed(_) | Verdict::Deleted(_)) => verdict,
        };
        match (verdict, self.verification) {
            (Verdict::Failed(report), Verification::Require) => {
                Err(self.delete_again(&at, report, origin).await)
            }
            (Verdict::Deleted(report), Verification::Require) => {
                Err(Failure::VerificationFailed { report, left_behind: None })
            }
            (
                Verdict::Passed(report) | Verdict::Failed(report) | Verdict::Deleted(report),
                Verification::None | Verification::Report | Verification::Require,
            ) => Ok(Landing { connection, replayed, test: Some(report) }),
            (Verdict::Pending, _) => self.undecided(connection, replayed, untested(NO_ANSWER)),
        }
    }

    /// Records what the Flow Service has said; where it has said nothing definite, or that cannot be
    /// recorded, the report comes back.
    async fn decide(
        &self,
        at: &ConnectionRef,
        report: TestReport,
        works: Option<bool>,
    ) -> Result<Verdict, TestReport> {
        let verdict = match works {
            None => return Err(report),
            Some(true) => Verdict::Passed(report.clone()),
            Some(false) => Verdict::Failed(report.clone()),
        };
        let request_id = self.lease.key.request_id;
        // The answer to the caller must not wait for a store that hangs.
        match timeout(RECORDING, self.parts.store.verified(&self.lease.key, &at.id, &verdict)).await {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(error)) => {
                tracing::warn!(error = error_chain(&error), %request_id, "could not record a verdict");
                Err(report)
            }
            Err(_) => {
                tracing::warn!(%request_id, "could not record a verdict in time");
                Err(report)
            }
        }
    }

    /// What it comes to that nothing definite is known: who only wants to know gets what there is.
    fn undecided(
        &self,
        connection: CreatedConnection,
        replayed: bool,
        report: TestReport,
    ) -> Result<Landing, Failure> {
        match self.verification {
            Verification::None | Verification::Report => {
                Ok(Landing { connection, replayed, test: Some(report) })
            }
            Verification::Require => Err(Failure::VerificationPending { connection: connection.id, report }),
        }
    }

    /// Deletes a connection that is recorded as one that does not work, if it still is the one that this
    /// creation made and still does not work.
    async fn delete_again(&self, at: &ConnectionRef, report: TestReport, origin: Origin) -> Failure {
        let deadline = Instant::now() + DELETION_TIMEOUT;
        if origin == Origin::Record {
            match self.may_be_deleted(at, deadline).await {
                Ok(true) => {}
                Ok(false) => {
                    return Failure::VerificationFailed { report, left_behind: Some(at.id.clone()) };
                }
                Err(error) => return self.left_behind(at, report, &error),
            }
        }
        match delete(&self.parts.flow_service, at, deadline).await {
            Ok(_) => {
                let verdict = Verdict::Deleted(report.clone());
                let recorded = self.parts.store.verified(&self.lease.key, &at.id, &verdict).await;
                self.note(recorded.map(drop), "deleted a connection that does not work");
                let request_id = self.lease.key.request_id;
                tracing::info!(target: "audit", action = "delete", outcome = "OK", sandbox = %at.sandbox, connection_id = %at.id, %request_id, "deleted a new connection that does not work");
                Failure::VerificationFailed { report, left_behind: None }
            }
            Err(error) => self.left_behind(at, report, &error),
        }
    }

    /// Whether a connection that is only known from a record, or was found, may be deleted: one that is
    /// certainly this creation's, and that nobody has repaired since. One that is gone may be, too.
    async fn may_be_deleted(&self, at: &ConnectionRef, deadline: Instant) -> Result<bool, CallError> {
        let flow_service = &self.parts.flow_service;
        let Some(connection) = flow_service.get_connection(at, deadline).await? else { return Ok(true) };
        let own = self.connection.credentials.client_id.expose_secret();
        let is_own = connection.name == self.connection.name.as_str()
            && connection.credentials.client_id.as_deref() == Some(own);
        Ok(is_own && !flow_service.test_connection(at, deadline).await?)
    }

    fn left_behind(&self, at: &ConnectionRef, report: TestReport, error: &(dyn Error + 'static)) -> Failure {
        let request_id = self.lease.key.request_id;
        let error = redacted(&error_chain(error), &self.connection.credentials);
        tracing::error!(error, connection_id = %at.id, %request_id, "could not delete a connection that does not work");
        Failure::VerificationFailed { report, left_behind: Some(at.id.clone()) }
    }

    /// Tests the connection for as long as anybody waits for it.
    async fn test(&self, at: &ConnectionRef, replayed: bool) -> (TestReport, Option<bool>) {
        let established_by = Instant::now() + ESTABLISHED_WITHIN;
        loop {
            let deadline = match self.awaited_until() {
                deadline if deadline > Instant::now() => deadline,
                // Nobody waits any more, or soon: what is found out is for the next one who asks.
                _ => Instant::now() + UNAWAITED_TIMEOUT,
            };
            let (report, works) = self.test_once(at, replayed, established_by, deadline).await;
            // Somebody who waits longer may have joined since.
            if works.is_some() || self.awaited_until() <= deadline {
                return (report, works);
            }
        }
    }

    /// When whoever waits longest has to be answered.
    fn awaited_until(&self) -> Instant {
        self.flight.deadline() - ANSWERING
    }

    /// Waits until the connection is established, and tests it.
    async fn test_once(
        &self,
        at: &ConnectionRef,
        replayed: bool,
        established_by: Instant,
        deadline: Instant,
    ) -> (TestReport, Option<bool>) {
        let progress = &self.flight.progress;
        progress.enter(Stage::Verify);
        let read = self.established(at, established_by, deadline).await;
        progress.enter(Stage::Verify);
        let credentials = Some(&self.connection.credentials);
        let diagnosis = diagnose(&self.parts.flow_service, at, read, credentials, deadline).await;
        let has_waited = Instant::now() + LONGEST_PAUSE >= established_by;
        match diagnosis {
            Diagnosis::Report { report, works } => (report, works),
            // One that was made earlier and cannot be seen for so long was deleted by somebody. One that
            // was just made may only not be seen yet.
            Diagnosis::Missing if replayed && has_waited => (missing(), Some(false)),
            Diagnosis::Missing => (untested(NOT_SEEN), None),
            Diagnosis::Undecided(report, error) => {
                let error = redacted(&error_chain(&error), &self.connection.credentials);
                let request_id = self.lease.key.request_id;
                tracing::warn!(error, connection_id = %at.id, %request_id, "a new connection cannot be tested at the moment");
                (report, None)
            }
        }
    }

    /// Reads the connection until it is established, or it is not worth waiting any longer.
    async fn established(
        &self,
        at: &ConnectionRef,
        established_by: Instant,
        deadline: Instant,
    ) -> Result<Option<Connection>, CallError> {
        let until = established_by.min(deadline);
        let mut pause = FIRST_PAUSE;
        loop {
            let read = self.parts.flow_service.get_connection(at, deadline).await;
            let may_change = match &read {
                // What was just created need not be seen everywhere yet.
                Ok(None) => true,
                Ok(Some(connection)) => matches!(
                    connection.state,
                    Some(ConnectionState::Initializing | ConnectionState::Updating)
                ),
                Err(_) => false,
            };
            let is_worth_it = Instant::now() + pause < until;
            if !may_change || !self.pauses(is_worth_it.then_some(pause)).await {
                return read;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
