//! Reads flows, leniently: Adobe's documents disagree about them.

use crate::{
    adobe::{
        FlowPage,
        answer::success::object,
        flow_service::{connections::HUBSPOT_SPEC_ID, next_page::next_page, source_connections::is_same},
        wire,
    },
    domain::{
        ConnectionId, Etag,
        dataflow::{
            Dataflow, DataflowId, DataflowOptions, DataflowState, LastRun, MappingSetId, MappingSetRef,
            Percent, RunState, SourceConnectionId, StoredSchedule, TargetConnectionId,
        },
    },
    error::Cause,
    json::Object,
};

/// Reads a page: every item in its order, and the readable parts of it.
///
/// # Errors
/// It is no list, or names a next page that cannot be requested: flows would be missed.
pub(crate) fn read_page(body: &[u8]) -> Result<FlowPage, Cause> {
    // An invalid byte must spoil one name, not the list.
    let body = String::from_utf8_lossy(body);
    let page = object("no list of flows", body.as_bytes())?;
    let items = page.array("items").ok_or("no list of flows: no items")?;
    let flows = items.into_iter().map(|item| {
        let item = Object::parse(item.get().as_bytes()).unwrap_or_default();
        // A flow that may have any source or target must not look like one that has none.
        flow(&item).unwrap_or_default()
    });
    let items: Vec<_> = flows.collect();
    let unreadable = items.iter().filter(|flow| flow.id.is_none()).count();
    if unreadable > 0 {
        tracing::warn!(number = unreadable, "the Flow Service lists flows that cannot be read");
    }
    Ok(FlowPage { items, next: next_page(&page)? })
}

/// Reads the reply to `GET /flows/{id}`: a list of one, or the flow itself.
///
/// # Errors
/// It is another flow, or none.
pub(crate) fn read_flow(body: &[u8], id: &DataflowId) -> Result<Option<Dataflow>, Cause> {
    let body = object("no flow", body)?;
    let item = if body.has("items") {
        match &wire::objects("no flow", &body, "items")?[..] {
            [] => return Ok(None),
            [item] => flow(item)?,
            [_, _, ..] => return Err("several flows in place of one".into()),
        }
    } else {
        flow(&body)?
    };
    match &item.id {
        Some(read) if is_same(read.as_str(), id.as_str()) => Ok(Some(item)),
        Some(_) => Err("another flow than the one that was asked for".into()),
        None => Err("a flow without a usable ID".into()),
    }
}

/// The readable parts of a flow.
///
/// # Errors
/// Its source or target connections cannot be read.
fn flow(item: &Object<'_>) -> Result<Dataflow, Cause> {
    let sources = source_specs(item);
    Ok(Dataflow {
        id: wire::id(item, "id", DataflowId::parse),
        etag: wire::id(item, "etag", Etag::parse),
        name: item.text("name"),
        description: item.text("description"),
        state: item.text("state").and_then(|state| DataflowState::parse(state.trim())),
        created_at_ms: wire::milliseconds(item, "createdAt"),
        updated_at_ms: wire::milliseconds(item, "updatedAt"),
        created_client: item.text("createdClient"),
        source_connections: wire::ids(item, "sourceConnectionIds", SourceConnectionId::parse)?,
        target_connections: wire::ids(item, "targetConnectionIds", TargetConnectionId::parse)?,
        connection: sources
            .iter()
            .find_map(|source| wire::id(&source.object("baseConnection")?, "id", ConnectionId::parse)),
        is_of_hubspot: is_of_hubspot(&sources),
        mapping_set: transformation(item, "Mapping").and_then(|params| mapping_set(&params)),
        schedule: schedule(item),
        options: options(&item.object("options").unwrap_or_default()),
        last_run: item.object("lastRunDetails").map(|run| LastRun {
            id: run.text("id"),
            state: run.text("state").as_deref().and_then(RunState::parse),
            started_at_ms: wire::milliseconds(&run, "startedAtUTC"),
            completed_at_ms: wire::milliseconds(&run, "completedAtUTC"),
        }),
    })
}

/// The source connections as a flow itself describes them.
fn source_specs<'a>(item: &Object<'a>) -> Vec<Object<'a>> {
    let inherited = item.object("inheritedAttributes").unwrap_or_default();
    let sources = inherited.array("sourceConnections").unwrap_or_default();
    sources.into_iter().filter_map(|source| Object::parse(source.get().as_bytes()).ok()).collect()
}

/// Whether every source is HubSpot; `None` where one does not say.
fn is_of_hubspot(sources: &[Object<'_>]) -> Option<bool> {
    let spec = |source: &Object<'_>| {
        let base = || source.object("baseConnection")?.object("connectionSpec");
        let id = source.object("connectionSpec").or_else(base)?.text("id")?;
        let id = id.trim();
        (!id.is_empty()).then(|| is_same(id, HUBSPOT_SPEC_ID))
    };
    let specs: Vec<_> = sources.iter().map(spec).collect();
    if specs.contains(&Some(false)) {
        return Some(false);
    }
    (!specs.is_empty() && !specs.contains(&None)).then_some(true)
}

/// The parameters of a transformation.
fn transformation<'a>(item: &Object<'a>, name: &str) -> Option<Object<'a>> {
    let all = item.array("transformations")?;
    let mut all = all.into_iter().filter_map(|one| Object::parse(one.get().as_bytes()).ok());
    all.find(|one| one.text("name").is_some_and(|other| other.eq_ignore_ascii_case(name)))?.object("params")
}

fn mapping_set(params: &Object<'_>) -> Option<MappingSetRef> {
    Some(MappingSetRef {
        id: wire::id(params, "mappingId", MappingSetId::parse)?,
        version: if params.has("mappingVersion") {
            u32::try_from(params.integer("mappingVersion")?).ok()?
        } else {
            0
        },
    })
}

fn schedule(item: &Object<'_>) -> StoredSchedule {
    let schedule = item.object("scheduleParams").unwrap_or_default();
    let delta = transformation(item, "Copy").and_then(|params| params.object("deltaColumn"));
    let delta = delta.unwrap_or_default();
    StoredSchedule {
        frequency: schedule.text("frequency").map(|frequency| frequency.trim().to_ascii_lowercase()),
        interval: schedule.integer("interval"),
        start: wire::milliseconds(&schedule, "startTime").map(|time| time / 1000),
        backfill: flag(&schedule, "backfill"),
        delta_column: delta.text("name"),
        date_format: delta.text("dateFormat"),
    }
}

fn options(options: &Object<'_>) -> DataflowOptions {
    DataflowOptions {
        error_diagnostics: flag(options, "errorDiagnosticsEnabled").unwrap_or_default(),
        partial_ingestion: options
            .number("partialIngestionPercent")
            .and_then(|percent| Percent::parse(percent).ok()),
    }
}

/// A flag, which may be written as a string.
fn flag(object: &Object<'_>, name: &str) -> Option<bool> {
    object.flag(name).or_else(|| object.text(name)?.trim().to_ascii_lowercase().parse().ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn item() -> Value {
        json!({
            "id": "f-1", "etag": "\"1\"", "name": "contacts", "state": "enabled", "createdAt": 1_612_310_466_000_i64,
            "sourceConnectionIds": ["s-1"], "targetConnectionIds": ["t-1"],
            "inheritedAttributes": {"sourceConnections": [
                {"id": "s-1", "connectionSpec": {"id": HUBSPOT_SPEC_ID}, "baseConnection": {"id": "c-1"}}]},
            "scheduleParams": {"startTime": "1612310466", "frequency": "minute", "interval": "15", "backfill": "true"},
            "transformations": [
                {"name": "Copy", "params": {"deltaColumn": {"name": "Added_At"}}},
                {"name": "Mapping", "params": {"mappingId": "m1", "mappingVersion": "2"}}],
            "options": {"errorDiagnosticsEnabled": "true", "partialIngestionPercent": "10"},
            "lastRunDetails": {"id": "r-1", "state": "success"},
        })
    }

    fn read(item: &Value) -> Dataflow {
        let page = json!({"items": [item]}).to_string();
        read_page(page.as_bytes()).unwrap().items.remove(0)
    }

    #[test]
    fn a_flow_is_read_with_values_that_come_back_as_strings() {
        let flow = read(&item());
        let StoredSchedule { interval, start, backfill, .. } = &flow.schedule;
        assert_eq!((*interval, *start, *backfill), (Some(15), Some(1_612_310_466), Some(true)));
        assert_eq!(flow.schedule.delta_column.as_deref(), Some("Added_At"));
        assert_eq!(flow.mapping_set.as_ref().map(|set| (set.id.as_str(), set.version)), Some(("m1", 2)));
        assert_eq!(flow.options.partial_ingestion, Percent::parse(10.0).ok());
        assert_eq!((flow.is_of_hubspot, flow.state), (Some(true), Some(DataflowState::Enabled)));
        assert_eq!(flow.connection.as_ref().map(ConnectionId::as_str), Some("c-1"));
        assert_eq!(flow.last_run.and_then(|run| run.state), Some(RunState::Succeeded));
    }

    #[test]
    fn a_flow_whose_connections_cannot_be_read_does_not_look_like_one_without() {
        for odd in [json!("s-1"), json!([5]), json!(["../s"])] {
            let mut item = item();
            item["sourceConnectionIds"] = odd;
            assert_eq!(read(&item), Dataflow::default());
        }
        let mut other = item();
        other["inheritedAttributes"]["sourceConnections"][0]["connectionSpec"]["id"] = json!("x");
        assert_eq!(read(&other).is_of_hubspot, Some(false));
        other["inheritedAttributes"] = json!(null);
        assert_eq!(read(&other).is_of_hubspot, None);
    }

    #[test]
    fn only_the_flow_that_was_asked_for_is_returned() {
        let id = DataflowId::parse("F-1").unwrap();
        let read = |body: Value| read_flow(body.to_string().as_bytes(), &id);
        assert!(read(json!({"items": [item()]})).unwrap().is_some() && read(item()).unwrap().is_some());
        assert!(read(json!({"items": []})).unwrap().is_none());
        for body in [json!({}), json!([]), json!({"items": [null]}), json!({"items": [{"id": "f-2"}]})] {
            assert!(read(body.clone()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            let _ = (read_page(&body), read_flow(&body, &DataflowId::parse("f").unwrap()));
        }
    }
}
