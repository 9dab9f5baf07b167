//! The records of one resource: their ids, versions, order, filters, pages and index lag.
//!
//! It knows no service and no HTTP. A resource brings the form of its ids and its document; its folder decides
//! how a list is requested and shown. Time is tokio's, so a test can pause it.

mod filter;
mod order;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::gateway::Tenant;
pub(crate) use filter::{EQUAL, Field, Filter, FilterError, ORDERED, Operator};
pub(crate) use order::{Cursor, Order, OrderError};

/// What a [`Collection`] can hold.
pub(crate) trait Resource: Sized {
    fn new_id(&self, _tenant: &Tenant) -> String {
        Uuid::new_v4().to_string()
    }

    /// The record as its service shows it, but without secrets: what filters and orders read.
    fn document(record: &Record<Self>) -> Value;
}

#[derive(Clone, Debug)]
pub(crate) struct Record<R> {
    pub(crate) id: String,
    /// The double quotes are part of it.
    pub(crate) etag: String,
    pub(crate) tenant: Tenant,
    pub(crate) created_at_ms: u64,
    pub(crate) updated_at_ms: u64,
    pub(crate) content: R,
    /// [`Resource::document`] as of the last write.
    pub(crate) document: Value,
    /// Its position in the order of creation, which two times can share.
    sequence: u64,
    created: Instant,
}

/// The records of all tenants.
#[derive(Debug)]
pub(crate) struct Collection<R> {
    /// In the order of creation.
    records: Vec<Record<R>>,
    last_sequence: u64,
    /// The first group of the last etag.
    last_version: u32,
    /// The same moment by both clocks. The time of day follows tokio's clock from then on.
    started: (Duration, Instant),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Query {
    /// A record must match all of them.
    pub(crate) filters: Vec<Filter>,
    pub(crate) order: Order,
}

#[derive(Debug)]
pub(crate) struct Page<'a, R> {
    pub(crate) records: Vec<&'a Record<R>>,
    /// `None` on the last page.
    pub(crate) next: Option<Cursor>,
}

impl<R> Default for Collection<R> {
    fn default() -> Self {
        let time_of_day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            records: Vec::new(),
            last_sequence: 0,
            last_version: fastrand::u32(..),
            started: (time_of_day, Instant::now()),
        }
    }
}

impl<R: Resource> Collection<R> {
    pub(crate) fn create(&mut self, tenant: &Tenant, content: R) -> &Record<R> {
        let now_ms = self.now_ms();
        self.last_sequence += 1;
        let mut record = Record {
            id: content.new_id(tenant),
            etag: self.next_etag(now_ms),
            tenant: tenant.clone(),
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            content,
            document: Value::Null,
            sequence: self.last_sequence,
            created: Instant::now(),
        };
        record.document = R::document(&record);
        let index = self.records.len();
        self.records.push(record);
        &self.records[index]
    }

    /// Replaces the content of a record, with another etag and a later time, even within a millisecond.
    pub(crate) fn replace(&mut self, tenant: &Tenant, id: &str, content: R) -> Option<&Record<R>> {
        let index = self.position(tenant, id)?;
        let now_ms = self.now_ms();
        let etag = self.next_etag(now_ms);
        let record = &mut self.records[index];
        record.content = content;
        record.etag = etag;
        record.updated_at_ms = now_ms.max(record.updated_at_ms + 1);
        record.document = R::document(record);
        Some(record)
    }

    /// Changes what is no part of its version, so the etag and the times stay.
    pub(crate) fn amend(&mut self, tenant: &Tenant, id: &str, amend: impl FnOnce(&mut R)) {
        if let Some(index) = self.position(tenant, id) {
            let record = &mut self.records[index];
            amend(&mut record.content);
            record.document = R::document(record);
        }
    }

    pub(crate) fn remove(&mut self, tenant: &Tenant, id: &str) -> Option<Record<R>> {
        let index = self.position(tenant, id)?;
        Some(self.records.remove(index))
    }

    pub(crate) fn get(&self, tenant: &Tenant, id: &str) -> Option<&Record<R>> {
        Some(&self.records[self.position(tenant, id)?])
    }

    /// Every tenant's records, the oldest first.
    pub(crate) fn all(&self) -> &[Record<R>] {
        &self.records
    }

    /// A tenant's records that match, in order, without those that the index does not have yet. Offsets are
    /// for the caller to apply, cursors for [`Query::page`].
    pub(crate) fn list(&self, tenant: &Tenant, query: &Query, index_lag: Duration) -> Vec<&Record<R>> {
        let is_listed = |record: &&Record<R>| {
            record.tenant == *tenant
                && record.created.elapsed() >= index_lag
                && query.filters.iter().all(|filter| filter.matches(&record.document))
        };
        let listed = self.records.iter().filter(is_listed);
        let mut listed: Vec<_> = listed.map(|record| (query.order.cursor(record), record)).collect();
        listed.sort_by(|(a, _), (b, _)| query.order.compare(a, b));
        listed.into_iter().map(|(_, record)| record).collect()
    }

    /// The time of day, in milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        let (time_of_day, instant) = self.started;
        u64::try_from((time_of_day + instant.elapsed()).as_millis()).unwrap_or(u64::MAX)
    }

    fn position(&self, tenant: &Tenant, id: &str) -> Option<usize> {
        // The newest first, because clients mostly ask for what they have just created.
        self.records.iter().rposition(|record| record.id == id && record.tenant == *tenant)
    }

    fn next_etag(&mut self, now_ms: u64) -> String {
        self.last_version = self.last_version.wrapping_add(1);
        etag(self.last_version, now_ms / 1000)
    }
}

impl Query {
    /// Up to `limit` of the listed records, from a cursor on.
    pub(crate) fn page<'a, R>(
        &self,
        listed: Vec<&'a Record<R>>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Page<'a, R> {
        let is_after = |record: &&Record<R>| {
            after.is_none_or(|after| self.order.compare(&self.order.cursor(record), after).is_gt())
        };
        let mut records: Vec<_> = listed.into_iter().filter(is_after).collect();
        let is_last = records.len() <= limit;
        records.truncate(limit);
        let next = records.last().filter(|_| !is_last).map(|record| self.order.cursor(record));
        Page { records, next }
    }
}

/// An etag like the documented examples. The fourth group is the Unix second of the write.
fn etag(version: u32, unix_second: u64) -> String {
    format!("\"{version:08x}-0000-0200-0000-{unix_second:08x}0000\"")
}
