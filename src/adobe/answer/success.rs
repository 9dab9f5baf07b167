//! Reads the body of a success.

use serde_json::Value;

use crate::{error::Cause, json::Object};

/// Reads an object. `missing` begins the error.
pub(crate) fn object<'a>(missing: &str, body: &'a [u8]) -> Result<Object<'a>, Cause> {
    Object::parse(body).map_err(|error| format!("{missing}: {error}").into())
}

/// Reads a body that need not be an object. The parser's own message could quote it.
pub(crate) fn value(missing: &str, body: &[u8]) -> Result<Value, Cause> {
    serde_json::from_slice(body).map_err(|error| {
        format!("{missing}: {:?} error at column {}", error.classify(), error.column()).into()
    })
}
