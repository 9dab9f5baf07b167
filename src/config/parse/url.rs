//! The URLs of servers.

use std::net::IpAddr;

use reqwest::Url;

use crate::domain::Invalid;

/// The URL of a server, without credentials and parameters.
pub(in crate::config) fn url(text: &str) -> Result<Url, Invalid> {
    let form = "must be an https URL, as in https://platform.adobe.io/data";
    server_url(text, form, "must not hold a user name or password")
}

/// The same with these errors.
pub(in crate::config) fn server_url(text: &str, form: &str, no_user: &str) -> Result<Url, Invalid> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or(form)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(no_user.into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not hold a query (?) or a fragment (#)".into());
    }
    Ok(url)
}

/// Whether the network can read and change what is sent to this URL: plain http beyond loopback.
pub(in crate::config) fn is_exposed(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    url.scheme() == "http" && !is_loopback
}

/// The path of the Flow Service below the base of Adobe's services.
const FLOW_SERVICE: &str = "/data/foundation/flowservice";

/// The base URL of the Flow Service, without a slash at its end, so that routes can be appended.
pub(in crate::config) fn flow_service_url(text: &str) -> Result<Url, Invalid> {
    url_with_path(text, FLOW_SERVICE, ".adobe.io")
}

/// The base URL of Adobe's services, below which they have their paths. Its path has no slash at its end, unless it is
/// the root.
pub(in crate::config) fn platform_url(text: &str) -> Result<Url, Invalid> {
    const OF_SERVICE: &str =
        "must not have the path of a service: delete /data and what follows, which this service adds itself";
    let at_adobe = (".adobe.io", "must have no path at Adobe: delete what follows the host");
    base_url(url(text)?, ("/data/foundation", OF_SERVICE), at_adobe)
}

/// The base URL of HubSpot. Its path has no slash at its end, unless it is the root.
pub(in crate::config) fn hubspot_url(text: &str) -> Result<Url, Invalid> {
    let form = "must be an https URL, as in https://api.hubapi.com";
    const OF_ENDPOINT: &str = "must not have the path of an endpoint: delete /oauth and what follows, which this service adds itself";
    let url = server_url(text, form, "must not hold a user name or password")?;
    let at_hubspot = (".hubapi.com", "must have no path at HubSpot: delete what follows the host");
    base_url(url, ("/oauth", OF_ENDPOINT), at_hubspot)
}

/// A base URL: without the path of what is below it, and without any at the host of its owner. Each comes with the error.
fn base_url(
    mut url: Url,
    (below, has_path_below): (&str, &'static str),
    (owner, has_path): (&str, &'static str),
) -> Result<Url, Invalid> {
    let path = url.path().trim_end_matches('/').to_owned();
    if path.contains(below) {
        return Err(has_path_below.into());
    }
    if !path.is_empty() && url.host_str().is_some_and(|host| host.ends_with(owner)) {
        return Err(has_path.into());
    }
    url.set_path(&path);
    Ok(url)
}

/// The base of the services beside this Flow Service.
pub(in crate::config) fn before_flow_service(flow_service: &Url) -> String {
    let url = flow_service.as_str();
    url.strip_suffix(FLOW_SERVICE).unwrap_or(url).to_owned()
}

/// The Flow Service below this base.
pub(in crate::config) fn flow_service_below(platform: &Url) -> String {
    format!("{}{FLOW_SERVICE}", platform.as_str().trim_end_matches('/'))
}

/// The URL of the token endpoint of IMS.
pub(in crate::config) fn ims_url(text: &str) -> Result<Url, Invalid> {
    url_with_path(text, "/ims/token/v3", ".adobelogin.com")
}

/// A URL that ends in a path of Adobe, without a slash after it. A reverse proxy may have a prefix before the
/// path; hosts below `adobe`, a domain of Adobe, have none. Without this check a wrong path would show only when
/// each call fails.
fn url_with_path(text: &str, path: &str, adobe: &str) -> Result<Url, Invalid> {
    let mut url = url(text)?;
    let given = url.path().trim_end_matches('/').to_owned();
    let is_adobe = url.host_str().is_some_and(|host| host.ends_with(adobe));
    let problem = match given.rsplit_once(path) {
        Some((prefix, "")) if prefix.is_empty() || !is_adobe => {
            url.set_path(&given);
            return Ok(url);
        }
        Some((_, "")) => format!("must have the path {path} at Adobe: delete what is before it"),
        Some((_, rest)) if rest.starts_with('/') => {
            format!("must end in {path}: delete what follows, which this service adds itself")
        }
        _ if given.is_empty() => format!("must have a path: add {path} to its end"),
        _ => format!("must end in {path}, after the prefix of a reverse proxy if there is one"),
    };
    Err(problem.into())
}

#[cfg(test)]
mod tests {
    use super::{super::testing::refused, *};

    #[test]
    fn a_url_is_bare() {
        refused(url("platform.adobe.io/data"), "must be an https URL");
        refused(url("ftp://platform.adobe.io"), "must be an https URL");
        refused(url("https://"), "must be an https URL");
        refused(url("https://me:canary@platform.adobe.io"), "user name or password");
        refused(url("https://platform.adobe.io?a=b"), "query");
        refused(url("https://platform.adobe.io#a"), "fragment");
    }

    #[test]
    fn plain_http_is_for_loopback_unless_it_is_asked_for() {
        let is_exposed = |scheme, host| is_exposed(&url(&format!("{scheme}://{host}/x")).unwrap());
        for host in ["127.0.0.1:8080", "127.8.9.1", "[::1]:8080", "localhost", "LOCALHOST"] {
            assert!(!is_exposed("http", host), "{host}");
        }
        for host in ["emulator", "10.0.0.1", "127.0.0.1.example.com", "localhost.example.com", "[::2]"] {
            assert!(is_exposed("http", host) && !is_exposed("https", host), "{host}");
        }
    }

    #[test]
    fn the_base_of_adobes_services_has_none_of_their_paths() {
        for (url, read) in [
            ("https://platform.adobe.io", "https://platform.adobe.io/"),
            ("https://platform.adobe.io/", "https://platform.adobe.io/"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("https://proxy.example.com/adobe/", "https://proxy.example.com/adobe"),
        ] {
            let base = platform_url(url).unwrap();
            assert_eq!(base.as_str(), read);
            let flow_service = flow_service_url(&flow_service_below(&base)).unwrap();
            assert_eq!(platform_url(&before_flow_service(&flow_service)), Ok(base));
        }
        for (url, cure) in [
            ("https://platform.adobe.io/data/foundation/flowservice", "delete /data"),
            ("https://platform.adobe.io/data", "delete what follows the host"),
            ("https://proxy.example.com/adobe/data/foundation", "delete /data"),
            ("https://platform.adobe.io/x", "delete what follows the host"),
            ("platform.adobe.io", "must be an https URL"),
            ("https://me:canary@platform.adobe.io", "user name or password"),
        ] {
            refused(platform_url(url), cure);
        }
    }

    #[test]
    fn the_urls_of_adobe_end_in_the_paths_of_adobe() {
        let flow_service = flow_service_url;
        for (url, read) in [
            ("https://platform.adobe.io/data/foundation/flowservice", None),
            ("https://platform-stage.adobe.io/data/foundation/flowservice", None),
            (
                "https://platform.adobe.io/data/foundation/flowservice/",
                Some("https://platform.adobe.io/data/foundation/flowservice"),
            ),
            ("http://127.0.0.1:8080/data/foundation/flowservice", None),
            ("https://proxy.example.com/adobe/data/foundation/flowservice", None),
        ] {
            assert_eq!(flow_service(url).unwrap().as_str(), read.unwrap_or(url));
        }
        for (url, cure) in [
            ("https://platform.adobe.io", "add /data/foundation/flowservice"),
            ("https://platform.adobe.io/", "add /data/foundation/flowservice"),
            ("http://127.0.0.1:8080", "add /data/foundation/flowservice"),
            ("https://platform.adobe.io/data", "must end in /data/foundation/flowservice"),
            ("https://platform.adobe.io/data/foundation", "must end in /data/foundation/flowservice"),
            ("https://platform.adobe.io/flowservice", "must end in /data/foundation/flowservice"),
            ("https://platform.adobe.io/DATA/foundation/flowservice", "must end in"),
            ("https://platform.adobe.io/data//foundation/flowservice", "must end in"),
            ("https://platform.adobe.io/data/foundation/flowservices", "must end in"),
            ("https://platform.adobe.io/data/foundation/flowservice/connections", "delete what follows"),
            ("https://platform.adobe.io/data/foundation/flowservice/connections/", "delete what follows"),
            ("https://proxy.example.com/x/data/foundation/flowservice/flows", "delete what follows"),
            ("https://platform.adobe.io/adobe/data/foundation/flowservice", "delete what is before it"),
            ("https://platform.adobe.io//data/foundation/flowservice", "delete what is before it"),
            ("https://ims-na1.adobelogin.com/ims/token/v3", "must end in /data/foundation/flowservice"),
            ("https://platform.adobe.io/data/foundation/flowservice?", "query"),
            ("https://platform.adobe.io/data/foundation/flowservice#", "fragment"),
        ] {
            refused(flow_service(url), cure);
        }
        let ims = ims_url;
        for url in [
            "https://ims-na1.adobelogin.com/ims/token/v3",
            "https://ims-na1.adobelogin.com/ims/token/v3/",
            "http://127.0.0.1:8080/ims/token/v3",
            "https://proxy.example.com/adobe/ims/token/v3",
        ] {
            assert_eq!(ims(url).unwrap().as_str(), url.trim_end_matches('/'));
        }
        for (url, cure) in [
            ("https://ims-na1.adobelogin.com", "add /ims/token/v3"),
            ("https://ims-na1.adobelogin.com/", "add /ims/token/v3"),
            ("https://ims-na1.adobelogin.com/ims", "must end in /ims/token/v3"),
            ("https://ims-na1.adobelogin.com/ims/token", "must end in /ims/token/v3"),
            ("https://ims-na1.adobelogin.com/ims/token/v1", "must end in /ims/token/v3"),
            ("https://ims-na1.adobelogin.com/ims/exchange/jwt", "must end in /ims/token/v3"),
            ("https://ims-na1.adobelogin.com/ims/token/v3/x", "delete what follows"),
            ("https://ims-na1.adobelogin.com/x/ims/token/v3", "delete what is before it"),
            ("https://platform.adobe.io/data/foundation/flowservice", "must end in /ims/token/v3"),
        ] {
            refused(ims(url), cure);
        }
    }
}
