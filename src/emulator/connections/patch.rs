//! `PATCH /connections/{id}`

use super::{Connection, check_state, params};
use crate::emulator::{
    flow_service::{self, Instruction, description, name, rejected_instruction},
    problem::Problem,
    reply::Reply,
    routes::Call,
    state::State,
};

/// Changes a connection: applies all instructions, or none.
///
/// # Errors
/// The Flow Service's, for the first mistake.
pub(super) fn patch(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    flow_service::patch::<Connection>(
        call,
        state,
        |connection| check_state(connection, "update", 1457),
        |_, content, instructions| {
            instructions.iter().try_for_each(|instruction| apply(content, instruction))
        },
    )
}

fn apply(content: &mut Connection, instruction: &Instruction<'_>) -> Result<(), Problem> {
    let Instruction { path, value } = *instruction;
    match path {
        "/name" => content.name = name(value)?,
        "/description" => content.description = description(value)?,
        // The whole object: it must have every required parameter. Whether the real service accepts single
        // ones is not documented.
        "/auth/params" => content.params = params::parse(value, content.spec)?,
        _ if path == "/connectionSpec" || path.starts_with("/connectionSpec/") => {
            return Err(Problem::invalid(1414, "The connection spec of a connection cannot be updated."));
        }
        _ => return Err(rejected_instruction(&format!("Invalid path \"{path}\""))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::{
        Options,
        collection::Record,
        connections::connection::tests::{named, tenant},
        flow_service::FlowServiceResource,
        received::tests::request,
    };
    use secrecy::ExposeSecret;
    use serde_json::{Value, json};

    /// An emulator with one connection, whose id is returned too.
    fn with_connection() -> (State, String) {
        let mut state = State::new(Options::default());
        let content = Connection { description: Some("old".to_owned()), ..named("old") };
        let id = state.connections.create(&tenant(), content).id.clone();
        (state, id)
    }

    fn stored<'a>(state: &'a State, id: &str) -> &'a Record<Connection> {
        state.connections.get(&tenant(), id).unwrap()
    }

    fn send(state: &mut State, id: &str, if_match: &str, body: &str) -> Result<Reply, Problem> {
        let request = request("PATCH", "/", &[("if-match", if_match)], body);
        patch(&Call { request: &request, id, tenant: tenant() }, state)
    }

    /// Sends a patch with the current etag.
    fn change(state: &mut State, id: &str, body: &Value) -> Result<Reply, Problem> {
        let etag = stored(state, id).etag.clone();
        send(state, id, &etag, &body.to_string())
    }

    fn text(result: Result<Reply, Problem>) -> String {
        let reply = result.unwrap_or_else(|problem| problem.reply("REQUEST"));
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    #[test]
    fn each_operation_is_taken_in_any_case() {
        let (mut state, id) = with_connection();
        for (instructions, name, description) in [
            (json!([{"op": "replace", "path": "/name", "value": "a"}]), "a", Some("old")),
            (json!([{"op": "REMOVE", "path": "/description"}]), "a", None),
            (json!([{"op": "Replace", "path": "/description", "value": "b"}]), "a", Some("b")),
            (json!([{"op": "remove", "path": "/description", "value": "x"}]), "a", None),
            (json!([{"op": "remove", "path": "/description"}]), "a", None),
            (
                json!([
                    {"op": "Add", "path": "/description", "value": "c"},
                    {"op": "add", "path": "/name", "value": "d"},
                ]),
                "d",
                Some("c"),
            ),
            (json!([{"op": "replace", "path": "/description", "value": null}]), "d", None),
        ] {
            change(&mut state, &id, &instructions).unwrap();
            let content = &stored(&state, &id).content;
            assert_eq!((&*content.name, content.description.as_deref()), (name, description));
        }
    }

    #[test]
    fn parameters_are_replaced_as_a_whole() {
        let (mut state, id) = with_connection();
        let params = json!({"clientId": "1", "clientSecret": "2", "accessToken": "3", "refreshToken": "4"});
        change(&mut state, &id, &json!([{"op": "replace", "path": "/auth/params", "value": params}]))
            .unwrap();
        let params = &stored(&state, &id).content.params;
        let params: Vec<_> = params.values().map(ExposeSecret::expose_secret).collect();
        assert_eq!(params, ["3", "1", "2", "4"]);
    }

    #[test]
    fn each_mistake_has_its_error_and_leaves_the_connection_as_it_was() {
        let (mut state, id) = with_connection();
        let item = |state: &State| Connection::item(stored(state, &id), state);
        let before = item(&state);
        let valid = json!({"op": "replace", "path": "/name", "value": "new"});
        let params = |value: Value| json!({"op": "add", "path": "/auth/params", "value": value});
        for (instruction, says) in [
            (json!("canary"), "FLOW-1455-400"),
            (json!({}), r#"Missing field \"op\""#),
            (json!({"op": "add", "value": "canary"}), r#"Missing field \"path\""#),
            (json!({"op": "add", "path": "/name"}), r#"Missing field \"value\""#),
            (json!({"op": ["canary"], "path": "/name", "value": "canary"}), "must be a string"),
            (json!({"op": "move", "path": "/name", "value": "canary"}), "FLOW-1434-400"),
            (json!({"op": "remove", "path": "/name"}), "name must be a string"),
            (json!({"op": "add", "path": "/name", "value": 5}), "name must be a string"),
            (json!({"op": "add", "path": "/description", "value": {}}), "description must be a string"),
            (json!({"op": "remove", "path": "/auth/params"}), "auth.params.clientId is required"),
            (params(json!("canary")), "auth.params must be an object"),
            (params(json!({"clientId": "canary"})), "auth.params.clientSecret is required"),
            (json!({"op": "add", "path": "/connectionSpec/version", "value": "canary"}), "FLOW-1414-400"),
            (json!({"op": "remove", "path": "/connectionSpec"}), "FLOW-1414-400"),
            (json!({"op": "add", "path": "/auth/params/accessToken", "value": "canary"}), "FLOW-1455-400"),
            (json!({"op": "add", "path": "name", "value": "canary"}), "FLOW-1455-400"),
        ] {
            let text = text(change(&mut state, &id, &json!([valid, instruction])));
            assert!(text.contains(says) && !text.contains("canary"), "{instruction}: {text}");
            assert_eq!(item(&state), before, "{instruction}");
        }
    }

    #[test]
    fn a_body_must_be_an_array_of_instructions() {
        let (mut state, id) = with_connection();
        for (body, says) in [
            ("", "FLOW-1405-400"),
            ("null", "FLOW-1405-400"),
            ("[]", "FLOW-1405-400"),
            (r#"{"op": "remove", "path": "/description"}"#, "must be a JSON array"),
            ("[", "not valid JSON"),
        ] {
            let text = text(send(&mut state, &id, "\"any\"", body));
            assert!(text.contains(says), "{body}: {text}");
        }
    }
}
