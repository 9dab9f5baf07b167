//! `PATCH /connections/{id}`

use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::{check_state, content, find};
use crate::emulator::{
    problem::Problem,
    query::known_parameters_only,
    received::ReceivedRequest,
    reply::Reply,
    store::{NewConnection, Store, Tenant},
};

/// Changes a connection: all instructions are carried out, or none.
///
/// # Errors
/// What the Flow Service answers to the first thing that is wrong; which of several comes first is
/// not documented.
pub(crate) fn patch(
    request: &ReceivedRequest,
    id: &str,
    tenant: &Tenant,
    store: &mut Store,
) -> Result<Reply, Problem> {
    known_parameters_only(request, &[])?;
    let Some(supplied) = request.header(header::IF_MATCH) else {
        return Err(Problem::invalid(
            1403,
            "The header 'If-Match' is missing in the request. Please provide the header and try again.",
        ));
    };
    let instructions = parse(&request.body)?;
    let connection = find(store, tenant, id)?;
    check_state(connection, "update", 1457)?;
    // The quotes belong to the version: without them it is another one.
    if supplied != connection.etag {
        let current = &connection.etag;
        let message =
            format!("Supplied version=[{supplied}] does not match the current version on entity=[{current}]");
        return Err(Problem::Legacy { status: StatusCode::PRECONDITION_FAILED, message });
    }
    let mut content = connection.content.clone();
    for instruction in &instructions {
        apply(&mut content, instruction)?;
    }
    let etag = store.update(tenant, id, content).map(|connection| &connection.etag);
    Ok(Reply::json(StatusCode::OK, &json!({"id": id, "etag": etag})))
}

/// Parses a body: an array in every example, though the reference shows a single object.
fn parse(body: &[u8]) -> Result<Vec<Map<String, Value>>, Problem> {
    let Value::Array(instructions) = content::json_body(body)? else {
        return Err(Problem::unreadable("The request body must be a JSON array"));
    };
    if instructions.is_empty() {
        return Err(content::no_body());
    }
    let parse = |instruction| {
        let Value::Object(instruction) = instruction else {
            return Err(refused("An instruction must be an object"));
        };
        Ok(instruction)
    };
    instructions.into_iter().map(parse).collect()
}

/// Carries out one instruction. Adding and replacing are the same, and removing a description that
/// is not there changes nothing; only RFC 6902 tells these apart, and the real service's reading of
/// it is not documented.
fn apply(content: &mut NewConnection, instruction: &Map<String, Value>) -> Result<(), Problem> {
    let missing = |field: &str| refused(&format!("Missing field \"{field}\""));
    let text = |field: &str| match instruction.get(field) {
        None => Err(missing(field)),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err(refused(&format!("Field \"{field}\" must be a string"))),
    };
    let op = text("op")?;
    let path = text("path")?;
    // Documented in capitals, and in lower case in every example.
    let value = match &*op.to_ascii_lowercase() {
        "add" | "replace" => Some(instruction.get("value").ok_or_else(|| missing("value"))?),
        // The reference wants a value here as well, the examples do without: it says nothing.
        "remove" => None,
        _ => {
            return Err(Problem::invalid(
                1434,
                format!(
                    "Unsupported operation '{op}' received. \
                     Please use one of the supported operation types and try again."
                ),
            ));
        }
    };
    match path {
        "/name" => content.name = content::name(value)?,
        "/description" => content.description = content::description(value)?,
        // The whole object: parameters that it does not name are gone, so it must name all that
        // are required. Whether the real service takes single ones is not documented.
        "/auth/params" => content.params = content::params(value, content.spec)?,
        _ if path == "/connectionSpec" || path.starts_with("/connectionSpec/") => {
            return Err(Problem::invalid(1414, "The connection spec of a connection cannot be updated."));
        }
        _ => return Err(refused(&format!("Invalid path \"{path}\""))),
    }
    Ok(())
}

fn refused(reason: &str) -> Problem {
    Problem::invalid(1455, format!("An error has occurred while validating patch instructions: {reason}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::{
        received::tests::request,
        store::tests::{named, tenant},
    };
    use secrecy::ExposeSecret;

    fn store() -> (Store, String) {
        let mut store = Store::default();
        let content = NewConnection { description: Some("old".to_owned()), ..named("old") };
        let id = store.create(&tenant("prod"), content, "enabled").id.clone();
        (store, id)
    }

    fn send(store: &mut Store, id: &str, if_match: &str, body: &str) -> Result<Reply, Problem> {
        patch(&request("PATCH", "/", &[("if-match", if_match)], body), id, &tenant("prod"), store)
    }

    /// Sends a patch with the current version.
    fn change(store: &mut Store, id: &str, body: &Value) -> Result<Reply, Problem> {
        let etag = store.get(&tenant("prod"), id).unwrap().etag.clone();
        send(store, id, &etag, &body.to_string())
    }

    fn text(answer: Result<Reply, Problem>) -> String {
        let reply = answer.unwrap_or_else(|problem| problem.reply("REQUEST"));
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    #[test]
    fn each_operation_is_taken_in_any_case() {
        let (mut store, id) = store();
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
            change(&mut store, &id, &instructions).unwrap();
            let content = &store.get(&tenant("prod"), &id).unwrap().content;
            assert_eq!((&*content.name, content.description.as_deref()), (name, description));
        }
    }

    #[test]
    fn parameters_are_replaced_as_a_whole() {
        let (mut store, id) = store();
        let params = json!({"clientId": "1", "clientSecret": "2", "accessToken": "3", "refreshToken": "4"});
        change(&mut store, &id, &json!([{"op": "replace", "path": "/auth/params", "value": params}]))
            .unwrap();
        let params = &store.get(&tenant("prod"), &id).unwrap().content.params;
        let params: Vec<_> = params.values().map(ExposeSecret::expose_secret).collect();
        assert_eq!(params, ["3", "1", "2", "4"]);
    }

    #[test]
    fn each_mistake_has_its_answer_and_leaves_the_connection_as_it_was() {
        let (mut store, id) = store();
        let before = store.get(&tenant("prod"), &id).unwrap().item(false);
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
            let text = text(change(&mut store, &id, &json!([valid, instruction])));
            assert!(text.contains(says) && !text.contains("canary"), "{instruction}: {text}");
            assert_eq!(store.get(&tenant("prod"), &id).unwrap().item(false), before, "{instruction}");
        }
    }

    #[test]
    fn a_body_must_be_an_array_of_instructions() {
        let (mut store, id) = store();
        for (body, says) in [
            ("", "FLOW-1405-400"),
            ("null", "FLOW-1405-400"),
            ("[]", "FLOW-1405-400"),
            (r#"{"op": "remove", "path": "/description"}"#, "must be a JSON array"),
            ("[", "not valid JSON"),
        ] {
            let text = text(send(&mut store, &id, "\"any\"", body));
            assert!(text.contains(says), "{body}: {text}");
        }
    }
}
