//! What a list of resources shows of lost creations.
//!
//! What a list shows exists. What it does not show is absent only if the list is complete: an unreadable
//! page, or pages that form a loop, prove nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex, OnceCell},
    time::Instant,
};

use super::{
    operation::{Item, Operation},
    recognition::{Match, Reference},
};
use crate::{
    adobe::CallError,
    domain::{RequestId, SandboxName, reference::last_reference},
};

/// The longest that reading one list may take.
pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(20);
/// So many items in the order of time are not in it by chance: behind an old one there are only old ones.
const CREDIBLE: usize = 50;
/// The most items that one search reads by their ID. What is beyond them stays undecided.
const MOST_READS: usize = 50;
/// Times in milliseconds are between these, the years 2015 and 2100. Seconds and microseconds are not.
const PLAUSIBLE_MS: std::ops::Range<i64> = 1_420_000_000_000..4_100_000_000_000;

/// A list, read at one time.
pub(super) struct Listing<O: Operation> {
    /// Those that are recognized by their reference alone, newest first.
    by_reference: HashMap<RequestId, Vec<O::Item>>,
    /// Those that may be recognized otherwise, and are young enough to be the one that is searched for.
    others: Vec<Other<O>>,
    /// Why it is not complete.
    incomplete: Option<Arc<CallError>>,
}

struct Other<O: Operation> {
    item: O::Item,
    /// The same, read by its ID: `None` if it is of another kind.
    read: OnceCell<Option<O::Item>>,
}

/// What a list shows of one creation.
pub(super) enum View<O: Operation> {
    /// These items are what it created, newest first.
    Same(Vec<O::Item>),
    /// Each of these could be it.
    Perhaps(Vec<Candidate<O::Id>>),
    /// None could.
    Absent,
    /// The list is not complete, and does not show it.
    Incomplete(Arc<CallError>),
}

/// A resource that could be that of a creation.
pub(super) struct Candidate<I> {
    /// `None` where not even that can be read.
    pub(super) id: Option<I>,
    pub(super) shows: Shows,
}

/// What a candidate shows of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    /// None, in the list and by itself.
    None,
    /// A part of what was sent, or nothing that can be read.
    Part,
    /// It is not found by its ID: it is gone, or visible only in lists so far.
    Missing,
    /// It cannot be read now: another list may show more.
    NotYetRead,
}

impl<O: Operation> Listing<O> {
    /// Reads a list as far as items that were created before `created_from_ms`.
    pub(super) async fn read(
        operation: &O,
        request_id: RequestId,
        context: Option<&str>,
        created_from_ms: i64,
        deadline: Instant,
    ) -> Self {
        let mut items = Vec::new();
        let is_enough = |items: &[O::Item]| {
            items.len() >= CREDIBLE
                && are_in_order(items)
                && items.iter().any(|item| is_old(item, created_from_ms))
        };
        let read = operation.list(request_id, context, &mut items, is_enough, deadline).await;
        let mut by_reference: HashMap<_, Vec<_>> = HashMap::new();
        let mut others = Vec::new();
        for item in items {
            match item.description().and_then(last_reference) {
                Some(id) if id == request_id || !O::IS_RECOGNIZED_BY_CONTEXT => {
                    by_reference.entry(id).or_default().push(item);
                }
                _ if item.is_of_another_kind() || is_old(&item, created_from_ms) => {}
                _ => others.push(Other { item, read: OnceCell::new() }),
            }
        }
        Self { by_reference, others, incomplete: read.err().map(Arc::new) }
    }

    /// What the list shows of a creation. Items that leave it open are read by their ID, once.
    pub(super) async fn find(
        &self,
        operation: &O,
        reference: &Reference,
        context: &str,
        deadline: Instant,
    ) -> View<O> {
        let mut same = Vec::new();
        let mut perhaps = Vec::new();
        for item in self.by_reference.get(&reference.request_id).into_iter().flatten() {
            add(&mut same, &mut perhaps, item);
        }
        if !same.is_empty() {
            return View::Same(same);
        }
        let mut reads = 0;
        for other in &self.others {
            match operation.recognize(&other.item, reference, context) {
                Match::Another => continue,
                Match::Same => {
                    add(&mut same, &mut perhaps, &other.item);
                    continue;
                }
                Match::Perhaps | Match::Unmarked => {}
            }
            reads += usize::from(other.read.get().is_none());
            let shows = match other.read(operation, reads, deadline).await {
                Ok(None) => continue,
                Ok(Some(item)) => match operation.recognize(item, reference, context) {
                    Match::Another => continue,
                    Match::Same => {
                        add(&mut same, &mut perhaps, item);
                        continue;
                    }
                    Match::Perhaps => Shows::Part,
                    Match::Unmarked => Shows::None,
                },
                Err(shows) => shows,
            };
            perhaps.push(Candidate { id: other.item.id().cloned(), shows });
        }
        match &self.incomplete {
            _ if !same.is_empty() => View::Same(same),
            Some(error) => View::Incomplete(Arc::clone(error)),
            None if !perhaps.is_empty() => View::Perhaps(perhaps),
            None => View::Absent,
        }
    }

    /// The young items without a reference that resemble what was to be created.
    pub(super) fn resembling(&self, operation: &O) -> Vec<Candidate<O::Id>> {
        let resembling = self.others.iter().map(|other| &other.item).filter(|item| operation.resembles(item));
        let with_id = resembling.filter_map(|item| item.id().cloned());
        with_id.map(|id| Candidate { id: Some(id), shows: Shows::None }).collect()
    }
}

impl<O: Operation> Other<O> {
    /// Reads the item by its ID, unless that was done already; `None` if it is of another kind.
    ///
    /// # Errors
    /// What it shows of a reference as long as it cannot be read.
    async fn read(&self, operation: &O, reads: usize, deadline: Instant) -> Result<Option<&O::Item>, Shows> {
        let Some(id) = self.item.id().filter(|_| reads <= MOST_READS) else { return Err(Shows::Part) };
        let read = self.read.get_or_try_init(async || match operation.read(id, deadline).await {
            Ok(Some(item)) => Ok(Some(item)),
            Err(CallError::OtherSource) => Ok(None),
            Ok(None) => Err(Shows::Missing),
            Err(CallError::Undecodable(_) | CallError::Refused { .. }) => Err(Shows::Part),
            Err(_) => Err(Shows::NotYetRead),
        });
        Ok(read.await?.as_ref())
    }
}

/// Adds an item that was found, once: pages that lead back show it again. One whose ID cannot be read cannot be
/// taken over.
fn add<T: Item<Id: PartialEq>>(same: &mut Vec<T>, perhaps: &mut Vec<Candidate<T::Id>>, found: &T) {
    if found.id().is_none() {
        perhaps.push(Candidate { id: None, shows: Shows::Part });
    } else if same.iter().all(|other| other.id() != found.id()) {
        same.push(found.clone());
    }
}

/// Whether a list is in the order of time, so that behind an old item there are only old ones.
///
/// The order is asked for, and whether Adobe complies is not documented. A list in another order is read to
/// its end.
fn are_in_order<T: Item>(items: &[T]) -> bool {
    let created: Vec<_> = items.iter().filter_map(Item::created_at_ms).collect();
    let updated: Vec<_> = items.iter().filter_map(Item::updated_at_ms).collect();
    let are_falling = |times: &[i64]| {
        times.iter().all(|time| PLAUSIBLE_MS.contains(time)) && times.is_sorted_by(|a, b| a >= b)
    };
    are_falling(&created) || (updated.len() >= created.len() && are_falling(&updated))
}

/// Whether an item was neither created nor changed since.
fn is_old<T: Item>(item: &T, created_from_ms: i64) -> bool {
    let is_before = |time: i64| PLAUSIBLE_MS.contains(&time) && time < created_from_ms;
    item.created_at_ms().is_some_and(is_before) && item.updated_at_ms().is_none_or(is_before)
}

/// The latest complete list of each sandbox, where creations share lists.
pub(super) struct Listings<O: Operation>(StdMutex<HashMap<SandboxName, Slot<O>>>);

/// With the moment at which it began.
type Slot<O> = Arc<Mutex<Option<(Instant, Arc<Listing<O>>)>>>;

impl<O: Operation> Listings<O> {
    /// A list that began no earlier than this. Callers that need one at the same time wait for the same one.
    pub(super) async fn since(
        &self,
        operation: &O,
        request_id: RequestId,
        not_before: Instant,
        created_from_ms: i64,
    ) -> Arc<Listing<O>> {
        let read = async |began| {
            let deadline = began + LIST_TIMEOUT;
            Arc::new(Listing::read(operation, request_id, None, created_from_ms, deadline).await)
        };
        if O::IS_RECOGNIZED_BY_CONTEXT {
            return read(Instant::now()).await;
        }
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(operation.sandbox().clone()).or_default())
        };
        let mut latest = slot.lock().await;
        if let Some((_, listing)) = latest.as_ref().filter(|(began, _)| *began >= not_before) {
            return Arc::clone(listing);
        }
        let began = Instant::now();
        let listing = read(began).await;
        if listing.incomplete.is_none() {
            *latest = Some((began, Arc::clone(&listing)));
        }
        listing
    }
}

impl<O: Operation> Default for Listings<O> {
    fn default() -> Self {
        Self(StdMutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: i64 = 1_800_000_000_000;

    #[derive(Clone, Debug)]
    struct Times(Option<i64>, Option<i64>);

    impl Item for Times {
        type Id = u8;

        fn id(&self) -> Option<&u8> {
            None
        }
        fn description(&self) -> Option<&str> {
            None
        }
        fn created_at_ms(&self) -> Option<i64> {
            self.0
        }
        fn updated_at_ms(&self) -> Option<i64> {
            self.1
        }
        fn is_of_another_kind(&self) -> bool {
            false
        }
    }

    #[test]
    fn only_what_says_itself_that_it_is_old_is_old() {
        for (created, updated, expected) in [
            (Some(FROM - 1), Some(FROM - 1), true),
            (Some(FROM - 1), None, true),
            (Some(FROM), None, false),
            (Some(FROM - 1), Some(FROM), false),
            (None, Some(FROM - 1), false),
            (None, None, false),
            // Seconds, and microseconds.
            (Some(FROM / 1000), None, false),
            (Some(FROM * 1000), None, false),
            (Some(FROM - 1), Some(FROM / 1000), false),
        ] {
            assert_eq!(is_old(&Times(created, updated), FROM), expected, "{created:?} {updated:?}");
        }
    }

    #[test]
    fn a_list_is_in_order_by_its_creations_or_by_its_changes() {
        let list = |times: &[(i64, i64)]| {
            let items =
                times.iter().map(|(created, updated)| Times(Some(FROM + created), Some(FROM + updated)));
            items.collect::<Vec<_>>()
        };
        assert!(are_in_order(&list(&[(3, 9), (2, 2), (2, 7)])));
        assert!(are_in_order(&list(&[(1, 9), (3, 8), (2, 8)])));
        assert!(!are_in_order(&list(&[(1, 8), (3, 9), (2, 8)])));
        assert!(!are_in_order(&[Times(Some(FROM), None), Times(Some(FROM / 1000), None)]));
        // Too few of the changes are known.
        assert!(!are_in_order(&[Times(Some(FROM), Some(FROM)), Times(Some(FROM + 1), None)]));
    }
}
