//! The routes of every emulated service. What can be called is what a fault can name.

use std::{fmt, str::FromStr};

use http::Method;
use serde::{Deserialize, Deserializer, de};

use super::{
    catalog, connection_specs, connections, data_prep, flow_specs, flows, gateway::Tenant, hubspot, ims,
    problem::Problem, received::ReceivedRequest, reply::Reply, runs, schema_registry, source_connections,
    state::State, target_connections,
};

/// The path under which the Flow Service routes live.
pub const BASE_PATH: &str = "/data/foundation/flowservice";

/// The path under which the routes of all services live, but IMS's.
pub(super) const PLATFORM_PATH: &str = "/data/foundation";

/// The path of the IMS token endpoint.
pub const IMS_PATH: &str = "/ims/token/v3";

/// What the paths of some routes begin with, and these routes. The Flow Service's routes are named by the
/// rest of their path, those of all other services by their full path.
type Group = (&'static str, &'static [Endpoint]);

const GROUPS: &[Group] = &[
    ("", ims::ROUTES),
    ("", hubspot::ROUTES),
    (BASE_PATH, connections::ROUTES),
    (BASE_PATH, connection_specs::ROUTES),
    (BASE_PATH, source_connections::ROUTES),
    (BASE_PATH, target_connections::ROUTES),
    (BASE_PATH, flow_specs::ROUTES),
    (BASE_PATH, flows::ROUTES),
    (BASE_PATH, runs::ROUTES),
    ("", schema_registry::ROUTES),
    ("", catalog::ROUTES),
    ("", data_prep::ROUTES),
];

/// A route by its name: `POST /connections`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route(pub(super) &'static str);

/// A route and the function that handles its requests.
#[derive(Debug)]
pub(super) struct Endpoint {
    route: Route,
    pub(super) handler: Handler,
}

/// A function that handles requests.
#[derive(Clone, Copy, Debug)]
pub(super) enum Handler {
    /// Behind the gateway, for requests about one tenant's resources.
    Tenant(fn(&Call<'_>, &mut State) -> Result<Reply, Problem>),
    /// Open to everyone.
    Open(fn(&ReceivedRequest, &mut State) -> Result<Reply, Problem>),
}

/// A request that the gateway has admitted.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) request: &'a ReceivedRequest,
    /// The id in the path as it was sent, so perhaps percent-encoded; empty where the route has none.
    pub(super) id: &'a str,
    pub(super) tenant: Tenant,
}

/// The endpoint of a request, with the id in its path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matched<'a> {
    pub(super) endpoint: &'static Endpoint,
    pub(super) id: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown route {name:?}, the known ones are {known}")]
pub struct UnknownRoute {
    name: String,
    known: String,
}

impl Route {
    /// Every route.
    pub fn all() -> impl Iterator<Item = Self> {
        GROUPS.iter().flat_map(|(_, endpoints)| *endpoints).map(|endpoint| endpoint.route)
    }

    /// Whether it is one of the Schema Registry, the Catalog or Data Prep.
    pub(super) fn is_of_sibling(self) -> bool {
        self.0.contains(" /data/")
    }
}

impl Endpoint {
    pub(super) const fn tenant(
        name: &'static str,
        handle: fn(&Call<'_>, &mut State) -> Result<Reply, Problem>,
    ) -> Self {
        Self { route: Route(name), handler: Handler::Tenant(handle) }
    }

    pub(super) const fn open(
        name: &'static str,
        handle: fn(&ReceivedRequest, &mut State) -> Result<Reply, Problem>,
    ) -> Self {
        Self { route: Route(name), handler: Handler::Open(handle) }
    }
}

impl Matched<'_> {
    pub(super) fn route(self) -> Route {
        self.endpoint.route
    }
}

/// Finds the endpoint of a request; a trailing slash makes no difference.
pub(super) fn find<'a>(method: &Method, path: &'a str) -> Option<Matched<'a>> {
    GROUPS.iter().find_map(|(base, endpoints)| {
        let path = path.strip_prefix(base)?;
        let matched = |endpoint| Some(Matched { endpoint, id: id_in(method, path, endpoint.route.0)? });
        endpoints.iter().find_map(matched)
    })
}

/// The id in a path, empty where the route has none. `None` for another route's path.
fn id_in<'a>(method: &Method, path: &'a str, route: &str) -> Option<&'a str> {
    let (verb, template) = route.split_once(' ')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if method.as_str() != verb || template.split('/').count() != path.split('/').count() {
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

impl FromStr for Route {
    type Err = UnknownRoute;

    fn from_str(name: &str) -> Result<Self, UnknownRoute> {
        Self::all().find(|route| route.0 == name).ok_or_else(|| {
            let known: Vec<_> = Self::all().map(|route| route.0).collect();
            UnknownRoute { name: name.to_owned(), known: known.join(", ") }
        })
    }
}

impl<'de> Deserialize<'de> for Route {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: Method, path: &str) -> Option<(&'static str, &str)> {
        super::find(&method, path).map(|matched| (matched.route().0, matched.id))
    }

    #[test]
    fn a_request_finds_its_route_and_id() {
        assert_eq!(find(Method::POST, "/ims/token/v3"), Some(("POST /ims/token/v3", "")));
        for (method, path, route, id) in [
            (Method::POST, "/connections", "POST /connections", ""),
            (Method::GET, "/connections", "GET /connections", ""),
            (Method::GET, "/connections/a-1", "GET /connections/{id}", "a-1"),
            (Method::PATCH, "/connections/a-1", "PATCH /connections/{id}", "a-1"),
            (Method::DELETE, "/connections/a-1", "DELETE /connections/{id}", "a-1"),
            (Method::GET, "/connections/a-1/test", "GET /connections/{id}/test", "a-1"),
            (Method::GET, "/connections/a-1/explore", "GET /connections/{id}/explore", "a-1"),
            (Method::GET, "/connectionSpecs", "GET /connectionSpecs", ""),
            (Method::GET, "/connectionSpecs/a-1", "GET /connectionSpecs/{id}", "a-1"),
            (Method::POST, "/sourceConnections", "POST /sourceConnections", ""),
            (Method::PATCH, "/targetConnections/a-1", "PATCH /targetConnections/{id}", "a-1"),
            (Method::GET, "/flowSpecs", "GET /flowSpecs", ""),
            (Method::POST, "/flows/a-1/action", "POST /flows/{id}/action", "a-1"),
            (Method::GET, "/runs/a-1", "GET /runs/{id}", "a-1"),
        ] {
            for slash in ["", "/"] {
                let path = format!("{BASE_PATH}{path}{slash}");
                assert_eq!(find(method.clone(), &path), Some((route, id)), "{path}");
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
            (Method::GET, "/data/foundation/flowservice/policies"),
            (Method::GET, "/data/foundation/flowservice/flows/a/action"),
            (Method::POST, "/data/foundation/flowservice/runs"),
        ] {
            assert_eq!(find(method, path), None, "{path}");
        }
    }

    #[test]
    fn a_route_is_named_as_it_is_written() {
        for (_, endpoints) in GROUPS {
            for Endpoint { route, .. } in *endpoints {
                assert_eq!(route.to_string().parse(), Ok(*route));
            }
        }
        let unknown = "POST /runs".parse::<Route>().unwrap_err().to_string();
        assert!(unknown.contains("POST /runs") && unknown.contains("GET /connections/{id}"), "{unknown}");
    }

    #[test]
    fn the_routes_of_a_sibling_service_are_named_by_their_full_path() {
        const CREATE: &str = "POST /data/foundation/catalog/dataSets";
        const READ: &str = "GET /data/foundation/schemaregistry/tenant/schemas/{id}";
        assert_eq!(find(Method::POST, "/data/foundation/catalog/dataSets"), Some((CREATE, "")));
        assert_eq!(find(Method::POST, "/data/foundation/flowservice/dataSets"), None);
        let id = "https%3A%2F%2Fns.adobe.com%2Ftenant%2Fschemas%2F1";
        let path = format!("/data/foundation/schemaregistry/tenant/schemas/{id}");
        assert_eq!(find(Method::GET, &path), Some((READ, id)));
        for name in [CREATE, READ, "POST /connections"] {
            assert_eq!(name.parse(), Ok(Route(name)));
        }
        assert!("POST /dataSets".parse::<Route>().is_err());
    }
}
