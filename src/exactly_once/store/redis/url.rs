//! The URL of Redis. What this parser accepts is what connects: `check-config` and every connection use it.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, RedisConnectionInfo};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::Invalid;

const DEFAULT_PORT: u16 = 6379;
/// Redis counts its databases with a signed integer.
const MOST_DATABASE: u32 = i32::MAX.unsigned_abs();

/// Where Redis is, and whom to connect as.
#[derive(Clone)]
pub(crate) struct RedisUrl {
    is_tls: bool,
    host: String,
    port: u16,
    pub(super) user: Option<String>,
    pub(super) password: Option<SecretString>,
    pub(super) database: u32,
    pub(super) protocol: ProtocolVersion,
}

impl RedisUrl {
    /// Parses the text of `HCS_REDIS_URL`.
    ///
    /// # Errors
    /// [`Invalid`] with the fix. The URL is not repeated: it may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| Invalid::from(FORM))?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "redis" => false,
            "rediss" => true,
            "unix" | "redis+unix" | "redis+socket" => {
                return Err("must be a redis or rediss URL: a Unix socket is not supported".into());
            }
            sentinel if sentinel.contains("sentinel") => {
                return Err("must be a redis or rediss URL: a Sentinel is not supported, name the primary \
                            (a Service or DNS name that follows it)"
                    .into());
            }
            _ => return Err(FORM.into()),
        };
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if tail.contains('@') {
            return Err(ENCODE.into());
        }
        let database = database(tail)?;
        let protocol = protocol(tail)?;
        let (user_info, address) = match authority.rsplit_once('@') {
            Some((user_info, address)) => (Some(user_info), address),
            None => (None, authority),
        };
        let (user, password) = user_info.map_or(Ok((None, None)), credentials)?;
        let (host, port) = host_and_port(address, user_info.is_some())?;
        Ok(Self { is_tls, host, port, user, password, database, protocol })
    }

    /// Whether it asks for TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// For the client: without the credentials, unless the protocol begins with them.
    pub(super) fn connection_info(&self) -> redis::RedisResult<ConnectionInfo> {
        let (host, port) = (self.host.clone(), self.port);
        let address = if self.is_tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        // A user needs a permission to tell the server the name of the client, and nobody needs the name.
        let mut settings = RedisConnectionInfo::default().set_protocol(self.protocol).set_skip_set_lib_name();
        if self.greets() {
            if let Some(user) = &self.user {
                settings = settings.set_username(user);
            }
            if let Some(password) = &self.password {
                settings = settings.set_password(password.expose_secret());
            }
        }
        Ok(address.into_connection_info()?.set_redis_settings(settings))
    }

    /// Whether the client sends the credentials with its first command, HELLO.
    pub(super) fn greets(&self) -> bool {
        self.protocol != ProtocolVersion::RESP2
    }
}

/// The host and the port, for the log.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisUrl").field("address", &self.to_string()).finish_non_exhaustive()
    }
}

const FORM: &str = "must be a redis or rediss URL with a host, as in redis://redis.example.com:6379 or \
                    rediss://:PASSWORD@redis.example.com:6379";
const ENCODE: &str = "holds a / ? # or @ in the user name or the password: percent-encode it (%2F for /, %3F for ?, \
                      %23 for #, %40 for @, %25 for %)";

/// The number after the host, 0 where there is none.
fn database(tail: &str) -> Result<u32, Invalid> {
    if tail.contains('#') {
        return Err(if tail.ends_with("#insecure") {
            "must not have #insecure, which would let anybody pose as the server: set HCS_REDIS_CA_FILE to \
             trust an authority of your own"
        } else {
            "must not have a fragment (#): where the # belongs to the password, percent-encode it as %23"
        }
        .into());
    }
    let path = tail.split('?').next().unwrap_or_default();
    let number = path.strip_prefix('/').unwrap_or_default();
    let number = number.strip_suffix('/').unwrap_or(number);
    if number.is_empty() {
        return if path.len() > 1 { Err(DATABASE.into()) } else { Ok(0) };
    }
    digits(number).filter(|number| *number <= MOST_DATABASE).ok_or_else(|| DATABASE.into())
}

/// A number without a sign.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

const DATABASE: &str = "must end in the number of a database or in nothing after the host, as in \
                        redis://redis.example.com:6379/0; where the / belongs to the password, percent-encode \
                        it as %2F";

fn protocol(tail: &str) -> Result<ProtocolVersion, Invalid> {
    let Some((_, query)) = tail.split_once('?') else { return Ok(ProtocolVersion::RESP2) };
    match query {
        "" | "protocol=2" | "protocol=resp2" => Ok(ProtocolVersion::RESP2),
        "protocol=3" | "protocol=resp3" => Ok(ProtocolVersion::RESP3),
        _ => Err(
            "must not have a query (?), except ?protocol=resp3: TLS is rediss://, the database is /N after \
                  the host; where the ? belongs to the password, percent-encode it as %3F"
                .into(),
        ),
    }
}

fn credentials(user_info: &str) -> Result<(Option<String>, Option<SecretString>), Invalid> {
    if user_info.contains('@') {
        return Err(ENCODE.into());
    }
    let Some((user, password)) = user_info.split_once(':').filter(|(_, password)| !password.is_empty())
    else {
        return Err("has a user name and no password: a password alone stands after a colon, as in \
                    redis://:PASSWORD@redis.example.com:6379"
            .into());
    };
    let user = decoded(user)?;
    Ok(((!user.is_empty()).then_some(user), Some(SecretString::from(decoded(password)?))))
}

fn decoded(text: &str) -> Result<String, Invalid> {
    let is_escape = |escape: &str| escape.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !text.split('%').skip(1).all(is_escape) {
        return Err(
            "has a % in the user name or the password that begins no escape: percent-encode it as %25".into(),
        );
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| {
        Invalid::from(
            "has escapes (%) in the user name or the password that are not UTF-8: percent-encode a % \
                       itself as %25",
        )
    })
}

fn host_and_port(address: &str, has_credentials: bool) -> Result<(String, u16), Invalid> {
    if address.is_empty() {
        return Err(if has_credentials {
            "lacks the host after the @, as in redis://:PASSWORD@redis.example.com:6379"
        } else {
            FORM
        }
        .into());
    }
    if address.contains(',') {
        return Err(
            "must name one host: several are not supported, name the primary (a Service or DNS name \
                    that follows it)"
                .into(),
        );
    }
    let bad = || {
        Invalid::from(if has_credentials {
            "must name a host, and a port from 1 to 65535, as in redis://:PASSWORD@redis.example.com:6379"
        } else {
            "must name a host, and a port from 1 to 65535, as in redis://redis.example.com:6379; a password \
             stands before the host, as in redis://:PASSWORD@redis.example.com:6379, and / ? # @ % in it are \
             percent-encoded (%2F, %3F, %23, %40, %25)"
        })
    };
    // The library's parser of hosts is lenient with schemes that it does not know, and strict with these.
    let url = Url::parse(&format!("http://{address}")).map_err(|_| bad())?;
    let is_ip6 = address.starts_with('[');
    let (name, port) = match address.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        Some(_) | None => (address, None),
    };
    let is_name = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
    if !is_ip6 && !name.bytes().all(is_name) {
        return Err(bad());
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => digits(port).filter(|port| *port != 0).ok_or_else(bad)?,
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    if ["0.0.0.0", "::"].contains(&&*host) {
        return Err("names no host: 0.0.0.0 and [::] are addresses to listen on".into());
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> RedisUrl {
        RedisUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refused(text: &str, fix: &str) {
        let sentence = RedisUrl::parse(text).expect_err(text).sentence;
        assert!(sentence.contains(fix), "{text}: {sentence:?} does not say {fix:?}");
        assert!(!sentence.contains("canary"), "{text}: {sentence}");
    }

    #[test]
    fn each_part_is_where_it_belongs() {
        for (text, address, user, password, database) in [
            ("redis://redis", "redis:6379", None, None, 0),
            ("REDISS://redis:6380/", "redis:6380", None, None, 0),
            ("redis://10.0.0.1:7000/15", "10.0.0.1:7000", None, None, 15),
            (
                "redis://my_redis-0.ns.svc.cluster.local./2/",
                "my_redis-0.ns.svc.cluster.local.:6379",
                None,
                None,
                2,
            ),
            ("redis://[::1]:7000", "[::1]:7000", None, None, 0),
            ("rediss://[fe80::1]", "[fe80::1]:6379", None, None, 0),
            ("redis://:secret@redis", "redis:6379", None, Some("secret"), 0),
            ("redis://me:a:b@redis", "redis:6379", Some("me"), Some("a:b"), 0),
            (
                "redis://m%40e:%2F%3F%23%40%25%3A%20ä@redis".replace('ä', "%C3%A4").leak(),
                "redis:6379",
                Some("m@e"),
                Some("/?#@%: ä"),
                0,
            ),
            (
                "redis://:pa$$w+rd!^*()&=~@redis/1?protocol=resp3",
                "redis:6379",
                None,
                Some("pa$$w+rd!^*()&=~"),
                1,
            ),
        ] {
            let url = parsed(text);
            assert_eq!(url.to_string(), address, "{text}");
            assert_eq!(url.user.as_deref(), user, "{text}");
            assert_eq!(url.password.as_ref().map(|password| password.expose_secret()), password, "{text}");
            assert_eq!(url.database, database, "{text}");
        }
        assert!(parsed("rediss://a").is_tls && !parsed("redis://a").is_tls);
        assert_eq!(parsed("redis://a?protocol=3").protocol, ProtocolVersion::RESP3);
    }

    #[test]
    fn a_password_that_is_not_percent_encoded_is_refused_with_the_fix() {
        for text in [
            "redis://:can@ary@redis:6379",
            "redis://:canary/x@redis:6379",
            "redis://:canary?x@redis:6379",
            "redis://:canary#x@redis:6379",
            "redis://user:12/canary@redis:6379/0",
            "redis://user:#canary@redis",
            "redis://canary/@redis",
            "redis://:canary%@redis",
            "redis://:canary%4@redis",
            "redis://:canary%zz@redis",
            "redis://:canary%ff@redis",
            "redis://:canary#@redis",
        ] {
            refused(text, "percent-encode");
        }
        refused("redis://:canary/x", "%2F");
    }

    #[test]
    fn what_would_fail_later_is_refused_at_once() {
        for (text, fix) in [
            ("redis", "redis or rediss URL"),
            ("redis://", "redis or rediss URL"),
            ("http://redis:6379", "redis or rediss URL"),
            ("valkey://redis:6379", "redis or rediss URL"),
            ("redis+sentinel://redis:26379/mymaster/0", "name the primary"),
            ("unix:///run/redis.sock", "a Unix socket is not supported"),
            ("redis://a:6379,b:6379", "must name one host"),
            ("redis://:canary@", "lacks the host"),
            ("redis://:canary@:6379", "must name a host"),
            ("redis://canary@redis:6379", "redis://:PASSWORD@"),
            ("redis://canary:@redis:6379", "redis://:PASSWORD@"),
            ("redis://redis:", "a port from 1 to 65535"),
            ("redis://redis:0", "a port from 1 to 65535"),
            ("redis://redis:65536", "a port from 1 to 65535"),
            ("redis://redis:port", "a port from 1 to 65535"),
            ("redis://re dis", "must name a host"),
            ("redis://[::1", "must name a host"),
            ("redis://re%20dis", "must name a host"),
            ("redis://0.0.0.0:6379", "addresses to listen on"),
            ("redis://[::]:6379", "addresses to listen on"),
            ("redis://redis/mine", "the number of a database"),
            ("redis://redis/-1", "the number of a database"),
            ("redis://redis/+1", "the number of a database"),
            ("redis://redis/1.5", "the number of a database"),
            ("redis://redis/2147483648", "the number of a database"),
            ("redis://redis/0/1", "the number of a database"),
            ("redis://redis//", "the number of a database"),
            ("redis://redis?db=1", "must not have a query"),
            ("rediss://redis?ssl_cert_reqs=none", "must not have a query"),
            ("redis://redis?protocol=4", "must not have a query"),
            ("rediss://redis#insecure", "HCS_REDIS_CA_FILE"),
            ("rediss://redis:6379/0#insecure", "HCS_REDIS_CA_FILE"),
            ("redis://redis#", "must not have a fragment"),
        ] {
            refused(text, fix);
        }
    }

    #[test]
    fn it_prints_no_password() {
        let url = parsed("redis://canary-user:canary@redis");
        assert!(!format!("{url:?} {url}").contains("canary"));
    }
}
