//! The search for the connection of a creation whose reply was lost.
//!
//! It ends when the connection is found and recorded, or when it is proven that there is none: two complete
//! lists, some time apart, both read after the moment from which a connection is certainly visible. A list
//! that cannot be read, and an item that could be the connection, prove nothing.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    adobe::redacted,
    adobe::{CallError, FlowService},
    domain::{
        Connection, ConnectionId, ConnectionRef, CreatedConnection, Stage, Verification, reference::fold,
    },
    error::error_chain,
    exactly_once::store::{Keep, Origin, Recorded, StoreError},
    metrics::SearchOutcome,
};
use crate::{
    exactly_once::{
        creation::{Creation, Earlier, Next},
        listing::{Candidate, Found, Listing, Shows, View},
        recognition::Own,
        sent::Sent,
    },
    service::{Failure, connections::verification::Finished},
};

/// The pause between two lists: at first the reply is only just lost, and later the other side has
/// most likely never got the request.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How far apart two lists have to be that prove that there is nothing.
const APART: Duration = Duration::from_secs(5);
/// The longest that reading one list may take.
pub(crate) const LIST_TIMEOUT: Duration = Duration::from_secs(20);

impl<F: FlowService> Creation<F> {
    /// Searches for the connection of a lost creation until it is found, or it is proven that there is none.
    pub(crate) async fn search(&self, sent: Sent, lost: Arc<Failure>, absent: Earlier) -> Next {
        let progress = &self.shared.progress;
        progress.set_may_exist(true);
        progress.enter(Stage::Reconcile);
        self.shared.searching(lost);
        let own = Own::new(&self.connection, self.request_id());
        let settled_after = self.parts.retention.settled_after();
        let mut pause = FIRST_PAUSE;
        // When the first of the lists began that show nothing.
        let mut absent_since: Option<Instant> = None;
        loop {
            let began = Instant::now();
            let is_settled = sent.last_ago(began) > settled_after;
            let view = tokio::select! {
                biased;
                () = self.parts.background.draining() => return self.leave_undecided(absent).await,
                view = self.view(&own, &sent, is_settled) => view,
            };
            match view {
                View::Same(found) => {
                    let next = match absent {
                        // It was not sent by this record.
                        Earlier::Nothing => self.take_over(&found).await.unwrap_or_else(|error| {
                            self.note_unread(&error);
                            None
                        }),
                        Earlier::Lost(_) => self.take_back(&found).await,
                    };
                    if let Some(next) = next {
                        self.metrics.searched(SearchOutcome::Found);
                        return next;
                    }
                    absent_since = None;
                }
                View::Absent if is_settled => match absent_since {
                    Some(since) if began.duration_since(since) >= APART => {
                        self.metrics.searched(SearchOutcome::Absent);
                        if self.shared.is_awaited() {
                            return Next::Send(absent);
                        }
                        return self.leave(absent).await;
                    }
                    Some(_) => {}
                    None => absent_since = Some(began),
                },
                View::Absent => {}
                View::Perhaps(candidates) if is_settled && is_final(&candidates) => {
                    self.metrics.searched(SearchOutcome::Ambiguous);
                    self.give_back(absent).await;
                    return Next::End(Err(Failure::Ambiguous(ids(candidates))));
                }
                View::Perhaps(_) => absent_since = None,
                View::Incomplete(error) => {
                    absent_since = None;
                    self.note_unread(&error);
                }
            }
            // Without a caller the creation would not be sent again.
            if is_settled && !self.shared.is_awaited() {
                return self.leave_undecided(absent).await;
            }
            let until_settled = settled_after.saturating_sub(sent.last_ago(began)) + Duration::from_millis(1);
            let until_proof = absent_since.map(|since| APART.saturating_sub(since.elapsed()));
            let jittered = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            let wait = match until_proof {
                Some(until_proof) => until_proof,
                None if is_settled => jittered,
                None => jittered.min(until_settled),
            };
            if !self.pauses(Some(wait)).await {
                return self.leave_undecided(absent).await;
            }
            progress.enter(Stage::Reconcile);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What a list says about this creation. Without references nothing is proven by what it does not say.
    async fn view(&self, own: &Own, sent: &Sent, is_settled: bool) -> View {
        let (flow_service, sandbox) = (&self.parts.flow_service, &self.connection.sandbox);
        let deadline = Instant::now() + LIST_TIMEOUT;
        let created_from_ms = sent.created_from_ms(self.now_ms());
        let listing = Listing::read(flow_service, sandbox, created_from_ms, deadline).await;
        let view = listing.find(flow_service, sandbox, own, deadline).await;
        if self.parts.recovery.references || matches!(view, View::Same(_) | View::Incomplete(_)) {
            return view;
        }
        if !is_settled {
            return View::Absent;
        }
        let name = fold(self.connection.name.as_str());
        let named = listing.named(|other| fold(other) == name);
        let candidate = |id| Candidate { id: Some(id), shows: Shows::None };
        View::Perhaps(named.into_iter().map(candidate).collect())
    }

    /// Returns the connection that a lost sending of this record created. `None` where that has to be tried
    /// again.
    async fn take_back(&self, found: &[Found]) -> Option<Next> {
        let oldest = oldest(found)?;
        let etag = match self.read(oldest).await {
            Ok(Some(connection)) => Some(connection.etag),
            // Lists may show it before reads by ID do.
            Ok(None) => oldest.etag.clone(),
            Err(error) => {
                self.note_unread(&error);
                oldest.etag.clone().filter(|_| !matches!(error, CallError::OtherSource))
            }
        };
        let connection = CreatedConnection { id: oldest.id.clone(), etag: etag? };
        self.finish(found, connection, Origin::Search).await
    }

    /// Reads a connection that a list shows. Its etag may have changed since.
    pub(crate) async fn read(&self, found: &Found) -> Result<Option<Connection>, CallError> {
        let at = ConnectionRef { sandbox: self.connection.sandbox.clone(), id: found.id.clone() };
        self.parts.flow_service.get_connection(&at, Instant::now() + LIST_TIMEOUT).await
    }

    /// Records a connection with this creation's reference as its outcome. Others that were found with it are
    /// reported, and never deleted, as nobody knows which of them is in use. `None` where that has to be tried
    /// again.
    pub(crate) async fn finish(
        &self,
        found: &[Found],
        connection: CreatedConnection,
        origin: Origin,
    ) -> Option<Next> {
        if found.len() > 1 {
            self.metrics.duplicates.inc();
            let ids: Vec<_> = found.iter().map(|found| found.id.as_str()).collect();
            tracing::error!(request_id = %self.request_id(), connections = ids.join(","), kept = %connection.id, "several connections refer to one request: delete those that are not in use");
        }
        // A caller may ask for it again: its outcome was unknown.
        let keep = match self.verification {
            Verification::Report | Verification::Require => Keep::RememberUnverified,
            Verification::None => Keep::Remember,
        };
        let store = &self.parts.store;
        let finished = match store.done(&self.lease, &connection, origin, keep, self.now_ms()).await {
            // Without a record it is an earlier call's.
            Ok(Recorded::Done) => {
                Finished { replayed: origin == Origin::Unrecorded, ..self.created(connection, origin) }
            }
            Ok(Recorded::Already(outcome)) => self.already(outcome, &connection),
            Err(error @ StoreError::Unreadable(_)) => return Some(Next::End(Err(self.store_failed(error)))),
            Err(error) => {
                tracing::debug!(error = error_chain(&error), "could not record a connection that was found");
                return None;
            }
        };
        tracing::info!(connection_id = %finished.connection.id, request_id = %self.request_id(), "found a lost connection");
        Some(Next::End(Ok(finished)))
    }

    /// Logs why a search learns nothing. The Flow Service may repeat there what it received before.
    pub(crate) fn note_unread(&self, error: &CallError) {
        let error = redacted(&error_chain(error), &self.connection.credentials);
        tracing::debug!(error, request_id = %self.request_id(), "a search for an earlier creation learned nothing");
    }

    /// Leaves a lost creation, of which nothing is known yet, to the next call.
    async fn leave_undecided(&self, earlier: Earlier) -> Next {
        self.metrics.searched(SearchOutcome::Undecided);
        self.leave(earlier).await
    }

    pub(crate) async fn leave(&self, earlier: Earlier) -> Next {
        self.give_back(earlier).await;
        Next::End(Err(Failure::OutcomeUnknown { problem: None, cause: None }))
    }
}

/// The oldest of the connections with the reference of one creation. There should be one.
pub(crate) fn oldest(found: &[Found]) -> Option<&Found> {
    // The newest come first.
    found.iter().rev().min_by_key(|found| found.created_at_ms.unwrap_or(i64::MAX))
}

/// Whether another list would not show more.
fn is_final(candidates: &[Candidate]) -> bool {
    candidates.iter().all(|candidate| candidate.shows != Shows::NotYetRead)
}

/// The IDs of those candidates that have one.
pub(crate) fn ids(candidates: Vec<Candidate>) -> Vec<ConnectionId> {
    candidates.into_iter().filter_map(|candidate| candidate.id).collect()
}
