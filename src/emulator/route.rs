//! The routes, as one table: what can be called is what a fault can name.

use std::{fmt, str::FromStr};

use http::Method;
use serde::Deserialize;

/// The path under which the Flow Service routes live.
pub const BASE_PATH: &str = "/data/foundation/flowservice";

/// The path of the IMS token endpoint.
pub const IMS_PATH: &str = "/ims/token/v3";

/// One emulated route, written `METHOD /path` with the path relative to the Flow Service's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Route {
    /// `POST /ims/token/v3`
    IssueToken,
    /// `POST /connections`
    CreateConnection,
    /// `GET /connections`
    ListConnections,
    /// `GET /connections/{id}`
    GetConnection,
    /// `PATCH /connections/{id}`
    UpdateConnection,
    /// `DELETE /connections/{id}`
    DeleteConnection,
    /// `GET /connections/{id}/test`
    TestConnection,
    /// `GET /connections/{id}/explore`
    ExploreConnection,
    /// `GET /connectionSpecs`
    ListConnectionSpecs,
    /// `GET /connectionSpecs/{id}`
    GetConnectionSpec,
}

/// The route that a request is for, with the ID in its path where the route has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matched<'a> {
    pub(super) route: Route,
    pub(super) id: &'a str,
}

/// A route that is not emulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown route {0:?}, the known ones are {known}", known = Route::ALL.map(Route::as_str).join(", "))]
pub struct UnknownRoute(String);

impl Route {
    /// Every route.
    pub const ALL: [Self; 10] = [
        Self::IssueToken,
        Self::CreateConnection,
        Self::ListConnections,
        Self::GetConnection,
        Self::UpdateConnection,
        Self::DeleteConnection,
        Self::TestConnection,
        Self::ExploreConnection,
        Self::ListConnectionSpecs,
        Self::GetConnectionSpec,
    ];

    /// The route as faults name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IssueToken => "POST /ims/token/v3",
            Self::CreateConnection => "POST /connections",
            Self::ListConnections => "GET /connections",
            Self::GetConnection => "GET /connections/{id}",
            Self::UpdateConnection => "PATCH /connections/{id}",
            Self::DeleteConnection => "DELETE /connections/{id}",
            Self::TestConnection => "GET /connections/{id}/test",
            Self::ExploreConnection => "GET /connections/{id}/explore",
            Self::ListConnectionSpecs => "GET /connectionSpecs",
            Self::GetConnectionSpec => "GET /connectionSpecs/{id}",
        }
    }

    /// Finds the route of a request; a trailing slash makes no difference.
    pub(super) fn find<'a>(method: &Method, path: &'a str) -> Option<Matched<'a>> {
        Self::ALL.into_iter().find_map(|route| Some(Matched { route, id: route.capture(method, path)? }))
    }

    /// The ID in a path of this route, empty where the route has none.
    fn capture<'a>(self, method: &Method, path: &'a str) -> Option<&'a str> {
        let (verb, template) = self.as_str().split_once(' ')?;
        if method.as_str() != verb {
            return None;
        }
        let path = if self == Self::IssueToken { path } else { path.strip_prefix(BASE_PATH)? };
        let path = path.strip_suffix('/').unwrap_or(path);
        if template.split('/').count() != path.split('/').count() {
            return None;
        }
        let mut id = "";
        for (expected, found) in template.split('/').zip(path.split('/')) {
            if expected == "{id}" && !found.is_empty() {
                id = found;
            } else if expected != found {
                return None;
            }
        }
        Some(id)
    }
}

impl FromStr for Route {
    type Err = UnknownRoute;

    fn from_str(text: &str) -> Result<Self, UnknownRoute> {
        let named = |route: &Self| route.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or_else(|| UnknownRoute(text.to_owned()))
    }
}

impl TryFrom<String> for Route {
    type Error = UnknownRoute;

    fn try_from(text: String) -> Result<Self, UnknownRoute> {
        text.parse()
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: Method, path: &str) -> Option<(Route, &str)> {
        Route::find(&method, path).map(|matched| (matched.route, matched.id))
    }

    #[test]
    fn a_request_finds_its_route_and_id() {
        assert_eq!(find(Method::POST, "/ims/token/v3"), Some((Route::IssueToken, "")));
        assert_eq!(
            find(Method::POST, "/data/foundation/flowservice/connections"),
            Some((Route::CreateConnection, ""))
        );
        assert_eq!(
            find(Method::GET, "/data/foundation/flowservice/connections/"),
            Some((Route::ListConnections, ""))
        );
        for (method, path, route) in [
            (Method::GET, "/connections/a-1", Route::GetConnection),
            (Method::PATCH, "/connections/a-1", Route::UpdateConnection),
            (Method::DELETE, "/connections/a-1", Route::DeleteConnection),
            (Method::GET, "/connections/a-1/test", Route::TestConnection),
            (Method::GET, "/connections/a-1/explore", Route::ExploreConnection),
            (Method::GET, "/connectionSpecs/a-1", Route::GetConnectionSpec),
        ] {
            for slash in ["", "/"] {
                let path = format!("{BASE_PATH}{path}{slash}");
                assert_eq!(find(method.clone(), &path), Some((route, "a-1")), "{path}");
            }
        }
    }

    #[test]
    fn everything_else_is_no_route() {
        for (method, path) in [
            (Method::GET, "/ims/token/v3"),
            (Method::POST, "/connections"),
            (Method::PUT, "/data/foundation/flowservice/connections"),
            (Method::GET, "/data/foundation/flowservice"),
            (Method::GET, "/data/foundation/flowserviceconnections"),
            (Method::GET, "/data/foundation/flowservice/connections//"),
            (Method::GET, "/data/foundation/flowservice/connections/a/b"),
            (Method::GET, "/data/foundation/flowservice/connections//test"),
            (Method::DELETE, "/data/foundation/flowservice/connections/a/test"),
            (Method::PATCH, "/data/foundation/flowservice/connections"),
            (Method::GET, "/data/foundation/flowservice/flows"),
        ] {
            assert_eq!(find(method, path), None, "{path}");
        }
    }

    #[test]
    fn a_route_is_named_as_it_is_written() {
        for route in Route::ALL {
            assert_eq!(route.as_str().parse(), Ok(route));
        }
        let unknown = "POST /flows".parse::<Route>().unwrap_err().to_string();
        assert!(unknown.contains("POST /flows") && unknown.contains("GET /connections/{id}"), "{unknown}");
    }
}
