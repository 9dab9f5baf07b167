//! The store in Redis, which replicas share and which outlasts a restart.
//!
//! For an organization, within one hash tag so that each step stays on one server:
//!
//! - `hcs:{ORG}:request:ID`: the record of a request id, a hash with an expiry;
//! - `hcs:{ORG}:memory`: the server that holds the records, and since when it has forgotten nothing;
//! - `hcs:{ORG}:check`: written and deleted again by each check of the server.
//!
//! Records may be lost: after a flush or an empty restart, with a failover to a replica that lags behind, and
//! at any time where the server evicts. The first two show in `memory`, the last one in the
//! `maxmemory-policy`, which has to be `noeviction`.

mod connection;
mod failure;
mod health;
mod inspection;
mod tls;
mod url;
mod url_file;

use std::{fmt, sync::Arc, time::Duration};

use redis::{Script, ScriptInvocation};
use secrecy::ExposeSecret as _;

pub use self::tls::RedisTlsFiles;
pub(crate) use self::url::RedisUrl;
use self::{connection::Connection, health::Health, inspection::Inspection};
use super::{Claim, Lease, Moment, Outage, Recorded, Retention, Step, Store, StoreError, Weakness};
use crate::{
    domain::{Invalid, RequestId},
    exactly_once::Fingerprint,
    secret::Secret,
};

/// A script that takes a step on a record: what it does is atomic in Redis.
macro_rules! on_record {
    ($($file:literal),+) => {
        Script::new(concat!(include_str!("redis/record.lua"), $(include_str!(concat!("redis/", $file))),+))
    };
}

/// Keeps the records in Redis 5 or later, where a script may write after it has read the clock.
pub struct RedisStore {
    org: String,
    retention: Retention,
    connection: Connection,
    claim: Script,
    step: Script,
    record_outcome: Script,
    replace_outcome: Script,
    health: Health,
}

impl RedisStore {
    /// A store for one organization. It connects with the first step, and again after a failure, so
    /// that Redis need not be up yet. The URL is read again for each connection: its password may have
    /// been replaced.
    ///
    /// # Errors
    /// [`Invalid`] when the URL cannot be used, which it does not repeat.
    pub fn connect(url: Secret, org: &str, retention: Retention) -> Result<Self, Invalid> {
        let readable = url.read().map_err(|error| Invalid::from(error.to_string()))?;
        RedisUrl::parse(readable.expose_secret())?;
        Ok(Self {
            org: org.to_owned(),
            retention,
            connection: Connection::new(url, format!("hcs:{{{org}}}:check")),
            claim: on_record!("lease.lua", "claim.lua"),
            step: on_record!("lease.lua", "step.lua"),
            record_outcome: on_record!("lease.lua", "record_outcome.lua"),
            replace_outcome: on_record!("replace_outcome.lua"),
            health: Health::new(),
        })
    }

    /// The same with these files for TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: RedisTlsFiles) -> Self {
        self.connection.tls = tls;
        self
    }

    /// The same with another interval than a minute between two inspections of a server.
    #[must_use]
    pub fn inspected_every(mut self, interval: Duration) -> Self {
        self.connection.inspection_interval = interval;
        self
    }

    /// The cause of a [`Store::outage`]: the error of Redis, and what to do.
    pub fn failure(&self) -> Option<String> {
        self.health.failure().map(|failure| failure.to_string())
    }

    /// The call of a script with the keys and arguments of every step on a record.
    fn on_record<'a>(&self, script: &'a Script, id: &RequestId) -> ScriptInvocation<'a> {
        let mut step = script.key(format!("hcs:{{{}}}:request:{id}", self.org));
        step.arg(milliseconds(self.retention.request_id));
        step
    }

    /// The same with those of every step under a lease.
    fn under_lease<'a>(&self, script: &'a Script, lease: &Lease, wall_ms: i64) -> ScriptInvocation<'a> {
        let Lease { request_id, fingerprints, holder } = lease;
        let mut step = self.on_record(script, request_id);
        step.arg(holder.claim().to_string());
        step.arg(milliseconds(self.retention.lease)).arg(wall_ms);
        step.arg(fingerprints.current.as_str());
        step.arg(fingerprints.previous.as_ref().map_or("", Fingerprint::as_str));
        step
    }

    async fn reply(&self, step: ScriptInvocation<'_>) -> Result<Vec<String>, StoreError> {
        self.reply_of(|_| step).await
    }

    /// The same with a step that depends on the server.
    async fn reply_of<'a>(
        &self,
        step: impl FnOnce(&Inspection) -> ScriptInvocation<'a>,
    ) -> Result<Vec<String>, StoreError> {
        self.connection.invoke(step).await.map_err(|failure| {
            self.health.step_failed(&failure);
            StoreError::Unavailable(Arc::new(failure))
        })
    }

    /// The result of a script that records an outcome.
    async fn recorded(&self, script: ScriptInvocation<'_>) -> Result<Recorded, StoreError> {
        let reply = self.reply(script).await?;
        match words(&reply)[..] {
            ["ok"] => Ok(Recorded::Done),
            ["already", outcome] => Ok(Recorded::Already(outcome.to_owned())),
            ref other => Err(unreadable(other)),
        }
    }
}

/// A reply by which the record cannot be read, or that is none of the script.
fn unreadable(reply: &[&str]) -> StoreError {
    StoreError::Unreadable(match reply {
        ["unreadable", problem] => (*problem).to_owned(),
        _ => "a field of it is damaged".to_owned(),
    })
}

#[async_trait::async_trait]
impl Store for RedisStore {
    fn outage(&self) -> Option<Outage> {
        self.health.outage()
    }

    fn weaknesses(&self) -> Vec<Weakness> {
        self.connection.weaknesses()
    }

    async fn check(&self) {
        self.health.checked(self.connection.check().await);
    }

    async fn claim(&self, lease: &Lease, wall_ms: i64) -> Result<Claim, StoreError> {
        let mut step = self.under_lease(&self.claim, lease, wall_ms);
        step.key(format!("hcs:{{{}}}:memory", self.org));
        let reply = self
            .reply_of(|inspection| {
                step.arg(inspection.server()).arg(if inspection.may_forget() { "1" } else { "0" });
                step
            })
            .await?;
        let words = words(&reply);
        let claim = match words[..] {
            ["fresh", age] => duration(age).map(|remembers_for| Claim::Fresh { remembers_for }),
            ["unknown", first, first_wall, last, last_wall, context] => {
                moment(first, first_wall).zip(moment(last, last_wall)).map(|(first_sent, last_sent)| {
                    Claim::Unknown { first_sent, last_sent, context: context.to_owned() }
                })
            }
            ["undoing", context] => Some(Claim::Undoing { context: context.to_owned() }),
            ["done", ago, wall, outcome] => {
                moment(ago, wall).map(|done| Claim::Done { outcome: outcome.to_owned(), done })
            }
            ["other_content", stored, ref outcome @ ..] => Fingerprint::parse(stored).map(|stored| {
                Claim::OtherContent { stored, outcome: outcome.first().map(|outcome| (*outcome).to_owned()) }
            }),
            ["in_progress", remaining] => {
                duration(remaining).map(|retry_after| Claim::InProgress { retry_after })
            }
            _ => None,
        };
        claim.ok_or_else(|| unreadable(&words))
    }

    async fn step(&self, lease: &Lease, step: Step, text: &str, wall_ms: i64) -> Result<(), StoreError> {
        let mut script = self.under_lease(&self.step, lease, wall_ms);
        script.arg(step.name()).arg(text);
        let reply = self.reply(script).await?;
        match words(&reply)[..] {
            ["ok"] => Ok(()),
            ["lease_lost"] => Err(StoreError::LeaseLost),
            ref other => Err(unreadable(other)),
        }
    }

    async fn record(
        &self,
        lease: &Lease,
        outcome: Option<&str>,
        wall_ms: i64,
    ) -> Result<Recorded, StoreError> {
        let mut script = self.under_lease(&self.record_outcome, lease, wall_ms);
        script.arg(outcome.unwrap_or_default());
        self.recorded(script).await
    }

    async fn replace(
        &self,
        request_id: &RequestId,
        expected: &str,
        outcome: &str,
    ) -> Result<Recorded, StoreError> {
        let mut script = self.on_record(&self.replace_outcome, request_id);
        script.arg(expected).arg(outcome);
        self.recorded(script).await
    }
}

fn words(reply: &[String]) -> Vec<&str> {
    reply.iter().map(String::as_str).collect()
}

fn duration(milliseconds: &str) -> Option<Duration> {
    let milliseconds: i64 = milliseconds.parse().ok()?;
    Some(Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default()))
}

fn moment(ago: &str, wall: &str) -> Option<Moment> {
    let wall_ms = if wall.is_empty() { None } else { Some(wall.parse().ok()?) };
    Some(Moment { store_ago_ms: ago.parse().ok()?, wall_ms })
}

/// At least one, and a sum of a few of them is exact as a number of Lua.
fn milliseconds(duration: Duration) -> u64 {
    const A_CENTURY: u128 = 100 * 366 * 24 * 60 * 60 * 1000;
    u64::try_from(duration.as_millis().clamp(1, A_CENTURY)).unwrap_or(1)
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("org", &self.org)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}
