//! The control routes under `/emulator`, for tests and demos in other processes.

use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::{
    connections, ledger::Ledger, received::ReceivedRequest, reply::Reply, routes::Route, runs, state::State,
};

/// A control route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Method and path.
    pub route: &'static str,
    pub does: &'static str,
    /// An example, in JSON; empty if it has no body.
    pub body: &'static str,
}

/// Every control route.
pub const CONTROLS: &[Control] = &[
    Control { route: "GET /emulator", does: "lists these controls, and the routes of faults", body: "" },
    Control {
        route: "PUT /emulator/faults",
        does: "makes the next requests of a route fail",
        body: r#"[{"route": "POST /connections", "count": 1, "action": {"close": "after_commit"}}]"#,
    },
    Control { route: "DELETE /emulator/faults", does: "removes all faults", body: "" },
    Control {
        route: "PUT /emulator/settings",
        does: "replaces the settings, such as the result of testing a connection",
        body: r#"{"test_result": false}"#,
    },
    Control {
        route: "PUT /emulator/runs",
        does: "plans how the next runs of dataflows end",
        body: r#"[{"flow": "*", "outcome": "partial", "failed_records": 3, "count": 1}]"#,
    },
    Control {
        route: "POST /emulator/runs",
        does: "makes such runs at once, of flows that are enabled",
        body: r#"[{"flow": "*", "outcome": "failed_copy"}]"#,
    },
    Control {
        route: "PUT /emulator/hubspot",
        does: "replaces what HubSpot says about tokens; it accepts all others, with every scope",
        body: r#"[{"token": "demo-hubspot-refresh-token", "state": "revoked"}]"#,
    },
    Control { route: "GET /emulator/ledger", does: "counts what exists, by kind", body: "" },
    Control { route: "GET /emulator/connections", does: "lists all connections", body: "" },
    Control { route: "GET /emulator/requests", does: "lists what arrived, without secrets", body: "" },
    Control { route: "DELETE /emulator/state", does: "resets everything but the access tokens", body: "" },
];

/// Whether a path is one of a control.
pub(super) fn is_control(path: &str) -> bool {
    path == "/emulator" || path.starts_with("/emulator/")
}

/// Handles a control request.
pub(super) fn handle(method: &Method, path: &str, body: &[u8], state: &mut State) -> Reply {
    execute(method, path, body, state)
        .unwrap_or_else(|mistake| error(StatusCode::BAD_REQUEST, &mistake.to_string()))
}

/// # Errors
/// For a mistake in the body. The state is unchanged then.
fn execute(method: &Method, path: &str, body: &[u8], state: &mut State) -> Result<Reply, serde_json::Error> {
    match (path.trim_end_matches('/'), method.as_str()) {
        ("/emulator", "GET") => return Ok(Reply::json(StatusCode::OK, &listed())),
        ("/emulator/faults", "PUT") => state.faults.replace(serde_json::from_slice(body)?),
        ("/emulator/faults", "DELETE") => state.faults.replace(Vec::new()),
        ("/emulator/settings", "PUT") => state.settings = serde_json::from_slice(body)?,
        ("/emulator/runs", "PUT") => state.run_plan.replace(serde_json::from_slice(body)?),
        ("/emulator/runs", "POST") => {
            let planned: Vec<_> = serde_json::from_slice(body)?;
            if let Err(mistake) = runs::make_now(state, &planned) {
                return Ok(error(StatusCode::BAD_REQUEST, &mistake));
            }
        }
        ("/emulator/hubspot", "PUT") => {
            state.hubspot = serde_json::from_slice(body).map_err(|mistake| without_values(&mistake))?;
        }
        ("/emulator/state", "DELETE") => state.reset(),
        ("/emulator/requests", "GET") => {
            let requests: Value = state.received.iter().map(ReceivedRequest::redacted).collect();
            return Ok(Reply::json(StatusCode::OK, &requests));
        }
        ("/emulator/connections", "GET") => {
            return Ok(Reply::json(StatusCode::OK, &json!(connections::ledger(&state.connections))));
        }
        ("/emulator/ledger", "GET") => {
            return Ok(Reply::json(StatusCode::OK, &json!(Ledger::of(state))));
        }
        ("/emulator/faults", _) => return Ok(not_allowed("PUT, DELETE")),
        ("/emulator/settings" | "/emulator/hubspot", _) => return Ok(not_allowed("PUT")),
        ("/emulator/state", _) => return Ok(not_allowed("DELETE")),
        ("/emulator/runs", _) => return Ok(not_allowed("PUT, POST")),
        ("/emulator" | "/emulator/requests" | "/emulator/connections" | "/emulator/ledger", _) => {
            return Ok(not_allowed("GET"));
        }
        _ => return Ok(error(StatusCode::NOT_FOUND, "no such control route")),
    }
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// Where a mistake is, without the value, which may be a misplaced token.
fn without_values(mistake: &serde_json::Error) -> serde_json::Error {
    let (line, column) = (mistake.line(), mistake.column());
    serde::de::Error::custom(format!(
        "no list of tokens, by line {line}, column {column}: GET /emulator shows one that is right"
    ))
}

fn listed() -> Value {
    let controls = CONTROLS.iter().map(|Control { route, does, body }| {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        json!({"route": route, "does": does, "body": body})
    });
    let routes = Route::all().map(|route| route.to_string());
    json!({"controls": controls.collect::<Value>(), "fault_routes": routes.collect::<Value>()})
}

fn not_allowed(allowed: &'static str) -> Reply {
    error(StatusCode::METHOD_NOT_ALLOWED, &format!("the methods of this route are {allowed}"))
        .with_header(header::ALLOW, HeaderValue::from_static(allowed))
}

fn error(status: StatusCode, message: &str) -> Reply {
    Reply::json(status, &json!({"error": message}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::Options;

    #[test]
    fn every_control_that_is_listed_exists_and_accepts_its_example() {
        let mut state = State::new(Options::default());
        for Control { route, body, .. } in CONTROLS {
            let (method, path) = route.split_once(' ').unwrap();
            assert!(is_control(path), "{route}");
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let reply = handle(&method, path, body.as_bytes(), &mut state);
            assert!(reply.status.is_success(), "{route}: {}", reply.status);
        }
        assert!(!is_control("/emulators"));
    }

    #[test]
    fn the_documentation_has_every_control_and_no_other() {
        let module = include_str!("../emulator.rs");
        let documented = module.lines().filter_map(|line| {
            let (route, _) = line.strip_prefix("//! | `")?.split_once('`')?;
            route.contains(" /emulator").then_some(route)
        });
        let mut documented: Vec<_> = documented.collect();
        let mut listed: Vec<_> = CONTROLS.iter().map(|control| control.route).collect();
        documented.sort_unstable();
        listed.sort_unstable();
        assert_eq!(documented, listed);
    }
}
