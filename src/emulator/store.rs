//! The state of the emulated Flow Service: connections, and how they are listed.
//!
//! No HTTP here. A [`Store`] can be driven on its own; what depends on passing time uses tokio's
//! clock, so a test can pause it.

mod connection;
mod filter;
mod order;

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

pub use super::{gateway::Tenant, property::FilterError};
pub use connection::{Connection, LedgerEntry, NewConnection};
pub use filter::Filter;
pub use order::{Cursor, Order, OrderError};

/// All connections of all tenants.
#[derive(Debug)]
pub struct Store {
    /// In the order of their creation.
    connections: Vec<Connection>,
    sandbox_ids: HashMap<Tenant, Uuid>,
    last_sequence: u64,
    /// What the last version begins with.
    last_version: u32,
    /// The time of day when this store began, by both clocks: the time of day follows tokio's from
    /// then on.
    began: (Duration, Instant),
}

impl Default for Store {
    fn default() -> Self {
        let time_of_day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            connections: Vec::new(),
            sandbox_ids: HashMap::new(),
            last_sequence: 0,
            last_version: fastrand::u32(..),
            began: (time_of_day, Instant::now()),
        }
    }
}

/// What to list, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// A connection is listed when it matches all of them.
    pub filters: Vec<Filter>,
    /// The order.
    pub order: Order,
}

/// A part of a list.
#[derive(Debug)]
pub struct Page<'a> {
    /// The connections.
    pub connections: Vec<&'a Connection>,
    /// Where the next page begins; `None` when there is none.
    pub next: Option<Cursor>,
}

impl Store {
    /// Creates a connection in `state`. A name that is taken is no obstacle: the real service
    /// documents no rule against it.
    pub fn create(&mut self, tenant: &Tenant, new: NewConnection, state: &str) -> &Connection {
        let now_ms = self.now_ms();
        self.last_sequence += 1;
        let connection = Connection {
            id: Uuid::new_v4().to_string(),
            etag: self.next_etag(now_ms),
            sequence: self.last_sequence,
            tenant: tenant.clone(),
            sandbox_id: *self.sandbox_ids.entry(tenant.clone()).or_insert_with(Uuid::new_v4),
            state: state.to_owned(),
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            created: Instant::now(),
            content: new,
        };
        let index = self.connections.len();
        self.connections.push(connection);
        &self.connections[index]
    }

    /// Replaces what the client said about a connection, which gives it another version. `None` for
    /// one that the tenant does not have.
    pub fn update(&mut self, tenant: &Tenant, id: &str, content: NewConnection) -> Option<&Connection> {
        let index = self.position(tenant, id)?;
        self.connections[index].content = content;
        Some(self.touch(index))
    }

    /// Deletes a connection. `None` for one that the tenant does not have.
    pub fn remove(&mut self, tenant: &Tenant, id: &str) -> Option<Connection> {
        let index = self.position(tenant, id)?;
        Some(self.connections.remove(index))
    }

    /// Changes the state of a connection of any tenant, which gives it another version as every
    /// write does. `None` for one that does not exist.
    pub fn set_state(&mut self, id: &str, state: &str) -> Option<&Connection> {
        let index = self.connections.iter().position(|connection| connection.id == id)?;
        state.clone_into(&mut self.connections[index].state);
        Some(self.touch(index))
    }

    /// The time of day, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        let (time_of_day, instant) = self.began;
        u64::try_from((time_of_day + instant.elapsed()).as_millis()).unwrap_or(u64::MAX)
    }

    /// Finds a connection of a tenant.
    pub fn get(&self, tenant: &Tenant, id: &str) -> Option<&Connection> {
        Some(&self.connections[self.position(tenant, id)?])
    }

    /// Lists a tenant's connections that were created at least `index_lag` ago: up to `limit` of
    /// those that come after the cursor.
    ///
    /// A cursor is a place in the order and not a count, so connections created or deleted between
    /// two pages move nothing.
    pub fn list(
        &self,
        tenant: &Tenant,
        query: &Query,
        after: Option<&Cursor>,
        limit: usize,
        index_lag: Duration,
    ) -> Page<'_> {
        let Query { filters, order } = query;
        let mut found: Vec<(Cursor, &Connection)> = self
            .indexed(tenant, filters, index_lag)
            .map(|connection| (order.cursor(connection), connection))
            .filter(|(cursor, _)| after.is_none_or(|after| order.compare(cursor, after).is_gt()))
            .collect();
        found.sort_by(|(a, _), (b, _)| order.compare(a, b));
        let is_last = found.len() <= limit;
        found.truncate(limit);
        let next = if is_last { None } else { found.last().map(|(cursor, _)| cursor.clone()) };
        Page { connections: found.into_iter().map(|(_, connection)| connection).collect(), next }
    }

    /// Counts a tenant's connections that match all the filters and were created at least
    /// `index_lag` ago.
    pub fn count(&self, tenant: &Tenant, filters: &[Filter], index_lag: Duration) -> usize {
        self.indexed(tenant, filters, index_lag).count()
    }

    /// Everything that exists, oldest first, without secrets.
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.connections.iter().map(Connection::ledger_entry).collect()
    }

    fn position(&self, tenant: &Tenant, id: &str) -> Option<usize> {
        // The newest first: clients mostly ask for what they have just created.
        self.connections.iter().rposition(|connection| connection.id == id && connection.tenant == *tenant)
    }

    /// Gives a connection another version, and a later time even within a millisecond.
    fn touch(&mut self, index: usize) -> &Connection {
        let now_ms = self.now_ms();
        let etag = self.next_etag(now_ms);
        let connection = &mut self.connections[index];
        connection.etag = etag;
        connection.updated_at_ms = now_ms.max(connection.updated_at_ms + 1);
        connection
    }

    /// A version that no connection has or had.
    fn next_etag(&mut self, now_ms: u64) -> String {
        self.last_version = self.last_version.wrapping_add(1);
        etag(self.last_version, now_ms / 1000)
    }

    fn indexed<'a>(
        &'a self,
        tenant: &Tenant,
        filters: &[Filter],
        index_lag: Duration,
    ) -> impl Iterator<Item = &'a Connection> {
        self.connections
            .iter()
            .filter(move |connection| connection.tenant == *tenant)
            .filter(move |connection| connection.created.elapsed() >= index_lag)
            .filter(move |connection| filters.iter().all(|filter| filter.matches(connection)))
    }
}

/// A version in the form of the documented examples: its double quotes belong to it, and the
/// fourth group holds the Unix second of the write.
fn etag(version: u32, unix_second: u64) -> String {
    format!("\"{version:08x}-0000-0200-0000-{unix_second:08x}0000\"")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    pub(in crate::emulator) use connection::tests::named;

    /// A sandbox of an organization.
    pub(in crate::emulator) fn tenant(sandbox: &str) -> Tenant {
        Tenant { org: "ORG@AdobeOrg".to_owned(), sandbox: sandbox.to_owned() }
    }

    fn store_of(names: &[&str]) -> Store {
        let mut store = Store::default();
        for name in names {
            store.create(&tenant("prod"), named(name), "enabled");
        }
        store
    }

    fn query(orderby: &str, properties: &[&str]) -> Query {
        Query {
            filters: properties.iter().map(|property| Filter::parse(property).unwrap()).collect(),
            order: orderby.parse().unwrap(),
        }
    }

    fn names(page: &Page<'_>) -> Vec<String> {
        page.connections.iter().map(|connection| connection.content.name.clone()).collect()
    }

    fn all(store: &Store, query: &Query) -> Vec<String> {
        names(&store.list(&tenant("prod"), query, None, 100, Duration::ZERO))
    }

    #[test]
    fn an_etag_is_quoted_and_tells_the_second() {
        assert_eq!(etag(0x3600_e378, 0x5f40_212f), "\"3600e378-0000-0200-0000-5f40212f0000\"");
    }

    #[test]
    fn the_newest_comes_first_unless_ordered_otherwise() {
        let store = store_of(&["b", "c", "a"]);
        assert_eq!(all(&store, &Query::default()), ["a", "c", "b"]);
        assert_eq!(all(&store, &query("name", &[])), ["a", "b", "c"]);
        assert_eq!(all(&store, &query("-name", &[])), ["c", "b", "a"]);
        assert_eq!(all(&store, &query("+createdAt", &[])), ["b", "c", "a"]);
    }

    #[test]
    fn filters_narrow_each_other() {
        let store = store_of(&["a", "b", "c", "a"]);
        assert_eq!(all(&store, &query("name", &["name==a"])), ["a", "a"]);
        assert_eq!(all(&store, &query("name", &["name==a,c"])), ["a", "a", "c"]);
        assert_eq!(all(&store, &query("name", &["name==a,c", "name==c,b"])), ["c"]);
        assert_eq!(all(&store, &query("name", &["state==disabled"])), [""; 0]);
    }

    #[test]
    fn every_connection_is_on_one_page_whatever_is_created_between() {
        for orderby in ["-createdAt", "name", "-name", "+updatedAt"] {
            let query = query(orderby, &[]);
            let mut store = store_of(&["d", "b", "d", "a", "c"]);
            let mut seen = Vec::new();
            let mut after = None;
            loop {
                let page = store.list(&tenant("prod"), &query, after.as_ref(), 2, Duration::ZERO);
                seen.extend(page.connections.iter().map(|connection| connection.sequence));
                after = page.next.clone();
                if after.is_none() {
                    break;
                }
                if store.connections.len() < 8 {
                    let id = store.create(&tenant("prod"), named("bb"), "enabled").id.clone();
                    store.create(&tenant("prod"), named("bb"), "enabled");
                    store.remove(&tenant("prod"), &id);
                }
            }
            let mut first_five: Vec<u64> = seen.iter().copied().filter(|&sequence| sequence <= 5).collect();
            first_five.sort_unstable();
            assert_eq!(first_five, [1, 2, 3, 4, 5], "{orderby}: {seen:?}");
        }
    }

    #[test]
    fn a_full_last_page_has_no_next() {
        let store = store_of(&["a", "b"]);
        let list = |limit| {
            store.list(&tenant("prod"), &Query::default(), None, limit, Duration::ZERO).next.is_some()
        };
        assert_eq!([list(1), list(2), list(3)], [true, false, false]);
    }

    #[test]
    fn every_write_gives_another_version_and_a_later_time() {
        let mut store = Store::default();
        let connection = store.create(&tenant("prod"), named("a"), "initializing").clone();
        let (id, mut versions, mut last) = (connection.id, vec![connection.etag], connection.updated_at_ms);
        for round in 0..20 {
            let connection = if round % 2 == 0 {
                store.update(&tenant("prod"), &id, named("b")).unwrap()
            } else {
                store.set_state(&id, "enabled").unwrap()
            };
            assert!(connection.updated_at_ms > last && connection.created_at_ms < connection.updated_at_ms);
            assert!(!versions.contains(&connection.etag), "{versions:?}");
            versions.push(connection.etag.clone());
            last = connection.updated_at_ms;
        }
        assert_eq!(all(&store, &query("name", &["state==enabled"])), ["b"]);
    }

    #[test]
    fn what_is_removed_is_gone() {
        let mut store = store_of(&["a", "b", "c"]);
        let id = store.connections[1].id.clone();
        assert_eq!(store.remove(&tenant("prod"), &id).unwrap().content.name, "b");
        assert!(store.remove(&tenant("prod"), &id).is_none());
        assert!(store.update(&tenant("prod"), &id, named("d")).is_none());
        assert!(store.set_state(&id, "enabled").is_none());
        assert_eq!(all(&store, &query("name", &[])), ["a", "c"]);
    }

    #[test]
    fn tenants_do_not_see_one_another() {
        let mut store = store_of(&["a"]);
        let id = store.create(&tenant("dev"), named("b"), "enabled").id.clone();
        assert!(store.update(&tenant("prod"), &id, named("c")).is_none());
        assert!(store.remove(&tenant("prod"), &id).is_none());
        assert!(store.get(&tenant("dev"), &id).is_some());
        assert!(store.get(&tenant("prod"), &id).is_none());
        assert_eq!(all(&store, &Query::default()), ["a"]);
        let elsewhere = Tenant { org: "OTHER@AdobeOrg".to_owned(), sandbox: "prod".to_owned() };
        assert_eq!(store.count(&elsewhere, &[], Duration::ZERO), 0);
        assert_eq!(store.ledger().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lagging_index_hides_a_connection_from_lists_alone() {
        let lag = Duration::from_secs(30);
        let mut store = Store::default();
        let id = store.create(&tenant("prod"), named("a"), "enabled").id.clone();
        assert!(store.get(&tenant("prod"), &id).is_some());
        tokio::time::advance(lag - Duration::from_millis(1)).await;
        assert_eq!(store.count(&tenant("prod"), &[], lag), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(store.count(&tenant("prod"), &[], lag), 1);
    }
}
