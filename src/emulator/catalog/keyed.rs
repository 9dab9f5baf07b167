//! A reply with records by their ids.

use http::StatusCode;
use serde_json::json;

use crate::emulator::{collection::Record, reply::Reply};

/// The members are in the order of the records, as the real service sends them. `properties` names the only ones to
/// show of each record, separated by commas.
pub(super) fn reply<R>(records: &[&Record<R>], properties: Option<&str>) -> Reply {
    let member = |record: &&Record<R>| {
        let mut document = record.document.clone();
        if let (Some(properties), Some(members)) = (properties, document.as_object_mut()) {
            members.retain(|name, _| properties.split(',').any(|shown| shown == name));
        }
        format!("{}:{document}", json!(record.id))
    };
    let members: Vec<_> = records.iter().map(member).collect();
    Reply::text(StatusCode::OK, "application/json", format!("{{{}}}", members.join(",")))
}
