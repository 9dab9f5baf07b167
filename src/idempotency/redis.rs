//! The store in Redis, which replicas share and which outlasts a restart.
//!
//! For an organization and a sandbox, within one hash tag so that each step stays on one node of a
//! cluster:
//!
//! - `hcs:{ORG/SANDBOX}:request:ID`: the record, a hash;
//! - `hcs:{ORG/SANDBOX}:name:NAME`: the lock on a name, with the request id that owns it;
//! - `hcs:{ORG/SANDBOX}:outcome:ID`: the request id whose outcome a connection is.
//!
//! Each has an expiry, so the server must not evict for want of memory before: its
//! `maxmemory-policy` has to be `noeviction`.

mod connection;
mod scripts;
mod verdict;

use std::{
    fmt,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use redis::{Script, ScriptInvocation};
use secrecy::ExposeSecret as _;

use self::{connection::Connection, scripts::Scripts};
use super::{Claim, Fingerprint, Keep, Key, Lease, Outcome, Recorded, Retention, Store, StoreError, Verdict};
use crate::{
    config::Secret,
    domain::{ConnectionId, CreatedConnection, Etag, SandboxName},
    error_chain::error_chain,
};

/// Keeps the records in Redis 5 or later, where a script may write after it has read the clock.
pub struct RedisStore {
    org: String,
    retention: Retention,
    connection: Connection,
    scripts: Scripts,
    is_down: AtomicBool,
}

/// The URL is not one of a Redis server. It is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the URL of a Redis server, as in redis://redis:6379 or rediss://user:password@redis:6380/0")]
pub struct InvalidRedisUrl;

impl RedisStore {
    /// A store for one organization. It connects with the first step, and again after a failure, so
    /// that Redis need not be up yet. The URL is read again for each connection: its password may have
    /// been replaced.
    ///
    /// # Errors
    /// [`InvalidRedisUrl`] when the URL cannot be used.
    pub fn connect(url: Secret, org: &str, retention: Retention) -> Result<Self, InvalidRedisUrl> {
        let readable = url.read().map_err(|_| InvalidRedisUrl)?;
        redis::Client::open(readable.expose_secret()).map_err(|_| InvalidRedisUrl)?;
        let connection = Connection::new(url);
        Ok(Self {
            org: org.to_owned(),
            retention,
            connection,
            scripts: Scripts::new(),
            is_down: AtomicBool::new(false),
        })
    }

    fn prefix(&self, sandbox: &SandboxName) -> String {
        format!("hcs:{{{}/{sandbox}}}", self.org)
    }

    fn record_key(&self, key: &Key) -> String {
        format!("{}:request:{}", self.prefix(&key.sandbox), key.request_id)
    }

    fn outcome_key(&self, sandbox: &SandboxName, connection: &ConnectionId) -> String {
        format!("{}:outcome:{connection}", self.prefix(sandbox))
    }

    /// The call of a script with the keys and arguments of every step on a record.
    fn on_record<'a>(&self, script: &'a Script, key: &Key) -> ScriptInvocation<'a> {
        let mut step = script.key(self.record_key(key));
        step.arg(key.request_id.to_string()).arg(milliseconds(self.retention.request_id));
        step
    }

    /// The same with those of every step under a lease.
    fn under_lease<'a>(&self, script: &'a Script, lease: &Lease) -> ScriptInvocation<'a> {
        let Lease { key, name, fingerprints, holder } = lease;
        let mut step = self.on_record(script, key);
        step.key(format!("{}:name:{}", self.prefix(&key.sandbox), name.as_str()));
        step.arg(hex(holder.as_bytes()));
        step.arg(milliseconds(self.retention.lease)).arg(milliseconds(self.retention.settle_window));
        let fingerprint = |fingerprint: &Fingerprint| hex(fingerprint.as_bytes());
        step.arg(fingerprint(&fingerprints.current));
        step.arg(fingerprints.previous.as_ref().map(fingerprint).unwrap_or_default());
        step
    }

    async fn answer(&self, step: &ScriptInvocation<'_>) -> Result<Vec<String>, StoreError> {
        let answer = self.connection.invoke(step).await;
        let was_down = self.is_down.swap(answer.is_err(), Ordering::Relaxed);
        match &answer {
            Err(error) if !was_down => {
                tracing::error!(
                    error = error_chain(error),
                    "the idempotency store is down: nothing can be created"
                );
            }
            Ok(_) if was_down => tracing::info!("the idempotency store is back"),
            Ok(_) | Err(_) => {}
        }
        answer.map_err(|error| StoreError::Unavailable(Arc::new(error)))
    }

    /// A step that either happens or finds the lease lost.
    async fn held(&self, script: &Script, lease: &Lease) -> Result<(), StoreError> {
        let answer = self.answer(&self.under_lease(script, lease)).await?;
        match words(&answer)[..] {
            ["ok"] => Ok(()),
            ["lease_lost"] => Err(StoreError::LeaseLost),
            _ => Err(self.malformed(&lease.key)),
        }
    }

    /// Somebody else wrote to the record or the lock, or answered in place of the script.
    fn malformed(&self, key: &Key) -> StoreError {
        StoreError::Unavailable(Arc::new(Malformed(self.record_key(key))))
    }
}

/// What Redis holds for a record is not what this service wrote.
#[derive(Debug, thiserror::Error)]
#[error("the record {0} or the lock on its name is malformed")]
struct Malformed(String);

#[async_trait::async_trait]
impl Store for RedisStore {
    fn is_available(&self) -> bool {
        !self.is_down.load(Ordering::Relaxed)
    }

    async fn check(&self) {
        // What comes of it is noted and logged there.
        let _ = self.answer(&self.scripts.check.prepare_invoke()).await;
    }

    async fn claim(&self, lease: &Lease) -> Result<Claim, StoreError> {
        let answer = self.answer(&self.under_lease(&self.scripts.claim, lease)).await?;
        let claim = match words(&answer)[..] {
            ["fresh"] => Some(Claim::Fresh),
            ["other_content"] => Some(Claim::OtherContent),
            ["unknown", first, last] => duration(first)
                .zip(duration(last))
                .map(|(first_sent, last_sent)| Claim::Unknown { first_sent, last_sent }),
            ["done", ref outcome @ ..] => outcome_of(outcome).map(Claim::Done),
            ["in_progress", left] => duration(left).map(|retry_after| Claim::InProgress { retry_after }),
            ["name_in_progress", left] => {
                duration(left).map(|retry_after| Claim::NameInProgress { retry_after })
            }
            _ => None,
        };
        claim.ok_or_else(|| self.malformed(&lease.key))
    }

    async fn renew(&self, lease: &Lease) -> Result<(), StoreError> {
        self.held(&self.scripts.renew, lease).await
    }

    async fn begin_sending(&self, lease: &Lease) -> Result<(), StoreError> {
        self.held(&self.scripts.begin_sending, lease).await
    }

    async fn not_created(&self, lease: &Lease) -> Result<(), StoreError> {
        self.held(&self.scripts.not_created, lease).await
    }

    async fn outcome_unknown(&self, lease: &Lease) -> Result<(), StoreError> {
        self.held(&self.scripts.outcome_unknown, lease).await
    }

    async fn done(
        &self,
        lease: &Lease,
        connection: &CreatedConnection,
        keep: Keep,
    ) -> Result<Recorded, StoreError> {
        let mut step = self.under_lease(&self.scripts.done, lease);
        step.key(self.outcome_key(&lease.key.sandbox, &connection.id));
        step.arg(connection.id.as_str()).arg(connection.etag.as_str());
        step.arg(match keep {
            Keep::Forget => "forget",
            Keep::Remember => "remember",
            Keep::RememberUnverified => "remember_unverified",
        });
        let answer = self.answer(&step).await?;
        let recorded = match words(&answer)[..] {
            ["ok"] => Some(Recorded::Done),
            ["already", ref outcome @ ..] => outcome_of(outcome).map(Recorded::Already),
            ["belongs_to_another"] => Some(Recorded::BelongsToAnother),
            _ => None,
        };
        recorded.ok_or_else(|| self.malformed(&lease.key))
    }

    async fn verified(
        &self,
        key: &Key,
        connection: &ConnectionId,
        verdict: &Verdict,
    ) -> Result<Verdict, StoreError> {
        let [word, report] =
            verdict::to_words(verdict).map_err(|error| StoreError::Unavailable(Arc::new(error)))?;
        let mut step = self.on_record(&self.scripts.verified, key);
        step.key(self.outcome_key(&key.sandbox, connection));
        step.arg(connection.as_str()).arg(word).arg(report);
        let answer = self.answer(&step).await?;
        let verdict = match words(&answer)[..] {
            ["ok"] => Some(verdict.clone()),
            ["recorded", ref recorded @ ..] => verdict::from_words(recorded),
            _ => None,
        };
        verdict.ok_or_else(|| self.malformed(key))
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.held(&self.scripts.release, lease).await
    }

    async fn abandon(&self, lease: &Lease) -> Result<(), StoreError> {
        self.held(&self.scripts.abandon, lease).await
    }

    async fn outcomes_of_others(
        &self,
        key: &Key,
        connections: &[ConnectionId],
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let mut others = Vec::new();
        // Lua unpacks no more than a few thousand values at once.
        for connections in connections.chunks(1000) {
            let mut step = self.scripts.outcomes_of_others.arg(key.request_id.to_string());
            for connection in connections {
                step.key(self.outcome_key(&key.sandbox, connection));
            }
            for place in self.answer(&step).await? {
                let place: Option<usize> = place.parse().ok();
                let other = place.and_then(|place| connections.get(place.checked_sub(1)?));
                others.push(other.ok_or_else(|| self.malformed(key))?.clone());
            }
        }
        Ok(others)
    }
}

fn words(answer: &[String]) -> Vec<&str> {
    answer.iter().map(String::as_str).collect()
}

fn duration(milliseconds: &str) -> Option<Duration> {
    milliseconds.parse().ok().map(Duration::from_millis)
}

fn outcome_of(words: &[&str]) -> Option<Outcome> {
    let [id, etag, verdict @ ..] = words else { return None };
    let connection = CreatedConnection { id: ConnectionId::parse(id).ok()?, etag: Etag::parse(etag).ok()? };
    let verdict = match verdict {
        [] => None,
        words => Some(verdict::from_words(words)?),
    };
    Some(Outcome { connection, verdict })
}

/// At least one, and a sum of a few of them is exact as a number of Lua.
fn milliseconds(duration: Duration) -> u64 {
    const A_CENTURY: u128 = 100 * 366 * 24 * 60 * 60 * 1000;
    u64::try_from(duration.as_millis().clamp(1, A_CENTURY)).unwrap_or(1)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("org", &self.org)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}
