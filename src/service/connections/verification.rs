//! What follows a creation whose caller asks whether the connection works.
//!
//! The record of the connection says that its verification is pending, until a verdict is recorded.
//! The first verdict stays, whichever replica comes to it, and only then is it acted on: a
//! connection is deleted again only by a process that finds it recorded as failed. A retry continues where
//! the record says.
//!
//! Only a connection that is certainly this creation's is deleted, and only straight after a test that
//! failed. That it is not found proves nothing while it may not be visible yet.

use std::{error::Error, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    create::{Created, Failure, UnreportedOutcome},
    delete::{NotFound, delete},
    diagnosis::{Diagnosis, diagnose, is_changing, is_rejected_by_source, missing, untested},
    operation::CreateConnection,
    outcome::{Outcome, Verdict, record_verdict},
};
use crate::{
    adobe::{CallError, FlowService, redacted},
    backoff::Backoff,
    domain::{
        Check, Connection, ConnectionId, ConnectionRef, Stage, TestReport, Verification,
        reference::last_reference,
    },
    error::error_chain,
    exactly_once::{
        creation::{Creation, Finished},
        store::Origin,
    },
    metrics::VerificationOutcome,
    service::ConnectionError,
};

/// How long a new connection may take to be established.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const PAUSES: Backoff = Backoff::new(Duration::from_millis(200), LONGEST_PAUSE, 0.0);
/// How much earlier than its deadline the caller gets its response: that takes a step of the store.
const RESPONDING: Duration = Duration::from_millis(500);
/// How long that step may take.
const RECORDING: Duration = Duration::from_millis(300);
/// How long a connection is tested when no caller waits for it.
const UNAWAITED_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection that does not work is tried to be deleted.
const DELETION_TIMEOUT: Duration = Duration::from_secs(20);

const NO_REPLY: &str = "not checked: there was no reply";
const NOT_SEEN: &str = "not checked: the new connection cannot be seen yet";

/// Why the creation of a connection that has to work fails.
#[derive(Debug, thiserror::Error)]
pub enum VerificationError {
    /// HubSpot refuses the credentials, as these checks say. This call sent nothing.
    #[error("HubSpot refuses the credentials")]
    Refused(Vec<Check>),
    /// The connection was created, and does not work.
    #[error("the connection does not work{}", left_behind.as_ref().map(|id| format!(" and {id} is left behind")).unwrap_or_default())]
    Failed {
        /// The result of its test.
        report: TestReport,
        /// The connection, where it was not deleted again: it could not be, it may be another
        /// creation's, or it works by now.
        left_behind: Option<ConnectionId>,
    },
    /// The connection was created, and it is not known yet whether it works. The same request id is safe
    /// to retry.
    #[error("the connection {connection} was created and is not verified")]
    Pending {
        /// The connection.
        connection: ConnectionId,
        /// The result of its test so far.
        report: TestReport,
    },
}

/// The result of testing a connection.
struct Tested {
    report: TestReport,
    /// `None` where nothing definite came out.
    works: Option<bool>,
    /// Whether the Flow Service was asked. A connection that is gone does not work without a test.
    is_by_test: bool,
}

impl<F: FlowService> Creation<CreateConnection<F>> {
    /// Brings the verification to its end, where one was asked for.
    pub(super) async fn verified(&self, finished: Finished<Outcome>) -> Result<Created, Failure> {
        let sandbox = self.operation.connection.sandbox.clone();
        let at = ConnectionRef { sandbox, id: finished.outcome.connection.id.clone() };
        self.operation.recent.created(&at, finished.recorded_at);
        let Some(verdict) = finished.outcome.verdict.clone() else {
            return Ok(self.response(finished, None));
        };
        // In a box, so that only those creations take the memory for it that ask for it.
        Box::pin(self.verify(at, finished, verdict)).await
    }

    fn response(&self, finished: Finished<Outcome>, test: Option<TestReport>) -> Created {
        let Finished { outcome: Outcome { connection, .. }, replayed, .. } = finished;
        Created { request_id: self.request_id(), connection, replayed, test }
    }

    async fn verify(
        &self,
        at: ConnectionRef,
        finished: Finished<Outcome>,
        verdict: Verdict,
    ) -> Result<Created, Failure> {
        let mut has_just_failed = false;
        let verdict = match verdict {
            Verdict::Pending => {
                // A caller that waited for a lost connection to be found waits for its test from here.
                self.shared.running();
                self.shared.progress.set_may_exist(true);
                let Tested { report, works, is_by_test } = self.test(&at, &finished).await;
                has_just_failed = works == Some(false) && is_by_test;
                self.engine.metrics.verified(match works {
                    Some(true) => VerificationOutcome::Passed,
                    Some(false) => VerificationOutcome::Failed,
                    None => VerificationOutcome::Undecided,
                });
                let works = works.filter(|_| finished.is_recorded);
                match self.decide(&finished.outcome, report, works).await {
                    Ok(verdict) => verdict,
                    Err(report) => return self.undecided(finished, report),
                }
            }
            verdict @ (Verdict::Passed(_) | Verdict::Failed(_) | Verdict::Deleted(_)) => verdict,
        };
        let is_required = self.operation.verification == Verification::Require;
        match verdict {
            Verdict::Failed(report) if is_required => {
                Err(Failure::Operation(self.delete_again(&at, report, &finished, has_just_failed).await))
            }
            Verdict::Deleted(report) if is_required => {
                Err(Failure::Operation(VerificationError::Failed { report, left_behind: None }))
            }
            Verdict::Passed(report) | Verdict::Failed(report) | Verdict::Deleted(report) => {
                Ok(self.response(finished, Some(report)))
            }
            Verdict::Pending => self.undecided(finished, untested(NO_REPLY)),
        }
    }

    /// Records a definite result; where there is none, or it cannot be recorded, returns the report.
    async fn decide(
        &self,
        outcome: &Outcome,
        report: TestReport,
        works: Option<bool>,
    ) -> Result<Verdict, TestReport> {
        let verdict = match works {
            None => return Err(report),
            Some(true) => Verdict::Passed(report.clone()),
            Some(false) => Verdict::Failed(report.clone()),
        };
        let request_id = self.request_id();
        // The response to the caller must not wait for a store that hangs.
        let recorded = record_verdict(&*self.engine.store, &request_id, outcome, verdict);
        match timeout(RECORDING, recorded).await {
            Ok(Ok(verdict)) => return Ok(verdict),
            Ok(Err(error)) => {
                tracing::warn!(error = error_chain(&error), %request_id, "could not record a verdict");
            }
            Err(_) => tracing::warn!(%request_id, "could not record a verdict in time"),
        }
        Err(report)
    }

    /// The response where nothing definite is known.
    fn undecided(&self, finished: Finished<Outcome>, report: TestReport) -> Result<Created, Failure> {
        if self.operation.verification != Verification::Require {
            return Ok(self.response(finished, Some(report)));
        }
        let connection = finished.outcome.connection.id;
        Err(Failure::Operation(VerificationError::Pending { connection, report }))
    }

    /// Deletes a connection that is recorded as one that does not work, if it certainly is the one that this
    /// creation made and still does not work.
    async fn delete_again(
        &self,
        at: &ConnectionRef,
        report: TestReport,
        finished: &Finished<Outcome>,
        has_just_failed: bool,
    ) -> VerificationError {
        let deadline = Instant::now() + DELETION_TIMEOUT;
        let flow_service = &*self.operation.flow_service;
        let not_found = self.not_found(finished);
        let may_be_deleted = match flow_service.get_connection(at, deadline).await {
            Ok(None) if not_found == NotFound::ProvesAbsence => return self.deleted(finished, report).await,
            Ok(None) => return VerificationError::Pending { connection: at.id.clone(), report },
            Ok(Some(connection)) if !self.may_delete(&connection, finished.outcome.origin) => Ok(false),
            Ok(Some(_)) if has_just_failed => Ok(true),
            Ok(Some(_)) => match flow_service.test_connection(at, deadline).await {
                Err(error) if is_rejected_by_source(&error) => Ok(true),
                tested => tested.map(|works| !works),
            },
            Err(error) => Err(error),
        };
        match may_be_deleted {
            Ok(true) => {}
            Ok(false) => return VerificationError::Failed { report, left_behind: Some(at.id.clone()) },
            Err(error) => return self.left_behind(at, report, &error),
        }
        match delete(flow_service, at, not_found, deadline).await {
            Ok(_) => {
                self.operation.recent.deleted(at);
                let deleted = UnreportedOutcome::Deleted { at, request_id: self.request_id() };
                (self.operation.observer)(self.operation.caller.as_ref(), &deleted);
                self.deleted(finished, report).await
            }
            Err(error @ ConnectionError::OutcomeUnknown { .. })
                if matches!(flow_service.get_connection(at, deadline).await, Ok(None)) =>
            {
                // Not finding it does not prove that.
                let error = redacted(&error_chain(&error), &self.operation.connection.credentials);
                tracing::warn!(error, connection_id = %at.id, request_id = %self.request_id(), "it is unknown whether a new connection that does not work was deleted");
                VerificationError::Pending { connection: at.id.clone(), report }
            }
            Err(error) => self.left_behind(at, report, &error),
        }
    }

    async fn deleted(&self, finished: &Finished<Outcome>, report: TestReport) -> VerificationError {
        let failed = Outcome { verdict: Some(Verdict::Failed(report.clone())), ..finished.outcome.clone() };
        let deleted = Verdict::Deleted(report.clone());
        let recorded = record_verdict(&*self.engine.store, &self.request_id(), &failed, deleted).await;
        self.note(recorded.map(drop), "deleted a connection that does not work");
        VerificationError::Failed { report, left_behind: None }
    }

    /// Whether a connection is certainly the one that this creation made: it has its reference, or without
    /// references the Flow Service replied to the creation with its ID. One that was found without a record
    /// may be older than this creation's verification.
    fn may_delete(&self, connection: &Connection, origin: Origin) -> bool {
        match origin {
            Origin::Unrecorded => false,
            Origin::Reply if !self.engine.recovery.references => true,
            Origin::Reply | Origin::Search => {
                connection.description.as_deref().and_then(last_reference) == Some(self.request_id())
            }
        }
    }

    /// What it means that the connection is not found.
    fn not_found(&self, finished: &Finished<Outcome>) -> NotFound {
        NotFound::of(finished.recorded_at, self.engine.retention.settled_after())
    }

    fn left_behind(
        &self,
        at: &ConnectionRef,
        report: TestReport,
        error: &(dyn Error + 'static),
    ) -> VerificationError {
        let request_id = self.request_id();
        let error = redacted(&error_chain(error), &self.operation.connection.credentials);
        tracing::error!(error, connection_id = %at.id, %request_id, "could not delete a connection that does not work");
        VerificationError::Failed { report, left_behind: Some(at.id.clone()) }
    }

    /// Tests the connection for as long as a caller waits for it.
    async fn test(&self, at: &ConnectionRef, finished: &Finished<Outcome>) -> Tested {
        let established_by = Instant::now() + ESTABLISHED_WITHIN;
        loop {
            let deadline = match self.awaited_until() {
                deadline if deadline > Instant::now() => deadline,
                // No caller waits, or not much longer: the result is for the next call.
                _ => Instant::now() + UNAWAITED_TIMEOUT,
            };
            let tested = self.test_once(at, finished, established_by, deadline).await;
            // A caller that waits longer may have joined since.
            if tested.works.is_some() || self.awaited_until() <= deadline {
                return tested;
            }
        }
    }

    /// When the caller who waits longest has to get its response.
    fn awaited_until(&self) -> Instant {
        self.shared.deadline() - RESPONDING
    }

    /// Waits until the connection is established, and tests it.
    async fn test_once(
        &self,
        at: &ConnectionRef,
        finished: &Finished<Outcome>,
        established_by: Instant,
        deadline: Instant,
    ) -> Tested {
        let progress = &self.shared.progress;
        progress.enter(Stage::Verify);
        let read = self.established(at, established_by, deadline).await;
        progress.enter(Stage::Verify);
        let credentials = Some(&self.operation.connection.credentials);
        let diagnosis = diagnose(&*self.operation.flow_service, at, read, credentials, deadline).await;
        let has_waited = Instant::now() + LONGEST_PAUSE >= established_by;
        match diagnosis {
            Diagnosis::Report { report, works } => Tested { report, works, is_by_test: true },
            // One that was certainly visible, and is not found for so long, was deleted by somebody.
            Diagnosis::Missing if has_waited && self.not_found(finished) == NotFound::ProvesAbsence => {
                Tested { report: missing(), works: Some(false), is_by_test: false }
            }
            Diagnosis::Missing => Tested { report: untested(NOT_SEEN), works: None, is_by_test: false },
            Diagnosis::Undecided(report, error) => {
                let error = redacted(&error_chain(&error), &self.operation.connection.credentials);
                let request_id = self.request_id();
                tracing::warn!(error, connection_id = %at.id, %request_id, "a new connection cannot be tested at the moment");
                Tested { report, works: None, is_by_test: false }
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
        let mut reads = 0;
        loop {
            let read = self.operation.flow_service.get_connection(at, deadline).await;
            let may_change = match &read {
                // What was just created need not be seen everywhere yet.
                Ok(None) => true,
                Ok(Some(connection)) => connection.state.is_some_and(is_changing),
                Err(_) => false,
            };
            reads += 1;
            let pause = PAUSES.pause(reads);
            let is_worth_it = Instant::now() + pause < until;
            if !may_change || !self.pauses(is_worth_it.then_some(pause)).await {
                return read;
            }
        }
    }
}
