//! The search before the first sending, where the store may have forgotten the request id.
//!
//! One list can serve many creations. It may be as old as the store's memory is settled: what was sent before
//! that began is visible since, and what was sent later has a record.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use crate::{
    adobe::{CallError, FlowService},
    domain::{Connection, CreatedConnection, SandboxName, Stage, reference},
    exactly_once::{Field, store::Origin},
    metrics::FirstSearchOutcome,
};
use crate::{
    exactly_once::{
        creation::{Creation, Earlier, Next},
        listing::{Found, Listing, Shows, View},
        recognition::Own,
        search::{LIST_TIMEOUT, ids, oldest},
        sent,
    },
    service::Failure,
};

/// When to search for a request id of a caller that has no record, before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchFirst {
    /// Where the store may have forgotten it.
    Auto,
    /// The same, and waits until what may have been forgotten is certainly visible.
    Strict,
    /// Never.
    Never,
}

/// What to do about lost creations.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    /// Whether connections carry the request id, so that lost ones are recognized.
    pub references: bool,
    /// When to search for one before it is sent.
    pub search_first: SearchFirst,
}

/// The latest complete list of each sandbox.
#[derive(Debug, Default)]
pub(crate) struct Listings(StdMutex<HashMap<SandboxName, Arc<Mutex<Option<Latest>>>>>);

#[derive(Debug)]
struct Latest {
    began: Instant,
    listing: Arc<Listing>,
}

impl Listings {
    /// A list that began no earlier than this. Callers that need one at the same time wait for the same one.
    async fn since<F: FlowService>(
        &self,
        flow_service: &F,
        sandbox: &SandboxName,
        not_before: Instant,
        created_from_ms: i64,
    ) -> Arc<Listing> {
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(sandbox.clone()).or_default())
        };
        let mut latest = slot.lock().await;
        if let Some(latest) = latest.as_ref().filter(|latest| latest.began >= not_before) {
            return Arc::clone(&latest.listing);
        }
        let began = Instant::now();
        let read = Listing::read(flow_service, sandbox, created_from_ms, began + LIST_TIMEOUT).await;
        let listing = Arc::new(read);
        if listing.is_complete() {
            *latest = Some(Latest { began, listing: Arc::clone(&listing) });
        }
        listing
    }
}

impl<F: FlowService> Creation<F> {
    /// Searches for this creation's reference, of which the store knows nothing.
    pub(crate) async fn search_first(&self, remembers_for: Duration) -> Next {
        self.shared.progress.enter(Stage::Reconcile);
        let settled_after = self.parts.retention.settled_after();
        let now = Instant::now();
        let mut not_before = now.checked_sub(remembers_for.saturating_sub(settled_after)).unwrap_or(now);
        let own = Own::new(&self.connection, self.request_id());
        let mut attempt = 0;
        loop {
            attempt += 1;
            let view = tokio::select! {
                biased;
                () = self.parts.background.draining() => {
                    self.metrics.searched_first(FirstSearchOutcome::Failed);
                    return self.leave(Earlier::Nothing).await;
                }
                view = self.first_view(&own, not_before) => view,
            };
            let error = match view {
                View::Absent => {
                    self.metrics.searched_first(FirstSearchOutcome::Absent);
                    return Next::Send(Earlier::Nothing);
                }
                View::Same(found) => match self.take_over(&found).await {
                    Ok(Some(next)) => {
                        self.metrics.searched_first(FirstSearchOutcome::Found);
                        return next;
                    }
                    Ok(None) => {
                        // It may have been deleted since the list was read.
                        not_before = Instant::now();
                        None
                    }
                    Err(error) => Some(Arc::new(error)),
                },
                View::Perhaps(candidates) => {
                    self.metrics.searched_first(FirstSearchOutcome::Ambiguous);
                    self.give_back(Earlier::Nothing).await;
                    let are_there = candidates.iter().all(|candidate| candidate.shows == Shows::Part);
                    let failure = if remembers_for > settled_after && are_there {
                        Failure::Ambiguous(ids(candidates))
                    } else {
                        Failure::OutcomeUnknown { problem: None, cause: None }
                    };
                    return Next::End(Err(failure));
                }
                View::Incomplete(error) => Some(error),
            };
            if let Some(error) = &error {
                self.note_unread(error);
            }
            let may_repeat = error.as_ref().is_none_or(|error| error.is_retryable());
            let pause = self.parts.flow_service.retry_in(attempt, None, self.shared.deadline());
            let pause = pause.filter(|_| may_repeat && self.shared.is_awaited());
            if !self.pauses(pause).await {
                self.metrics.searched_first(FirstSearchOutcome::Failed);
                self.give_back(Earlier::Nothing).await;
                return Next::End(Err(match error {
                    Some(error) => Failure::NotSearched(error.redacted(&self.connection.credentials)),
                    None => Failure::OutcomeUnknown { problem: None, cause: None },
                }));
            }
            self.shared.progress.enter(Stage::Reconcile);
        }
    }

    /// What a list says about this creation. A connection that shows no reference, in the list and by itself,
    /// was not made by this service: without a record there is nothing else that speaks for it.
    async fn first_view(&self, own: &Own, not_before: Instant) -> View {
        let (flow_service, sandbox) = (&self.parts.flow_service, &self.connection.sandbox);
        let created_from_ms = sent::before(self.now_ms(), self.parts.retention.request_id);
        let listing = self.listings.since(flow_service, sandbox, not_before, created_from_ms).await;
        let view = listing.find(flow_service, sandbox, own, Instant::now() + LIST_TIMEOUT).await;
        match view {
            View::Perhaps(candidates) => {
                let open = candidates.into_iter().filter(|candidate| candidate.shows != Shows::None);
                let open: Vec<_> = open.collect();
                if open.is_empty() { View::Absent } else { View::Perhaps(open) }
            }
            view @ (View::Same(_) | View::Absent | View::Incomplete(_)) => view,
        }
    }

    /// Takes over a connection that has this creation's reference without a record, if it is what this call
    /// asks for. `None` where that has to be tried again.
    pub(crate) async fn take_over(&self, found: &[Found]) -> Result<Option<Next>, CallError> {
        let Some(oldest) = oldest(found) else { return Ok(None) };
        let Some(read) = self.read(oldest).await? else { return Ok(None) };
        let differs = self.differences(&read);
        let Connection { id, etag, .. } = read;
        if differs.is_empty() {
            return Ok(self.finish(found, CreatedConnection { id, etag }, Origin::Unrecorded).await);
        }
        self.give_back(Earlier::Nothing).await;
        Ok(Some(Next::End(Err(Failure::RequestIdReused { differs, connection: Some(id) }))))
    }

    /// In what a connection differs from what this call asks for, as far as it shows that.
    fn differences(&self, connection: &Connection) -> Vec<Field> {
        let is_same = |one: &str, other: &str| reference::fold(one) == reference::fold(other);
        let (stored, _) = reference::split(connection.description.as_deref().unwrap_or_default());
        let description = self.connection.description.as_ref().map_or("", |description| description.as_str());
        let mut differs = Vec::new();
        if !is_same(&connection.name, self.connection.name.as_str()) {
            differs.push(Field::Name);
        }
        if !is_same(&stored.unwrap_or_default(), description) {
            differs.push(Field::Description);
        }
        differs
    }
}
