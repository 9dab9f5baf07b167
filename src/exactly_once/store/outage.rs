//! Why the store cannot be used, as far as it is known.

use std::fmt;

/// A closed list of causes, each with its name in metrics and what the operator has to know and do.
macro_rules! outages {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $advice:literal;)+) => {
        /// Why the store cannot be used.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Outage { $($(#[$doc])* $variant,)+ }

        impl Outage {
            /// Every cause.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name, as metrics and the log have it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        /// A sentence for the operator: what is wrong, and what to do.
        impl fmt::Display for Outage {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $advice,)+ })
            }
        }
    };
}

outages! {
    /// READONLY, or Redis is a replica.
    ReadOnly = "read_only",
        "the server takes no writes, most likely since a failover: HCS_REDIS_URL has to lead to the primary";
    /// MOVED, ASK, CLUSTERDOWN and the like.
    Cluster = "cluster",
        "the server is a node of a Redis Cluster: HCS_REDIS_URL has to lead to a single primary (with replicas)";
    /// MASTERDOWN.
    PrimaryDown = "primary_down",
        "the server is a replica that has lost its primary: HCS_REDIS_URL has to lead to the primary";
    /// LOADING.
    Loading = "loading",
        "the server has restarted and loads its data: wait, and read its log if that takes more than some minutes";
    /// OOM.
    OutOfMemory = "out_of_memory",
        "the memory of the server is full: raise maxmemory, and keep maxmemory-policy noeviction";
    /// MISCONF.
    CannotPersist = "cannot_persist",
        "the server refuses writes because it cannot write to its disk: free space or repair the volume, its log has the cause";
    /// NOREPLICAS.
    TooFewReplicas = "too_few_replicas",
        "fewer replicas are connected than min-replicas-to-write asks for: bring them back, or lower that setting";
    /// BUSY.
    Busy = "busy",
        "a script of another client blocks the server: end it with SCRIPT KILL or FUNCTION KILL";
    /// NOAUTH.
    NoPassword = "no_password",
        "the server asks for a password and HCS_REDIS_URL has none: write it as redis://:PASSWORD@HOST or redis://USER:PASSWORD@HOST";
    /// WRONGPASS.
    WrongPassword = "wrong_password",
        "the server does not accept the user and password of HCS_REDIS_URL: compare them with the users of the server (ACL LIST, requirepass)";
    /// NOPERM.
    NoPermission = "no_permission",
        "the user of HCS_REDIS_URL lacks a permission: give it those that deploy/README.md lists (A Redis of your own)";
    /// A command was renamed, or a proxy in front of the server does not pass it on.
    UnknownCommand = "unknown_command",
        "the server, or a proxy in front of it, does not know a command that the service needs: allow EVALSHA, SCRIPT LOAD and what the scripts call, see deploy/README.md (A Redis of your own)";
    /// The database of the URL does not exist.
    NoDatabase = "no_database",
        "the server does not have the database that HCS_REDIS_URL names: use a lower number, or none";
    /// The server has as many clients as it may.
    TooManyClients = "too_many_clients",
        "the server has as many clients as maxclients allows: raise it, or find who holds them (CLIENT LIST)";
    /// The server accepts clients of its own host alone.
    ProtectedMode = "protected_mode",
        "the server is in protected mode and takes no clients of other hosts: give it a password, or set protected-mode no";
    /// No reply in time.
    Timeout = "timeout",
        "no reply in time: the server is overloaded or paused, or the network drops packets (NetworkPolicy, firewall)";
    /// Nothing listens there.
    Refused = "refused",
        "nothing listens at the address: start the server, or correct the host and port of HCS_REDIS_URL";
    /// No such host, or no way to it.
    Unreachable = "unreachable",
        "the host cannot be reached: correct the host of HCS_REDIS_URL, or repair DNS and the network between";
    /// The other end closed the connection.
    Closed = "closed",
        "the connection was closed: the server has ended, or has as many clients as maxclients allows, or its port speaks TLS and HCS_REDIS_URL has to begin with rediss://";
    /// The TLS handshake fails.
    Tls = "tls",
        "there is no TLS connection that both sides trust: set HCS_REDIS_CA_FILE to the authority of the server's certificate, which has to name the host of HCS_REDIS_URL, and HCS_REDIS_CLIENT_CERT_FILE and HCS_REDIS_CLIENT_KEY_FILE where it asks for a certificate; a server that speaks no TLS needs redis://";
    /// What this service was given cannot be used, at the moment at which it is needed.
    Settings = "settings",
        "correct the setting; check-config checks it as well";
    /// Anything else.
    Other = "other",
        "the log of the server may say more";
}

impl Outage {
    /// Whether it often ends by itself within seconds, so that calls wait for that: the server starts, moves to another
    /// machine, or is busy. The others last until somebody has changed something: to wait would only delay the error.
    /// Among them is a server that takes no writes: after a failover it does not until it is the primary again, or the
    /// URL leads to another one.
    pub fn may_pass(self) -> bool {
        match self {
            Self::Loading
            | Self::TooFewReplicas
            | Self::Busy
            | Self::Timeout
            | Self::Refused
            | Self::Unreachable
            | Self::Closed => true,
            Self::ReadOnly
            | Self::Cluster
            | Self::PrimaryDown
            | Self::OutOfMemory
            | Self::CannotPersist
            | Self::NoPassword
            | Self::WrongPassword
            | Self::NoPermission
            | Self::UnknownCommand
            | Self::NoDatabase
            | Self::TooManyClients
            | Self::ProtectedMode
            | Self::Tls
            | Self::Settings
            | Self::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_outage_has_a_name_of_its_own_and_says_what_to_do() {
        let names: BTreeSet<_> = Outage::ALL.iter().map(|outage| outage.name()).collect();
        assert_eq!(names.len(), Outage::ALL.len());
        for outage in Outage::ALL {
            assert!(!outage.to_string().contains('\n'), "{outage}");
        }
    }
}
