//! `POST /flows/{id}/action`

use http::StatusCode;
use serde_json::json;

use super::Flow;
use crate::emulator::{
    flow_service::{find, invalid_value, known_parameters_only, value},
    problem::Problem,
    reply::Reply,
    routes::Call,
    runs,
    state::State,
};

/// Enables or disables a flow. A body has no effect.
///
/// # Errors
/// 404 in the legacy shape for an unknown id; 400 for another action, a sub-operation, and a state that does
/// not allow the action.
pub(super) fn action(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &["op", "subOp"])?;
    let pairs = call.request.query_pairs();
    let op = value(&pairs, "op").unwrap_or_default();
    // Documented in capitals, and sent in lower case.
    let (operation, from, to) = match &*op.to_ascii_lowercase() {
        "enable" => ("enable", "disabled", "enabled"),
        "disable" => ("disable", "enabled", "disabled"),
        _ => return Err(invalid_value(op, "op")),
    };
    if let Some(sub_operation) = value(&pairs, "subOp") {
        let detail = format!("Unsupported sub operation {sub_operation} received for operation {operation}.");
        return Err(Problem::invalid(1436, detail));
    }
    // What was due before this happened as the flow was.
    runs::make_due(state);
    let flow = find::<Flow>(call, state)?;
    let refused = match &*flow.content.state {
        current if current == from => None,
        current @ ("enabled" | "disabled" | "draft") => Some((
            1422,
            format!(
                "The action {operation} cannot be applied on the current state {current}. \
                 Please update the action and try again."
            ),
        )),
        current => Some((1421, format!("The current state {current} cannot be transitioned."))),
    };
    if let Some((code, detail)) = refused {
        return Err(Problem::invalid(code, detail));
    }
    let content = Flow { state: to.to_owned(), operation, ..flow.content.clone() };
    let etag = state.flows.replace(&call.tenant, call.id, content).map(|flow| &flow.etag);
    Ok(Reply::json(StatusCode::OK, &json!({"id": call.id, "etag": etag})))
}
