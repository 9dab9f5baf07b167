//! What went wrong between this service and Redis.

use std::{error::Error, fmt, io, sync::Arc};

use redis::{ErrorKind, RedisError};

use crate::exactly_once::store::{Outage, Weakness};

/// Why a step was not taken, with the reply of the server and what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server, or the way to it, fails.
    #[error("{words}; {outage}")]
    Failed {
        /// The kind of outage.
        outage: Outage,
        /// The error of the server, or of the operating system.
        words: String,
    },
    /// The server reports that it cannot be the store.
    #[error("{0}")]
    Refused(Weakness),
}

impl Failure {
    pub(super) fn outage(&self) -> Outage {
        match self {
            Self::Failed { outage, .. } => *outage,
            Self::Refused(Weakness::IsCluster) => Outage::Cluster,
            Self::Refused(Weakness::IsReplica) => Outage::ReadOnly,
            Self::Refused(_) => Outage::Other,
        }
    }

    /// The same with the address of the server.
    pub(super) fn at(self, address: &impl fmt::Display) -> Self {
        match self {
            Self::Failed { outage, words } if outage != Outage::Settings => {
                Self::Failed { outage, words: format!("{address}: {words}") }
            }
            other @ (Self::Failed { .. } | Self::Refused(_)) => other,
        }
    }

    pub(super) fn timed_out() -> Self {
        Self::Failed { outage: Outage::Timeout, words: "no reply in time".to_owned() }
    }

    pub(super) fn no_tls_in_time() -> Self {
        let words = "no reply in time: does the server speak TLS at this port? If not, it needs redis://";
        Self::Failed { outage: Outage::Timeout, words: words.to_owned() }
    }

    /// A command within a script that failed, with the reply of the server.
    pub(super) fn within_a_script(reply: &str, commands: &[&str]) -> Self {
        let outage = outage_of_words(reply);
        let words = if outage == Outage::NoPermission {
            let missing: Vec<_> =
                commands.iter().map(|command| format!("+{}", command.to_lowercase())).collect();
            format!("the user lacks {}: {}", missing.join(" "), without_arguments(reply))
        } else {
            format!("{}: {}", commands.join(", "), without_arguments(reply))
        };
        Self::Failed { outage, words }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let Some(code) = error.code() else {
            return Self::Failed { outage: outage_of_client(&error), words: error.to_string() };
        };
        let reply = match error.detail() {
            Some(detail) => format!("{code} {detail}"),
            None => code.to_owned(),
        };
        Self::Failed { outage: outage_of_words(&reply), words: without_arguments(&reply).to_owned() }
    }
}

/// An error reply without the arguments of a command that the server does not know: a password is one of
/// AUTH.
fn without_arguments(reply: &str) -> &str {
    reply.split(", with args beginning with").next().unwrap_or(reply).trim()
}

/// The kind of outage that an error reply stands for. Before Redis 7 the error of a command within a script is quoted
/// in the text of another one, as in `ERR Error running script (…): -READONLY You can't …`.
fn outage_of_words(reply: &str) -> Outage {
    let code = reply.split_whitespace().next().unwrap_or_default();
    let quoted = reply.split_whitespace().filter_map(|word| word.strip_prefix('-'));
    let by_code = std::iter::once(code).chain(quoted).find_map(outage_of_code);
    by_code.unwrap_or_else(|| {
        let texts = [
            // A permission that is missing within a script has no code.
            ("executing the script can't", Outage::NoPermission),
            ("ACL failure", Outage::NoPermission),
            ("unknown command", Outage::UnknownCommand),
            ("Unknown Redis command", Outage::UnknownCommand),
            ("unknown subcommand", Outage::UnknownCommand),
            ("max number of clients", Outage::TooManyClients),
            ("DB index is out of range", Outage::NoDatabase),
            ("invalid DB index", Outage::NoDatabase),
            ("SELECT is not allowed in cluster mode", Outage::Cluster),
            // Redis before version 6.
            ("invalid password", Outage::WrongPassword),
            // A password where the server has none.
            ("without any password configured", Outage::WrongPassword),
            ("no password is set", Outage::WrongPassword),
        ];
        let found = texts.into_iter().find(|(text, _)| reply.contains(text));
        found.map_or(Outage::Other, |(_, outage)| outage)
    })
}

fn outage_of_code(code: &str) -> Option<Outage> {
    Some(match code {
        "READONLY" => Outage::ReadOnly,
        "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" | "TRYAGAIN" => Outage::Cluster,
        "MASTERDOWN" => Outage::PrimaryDown,
        "LOADING" => Outage::Loading,
        "OOM" => Outage::OutOfMemory,
        "MISCONF" => Outage::CannotPersist,
        "NOREPLICAS" => Outage::TooFewReplicas,
        "BUSY" | "UNKILLABLE" => Outage::Busy,
        "NOAUTH" => Outage::NoPassword,
        "WRONGPASS" => Outage::WrongPassword,
        "NOPERM" => Outage::NoPermission,
        // It was loaded just before: a proxy asks another server each time.
        "NOSCRIPT" => Outage::UnknownCommand,
        "DENIED" => Outage::ProtectedMode,
        _ => return None,
    })
}

/// The kind of outage that an error other than a reply stands for.
#[expect(clippy::wildcard_enum_match_arm, reason = "both lists grow, and what is new is Other")]
fn outage_of_client(error: &RedisError) -> Outage {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return Outage::WrongPassword;
    }
    if error.is_timeout() {
        return Outage::Timeout;
    }
    let cause = error.source().and_then(|cause| cause.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let Some(error) = cause.and_then(|cause| cause.downcast_ref::<io::Error>()) else {
        return if error.is_connection_dropped() { Outage::Closed } else { Outage::Other };
    };
    let inner = error.get_ref();
    if inner.is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some()) {
        return Outage::Tls;
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Outage::Refused,
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::UnexpectedEof => Outage::Closed,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::NotFound => Outage::Unreachable,
        // A name that is not found has no kind of its own.
        _ if error.to_string().contains("failed to lookup address") => Outage::Unreachable,
        _ => Outage::Other,
    }
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    /// The failure that an error reply stands for.
    fn of_reply(reply: &str) -> Failure {
        let value = redis::parse_redis_value(format!("-{reply}\r\n").as_bytes()).unwrap();
        let Value::ServerError(error) = value else { panic!("{value:?}") };
        RedisError::from(error).into()
    }

    #[test]
    fn each_error_of_redis_has_its_cause() {
        for (reply, outage) in [
            ("READONLY You can't write against a read only replica.", Outage::ReadOnly),
            (
                "READONLY You can't write against a read only replica. script: 58, on @user_script:1.",
                Outage::ReadOnly,
            ),
            (
                "ERR Error running script (call to f_58): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.",
                Outage::ReadOnly,
            ),
            ("MOVED 3999 127.0.0.1:6381", Outage::Cluster),
            ("ASK 3999 127.0.0.1:6381", Outage::Cluster),
            ("CLUSTERDOWN Hash slot not served", Outage::Cluster),
            ("CROSSSLOT Keys in request don't hash to the same slot", Outage::Cluster),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Outage::Cluster),
            (
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                Outage::PrimaryDown,
            ),
            ("LOADING Redis is loading the dataset in memory", Outage::Loading),
            ("OOM command not allowed when used memory > 'maxmemory'.", Outage::OutOfMemory),
            (
                "ERR Error running script (call to f_58): @user_script:1: @user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.",
                Outage::OutOfMemory,
            ),
            (
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
                Outage::CannotPersist,
            ),
            ("MISCONF Errors writing to the AOF file: No space left on device", Outage::CannotPersist),
            ("NOREPLICAS Not enough good replicas to write.", Outage::TooFewReplicas),
            (
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
                Outage::Busy,
            ),
            ("NOAUTH Authentication required.", Outage::NoPassword),
            ("WRONGPASS invalid username-password pair or user is disabled.", Outage::WrongPassword),
            ("ERR invalid password", Outage::WrongPassword),
            ("ERR Client sent AUTH, but no password is set", Outage::WrongPassword),
            (
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
                Outage::WrongPassword,
            ),
            ("NOPERM this user has no permissions to run the 'evalsha' command", Outage::NoPermission),
            (
                "NOPERM this user has no permissions to access one of the keys used as arguments",
                Outage::NoPermission,
            ),
            (
                "ERR The user executing the script can't run this command or subcommand script: 58, on @user_script:1.",
                Outage::NoPermission,
            ),
            (
                "ERR ACL failure in script: User u has no permissions to run the 'hset' command script: 58",
                Outage::NoPermission,
            ),
            ("ERR unknown command 'EVALSHA', with args beginning with: 'a'", Outage::UnknownCommand),
            ("NOSCRIPT No matching script. Please use EVAL.", Outage::UnknownCommand),
            ("ERR DB index is out of range", Outage::NoDatabase),
            ("ERR max number of clients reached", Outage::TooManyClients),
            (
                "DENIED Redis is running in protected mode because protected mode is enabled",
                Outage::ProtectedMode,
            ),
            ("EXECABORT Transaction discarded because of previous errors.", Outage::Other),
            ("ERR something else", Outage::Other),
        ] {
            let failure = of_reply(reply);
            assert_eq!(failure.outage(), outage, "{reply}");
            // It has the words of the server, and what to do.
            let words = failure.to_string();
            assert!(words.starts_with(reply.split(", with").next().unwrap()), "{words}");
            assert!(words.ends_with(&outage.to_string()), "{words}");
        }
    }

    #[test]
    fn the_arguments_of_a_command_are_not_repeated() {
        let failure = of_reply("ERR unknown command 'AUTH', with args beginning with: 'user' 'canary' ");
        assert!(!failure.to_string().contains("canary"), "{failure}");
    }

    #[test]
    fn an_error_of_the_connection_has_its_cause() {
        let of = |error: io::Error| Failure::from(RedisError::from(error)).outage();
        for (kind, outage) in [
            (io::ErrorKind::TimedOut, Outage::Timeout),
            (io::ErrorKind::ConnectionRefused, Outage::Refused),
            (io::ErrorKind::ConnectionReset, Outage::Closed),
            (io::ErrorKind::UnexpectedEof, Outage::Closed),
            (io::ErrorKind::HostUnreachable, Outage::Unreachable),
            (io::ErrorKind::PermissionDenied, Outage::Other),
        ] {
            assert_eq!(of(kind.into()), outage, "{kind}");
        }
        let no_tls = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        assert_eq!(of(io::Error::new(io::ErrorKind::InvalidData, no_tls)), Outage::Tls);
    }

    #[test]
    fn a_missing_permission_within_a_script_is_named() {
        let reply = "ERR The user executing the script can't run this command or subcommand";
        let failure = Failure::within_a_script(reply, &["HSET", "DEL"]);
        assert!(failure.to_string().starts_with("the user lacks +hset +del: "), "{failure}");
    }
}
