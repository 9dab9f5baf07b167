//! `/connectionSpecs/{id}`: compares HubSpot's connection specification with what this service sends.

use serde_json::{Value, json};

use super::connections::{AUTH_SPEC_NAME, AuthParams, HUBSPOT_SPEC, HUBSPOT_SPEC_ID};
use crate::{
    adobe::{
        TableParameter,
        answer::success::value,
        client::{Call, Route},
    },
    domain::SandboxName,
    error::Cause,
};

/// The most differences that are reported: error details are sent in headers.
const MOST_DIFFERENCES: usize = 5;
const MAX_CHARS: usize = 200;

static HUBSPOT: Route = Route::read("/connectionSpecs/{id}", &["items", "authSpec"]);

pub(super) static ROUTES: [&Route; 1] = [&HUBSPOT];

pub(super) fn drift(sandbox: &SandboxName) -> Call<'_, Vec<String>> {
    Call { id: Some(HUBSPOT_SPEC_ID), ..Call::new(&HUBSPOT, sandbox, spec_drift) }
}

pub(crate) fn table_parameter(sandbox: &SandboxName) -> Call<'_, TableParameter> {
    Call { id: Some(HUBSPOT_SPEC_ID), ..Call::new(&HUBSPOT, sandbox, read_table_parameter) }
}

/// The parameters that this service sends, each a string.
fn sent_params() -> Vec<String> {
    let params = AuthParams { client_id: "", client_secret: "", access_token: "", refresh_token: "" };
    let params = json!(params);
    params.as_object().into_iter().flat_map(|params| params.keys().cloned()).collect()
}

/// The differences between HubSpot's connection specification and what this service sends, each a sentence. A
/// missing part is no difference.
///
/// # Errors
/// The reply holds no such specification.
pub(crate) fn spec_drift(body: &[u8]) -> Result<Vec<String>, Cause> {
    let body = value("no connection specification", body)?;
    let spec = hubspot(&body)?;

    let mut drift = Vec::new();
    if let Some(version) = spec["version"].as_str().filter(|version| *version != HUBSPOT_SPEC.version) {
        drift.push(format!("its version is {version:?}, not {:?}", HUBSPOT_SPEC.version));
    }
    let auth_specs = spec["authSpec"].as_array();
    let ours = auth_specs.and_then(|specs| specs.iter().find(|spec| spec["name"] == AUTH_SPEC_NAME));
    match (auth_specs, ours) {
        (None, _) => drift.push("it has no authentication specifications".to_owned()),
        (Some(_), Some(ours)) => drift.extend(params_drift(&ours["spec"])),
        (Some(auth_specs), None) => {
            let names: Vec<_> = auth_specs.iter().filter_map(|spec| spec["name"].as_str()).collect();
            drift.push(format!("it has no authentication specification {AUTH_SPEC_NAME:?}, only {names:?}"));
        }
    }
    Ok(reported(drift))
}

/// The name that the source connections of HubSpot give their table: what the specification requires, or else what it
/// has. Where it says nothing it is that of Adobe's tutorial.
///
/// # Errors
/// The reply holds no such specification.
pub(crate) fn read_table_parameter(body: &[u8]) -> Result<TableParameter, Cause> {
    let body = value("no connection specification", body)?;
    let schema = &hubspot(&body)?["sourceSpec"]["spec"];
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|required| required.iter().any(|other| other == name))
    };
    let has = |name: &str| schema["properties"].get(name).is_some();
    let parameter = |is_named: &dyn Fn(&str) -> bool| match (is_named("path"), is_named("tableName")) {
        (true, true) => Some(TableParameter::Both),
        (true, false) => Some(TableParameter::Path),
        (false, true) => Some(TableParameter::TableName),
        (false, false) => None,
    };
    Ok(parameter(&required).or_else(|| parameter(&has)).unwrap_or_default())
}

fn hubspot(body: &Value) -> Result<&Value, Cause> {
    let is_it = |spec: &&Value| spec["id"] == HUBSPOT_SPEC_ID;
    let items = body["items"].as_array();
    let spec = items.map_or(Some(body), |items| items.iter().find(is_it)).filter(is_it);
    spec.ok_or_else(|| "no connection specification of HubSpot in the reply".into())
}

/// The differences that are reported, fit to be shown.
pub(super) fn reported(drift: Vec<String>) -> Vec<String> {
    drift.into_iter().take(MOST_DIFFERENCES).map(cut).collect()
}

fn cut(text: String) -> String {
    // The type of a parameter may hold characters that JSON does not escape.
    let text = text.replace(char::is_control, " ");
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The differences between a JSON schema and the parameters that are sent.
fn params_drift(schema: &Value) -> Vec<String> {
    let sent = sent_params();
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing = required
        .filter(|name| !sent.iter().any(|sent| sent == name))
        .map(|name| format!("it requires the parameter {name:?}, which this service does not send"));

    let properties = schema["properties"].as_object();
    let is_closed = schema["additionalProperties"] == false;
    let unknown = properties.filter(|_| is_closed).into_iter().flat_map(|properties| {
        sent.iter()
            .filter(|name| !properties.contains_key(*name))
            .map(|name| format!("it does not have the parameter {name:?}, which this service sends"))
    });
    let of_another_type = properties.into_iter().flat_map(|properties| {
        sent.iter().filter_map(|name| {
            let kind = properties.get(name)?.get("type")?;
            let is_text = kind == "string"
                || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "string"));
            (!is_text).then(|| format!("its parameter {name:?} is of type {kind}, and a string is sent"))
        })
    });
    missing.chain(unknown).chain(of_another_type).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let param = json!({"type": "string"});
        let mut auth_spec = json!({"name": "Basic Authentication", "spec": {
            "type": "object",
            "properties": {"clientId": param, "clientSecret": param, "accessToken": param, "refreshToken": param},
            "required": ["clientId", "clientSecret", "accessToken", "refreshToken"],
        }});
        change(&mut auth_spec);
        let body = json!({"items": [{"id": HUBSPOT_SPEC_ID, "version": "1.0", "authSpec": [auth_spec]}]});
        spec_drift(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_documented_specification_has_no_differences() {
        assert_eq!(spec(|_| {}), [""; 0]);
        assert_eq!(spec(|auth| auth["spec"]["properties"]["region"] = json!({"type": "string"})), [""; 0]);
    }

    #[test]
    fn each_difference_is_named() {
        let drift = spec(|auth| auth["name"] = json!("OAuth2RefreshCode"));
        assert!(drift[0].contains("Basic Authentication") && drift[0].contains("OAuth2RefreshCode"));
        let drift = spec(|auth| auth["spec"]["required"] = json!(["clientId", "region"]));
        assert!(drift.len() == 1 && drift[0].contains("requires the parameter \"region\""), "{drift:?}");
        let drift = spec(|auth| auth["spec"]["properties"]["clientId"] = json!({"type": "integer"}));
        assert!(drift.len() == 1 && drift[0].contains("\"clientId\" is of type \"integer\""), "{drift:?}");
        let drift = spec(|auth| {
            auth["spec"]["properties"].as_object_mut().unwrap().remove("accessToken");
            auth["spec"]["additionalProperties"] = json!(false);
        });
        assert!(drift.len() == 1 && drift[0].contains("does not have the parameter \"accessToken\""));
    }

    #[test]
    fn the_reported_differences_are_limited() {
        let drift =
            spec(|auth| auth["spec"]["required"] = (0..100).map(|n| json!(format!("p{n}"))).collect());
        assert_eq!(drift.len(), MOST_DIFFERENCES);
        let drift = spec(|auth| auth["name"] = json!("ü".repeat(10_000)));
        assert_eq!((drift.len(), drift[0].chars().count()), (1, MAX_CHARS + 1));
    }

    #[test]
    fn a_missing_part_is_no_difference() {
        assert_eq!(spec(|auth| auth["spec"] = json!(null)), [""; 0]);
        let bare = format!(r#"{{"id": "{HUBSPOT_SPEC_ID}"}}"#);
        for body in
            ["{}", "[]", "[[]]", r#"{"items": [{"id": "x"}]}"#, r#"{"items": [[]]}"#, &format!("[{bare}]")]
        {
            assert!(spec_drift(body.as_bytes()).is_err(), "{body}");
        }
        assert!(spec_drift(bare.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            let _ = spec_drift(&body);
        }
    }
}
