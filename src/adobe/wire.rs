//! What the readers of several services share.

use serde_json::value::RawValue;

use super::answer::success::object;
use crate::{
    domain::Invalid,
    error::Cause,
    json::Object,
    secret::{
        redaction::{shown, without_tokens},
        search::SecretSearch,
    },
};

/// An ID, with or without spaces around it.
pub(crate) fn id<I>(object: &Object<'_>, name: &str, parse: fn(&str) -> Result<I, Invalid>) -> Option<I> {
    parse(object.text(name)?.trim()).ok()
}

/// IDs in an array.
///
/// # Errors
/// There is something else than an array of IDs. A missing one is empty.
pub(crate) fn ids<I>(
    object: &Object<'_>,
    name: &str,
    parse: fn(&str) -> Result<I, Invalid>,
) -> Result<Vec<I>, Cause> {
    if !object.has(name) {
        return Ok(Vec::new());
    }
    let values = object.array(name).ok_or("no array of IDs")?;
    let id = |value: &&RawValue| parse(serde_json::from_str::<String>(value.get()).ok()?.trim()).ok();
    values.iter().map(|value| id(value).ok_or_else(|| "an unusable ID".into())).collect()
}

/// A text that may be missing.
///
/// # Errors
/// It is something else.
pub(crate) fn optional_text(object: &Object<'_>, name: &str) -> Result<Option<String>, Cause> {
    match object.text(name) {
        None if object.has(name) => Err("a value that is no text".into()),
        text => Ok(text),
    }
}

/// The items of `{"items": […]}`, each of which must be an object.
pub(crate) fn objects<'a>(missing: &str, list: &Object<'a>, name: &str) -> Result<Vec<Object<'a>>, Cause> {
    let items = list.array(name).ok_or_else(|| format!("{missing}: no {name}"))?;
    items.into_iter().map(|item| object(missing, item.get().as_bytes())).collect()
}

/// A time in milliseconds since the Unix epoch, also if it is written in seconds. `None` if it is not positive, as
/// times are that Adobe does not know.
pub(crate) fn milliseconds(object: &Object<'_>, name: &str) -> Option<i64> {
    /// In March of 1973, or in the year 5138.
    const FIRST: i64 = 100_000_000_000;
    let time = object.integer(name).filter(|time| *time > 0)?;
    Some(if time < FIRST { time * 1000 } else { time })
}

/// Makes a text of Adobe's fit to be shown: short, on one line, and without what may be a credential.
pub(crate) fn presentable_text(text: &str) -> Option<String> {
    const MAX_CHARS: usize = 500;
    shown(&without_tokens(text), MAX_CHARS, &SecretSearch::of_tokens())
}

/// Reads the reply to a deletion: documented without a body, and for a dataset with an array of what was deleted.
pub(crate) fn read_deleted(body: &[u8]) -> Result<(), Cause> {
    match body.trim_ascii() {
        [] => Ok(()),
        body if serde_json::from_slice::<Vec<String>>(body).is_ok() => Ok(()),
        _ => Err("the reply to a deletion has another body".into()),
    }
}
