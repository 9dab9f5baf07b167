//! What a server reports about itself: whether it may forget what it is given, and which one it is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, aio::MultiplexedConnection};
use tokio::time::Instant;

use super::failure::Failure;
use crate::exactly_once::store::{Outage, Weakness, log_weaknesses};

/// The facts that `INFO` reports. What is not there, or cannot be read, is `None`: it is not guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inspection {
    /// New with each start of the server.
    pub(super) run_id: Option<String>,
    /// New with each start, and with each promotion to primary.
    pub(super) replication_id: Option<String>,
    /// Which takes no writes.
    pub(super) is_replica: Option<bool>,
    pub(super) eviction_policy: Option<String>,
    /// Whether writes go to the append-only file. Snapshots do not count: they are minutes old. How often
    /// the file is flushed is not in `INFO`.
    pub(super) aof_enabled: Option<bool>,
    pub(super) cluster_enabled: Option<bool>,
}

impl Inspection {
    /// Asks the server. The time it takes is that of one reply.
    ///
    /// # Errors
    /// Those of the connection. A server that refuses `INFO` is one of which nothing is known.
    pub(super) async fn of(connection: &mut MultiplexedConnection) -> RedisResult<Self> {
        // Without the names of sections: Redis takes several since version 7 only.
        match redis::cmd("INFO").query_async(connection).await {
            Ok(Value::BulkString(info)) => Ok(Self::read(&String::from_utf8_lossy(&info))),
            Ok(Value::VerbatimString { text, .. } | Value::SimpleString(text)) => Ok(Self::read(&text)),
            Ok(_) => Ok(Self::default()),
            // The ACL does not allow it, or it was renamed, or a proxy in between does not know it.
            Err(error) if is_refusal(&error) => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn read(info: &str) -> Self {
        let facts: HashMap<_, _> = info.lines().filter_map(|line| line.trim().split_once(':')).collect();
        let fact = |name| facts.get(name).copied();
        // Some offerings hide them behind zeros.
        let id = |name| fact(name).filter(|id| id.contains(|c| c != '0')).map(str::to_owned);
        let flag = |name, [no, yes]: [&str; 2]| {
            fact(name).filter(|value| [no, yes].contains(value)).map(|value| value == yes)
        };
        Self {
            run_id: id("run_id"),
            replication_id: id("master_replid"),
            is_replica: flag("role", ["master", "slave"]),
            eviction_policy: fact("maxmemory_policy").filter(|policy| !policy.is_empty()).map(str::to_owned),
            aof_enabled: flag("aof_enabled", ["0", "1"]),
            cluster_enabled: flag("cluster_enabled", ["0", "1"]),
        }
    }

    /// Everything that may make the server forget.
    pub(super) fn weaknesses(&self) -> Vec<Weakness> {
        let known = [
            (self.eviction_policy.is_some() && self.may_evict(), Weakness::Evicts),
            (self.aof_enabled == Some(false), Weakness::NotPersistent),
            (self.cluster_enabled == Some(true), Weakness::IsCluster),
            (self.is_replica == Some(true), Weakness::IsReplica),
        ];
        let unread = self.unread();
        let unknown = (!unread.is_empty(), Weakness::Unknown(unread));
        let weaknesses = known.into_iter().chain([unknown]);
        weaknesses.filter_map(|(is_there, weakness)| is_there.then_some(weakness)).collect()
    }

    /// The facts that are not known.
    fn unread(&self) -> Vec<&'static str> {
        let facts = [
            (self.eviction_policy.is_none(), "eviction policy"),
            (self.aof_enabled.is_none(), "persistence"),
            (self.is_replica.is_none(), "role"),
            (self.cluster_enabled.is_none(), "cluster mode"),
            (self.run_id.is_none(), "run id"),
            (self.replication_id.is_none(), "replication id"),
        ];
        facts.into_iter().filter_map(|(is_unread, fact)| is_unread.then_some(fact)).collect()
    }

    /// Whether an id may vanish at any time.
    fn may_evict(&self) -> bool {
        self.eviction_policy.as_deref() != Some("noeviction")
    }

    /// Whether an id may vanish unnoticed: a server without these two ids may also have been replaced.
    pub(super) fn may_forget(&self) -> bool {
        self.may_evict() || self.run_id.is_none() || self.replication_id.is_none()
    }

    /// The server, its role and its history: another text after a restart, a failover, or a failover and
    /// back. Where an id is missing it is the same text, and the weakness is [`Weakness::Unknown`].
    pub(super) fn server(&self) -> String {
        let run_id = self.run_id.as_deref().unwrap_or("unknown");
        let replication_id = self.replication_id.as_deref().unwrap_or("unknown");
        let role =
            self.is_replica.map_or("unknown", |is_replica| if is_replica { "replica" } else { "primary" });
        format!("{run_id}/{role}/{replication_id}")
    }

    /// Why this server cannot be the store: what is written to a replica is lost, and of a cluster's
    /// nodes each has a part of the keys.
    pub(super) fn refusal(&self) -> Option<Weakness> {
        let is_refused = |weakness: &Weakness| matches!(weakness, Weakness::IsReplica | Weakness::IsCluster);
        self.weaknesses().into_iter().find(is_refused)
    }
}

/// The latest inspection of the server behind the connection.
#[derive(Default)]
pub(super) struct Inspected(Mutex<Option<(Arc<Inspection>, Instant)>>);

impl Inspected {
    /// The latest one, also of a connection that has ended or was refused since.
    pub(super) fn latest(&self) -> Option<Arc<Inspection>> {
        self.lock().as_ref().map(|(inspection, _)| Arc::clone(inspection))
    }

    /// Whether the latest one is older than this, or there is none.
    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        self.lock().as_ref().is_none_or(|(_, at)| at.elapsed() >= age)
    }

    /// Inspects the server, and logs what has changed.
    ///
    /// # Errors
    /// Those of the connection, and a server that cannot be the store.
    pub(super) async fn inspect(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<Arc<Inspection>, Failure> {
        let inspection = Arc::new(Inspection::of(connection).await?);
        self.note(Arc::clone(&inspection));
        match inspection.refusal() {
            None => Ok(inspection),
            Some(weakness) => Err(Failure::Refused(weakness)),
        }
    }

    fn note(&self, inspection: Arc<Inspection>) {
        let mut latest = self.lock();
        let before = latest.as_ref().map(|(before, _)| &**before);
        log_weaknesses(&before.map(Inspection::weaknesses).unwrap_or_default(), &inspection.weaknesses());
        if before.is_some_and(|before| before.server() != inspection.server()) {
            tracing::info!(server = inspection.server(), "the idempotency store is another server or role");
        }
        *latest = Some((inspection, Instant::now()));
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Arc<Inspection>, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the server refuses the command, and not the client as a whole.
fn is_refusal(error: &RedisError) -> bool {
    let is_reply =
        matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError));
    is_reply && Failure::from(error.clone()).outage() != Outage::TooManyClients
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server reports that forgets nothing.
    const INFO: &str = "# Server\r\nrun_id:420354707461c157eadf07c9d7260153c24264eb\r\n\r\n# Memory\r\n\
                        maxmemory:0\r\nmaxmemory_policy:noeviction\r\n# Persistence\r\naof_enabled:1\r\n\
                        # Replication\r\nrole:master\r\nmaster_replid:9b1d\r\n# Cluster\r\ncluster_enabled:0\r\n";

    fn weaknesses(info: &str) -> Vec<Weakness> {
        Inspection::read(info).weaknesses()
    }

    #[test]
    fn a_server_that_forgets_nothing_has_no_weakness() {
        let inspection = Inspection::read(INFO);
        assert_eq!(inspection.weaknesses(), []);
        assert_eq!(inspection.refusal(), None);
        assert!(!inspection.may_evict());
        assert_eq!(inspection.server(), "420354707461c157eadf07c9d7260153c24264eb/primary/9b1d");
    }

    #[test]
    fn each_fact_gives_its_weakness() {
        for (fact, otherwise, weakness) in [
            ("maxmemory_policy:noeviction", "maxmemory_policy:volatile-lru", Weakness::Evicts),
            ("maxmemory_policy:noeviction", "maxmemory_policy:of-a-later-version", Weakness::Evicts),
            ("aof_enabled:1", "aof_enabled:0", Weakness::NotPersistent),
            ("role:master", "role:slave", Weakness::IsReplica),
            ("cluster_enabled:0", "cluster_enabled:1", Weakness::IsCluster),
        ] {
            assert_eq!(weaknesses(&INFO.replace(fact, otherwise)), [weakness], "{otherwise}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_unknown_and_not_guessed() {
        for (fact, otherwise, unread) in [
            ("maxmemory_policy:noeviction", "", "eviction policy"),
            ("maxmemory_policy:noeviction", "maxmemory_policy:", "eviction policy"),
            ("aof_enabled:1", "aof_enabled:yes", "persistence"),
            ("aof_enabled:1", "aof_enabled", "persistence"),
            ("role:master", "role:sentinel", "role"),
            ("cluster_enabled:0", "cluster_enabled:", "cluster mode"),
            ("run_id:420354707461c157eadf07c9d7260153c24264eb", "run_id:0000000000", "run id"),
            ("master_replid:9b1d", "master_replid:0000", "replication id"),
        ] {
            assert_eq!(weaknesses(&INFO.replace(fact, otherwise)), [Weakness::Unknown(vec![unread])]);
        }
        for info in ["", "\0", "role", ":", "OK", "# Server\n::\nrun_id"] {
            let nothing = Inspection::read(info);
            assert_eq!(nothing, Inspection::default(), "{info:?}");
            assert!(nothing.may_evict());
            assert_eq!(nothing.refusal(), None);
        }
    }

    #[test]
    fn a_replica_of_a_cluster_is_refused_for_the_cluster() {
        let info =
            INFO.replace("role:master", "role:slave").replace("cluster_enabled:0", "cluster_enabled:1");
        assert_eq!(Inspection::read(&info).refusal(), Some(Weakness::IsCluster));
    }

    #[test]
    fn a_restart_and_another_role_make_another_server() {
        let servers = [
            INFO.to_owned(),
            INFO.replace("run_id:4", "run_id:5"),
            INFO.replace("role:master", "role:slave"),
            // After a failover and back.
            INFO.replace("master_replid:9b1d", "master_replid:77aa"),
        ]
        .map(|info| Inspection::read(&info).server());
        assert!(servers[1..].iter().all(|server| *server != servers[0]), "{servers:?}");
    }

    #[test]
    fn lines_may_end_in_either_way() {
        assert_eq!(Inspection::read(&INFO.replace('\r', "")), Inspection::read(INFO));
    }
}
