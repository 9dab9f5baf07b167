//! The control routes under `/emulator`, for tests and demos in other processes.

use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::{connections, ledger::Ledger, received::ReceivedRequest, reply::Reply, runs, state::State};

/// What the path of every control route begins with.
pub(super) const PREFIX: &str = "/emulator/";

/// Handles a control request.
pub(super) fn handle(method: &Method, path: &str, body: &[u8], state: &mut State) -> Reply {
    execute(method, path, body, state)
        .unwrap_or_else(|mistake| error(StatusCode::BAD_REQUEST, &mistake.to_string()))
}

/// # Errors
/// For a mistake in the body. The state is unchanged then.
fn execute(method: &Method, path: &str, body: &[u8], state: &mut State) -> Result<Reply, serde_json::Error> {
    match (path.trim_end_matches('/'), method.as_str()) {
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
        ("/emulator/settings", _) => return Ok(not_allowed("PUT")),
        ("/emulator/state", _) => return Ok(not_allowed("DELETE")),
        ("/emulator/runs", _) => return Ok(not_allowed("PUT, POST")),
        ("/emulator/requests" | "/emulator/connections" | "/emulator/ledger", _) => {
            return Ok(not_allowed("GET"));
        }
        _ => return Ok(error(StatusCode::NOT_FOUND, "no such control route")),
    }
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

fn not_allowed(allowed: &'static str) -> Reply {
    error(StatusCode::METHOD_NOT_ALLOWED, &format!("the methods of this route are {allowed}"))
        .with_header(header::ALLOW, HeaderValue::from_static(allowed))
}

fn error(status: StatusCode, message: &str) -> Reply {
    Reply::json(status, &json!({"error": message}))
}
