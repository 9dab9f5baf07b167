//! `POST /connections`

use serde_json::Value;

use super::{Connection, params};
use crate::emulator::{
    connection_specs::Spec,
    flow_service::{created, description, invalid_spec, known_parameters_only, name, object_body, spec_info},
    problem::Problem,
    reply::Reply,
    routes::Call,
    state::State,
};

/// Creates a connection. Equal names are accepted: the real service documents no rule against them.
///
/// # Errors
/// The Flow Service's, for the first mistake in the body.
pub(super) fn create(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &[])?;
    let client = call.request.header("x-api-key").unwrap_or_default();
    let connection = parse(&call.request.body, client, &state.settings.initial_state)?;
    Ok(created(state.connections.create(&call.tenant, connection)))
}

fn parse(body: &[u8], client: &str, state: &str) -> Result<Connection, Problem> {
    let fields = object_body(body)?;
    let (id, version) = spec_info(fields.get("connectionSpec"))?;
    let spec = Spec::find(id, version).ok_or_else(invalid_spec)?;
    let auth = fields.get("auth");
    check_auth_spec(auth, spec)?;
    Ok(Connection {
        params: params::parse(auth.and_then(|auth| auth.get("params")), spec)?,
        name: name(fields.get("name"))?,
        description: description(fields.get("description"))?,
        spec,
        state: state.to_owned(),
        client: client.to_owned(),
    })
}

fn check_auth_spec(auth: Option<&Value>, spec: &Spec) -> Result<(), Problem> {
    let name = auth.and_then(|auth| auth.get("specName")).and_then(Value::as_str).unwrap_or_default();
    if name == spec.auth_spec {
        return Ok(());
    }
    let id = spec.id;
    Err(Problem::invalid(
        1415,
        format!("The auth spec '{name}' could not be found for the connection spec ID {id}."),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use serde_json::json;

    fn valid() -> Value {
        json!({
            "name": "HubSpot",
            "auth": {"specName": "Basic Authentication", "params": {
                "clientId": "canary", "clientSecret": "canary",
                "accessToken": "canary", "refreshToken": "canary",
            }},
            "connectionSpec": {"id": "cc6a4487-9e91-433e-a3a3-9cf6626c1806", "version": "1.0"},
        })
    }

    fn parse_json(body: &Value) -> Result<Connection, Problem> {
        parse(body.to_string().as_bytes(), "demo-client", "enabled")
    }

    #[test]
    fn a_connection_is_what_the_body_says() {
        let new = parse_json(&valid()).unwrap();
        assert_eq!((new.name.as_str(), new.description.as_deref()), ("HubSpot", None));
        assert_eq!(new.params.len(), 4);
        assert!(new.params.values().all(|value| value.expose_secret() == "canary"));
    }

    #[test]
    fn a_body_must_be_an_object() {
        for (body, expected) in [
            ("", Some("1405")),
            (" \n", Some("1405")),
            ("null", Some("1405")),
            ("[]", None),
            ("{\"name\": \"a\"", None),
            ("\u{0}", None),
        ] {
            let code = match parse(body.as_bytes(), "demo-client", "enabled") {
                Err(Problem::Report { code, .. }) => Some(code),
                Err(Problem::Unreadable { .. }) => None,
                other => panic!("{body:?}: {other:?}"),
            };
            assert_eq!(code.as_deref(), expected, "{body:?}");
        }
    }

    #[test]
    fn each_mistake_has_its_error_which_repeats_no_value() {
        let cases: [(&str, Value, &str); 15] = [
            ("/connectionSpec", json!(null), "FLOW-1413-400"),
            ("/connectionSpec/version", json!(null), "'version' is required"),
            ("/connectionSpec/version", json!("2.0"), "FLOW-1413-400"),
            ("/connectionSpec/id", json!("other"), "FLOW-1413-400"),
            ("/connectionSpec/id", json!(7), "FLOW-1413-400"),
            ("/auth", json!("canary"), "FLOW-1415-400"),
            ("/auth/specName", json!("OAuth"), "FLOW-1415-400"),
            ("/auth/params", json!("canary"), "auth.params must be an object"),
            ("/auth/params", json!({}), "auth.params.clientId is required"),
            ("/auth/params/refreshToken", json!(["canary"]), "auth.params.refreshToken must be a string"),
            ("/auth/params/accessToken", json!(null), "auth.params.accessToken must be a string"),
            ("/auth/params/clientId", json!(5), "auth.params.clientId must be a string"),
            ("/name", json!(null), "name must be a string"),
            ("/name", json!(5), "name must be a string"),
            ("/description", json!({}), "description must be a string"),
        ];
        for (pointer, value, says) in cases {
            let mut body = valid();
            body["description"] = json!("text");
            *body.pointer_mut(pointer).unwrap() = value;
            let reply = parse_json(&body).unwrap_err().reply("REQUEST");
            let text = String::from_utf8(reply.body.to_vec()).unwrap();
            assert!(text.contains(says) && !text.contains("canary"), "{pointer}: {text}");
        }
        let mut body = valid();
        body["auth"]["params"]["hub"] = json!("canary");
        let text = format!("{:?}", parse_json(&body).unwrap_err());
        assert!(text.contains("auth.params.hub is not a parameter") && !text.contains("canary"), "{text}");
    }
}
