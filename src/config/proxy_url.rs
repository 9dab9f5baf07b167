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
    /// [`Invalid`] unless it is an http or https URL.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Self(url)),
            Ok(_) | Err(_) => {
                Err(Invalid::from("must be an http or https URL, as in http://proxy.example.com:3128"))
            }
        }
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
    fn its_password_is_never_printed() {
        let proxy = ProxyUrl::parse("http://user:canary@proxy:3128/").unwrap();
        assert_eq!(proxy.to_string(), "http://[redacted]@proxy:3128");
        assert_eq!(format!("{proxy:?}"), "http://[redacted]@proxy:3128");
        assert_eq!(ProxyUrl::parse("https://proxy").unwrap().to_string(), "https://proxy");
        assert_eq!(proxy.expose().password(), Some("canary"));
    }
}
