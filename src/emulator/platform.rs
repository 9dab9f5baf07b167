//! What the Schema Registry, the Catalog and Data Prep have in common: their errors, and how they read requests.
//!
//! Only the Schema Registry documents its error bodies. What is known of the Catalog's has the same form, so all
//! three have it here.

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{problem::Problem, routes::Call};

pub(super) fn bad_request(detail: impl Into<String>) -> Problem {
    error(StatusCode::BAD_REQUEST, "BadRequestError", detail)
}

pub(super) fn not_found(detail: impl Into<String>) -> Problem {
    error(StatusCode::NOT_FOUND, "NotFoundError", detail)
}

pub(super) fn error(status: StatusCode, title: &str, detail: impl Into<String>) -> Problem {
    Problem::Unreadable { status, title: title.to_owned(), detail: detail.into() }
}

/// The id in the path, decoded.
pub(super) fn path_id(call: &Call<'_>) -> String {
    percent_decode_str(call.id).decode_utf8_lossy().into_owned()
}

/// The API key of the request.
pub(super) fn client(call: &Call<'_>) -> String {
    call.request.header("x-api-key").unwrap_or_default().to_owned()
}

/// The body.
///
/// # Errors
/// 400 unless it is a JSON object.
pub(super) fn json_object(call: &Call<'_>) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(&call.request.body) {
        Ok(Value::Object(body)) => Ok(body),
        _ => Err(bad_request("The request body must be a JSON object")),
    }
}

/// A member that must be a text.
///
/// # Errors
/// 400 where it is missing, another value or empty.
pub(super) fn text(body: &Map<String, Value>, name: &str) -> Result<String, Problem> {
    let text = body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(str::to_owned)
        .ok_or_else(|| bad_request(format!("The field {name} must be a text that is not empty.")))
}

/// The values of query parameters, each at most once.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// # Errors
    /// 400 for a parameter that is not one of `known`, because to ignore a filter would show too much.
    pub(super) fn parse(call: &Call<'_>, known: &[&str]) -> Result<Self, Problem> {
        let pairs = call.request.query_pairs();
        match pairs.iter().find(|(name, _)| !known.contains(&&**name)) {
            None => Ok(Self(pairs)),
            Some((name, _)) => Err(bad_request(format!("The query parameter {name} is unknown."))),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter that can be repeated.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A number within a range.
    ///
    /// # Errors
    /// 400 for any other value.
    pub(super) fn number(&self, name: &str, least: usize, most: usize) -> Result<Option<usize>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.parse().ok().filter(|number| (least..=most).contains(number));
        let range =
            if most == usize::MAX { format!("{least} or more") } else { format!("from {least} to {most}") };
        number.map(Some).ok_or_else(|| bad_request(format!("The query parameter {name} must be {range}.")))
    }
}
