//! The searches for the resource of a creation.
//!
//! After a lost reply: the search ends when the resource is found and recorded, or when it is proven that there is
//! none: two complete lists, some time apart, both read after the moment from which a resource is certainly
//! visible. A list that cannot be read, and an item that could be the resource, prove nothing.
//!
//! Before the first sending, where the store may have forgotten the request id: one list can serve many
//! creations. It may be as old as the store's memory is settled: what was sent before that began is visible
//! since, and what was sent later has a record.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    creation::{Creation, Finished, Lost, Next},
    failure::Failure,
    listing::{Candidate, LIST_TIMEOUT, Listing, Shows, View},
    operation::{Item, Operation, Outcome as _},
    recognition::Reference,
    record::made,
    sent,
    store::{Origin, Recorded, StoreError},
};
use crate::{
    adobe::CallError,
    backoff::Backoff,
    domain::{Stage, UpstreamWait},
    error::error_chain,
    metrics::{FirstSearchOutcome, SearchOutcome},
};

/// The pause between two lists: at first the reply is only just lost, and later Adobe has most likely never
/// got the request.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5), 0.5);
/// How far apart two lists have to be that prove that there is nothing.
pub(super) const APART: Duration = Duration::from_secs(5);

impl<O: Operation> Creation<O> {
    /// Searches for the resource of a lost creation until it is found, or it is proven that there is none.
    /// `is_recorded` is false where only the store's memory is too short for certainty.
    pub(super) async fn search(&self, lost: Lost, is_recorded: bool) -> Next<O> {
        let progress = &self.shared.progress;
        progress.set_may_exist(true);
        progress.enter(Stage::Reconcile);
        let reference = Reference::new(self.operation.description(), self.request_id());
        let settled_after = self.engine.retention.settled_after();
        let mut lists = 0;
        // When the first of the lists began that show nothing.
        let mut absent_since: Option<Instant> = None;
        loop {
            let began = Instant::now();
            let is_settled = lost.sent.last_ago(began) > settled_after;
            let view = tokio::select! {
                biased;
                () = self.engine.background.draining() => return self.end_undecided(is_recorded).await,
                view = self.view(&reference, &lost, is_settled) => view,
            };
            match view {
                View::Same(found) => {
                    let next = if is_recorded {
                        self.take_back(&found, &lost.context).await
                    } else {
                        self.take_over_or_log(&found, false).await
                    };
                    if let Some(next) = next {
                        self.engine.metrics.searched(SearchOutcome::Found);
                        return next;
                    }
                    absent_since = None;
                }
                View::Absent if is_settled => match absent_since {
                    Some(since) if began.duration_since(since) >= APART => {
                        self.engine.metrics.searched(SearchOutcome::Absent);
                        if self.shared.is_awaited() {
                            return Next::Send(is_recorded.then_some(lost));
                        }
                        return self.end_unknown(is_recorded).await;
                    }
                    Some(_) => {}
                    None => absent_since = Some(began),
                },
                View::Absent => {}
                View::Perhaps(candidates) if is_settled && is_final(&candidates) => {
                    self.engine.metrics.searched(SearchOutcome::Ambiguous);
                    self.give_back(is_recorded).await;
                    return Next::End(Err(Failure::Ambiguous(ids(candidates))));
                }
                View::Perhaps(_) => absent_since = None,
                View::Incomplete(error) => {
                    absent_since = None;
                    self.log_unread(&error);
                }
            }
            // Without a caller the creation would not be resent.
            if is_settled && !self.shared.is_awaited() {
                return self.end_undecided(is_recorded).await;
            }
            let until_settled =
                settled_after.saturating_sub(lost.sent.last_ago(Instant::now())) + Duration::from_millis(1);
            let until_proof = absent_since.map(|since| APART.saturating_sub(since.elapsed()));
            lists += 1;
            let wait = match until_proof {
                Some(until_proof) => until_proof,
                None if is_settled => PAUSES.pause(lists),
                None => PAUSES.pause(lists).min(until_settled),
            };
            if !self.pauses(Some(wait)).await {
                return self.end_undecided(is_recorded).await;
            }
            progress.enter(Stage::Reconcile);
        }
    }

    /// What a list shows of this creation. Without references nothing is proven by what it does not show.
    async fn view(&self, reference: &Reference, lost: &Lost, is_settled: bool) -> View<O> {
        let deadline = Instant::now() + LIST_TIMEOUT;
        let created_from_ms = lost.sent.created_from_ms(self.now_ms());
        // The store keeps no context of what it has forgotten.
        let context = Some(&*lost.context).filter(|context| !context.is_empty());
        let request_id = self.request_id();
        let listing = Listing::read(&self.operation, request_id, context, created_from_ms, deadline).await;
        let view = listing.find(&self.operation, reference, &lost.context, deadline).await;
        if self.is_recognizable() || matches!(view, View::Same(_) | View::Incomplete(_)) {
            return view;
        }
        if is_settled { View::Perhaps(listing.resembling(&self.operation)) } else { View::Absent }
    }

    /// Searches for this creation's reference, of which the store knows nothing.
    pub(super) async fn search_first(&self, remembers_for: Duration) -> Next<O> {
        let metrics = &self.engine.metrics;
        self.shared.progress.enter(Stage::Reconcile);
        let settled_after = self.engine.retention.settled_after();
        let now = Instant::now();
        let mut not_before = now.checked_sub(remembers_for.saturating_sub(settled_after)).unwrap_or(now);
        let reference = Reference::new(self.operation.description(), self.request_id());
        let mut attempt = 0;
        loop {
            attempt += 1;
            let view = tokio::select! {
                biased;
                () = self.engine.background.draining() => {
                    metrics.searched_first(FirstSearchOutcome::Failed);
                    return self.end_unknown(false).await;
                }
                view = self.first_view(&reference, not_before) => view,
            };
            let error = match view {
                View::Absent => {
                    metrics.searched_first(FirstSearchOutcome::Absent);
                    return Next::Send(None);
                }
                View::Same(found) => match self.take_over(&found, false).await {
                    Ok(Some(next)) => {
                        metrics.searched_first(FirstSearchOutcome::Found);
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
                    metrics.searched_first(FirstSearchOutcome::Ambiguous);
                    self.give_back(false).await;
                    let exist = candidates.iter().all(|candidate| candidate.shows == Shows::Part);
                    let is_settled = remembers_for > settled_after;
                    return Next::End(Err(if is_settled && exist {
                        Failure::Ambiguous(ids(candidates))
                    } else {
                        Failure::UNKNOWN
                    }));
                }
                View::Incomplete(error) => Some(error),
            };
            if let Some(error) = &error {
                self.log_unread(error);
            }
            let may_repeat = error.as_ref().is_none_or(|error| error.is_retryable());
            let pause = self.operation.retry_in(attempt, None, self.shared.deadline());
            let pause = pause.filter(|_| may_repeat && self.shared.is_awaited());
            if !self.pauses(pause).await {
                metrics.searched_first(FirstSearchOutcome::Failed);
                self.give_back(false).await;
                let error = error.map(|error| Failure::NotSearched(self.operation.redacted(&error)));
                return Next::End(Err(error.unwrap_or(Failure::UNKNOWN)));
            }
            self.shared.progress.enter(Stage::Reconcile);
        }
    }

    /// What a list shows of this creation. A resource that shows no reference, in the list and by itself,
    /// was not created by this service: without a record there is no other evidence for it.
    async fn first_view(&self, reference: &Reference, not_before: Instant) -> View<O> {
        // Another creation may be reading the list.
        let _wait = UpstreamWait::begin();
        let created_from_ms = sent::before(self.now_ms(), self.engine.retention.request_id);
        let listing =
            self.listings.since(&self.operation, self.request_id(), not_before, created_from_ms).await;
        let view = listing.find(&self.operation, reference, "", Instant::now() + LIST_TIMEOUT).await;
        let View::Perhaps(mut candidates) = view else { return view };
        candidates.retain(|candidate| candidate.shows != Shows::None);
        if candidates.is_empty() { View::Absent } else { View::Perhaps(candidates) }
    }

    /// Takes over a resource that the preparation has found.
    pub(super) async fn take_over_prepared(&self, found: O::Item, was_sent: bool) -> Next<O> {
        match self.take_over_or_log(&[found], was_sent).await {
            Some(next) => next,
            None => self.end_unknown(was_sent).await,
        }
    }

    async fn take_over_or_log(&self, found: &[O::Item], was_sent: bool) -> Option<Next<O>> {
        self.take_over(found, was_sent).await.inspect_err(|error| self.log_unread(error)).ok().flatten()
    }

    /// Takes over a resource that is this creation's by its marks, without a record, if it is what this call
    /// asks for. `None` where that has to be retried.
    async fn take_over(&self, found: &[O::Item], was_sent: bool) -> Result<Option<Next<O>>, CallError> {
        let Some((_, id)) = oldest(found) else { return Ok(None) };
        let Some(read) = self.operation.read(id, Instant::now() + LIST_TIMEOUT).await? else {
            return Ok(None);
        };
        let differs = self.operation.differences(&read);
        if differs.is_empty() {
            let Some(outcome) = self.operation.found(&read, "", Origin::Unrecorded) else { return Ok(None) };
            return Ok(self.record_found(found, outcome, true).await);
        }
        self.give_back(was_sent).await;
        Ok(Some(Next::End(Err(Failure::RequestIdReused { differs, created: Some(made::<O>(id)) }))))
    }

    /// Returns the resource that a lost sending of this record created. `None` where that has to be retried.
    async fn take_back(&self, found: &[O::Item], context: &str) -> Option<Next<O>> {
        let (oldest, id) = oldest(found)?;
        // Its etag may have changed since; but lists may show it before reads by ID do.
        let read = self.operation.read(id, Instant::now() + LIST_TIMEOUT).await;
        let item = match &read {
            Ok(Some(item)) => item,
            Ok(None) => oldest,
            Err(error) => {
                self.log_unread(error);
                Some(oldest).filter(|_| !matches!(error, CallError::OtherSource))?
            }
        };
        let outcome = self.operation.found(item, context, Origin::Search)?;
        self.record_found(found, outcome, false).await
    }

    /// Records a resource that was found. Others that were found with it are reported, and never deleted, as
    /// it is unknown which of them is in use. `None` where that has to be retried.
    pub(super) async fn record_found(
        &self,
        found: &[O::Item],
        outcome: O::Outcome,
        is_earlier_calls: bool,
    ) -> Option<Next<O>> {
        if found.len() > 1 {
            self.engine.metrics.duplicates.inc();
            let ids: Vec<_> = found.iter().filter_map(Item::id).map(ToString::to_string).collect();
            tracing::error!(request_id = %self.request_id(), found = ids.join(","), kept = %outcome.id(), "several {}s refer to one request: delete those that are not in use", O::KIND);
        }
        let store = &self.engine.store;
        // A caller may retry it: its outcome was unknown.
        let finished = match store.record(self.lease(), Some(&outcome.to_text()), self.now_ms()).await {
            Ok(Recorded::Done) => Ok(Finished::now(outcome, is_earlier_calls)),
            Ok(Recorded::Already(recorded)) => {
                self.parse(&recorded).map(|recorded| self.already(recorded, &outcome))
            }
            Err(error @ StoreError::Unreadable(_)) => Err(self.store_failed(error)),
            Err(error) => {
                tracing::debug!(error = error_chain(&error), "could not record a {} that was found", O::KIND);
                return None;
            }
        };
        if let Ok(finished) = &finished {
            let id = finished.outcome.id();
            tracing::info!(connection_id = O::connection_id(id), request_id = %self.request_id(), "found a lost {}", O::KIND);
        }
        Some(Next::End(finished))
    }

    /// Logs why a search learns nothing. Adobe may repeat there what it received before.
    fn log_unread(&self, error: &CallError) {
        let error = error_chain(&self.operation.redacted(error));
        tracing::debug!(error, request_id = %self.request_id(), "a search for an earlier creation was inconclusive");
    }

    /// Ends the search for a lost creation, of which nothing is known yet.
    async fn end_undecided(&self, was_sent: bool) -> Next<O> {
        self.engine.metrics.searched(SearchOutcome::Undecided);
        self.end_unknown(was_sent).await
    }

    /// Returns the record to the next call.
    async fn end_unknown(&self, was_sent: bool) -> Next<O> {
        self.give_back(was_sent).await;
        Next::End(Err(Failure::UNKNOWN))
    }
}

/// The oldest of the items that match one creation, with its ID. There should be one.
fn oldest<T: Item>(found: &[T]) -> Option<(&T, &T::Id)> {
    // The newest come first.
    let oldest = found.iter().rev().min_by_key(|found| found.created_at_ms().unwrap_or(i64::MAX))?;
    oldest.id().map(|id| (oldest, id))
}

/// Whether another list would not show more.
fn is_final<I>(candidates: &[Candidate<I>]) -> bool {
    candidates.iter().all(|candidate| candidate.shows != Shows::NotYetRead)
}

/// The IDs of those candidates that have one.
fn ids<I>(candidates: Vec<Candidate<I>>) -> Vec<I> {
    candidates.into_iter().filter_map(|candidate| candidate.id).collect()
}
