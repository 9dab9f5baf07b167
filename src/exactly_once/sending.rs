//! Sends a creation, and records what it made.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    creation::{Creation, Finished, Lost, Next},
    failure::Failure,
    operation::{Earlier, FailureOf, Operation, Outcome as _, Unprepared},
    record::Recorded as Read,
    sent::Sent,
    store::{Recorded, SEND_WITHIN, Step, StoreError},
};
use crate::{
    adobe::{CallError, NextStep},
    backoff::Backoff,
    domain::Stage,
    error::error_chain,
};

/// How long before its end a deadline counts as exceeded, because the caller may get that error while the
/// store records the reply.
const REPORTING: Duration = Duration::from_secs(2);
/// When to retry a creation that another process has taken over.
const TAKEN_OVER_RETRY: Duration = Duration::from_millis(200);
/// The pause between two attempts at recording an outcome.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5), 0.0);
/// How long a lost creation is retried that is proven to have created nothing.
const RESEND_TIMEOUT: Duration = Duration::from_secs(20);

/// The result of one attempt to send.
enum Attempt<O: Operation> {
    Created(O::Outcome),
    /// Its reply was lost.
    Lost(Sent, FailureOf<O>),
    /// Nothing was created.
    Failed(CallError),
    /// It ended before a reply, or its end could not be recorded.
    Stopped(FailureOf<O>),
}

impl<O: Operation> Creation<O> {
    /// Sends the creation until there is a reply, it is lost, or another attempt makes no sense.
    pub(super) async fn send(&self, earlier: Option<Lost>) -> Next<O> {
        let progress = &self.shared.progress;
        self.shared.running();
        progress.set_may_exist(false);
        let began = Instant::now();
        let sent = earlier.as_ref().map(|lost| lost.sent);
        let mut context = earlier.map(|lost| lost.context);
        let mut attempt = 0;
        let mut refreshed = false;
        let mut earlier_error = None;
        loop {
            let deadline = self.shared.deadline();
            let scope = self.scope(deadline);
            let earlier = context.as_deref().map_or(Earlier::Unknown, Earlier::Prepared);
            let prepared = tokio::select! {
                biased;
                prepared = self.operation.prepare(&scope, earlier) => prepared,
                () = self.engine.background.draining() => {
                    self.give_back(sent.is_some()).await;
                    return Next::End(Err(self.not_created(CallError::Stopping)));
                }
            };
            let sending = match prepared {
                Ok(ControlFlow::Continue(context)) => context,
                Ok(ControlFlow::Break(found)) => return self.take_over_prepared(found, sent.is_some()).await,
                Err(Unprepared { error, undo: Some(context) }) if !context.is_empty() => {
                    return Next::Undo { context, refused: Some(Failure::Operation(error)) };
                }
                Err(Unprepared { error, .. }) => {
                    let is_held = self.give_back(sent.is_some()).await && scope.still_ours();
                    return Next::End(Err(if is_held {
                        Failure::Operation(error)
                    } else {
                        self.taken_over()
                    }));
                }
            };
            if let Some(next) = self.await_store(sent.is_some()).await {
                return next;
            }
            progress.enter(Stage::AdobeToken);
            // A caller that joins may wait longer than the one who began.
            let deadline = match sent {
                None => self.shared.deadline(),
                Some(_) => self.shared.deadline().max(began + RESEND_TIMEOUT),
            };
            let permission = tokio::select! {
                // A drain ends what waits, and not what can continue at once.
                biased;
                permission = self.operation.permission(deadline) => permission,
                () = self.engine.background.draining() => Err(CallError::Stopping),
            };
            if let Err(error) = &permission
                && self.shared.deadline() > deadline
                && (Instant::now() >= deadline || waits_for_token(error))
            {
                context = Some(sending);
                continue;
            }
            attempt += 1;
            let error = match permission {
                Ok(permission) => match self.attempt(&permission, &sending, sent).await {
                    Attempt::Created(outcome) => return self.record_reply(outcome, sent.is_some()).await,
                    Attempt::Lost(sent, failure) => {
                        let lost = Lost { sent, context: sending };
                        return Next::Search { lost, failure, is_recorded: true };
                    }
                    Attempt::Failed(error) => error,
                    Attempt::Stopped(failure) => return Next::End(Err(failure)),
                },
                Err(error) => error,
            };
            if matches!(error, CallError::Refused { .. }) && !sending.is_empty() {
                progress.set_may_exist(false);
                return Next::Undo { context: sending, refused: Some(self.not_created(error)) };
            }
            context = Some(sending);
            let deadline = deadline.max(self.shared.deadline());
            let pause = match error.next_step() {
                NextStep::RefreshToken if !refreshed => {
                    refreshed = true;
                    Some(Duration::ZERO)
                }
                NextStep::Retry(asked) => self.operation.retry_in(attempt, asked, deadline),
                NextStep::RefreshToken | NextStep::GiveUp | NextStep::Search => None,
            };
            progress.set_may_exist(false);
            if !self.pauses(pause).await {
                if !self.give_back(sent.is_some()).await {
                    return Next::End(Err(self.taken_over()));
                }
                // The failure that has opened the breaker is a better cause than the open breaker.
                let is_breaker = matches!(error, CallError::BreakerOpen { .. });
                let cause = if is_breaker { earlier_error.unwrap_or(error) } else { error };
                return Next::End(Err(self.not_created(cause)));
            }
            earlier_error = Some(error);
        }
    }

    /// Sends the creation once. `lost` is an earlier sending that is proven to have created nothing.
    async fn attempt(&self, permission: &O::Permission, context: &str, lost: Option<Sent>) -> Attempt<O> {
        let progress = &self.shared.progress;
        // A caller whose deadline is exceeded reads this after it has stopped waiting. Because it is written
        // before the check for waiting callers, no caller reads that nothing exists while it is being sent.
        progress.set_may_exist(true);
        if !self.shared.is_awaited() {
            progress.set_may_exist(false);
            let may_exist = progress.may_exist();
            let is_held = self.give_back(lost.is_some()).await;
            return Attempt::Stopped(if is_held {
                Failure::Abandoned { may_exist }
            } else {
                self.taken_over()
            });
        }
        let began = Instant::now();
        let step = if lost.is_some() { Step::Resend } else { Step::BeginSending };
        let begun = self.engine.store.step(self.lease(), step, context, self.now_ms()).await;
        if let Err(error) = begun {
            progress.set_may_exist(false);
            let is_taken_over = matches!(error, StoreError::LeaseLost);
            return Attempt::Stopped(if is_taken_over { self.taken_over() } else { self.begin_lost(error) });
        }
        progress.enter(Stage::Create);
        let send_by = began + SEND_WITHIN;
        match self.operation.send(permission, context, self.reference(), send_by, progress).await {
            Ok(outcome) => Attempt::Created(outcome),
            Err(error) if error.next_step() == NextStep::Search => {
                // If this fails the record stays `sending`, which becomes `unknown` when the lease ends.
                self.note(self.step(Step::OutcomeUnknown).await, "record that the outcome is unknown");
                let problem = error.problem().cloned();
                let failure = Failure::OutcomeUnknown { problem, cause: Some(error.into()) };
                Attempt::Lost(Sent::at(lost, began), failure)
            }
            Err(error) => match self.step(Step::NotCreated).await {
                Ok(()) => Attempt::Failed(error),
                // The step may still be on its way to the store: it must not meet another attempt.
                Err(store_error) => {
                    progress.set_may_exist(false);
                    self.note(Err(store_error), "record that nothing was created");
                    self.abandon_in_background();
                    Attempt::Stopped(self.not_created(error))
                }
            },
        }
    }

    /// Records the reply. If the store fails the caller still gets it, and recording continues.
    async fn record_reply(&self, outcome: O::Outcome, was_lost: bool) -> Next<O> {
        // Kept where a caller may retry the id: its own one, one that another call has named, one whose outcome
        // was unknown, one that an error has named or is about to, and one whose creation may have to be continued.
        let is_reported = !self.shared.is_awaited() || Instant::now() + REPORTING >= self.shared.deadline();
        let is_named = !self.generated || self.shared.is_joined();
        let is_kept = is_named || was_lost || is_reported || !self.operation.is_complete(&outcome);
        let text = is_kept.then(|| outcome.to_text());
        let recorded = self.engine.store.record(self.lease(), text.as_deref(), self.now_ms()).await;
        Next::End(match recorded {
            Ok(Recorded::Done) => Ok(Finished::now(outcome, false)),
            Ok(Recorded::Already(recorded)) => Ok(match Read::<O>::parse(&recorded) {
                Read::Own(recorded) => self.already(recorded, &outcome),
                Read::Withdrawn | Read::Other(_) | Read::Unreadable => {
                    let (request_id, id) = (self.request_id(), outcome.id());
                    tracing::error!(%request_id, connection_id = O::connection_id(id), "created a {}, but another replica has recorded an outcome that is not this creation's, or that this version cannot read", O::KIND);
                    Finished { is_recorded: false, ..Finished::now(outcome, false) }
                }
            }),
            Err(error) => {
                let (request_id, id) = (self.request_id(), outcome.id());
                tracing::warn!(error = error_chain(&error), %request_id, connection_id = O::connection_id(id), "could not record a {}: trying again", O::KIND);
                self.keep_recording(text, id.clone());
                Ok(Finished { is_recorded: false, ..Finished::now(outcome, false) })
            }
        })
    }

    /// The record is done already: its outcome stays.
    pub(super) fn already(&self, recorded: O::Outcome, created: &O::Outcome) -> Finished<O::Outcome> {
        if recorded.id() != created.id() {
            self.engine.metrics.duplicates.inc();
            tracing::error!(request_id = %self.request_id(), created = %created.id(), recorded = %recorded.id(), "one request created two {}s", O::KIND);
        }
        Finished::now(recorded, true)
    }

    fn keep_recording(&self, outcome: Option<String>, id: O::Id) {
        let (engine, shared) = (Arc::clone(&self.engine), Arc::clone(&self.shared));
        let give_up = Instant::now() + engine.retention.request_id;
        self.engine.background.spawn(async move {
            let mut attempts = 0;
            while Instant::now() < give_up {
                let is_last = engine.background.is_draining();
                match engine.store.record(&shared.lease, outcome.as_deref(), (engine.wall_clock)()).await {
                    Err(StoreError::Unavailable(_) | StoreError::Full | StoreError::LeaseLost) => {}
                    Ok(Recorded::Done) => break,
                    Ok(Recorded::Already(recorded)) => {
                        // Where the step before was only late, the record has this outcome.
                        let is_ours = matches!(Read::<O>::parse(&recorded), Read::Own(own) if *own.id() == id);
                        if !is_ours {
                            engine.metrics.duplicates.inc();
                            tracing::error!(request_id = %shared.lease.request_id, connection_id = O::connection_id(&id), "created a {}, but its record has another outcome", O::KIND);
                        }
                        break;
                    }
                    Err(error @ StoreError::Unreadable(_)) => {
                        tracing::error!(error = error_chain(&error), request_id = %shared.lease.request_id, connection_id = O::connection_id(&id), "a {} cannot be recorded", O::KIND);
                        break;
                    }
                }
                // A retry finds the resource by a search; a store that is down must not delay the end.
                if is_last {
                    tracing::warn!(request_id = %shared.lease.request_id, connection_id = O::connection_id(&id), "a {} was not recorded: the process ends while the store is down", O::KIND);
                    break;
                }
                attempts += 1;
                let _ = timeout(PAUSES.pause(attempts), engine.background.draining()).await;
            }
        });
    }

    /// A creation that created nothing: what an earlier attempt made may have been forgotten.
    fn not_created(&self, error: CallError) -> FailureOf<O> {
        Failure::NotCreated { error, may_exist: self.shared.progress.may_exist() }
    }

    /// The lease is lost: the process that has taken it over may have sent the creation, and brings it to its
    /// end.
    pub(super) fn taken_over(&self) -> FailureOf<O> {
        self.shared.progress.set_may_exist(true);
        Failure::RequestInProgress { retry_after: TAKEN_OVER_RETRY }
    }
}

/// Whether only an access token is missing, which is given up a moment before the deadline.
fn waits_for_token(error: &CallError) -> bool {
    matches!(error, CallError::NoTokenInTime) || matches!(error, CallError::Token(error) if error.may_pass())
}
