//! `POST /connections`

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::content;
use crate::emulator::{
    problem::Problem,
    query::known_parameters_only,
    received::ReceivedRequest,
    reply::Reply,
    routes::BASE_PATH,
    settings::Settings,
    spec::Spec,
    store::{NewConnection, Store, Tenant},
};

/// Creates a connection.
///
/// # Errors
/// What the Flow Service answers to the first thing that is wrong with the body.
pub(in crate::emulator) fn create(
    request: &ReceivedRequest,
    tenant: &Tenant,
    store: &mut Store,
    settings: &Settings,
) -> Result<Reply, Problem> {
    known_parameters_only(request, &[])?;
    let client = request.header("x-api-key").unwrap_or_default();
    let new = parse(&request.body, client)?;
    let connection = store.create(tenant, new, &settings.initial_state);
    let mut reply = Reply::json(StatusCode::CREATED, &json!({"id": connection.id, "etag": connection.etag}));
    if let Ok(location) = HeaderValue::try_from(format!("{BASE_PATH}/connections/{}", connection.id)) {
        reply = reply.with_header(header::LOCATION, location);
    }
    Ok(reply)
}

fn parse(body: &[u8], client: &str) -> Result<NewConnection, Problem> {
    let Value::Object(body) = content::json_body(body)? else {
        return Err(Problem::unreadable("The request body must be a JSON object"));
    };
    let spec = parse_spec(body.get("connectionSpec"))?;
    let auth = body.get("auth");
    check_auth_spec(auth, spec)?;
    Ok(NewConnection {
        params: content::params(auth.and_then(|auth| auth.get("params")), spec)?,
        name: content::name(body.get("name"))?,
        description: content::description(body.get("description"))?,
        spec,
        client: client.to_owned(),
    })
}

fn parse_spec(spec: Option<&Value>) -> Result<&'static Spec, Problem> {
    let invalid = || {
        Problem::invalid(
            1413,
            "The spec ID provided is invalid. Please provide a valid spec ID and try again.",
        )
    };
    let spec = spec.and_then(Value::as_object).ok_or_else(invalid)?;
    let Some(version) = spec.get("version").and_then(Value::as_str) else {
        return Err(Problem::Message {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            message: "connectionSpec.version 'version' is required for spec info".to_owned(),
        });
    };
    let id = spec.get("id").and_then(Value::as_str).ok_or_else(invalid)?;
    Spec::find(id, version).ok_or_else(invalid)
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

    fn parse_json(body: &Value) -> Result<NewConnection, Problem> {
        parse(body.to_string().as_bytes(), "demo-client")
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
        for (body, answer) in [
            ("", Some("1405")),
            (" \n", Some("1405")),
            ("null", Some("1405")),
            ("[]", None),
            ("{\"name\": \"a\"", None),
            ("\u{0}", None),
        ] {
            let code = match parse(body.as_bytes(), "demo-client") {
                Err(Problem::Report { code, .. }) => Some(code),
                Err(Problem::Unreadable { .. }) => None,
                other => panic!("{body:?}: {other:?}"),
            };
            assert_eq!(code.as_deref(), answer, "{body:?}");
        }
    }

    #[test]
    fn each_mistake_has_its_answer_which_repeats_no_value() {
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
            let answer = parse_json(&body).unwrap_err().reply("REQUEST");
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            assert!(text.contains(says) && !text.contains("canary"), "{pointer}: {text}");
        }
        let mut body = valid();
        body["auth"]["params"]["hub"] = json!("canary");
        let text = format!("{:?}", parse_json(&body).unwrap_err());
        assert!(text.contains("auth.params.hub is not a parameter") && !text.contains("canary"), "{text}");
    }
}
