//! The emulator's behaviour where that of the real service is not documented.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use http::StatusCode;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// The body of `PUT /emulator/settings`. A missing setting has its default. Durations are written like `500ms` or
/// `24h`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The result of every connection test.
    pub test_result: bool,
    /// The state of a new connection: any string. Every documented example shows `enabled`, which is never
    /// promised.
    pub initial_state: String,
    /// How long after its creation a resource appears in lists. It can be read by its id at once. The real
    /// service documents no lag and no absence of one.
    #[serde(deserialize_with = "duration")]
    pub index_lag: Duration,
    /// Masks the secret authentication parameters of a connection that is read. What the real service masks is
    /// not documented.
    pub mask_auth_params: bool,
    /// The status of a deletion. 204 and 202 are both documented.
    #[serde(deserialize_with = "delete_status")]
    pub delete_status: StatusCode,
    /// The status of deleting a dataset that does not exist, 404 or 200. The documentation has 200 with an empty
    /// array, the real service 404.
    #[serde(deserialize_with = "missing_dataset_delete_status")]
    pub missing_dataset_delete_status: StatusCode,
    /// Deletes a schema that datasets use, and a field group that schemas use. What the real service does is not
    /// documented.
    pub delete_schemas_in_use: bool,
    /// How long a new access token is valid.
    #[serde(deserialize_with = "duration")]
    pub token_ttl: Duration,
    /// By base connection id, the ids of the flows that use it, in place of the flows that exist. A connection
    /// in use cannot be deleted.
    pub flows: BTreeMap<String, Vec<String>>,
    /// Refuses to delete a source or target connection while a flow uses it. What the real service does is not
    /// documented.
    pub protect_used_connections: bool,
    /// What a source connection's `params` must name its table with. `None` takes either and both. Which one the
    /// real service wants is not documented.
    pub source_params: Option<SourceParams>,
    /// Refuses a source connection to a table that does not exist.
    pub path_explores: bool,
    /// What the error codes of the sources' catalogue begin with. The real prefix is not documented.
    pub source_error_prefix: String,
    /// How long after the start time of a flow, or of a period of its schedule, its run ends.
    #[serde(deserialize_with = "duration")]
    pub run_delay: Duration,
    /// How runs differ from the documented form. All of these have been seen.
    pub run_oddities: BTreeSet<RunOddity>,
    /// Replaces the `authSpec` in HubSpot's connection specification: `{"name": …, "spec": …}`, or an array of
    /// these. It has no other effect, as if the specification were out of date.
    #[serde(deserialize_with = "auth_spec")]
    pub auth_spec: Option<Value>,
}

/// How a source connection's `params` name its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceParams {
    Path,
    TableName,
    Both,
}

/// A deviation of runs from their documented form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOddity {
    /// The counts of a failed run are -1.
    NegativeCounts,
    /// `activites` in place of `activities`.
    Activites,
    /// Times are seconds instead of milliseconds.
    Seconds,
    /// The metrics of a run in progress have only its status, and there are no activities.
    StatusOnly,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            test_result: true,
            initial_state: "enabled".to_owned(),
            index_lag: Duration::ZERO,
            mask_auth_params: false,
            delete_status: StatusCode::NO_CONTENT,
            missing_dataset_delete_status: StatusCode::NOT_FOUND,
            delete_schemas_in_use: false,
            token_ttl: Duration::from_secs(24 * 60 * 60),
            flows: BTreeMap::new(),
            protect_used_connections: true,
            source_params: None,
            path_explores: false,
            source_error_prefix: "FLOW".to_owned(),
            run_delay: Duration::from_secs(3),
            run_oddities: BTreeSet::new(),
            auth_spec: None,
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn delete_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    match u16::deserialize(deserializer)? {
        202 => Ok(StatusCode::ACCEPTED),
        204 => Ok(StatusCode::NO_CONTENT),
        other => Err(de::Error::custom(format!("invalid delete_status {other}: it must be 202 or 204"))),
    }
}

fn missing_dataset_delete_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    match u16::deserialize(deserializer)? {
        200 => Ok(StatusCode::OK),
        404 => Ok(StatusCode::NOT_FOUND),
        other => Err(de::Error::custom(format!(
            "invalid missing_dataset_delete_status {other}: it must be 200 or 404"
        ))),
    }
}

fn auth_spec<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    let auth_spec = Option::<Value>::deserialize(deserializer)?;
    let is_one = |value: &Value| value["name"].is_string() && value["spec"].is_object();
    let is_valid = match &auth_spec {
        None => true,
        Some(Value::Array(several)) => several.iter().all(is_one),
        Some(one) => is_one(one),
    };
    if is_valid {
        Ok(auth_spec)
    } else {
        Err(de::Error::custom(
            "invalid auth_spec: it must be an object with name and spec, or an array of these",
        ))
    }
}

/// Parses a duration with a unit.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("invalid duration {text:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_optional() {
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), Settings::default());
        let settings: Settings =
            serde_json::from_str(r#"{"index_lag": "90s", "mask_auth_params": true}"#).unwrap();
        assert_eq!(settings.index_lag, Duration::from_secs(90));
        assert!(settings.mask_auth_params && settings.test_result);
        assert_eq!(settings.initial_state, "enabled");
        let settings: Settings =
            serde_json::from_str(r#"{"source_params": "tableName", "run_oddities": ["activites"]}"#).unwrap();
        assert_eq!(settings.source_params, Some(SourceParams::TableName));
        assert_eq!(settings.run_oddities, BTreeSet::from([RunOddity::Activites]));
    }

    #[test]
    fn an_auth_spec_is_one_or_several() {
        for auth_spec in [r#"{"name": "OAuth", "spec": {}}"#, r#"[{"name": "OAuth", "spec": {}}]"#, "[]"] {
            let settings: Settings =
                serde_json::from_str(&format!(r#"{{"auth_spec": {auth_spec}}}"#)).unwrap();
            assert_eq!(settings.auth_spec, Some(serde_json::from_str(auth_spec).unwrap()));
        }
        let settings: Settings =
            serde_json::from_str(r#"{"auth_spec": null, "delete_status": 202}"#).unwrap();
        assert_eq!((settings.auth_spec, settings.delete_status), (None, StatusCode::ACCEPTED));
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, says) in [
            (r#"{"delete_code": 202}"#, "delete_code"),
            (r#"{"delete_status": 500}"#, "delete_status 500"),
            (r#"{"delete_status": "204"}"#, "invalid type"),
            (r#"{"missing_dataset_delete_status": 204}"#, "missing_dataset_delete_status 204"),
            (r#"{"test_result": "no"}"#, "invalid type"),
            (r#"{"flows": ["a"]}"#, "invalid type"),
            (r#"{"auth_spec": "OAuth"}"#, "auth_spec"),
            (r#"{"auth_spec": {"name": "OAuth"}}"#, "auth_spec"),
            (r#"{"auth_spec": [{"name": "OAuth", "spec": {}}, {}]}"#, "auth_spec"),
            (r#"{"index_lag": "soon"}"#, "soon"),
            (r#"{"token_ttl": 5}"#, "invalid type"),
            (r#"{"source_params": "table"}"#, "tableName"),
            (r#"{"run_oddities": ["hours"]}"#, "activites"),
        ] {
            let error = serde_json::from_str::<Settings>(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
