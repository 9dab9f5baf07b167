//! What the list of connections says about lost creations.
//!
//! What a list shows is there. What it does not show is absent only if the list is complete: an unreadable
//! page, or pages that form a loop, prove nothing.

use std::{collections::HashMap, sync::Arc};

use tokio::{sync::OnceCell, time::Instant};

use super::recognition::{Match, Own};
use crate::{
    adobe::{CallError, FlowService, ListQuery, ListedConnection, PageTrail},
    domain::{
        Connection, ConnectionId, ConnectionRef, Etag, RequestId, SandboxName, reference::last_reference,
    },
};

/// More pages than the connections of any sandbox fill.
const MOST_PAGES: usize = 100;
/// So many items in the order of time are not in it by chance: behind an old one there are only old ones.
const CREDIBLE: usize = 50;
/// The most items that one search reads by their ID. What is beyond them stays undecided.
const MOST_READS: usize = 50;
/// Times in milliseconds are between these, the years 2015 and 2100. Seconds and microseconds are not.
const PLAUSIBLE_MS: std::ops::Range<i64> = 1_420_000_000_000..4_100_000_000_000;

/// A list, read at one time.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Those that have a reference, newest first.
    by_reference: HashMap<RequestId, Vec<ListedConnection>>,
    /// Those that have none, and are young enough to be the one that is searched for.
    others: Vec<Other>,
    /// Why it is not complete.
    incomplete: Option<Arc<CallError>>,
}

#[derive(Debug)]
struct Other {
    item: ListedConnection,
    /// What reading it by its ID said: `None` where it is to another source.
    read: OnceCell<Option<Connection>>,
}

/// What a list says about one creation.
#[derive(Debug)]
pub(crate) enum View {
    /// These connections have its reference, newest first.
    Same(Vec<Found>),
    /// Each of these could be it.
    Perhaps(Vec<Candidate>),
    /// None could.
    Absent,
    /// The list is not complete, and does not show it.
    Incomplete(Arc<CallError>),
}

/// A connection with the reference of a creation.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) id: ConnectionId,
    pub(crate) etag: Option<Etag>,
    pub(crate) created_at_ms: Option<i64>,
}

/// A connection that could be that of a creation.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// `None` where not even that can be read.
    pub(crate) id: Option<ConnectionId>,
    pub(crate) shows: Shows,
}

/// What a candidate shows of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// None, in the list and by itself.
    None,
    /// A part of what was sent, or nothing that can be read.
    Part,
    /// It is not found by its ID: it is gone, or visible only in lists so far.
    Missing,
    /// That cannot be read now: another list may tell.
    NotYetRead,
}

impl Listing {
    /// Reads a list as far as connections that were created before `created_from_ms`.
    pub(crate) async fn read<F: FlowService>(
        flow_service: &F,
        sandbox: &SandboxName,
        created_from_ms: i64,
        deadline: Instant,
    ) -> Self {
        let mut items = Vec::new();
        let read = read_pages(flow_service, sandbox, created_from_ms, deadline, &mut items).await;
        let mut by_reference: HashMap<_, Vec<_>> = HashMap::new();
        let mut others = Vec::new();
        for item in items {
            match item.description.as_deref().and_then(last_reference) {
                Some(id) => by_reference.entry(id).or_default().push(item),
                None if item.is_of_another_source || is_old(&item, created_from_ms) => {}
                None => others.push(Other { item, read: OnceCell::new() }),
            }
        }
        Self { by_reference, others, incomplete: read.err().map(Arc::new) }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.incomplete.is_none()
    }

    /// What the list says about a creation. Items that leave it open are read by their ID, once.
    pub(crate) async fn find<F: FlowService>(
        &self,
        flow_service: &F,
        sandbox: &SandboxName,
        own: &Own,
        deadline: Instant,
    ) -> View {
        let mut same = Vec::new();
        let mut perhaps = Vec::new();
        for item in self.by_reference.get(&own.request_id).into_iter().flatten() {
            match Found::of(item) {
                Some(found) => add(&mut same, found),
                None => perhaps.push(Candidate { id: None, shows: Shows::Part }),
            }
        }
        if !same.is_empty() {
            return View::Same(same);
        }
        let mut reads = 0;
        for other in &self.others {
            let ListedConnection { description, created_client, .. } = &other.item;
            if own.recognize(description.as_deref(), created_client.as_deref()) == Match::Another {
                continue;
            }
            let id = other.item.id.clone();
            reads += usize::from(other.read.get().is_none());
            let shows = match other.read(flow_service, sandbox, reads, deadline).await {
                Read::AnotherSource => continue,
                Read::Connection(read) => {
                    match own.recognize(read.description.as_deref(), read.created_client.as_deref()) {
                        Match::Another => continue,
                        Match::Same => {
                            add(&mut same, Found::read(read));
                            continue;
                        }
                        Match::Perhaps => Shows::Part,
                        Match::Bare => Shows::None,
                    }
                }
                Read::Missing => Shows::Missing,
                Read::NotYet => Shows::NotYetRead,
                Read::Impossible => Shows::Part,
            };
            perhaps.push(Candidate { id, shows });
        }
        match &self.incomplete {
            _ if !same.is_empty() => View::Same(same),
            Some(error) => View::Incomplete(Arc::clone(error)),
            None if !perhaps.is_empty() => View::Perhaps(perhaps),
            None => View::Absent,
        }
    }

    /// The young connections without a reference that have this name.
    pub(crate) fn named(&self, is_name: impl Fn(&str) -> bool) -> Vec<ConnectionId> {
        let named = self.others.iter().filter(|other| other.item.name.as_deref().is_none_or(&is_name));
        named.filter_map(|other| other.item.id.clone()).collect()
    }
}

/// The result of reading a connection by its ID.
enum Read<'a> {
    Connection(&'a Connection),
    AnotherSource,
    Missing,
    /// It may be possible later.
    NotYet,
    Impossible,
}

impl Other {
    /// Reads the connection by its ID, unless that was done already.
    async fn read<F: FlowService>(
        &self,
        flow_service: &F,
        sandbox: &SandboxName,
        reads: usize,
        deadline: Instant,
    ) -> Read<'_> {
        let Some(id) = self.item.id.clone().filter(|_| reads <= MOST_READS) else { return Read::Impossible };
        let at = ConnectionRef { sandbox: sandbox.clone(), id };
        let read =
            self.read.get_or_try_init(async || match flow_service.get_connection(&at, deadline).await {
                Ok(Some(connection)) => Ok(Some(connection)),
                Err(CallError::OtherSource) => Ok(None),
                Ok(None) => Err(Read::Missing),
                Err(CallError::Undecodable(_) | CallError::Refused { .. }) => Err(Read::Impossible),
                Err(_) => Err(Read::NotYet),
            });
        match read.await {
            Ok(Some(connection)) => Read::Connection(connection),
            Ok(None) => Read::AnotherSource,
            Err(error) => error,
        }
    }
}

impl Found {
    fn of(item: &ListedConnection) -> Option<Self> {
        let ListedConnection { id, etag, created_at_ms, .. } = item;
        Some(Self { id: id.clone()?, etag: etag.clone(), created_at_ms: *created_at_ms })
    }

    fn read(connection: &Connection) -> Self {
        let Connection { id, etag, created_at_ms, .. } = connection;
        Self { id: id.clone(), etag: Some(etag.clone()), created_at_ms: Some(*created_at_ms) }
    }
}

/// Adds a connection that was found, once: pages that lead back show it again.
fn add(same: &mut Vec<Found>, found: Found) {
    if same.iter().all(|other| other.id != found.id) {
        same.push(found);
    }
}

/// Reads the pages of a list until it is complete.
///
/// # Errors
/// Where it cannot be read to its end. The items so far are there.
async fn read_pages<F: FlowService>(
    flow_service: &F,
    sandbox: &SandboxName,
    created_from_ms: i64,
    deadline: Instant,
    items: &mut Vec<ListedConnection>,
) -> Result<(), CallError> {
    let mut trail = PageTrail::default();
    let mut next = None;
    for _ in 0..MOST_PAGES {
        let query = ListQuery::all(sandbox);
        let page = flow_service.list_connections(&query, next.as_ref(), deadline).await?;
        let followed = trail.follow(&page);
        items.extend(page.items);
        followed.map_err(CallError::Undecodable)?;
        next = page.next;
        let is_past = items.len() >= CREDIBLE
            && are_in_order(items)
            && items.iter().any(|item| is_old(item, created_from_ms));
        if next.is_none() || is_past {
            return Ok(());
        }
    }
    Err(CallError::Undecodable(format!("the connections fill more than {MOST_PAGES} pages").into()))
}

/// Whether a list is in the order of time, so that behind an old item there are only old ones.
///
/// The order is asked for, and whether that is heeded is not documented. A list in another order is read to
/// its end.
fn are_in_order(items: &[ListedConnection]) -> bool {
    let created: Vec<_> = items.iter().filter_map(|item| item.created_at_ms).collect();
    let updated: Vec<_> = items.iter().filter_map(|item| item.updated_at_ms).collect();
    let are_falling = |times: &[i64]| {
        times.iter().all(|time| PLAUSIBLE_MS.contains(time)) && times.is_sorted_by(|a, b| a >= b)
    };
    are_falling(&created) || (updated.len() >= created.len() && are_falling(&updated))
}

/// Whether a connection was neither created nor changed since.
fn is_old(item: &ListedConnection, created_from_ms: i64) -> bool {
    let is_before = |time: i64| PLAUSIBLE_MS.contains(&time) && time < created_from_ms;
    item.created_at_ms.is_some_and(is_before) && item.updated_at_ms.is_none_or(is_before)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: i64 = 1_800_000_000_000;

    fn item(created_at_ms: Option<i64>, updated_at_ms: Option<i64>) -> ListedConnection {
        ListedConnection { created_at_ms, updated_at_ms, ..ListedConnection::default() }
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
            assert_eq!(is_old(&item(created, updated), FROM), expected, "{created:?} {updated:?}");
        }
    }

    #[test]
    fn a_list_is_in_order_by_its_creations_or_by_its_changes() {
        let list = |times: &[(i64, i64)]| {
            let items =
                times.iter().map(|(created, updated)| item(Some(FROM + created), Some(FROM + updated)));
            items.collect::<Vec<_>>()
        };
        assert!(are_in_order(&list(&[(3, 9), (2, 2), (2, 7)])));
        assert!(are_in_order(&list(&[(1, 9), (3, 8), (2, 8)])));
        assert!(!are_in_order(&list(&[(1, 8), (3, 9), (2, 8)])));
        assert!(!are_in_order(&[item(Some(FROM), None), item(Some(FROM / 1000), None)]));
        // Too few of the changes are known.
        assert!(!are_in_order(&[item(Some(FROM), Some(FROM)), item(Some(FROM + 1), None)]));
    }
}
