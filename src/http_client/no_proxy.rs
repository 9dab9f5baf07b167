//! The hosts that are reached without the egress proxy.
//!
//! Own code, because `reqwest::NoProxy` knows no ports and accepts any text, and some hosts never use the proxy.

use std::net::IpAddr;

use ipnet::IpNet;
use reqwest::Url;

use crate::domain::Invalid;

/// The hosts that are reached without the proxy: the listed ones, and those that only the cluster or the machine
/// can resolve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    /// Only this port, if there is one.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    /// All names below this one, and this name itself unless `is_below`.
    Domain {
        name: String,
        is_below: bool,
    },
    Network(IpNet),
}

const ENTRY: &str = "must be hosts separated by commas: a name and those below it (example.com), only those below it \
                     (.example.com), an address (10.0.0.1, [::1]) or a network (10.0.0.0/8), each but the last with \
                     a port if only that is meant (example.com:8443)";

impl NoProxy {
    /// Parses entries such as `example.com,.example.org:8443,10.0.0.0/8`.
    ///
    /// # Errors
    /// [`Invalid`] if one of them is no host.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let entries: Option<_> = text.split(',').map(|entry| Entry::parse(entry.trim())).collect();
        entries.map(Self).ok_or_else(|| Invalid::from(ENTRY))
    }

    /// Whether a URL is reached without the proxy.
    pub fn covers(&self, url: &Url) -> bool {
        let (Some(host), port) = (url.host_str().and_then(Host::parse), url.port_or_known_default()) else {
            return false;
        };
        host.is_internal() || self.0.iter().any(|entry| entry.covers(&host, port))
    }
}

/// The host of a URL.
enum Host {
    Name(String),
    Address(IpAddr),
}

impl Host {
    /// Reads a host as a URL has it: in lower case, in Punycode, addresses in their usual form.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        name.split('.').all(is_label).then(|| Self::Name(name.to_ascii_lowercase()))
    }

    /// Whether only the cluster or the machine can resolve it. Loopback may also be plain http.
    fn is_internal(&self) -> bool {
        match self {
            Self::Name(name) => {
                !name.contains('.') || [".svc", ".cluster.local"].iter().any(|suffix| name.ends_with(suffix))
            }
            Self::Address(address) => address.is_loopback(),
        }
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if let Some((address, bits)) = text.split_once('/') {
            let bits = bits.parse().ok().filter(|_| bits.bytes().all(|b| b.is_ascii_digit()))?;
            let network = IpNet::new(address.parse::<IpAddr>().ok()?.to_canonical(), bits).ok()?;
            return Some(Self { hosts: Hosts::Network(network), port: None });
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self { hosts: Hosts::Network(address.to_canonical().into()), port: None });
        }
        let (is_below, text) = match text.strip_prefix('.') {
            Some(name) => (true, name),
            None => (false, text),
        };
        // Parsed like the host of a URL, so that both have the same form.
        if text.contains(['@', '?', '#', '\\']) {
            return None;
        }
        let url = Url::parse(&format!("any://{text}")).ok().filter(|url| url.path().is_empty())?;
        let special = Url::parse(&format!("http://{}", url.host_str()?)).ok()?;
        let hosts = match (Host::parse(special.host_str()?)?, is_below) {
            (Host::Name(name), is_below) => Hosts::Domain { name, is_below },
            (Host::Address(address), false) => Hosts::Network(address.into()),
            (Host::Address(_), true) => return None,
        };
        Some(Self { hosts, port: url.port() })
    }

    fn covers(&self, host: &Host, port: Option<u16>) -> bool {
        if self.port.is_some() && self.port != port {
            return false;
        }
        match (&self.hosts, host) {
            (Hosts::Domain { name: domain, is_below }, Host::Name(name)) => {
                let rest = name.strip_suffix(&**domain);
                rest.is_some_and(|rest| rest.ends_with('.') || (rest.is_empty() && !is_below))
            }
            (Hosts::Network(network), Host::Address(address)) => network.contains(address),
            (Hosts::Domain { .. }, Host::Address(_)) | (Hosts::Network(..), Host::Name(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(list: &str, url: &str) -> bool {
        NoProxy::parse(list).unwrap().covers(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_name_stands_for_itself_and_those_below_it_and_one_with_a_dot_before_it_for_the_latter() {
        for (list, url, is_covered) in [
            ("example.com", "https://example.com/a", true),
            ("example.com", "https://keys.example.com", true),
            ("example.com", "https://notexample.com", false),
            ("example.com", "https://example.com.evil.net", false),
            (".example.com", "https://a.keys.example.com", true),
            (".example.com", "https://example.com", false),
            ("EXAMPLE.com.", "https://Keys.Example.COM.", true),
            ("münchen.example", "https://xn--mnchen-3ya.example", true),
            ("other.net, example.com", "https://example.com", true),
            ("example.com:8443", "https://example.com:8443", true),
            ("example.com:8443", "https://example.com", false),
            ("example.com:443", "https://example.com", true),
            ("example.com:80", "http://example.com", true),
        ] {
            assert_eq!(covers(list, url), is_covered, "{list} {url}");
        }
    }

    #[test]
    fn addresses_are_compared_as_numbers() {
        for (list, url, is_covered) in [
            ("10.1.2.3", "http://10.1.2.3:8080", true),
            ("10.1.2.3", "http://10.1.2.30", false),
            ("10.1.2.3:80", "http://10.1.2.3:8080", false),
            ("10.0.0.0/8", "http://10.1.2.3", true),
            ("10.0.0.0/8", "http://11.1.2.3", false),
            ("0.0.0.0/0", "http://11.1.2.3", true),
            ("0.0.0.0/0", "http://[2001:db8::1]", false),
            ("2001:db8::1", "http://[2001:db8::1]:8080", true),
            ("[2001:db8::1]:8080", "http://[2001:db8::1]:8080", true),
            ("[2001:db8::1]:8080", "http://[2001:db8::1]", false),
            ("2001:db8::/32", "http://[2001:db8:1::1]", true),
            ("10.0.0.0/8", "http://[::ffff:10.1.2.3]", true),
            ("10.0.0.0/8", "http://10.example.com", false),
        ] {
            assert_eq!(covers(list, url), is_covered, "{list} {url}");
        }
    }

    #[test]
    fn no_proxy_outside_is_asked_for_a_name_of_the_cluster_or_for_loopback() {
        for (url, is_covered) in [
            ("http://keys/jwks", true),
            ("http://localhost:8080", true),
            ("http://keys.auth.svc", true),
            ("http://keys.auth.svc./jwks", true),
            ("https://kubernetes.default.svc.cluster.local/openid/v1/jwks", true),
            ("https://keys.auth", false),
            ("https://svc.example.com", false),
            ("https://cluster.local.example.com", false),
            ("http://127.0.0.1", true),
            ("http://127.1.2.3:8080", true),
            ("http://2130706433", true),
            ("http://[::1]:8080", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://10.0.0.1", false),
            ("http://[2001:db8::1]", false),
        ] {
            assert_eq!(NoProxy::default().covers(&Url::parse(url).unwrap()), is_covered, "{url}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for list in [
            "",
            ",",
            "a,,b",
            "example.com,",
            "*",
            "*.example.com",
            "http://example.com",
            "example.com/path",
            "user@example.com",
            "example.com?a",
            "a b",
            "example.com:0x1",
            "example.com:99999",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::/129",
            "..example.com",
            ".10.0.0.1",
            ".",
            "[::1",
            "a=b",
        ] {
            assert!(NoProxy::parse(list).is_err(), "{list:?}");
        }
    }
}
