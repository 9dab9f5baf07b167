//! The search for the connection of a creation whose answer was lost.
//!
//! It ends when the connection is found and recorded, when several could be it, or when the settle
//! window has passed and there is nothing: then it never arrived. Which connections could be it: see
//! `candidates`.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Failure,
    candidates::{Sent, sight},
    creation::{Creation, Next},
    verification::{Landed, Origin},
};
use crate::{
    domain::{CreatedConnection, Stage, Verification},
    error_chain::error_chain,
    flow_service::{Cause, FlowService, ListQuery, redacted},
    idempotency::{Keep, Outcome, Recorded},
    metrics::SearchOutcome,
};

/// The pause between two looks: at first the answer is only just lost, and later the other side has
/// most likely never got the request.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest that one look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(20);
/// More pages than the connections of any organization fill.
const MAX_PAGES: usize = 100;

impl<F: FlowService> Creation<F> {
    /// Looks for the connection of a lost creation until it is found, or the settle window has passed
    /// without it.
    pub(super) async fn look(&self, sent: Sent, lost: Arc<Failure>) -> Next {
        let progress = &self.flight.progress;
        progress.set_may_exist(true);
        progress.enter(Stage::Reconcile);
        self.flight.looking(Arc::clone(&lost));
        let mut pause = FIRST_PAUSE;
        let mut found: Option<CreatedConnection> = None;
        loop {
            // A look that begins after the end of the window, and sees nothing, proves that there is
            // nothing; one that begins before it does not.
            let is_settled = sent.last_ago() > self.parts.retention.settle_window;
            let candidates = tokio::select! {
                biased;
                () = self.parts.background.draining() => return self.leave_undecided().await,
                // The store may have recorded it and only its answer was lost. Another look could see
                // a younger connection of the same name as well.
                candidates = async { match &found {
                    Some(found) => Ok(vec![CreatedConnection::clone(found)]),
                    None => self.candidates(&sent).await,
                } } => candidates,
            };
            match candidates.as_deref() {
                Ok([]) if is_settled => {
                    self.metrics.searched(SearchOutcome::Absent);
                    if self.flight.is_awaited() {
                        return Next::Send(Some(sent));
                    }
                    return self.leave().await;
                }
                Ok([]) => {}
                Ok([candidate]) => match self.adopt(candidate).await {
                    Adoption::Adopted(next) => {
                        self.metrics.searched(SearchOutcome::Found);
                        return next;
                    }
                    Adoption::BelongsToAnother => found = None,
                    Adoption::StoreFailed => found = Some(candidate.clone()),
                },
                Ok(several) => {
                    let ids = several.iter().map(|connection| connection.id.clone()).collect();
                    self.metrics.searched(SearchOutcome::Ambiguous);
                    self.note(self.parts.store.abandon(&self.lease).await, "several could be it");
                    return Next::Land(Err(Failure::Ambiguous(ids)));
                }
                Err(error) => {
                    // Nothing keeps the other side from repeating there what it was told before.
                    let error = redacted(&error_chain(&**error), &self.connection.credentials);
                    tracing::debug!(error, "could not look for a lost connection");
                }
            }
            if is_settled && !self.flight.is_awaited() {
                return self.leave_undecided().await;
            }
            let window_left = self.parts.retention.settle_window.saturating_sub(sent.last_ago());
            let jittered = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            let until_settled = window_left + Duration::from_millis(1);
            let wait = if window_left.is_zero() { jittered } else { jittered.min(until_settled) };
            if !self.pauses(Some(wait)).await {
                return self.leave_undecided().await;
            }
            progress.enter(Stage::Reconcile);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Lists the connections that could be the lost one and are nobody else's.
    async fn candidates(&self, sent: &Sent) -> Result<Vec<CreatedConnection>, Cause> {
        let deadline = Instant::now() + LOOK_TIMEOUT;
        let settle_window = self.parts.retention.settle_window;
        let mut candidates = Vec::new();
        let mut page = None;
        for _ in 0..MAX_PAGES {
            let listed = self
                .parts
                .flow_service
                .list_connections(&ListQuery::all(&self.lease.key.sandbox), page.as_ref(), deadline)
                .await?;
            page = listed.next.clone();
            let sighting = sight(listed, &self.connection, sent, settle_window);
            candidates.extend(
                sighting.candidates.into_iter().map(|c| CreatedConnection { id: c.id, etag: c.etag }),
            );
            if sighting.is_blurred {
                return Err("a connection that could be the lost one cannot be read".into());
            }
            if sighting.is_past || page.is_none() {
                // A connection that is created while pages are read moves others onto the next page.
                candidates.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
                candidates.dedup_by(|a, b| a.id == b.id);
                return self.nobody_elses(candidates).await;
            }
        }
        Err(format!("the connections are more than {MAX_PAGES} pages").into())
    }

    async fn nobody_elses(
        &self,
        mut candidates: Vec<CreatedConnection>,
    ) -> Result<Vec<CreatedConnection>, Cause> {
        if !candidates.is_empty() {
            let ids: Vec<_> = candidates.iter().map(|connection| connection.id.clone()).collect();
            let taken = self.parts.store.outcomes_of_others(&self.lease.key, &ids).await?;
            candidates.retain(|connection| !taken.contains(&connection.id));
        }
        Ok(candidates)
    }

    /// Makes the one candidate the outcome.
    async fn adopt(&self, found: &CreatedConnection) -> Adoption {
        // It is asked for again: its outcome was unknown.
        let keep = match self.verification {
            Verification::Report | Verification::Require => Keep::RememberUnverified,
            Verification::None => Keep::Remember,
        };
        let landed = match self.parts.store.done(&self.lease, found, keep).await {
            Ok(Recorded::Done) => self.landed(found.clone(), Origin::Record),
            Ok(Recorded::Already(Outcome { connection, verdict })) => {
                Landed { verdict, ..self.landed(connection, Origin::Record) }
            }
            Ok(Recorded::BelongsToAnother) => return Adoption::BelongsToAnother,
            Err(error) => {
                tracing::debug!(error = error_chain(&error), "could not record a connection that was found");
                return Adoption::StoreFailed;
            }
        };
        tracing::info!(connection_id = %landed.connection.id, request_id = %self.lease.key.request_id, "found a lost connection");
        Adoption::Adopted(Next::Land(Ok(landed)))
    }

    /// Leaves a lost creation, of which nothing is known yet, to whoever asks for it next.
    async fn leave_undecided(&self) -> Next {
        self.metrics.searched(SearchOutcome::Undecided);
        self.leave().await
    }

    /// Leaves a lost creation to whoever asks for it next.
    async fn leave(&self) -> Next {
        self.note(self.parts.store.abandon(&self.lease).await, "left for a later call");
        Next::Land(Err(Failure::OutcomeUnknown { problem: None, cause: None }))
    }
}

/// What recording a connection that was found comes to.
enum Adoption {
    Adopted(Next),
    BelongsToAnother,
    StoreFailed,
}
