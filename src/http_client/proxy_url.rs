//! The URL of the egress proxy, which may hold a password.

use std::fmt;

use reqwest::Url;

use crate::domain::Invalid;

/// The URL of the egress proxy. It prints without its user name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl(Url);

impl ProxyUrl {
    /// Parses the URL of a proxy.
    ///
    /// # Errors
    /// [`Invalid`] unless it is an http or https URL of a host. The text is not repeated: it may hold a password.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let form = || Invalid::from("must be an http or https URL, as in http://proxy.example.com:3128");
        let (_, rest) = text.split_once("://").ok_or_else(form)?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
        // A URL parser would take the start of such a password for the host.
        if tail.contains('@') || authority.matches('@').count() > 1 {
            return Err(
                "holds a / ? # \\ or @ in the user name or the password: percent-encode it (%2F for /, %3F \
                        for ?, %23 for #, %5C for \\, %40 for @, %25 for %)"
                    .into(),
            );
        }
        if !matches!(tail, "" | "/") {
            return Err(
                "must have nothing after the host and the port, as in http://proxy.example.com:3128; where \
                        a / ? # or \\ belongs to the password, percent-encode it (%2F, %3F, %23, %5C)"
                    .into(),
            );
        }
        Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .map(Self)
            .ok_or_else(form)
    }

    /// The whole URL, with the password.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(url) = self;
        let has_user = !url.username().is_empty() || url.password().is_some();
        let user = if has_user { "[redacted]@" } else { "" };
        write!(f, "{}://{user}{}", url.scheme(), url.host_str().unwrap_or_default())?;
        url.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_reached_over_http_or_https() {
        for url in ["http://proxy:3128", "https://user:canary@proxy.example.com"] {
            assert!(ProxyUrl::parse(url).is_ok(), "{url}");
        }
        for url in ["proxy:3128", "socks5://proxy:1080", "http://", ""] {
            let Invalid { sentence, .. } = ProxyUrl::parse(url).unwrap_err();
            assert!(sentence.contains("http://proxy.example.com:3128"), "{url}: {sentence}");
        }
    }

    #[test]
    fn a_password_that_is_not_percent_encoded_is_refused_with_the_fix() {
        for url in [
            "http://user:12/canary@proxy:3128",
            "http://user:#canary@proxy:3128",
            "http://user:canary?x@proxy:3128",
            "http://user:can#ary@proxy",
            "http://user:1\\canary@proxy:3128",
            "http://user:can@ary@proxy:3128",
            "http://user@canary:12/x",
            "http://proxy:3128/canary",
            "http://proxy:3128/?canary",
            "http://proxy:3128?",
            "http://proxy:3128#canary",
        ] {
            let Invalid { sentence, .. } = ProxyUrl::parse(url).unwrap_err();
            assert!(sentence.contains("percent-encode it (%2F"), "{url}: {sentence}");
            assert!(!sentence.contains("canary"), "{url}: {sentence}");
        }
        let proxy = ProxyUrl::parse("http://user:12%2Fcan%23ary@proxy:3128").unwrap();
        assert_eq!(proxy.to_string(), "http://[redacted]@proxy:3128");
    }

    #[test]
    fn its_password_is_never_printed() {
        let proxy = ProxyUrl::parse("http://user:canary@proxy:3128/").unwrap();
        assert_eq!(proxy.to_string(), "http://[redacted]@proxy:3128");
        assert_eq!(format!("{proxy:?}"), "http://[redacted]@proxy:3128");
        assert_eq!(ProxyUrl::parse("https://proxy").unwrap().to_string(), "https://proxy");
        assert_eq!(proxy.expose().password(), Some("canary"));
    }
}
