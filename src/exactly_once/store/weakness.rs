//! What makes a store forget the ids that it was given, as far as is known.

/// One way in which the store may forget an id. A forgotten id is searched for at Adobe before anything
/// is sent, and a connection that Adobe's list does not show yet is created again.
///
/// It displays as a sentence for the operator: what it means, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// The ids are in the memory of this process.
    #[error(
        "request ids are forgotten with the process and unknown to other replicas: set HCS_REDIS_URL for more than one replica"
    )]
    InMemory,
    /// Redis may evict ids to free memory.
    #[error(
        "Redis may evict request ids when its memory is full, and a retry of an evicted id may create a second connection: set maxmemory-policy noeviction"
    )]
    Evicts,
    /// Redis has its ids in memory alone, or on disk as of some minutes ago.
    #[error(
        "Redis forgets request ids when it restarts, and a retry of a forgotten id may create a second connection: set appendonly yes and appendfsync always"
    )]
    NotPersistent,
    /// The server is a replica, which takes no writes, or loses them with the next synchronization.
    #[error(
        "HCS_REDIS_URL names a read-only replica (role:slave), so nothing can be created: the URL of its primary is needed"
    )]
    IsReplica,
    /// The server is a node of a Redis Cluster.
    #[error(
        "HCS_REDIS_URL names a node of a Redis Cluster, so nothing can be created: a single primary (with replicas) is needed"
    )]
    IsCluster,
    /// The server does not report these facts about itself.
    #[error("Redis does not report its {}, so it may forget request ids, and a retry of a forgotten id may create a second connection: allow INFO for the user of HCS_REDIS_URL", .0.join(", "))]
    Unknown(Vec<&'static str>),
}

impl Weakness {
    /// The name of every weakness.
    pub const NAMES: [&'static str; 6] =
        ["in_memory", "evicts", "not_persistent", "is_replica", "is_cluster", "unknown"];

    /// The name, one of [`Weakness::NAMES`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::InMemory => "in_memory",
            Self::Evicts => "evicts",
            Self::NotPersistent => "not_persistent",
            Self::IsReplica => "is_replica",
            Self::IsCluster => "is_cluster",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// Logs what changed: a warning for each new weakness, and a line for each one that is gone.
pub(crate) fn log_changes(before: &[Weakness], now: &[Weakness]) {
    for weakness in now.iter().filter(|weakness| !before.contains(weakness)) {
        tracing::warn!(weakness = weakness.name(), "a weakness of the idempotency store: {weakness}");
    }
    let is_gone = |name| !now.iter().any(|weakness| weakness.name() == name);
    for weakness in before.iter().filter(|weakness| is_gone(weakness.name())) {
        tracing::info!(weakness = weakness.name(), "a weakness of the idempotency store is gone");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weakness_has_a_name_of_the_list_and_says_what_to_do() {
        let all = [
            Weakness::InMemory,
            Weakness::Evicts,
            Weakness::NotPersistent,
            Weakness::IsReplica,
            Weakness::IsCluster,
            Weakness::Unknown(vec!["role", "eviction policy"]),
        ];
        assert_eq!(all.each_ref().map(Weakness::name), Weakness::NAMES);
        for weakness in all {
            let sentence = weakness.to_string();
            assert!(sentence.contains(": "), "{sentence}");
            assert!(!sentence.contains(['\n', '.']), "{sentence}");
        }
    }
}
