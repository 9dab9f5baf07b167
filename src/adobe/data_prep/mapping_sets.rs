//! `/mappingSets`: creates, validates, finds and deletes mapping sets.

use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::mappings::{NewMapping, read_mapping};
use crate::{
    adobe::{
        NewMappingSet, PageToken,
        answer::{
            classify::Asked,
            success::{object, value},
        },
        client::{Call, Route, json},
        flow_service::connections::is_plain,
        marker_list::{MarkerItem, MarkerPage},
        wire::{self, presentable_text},
    },
    domain::{
        SandboxName,
        dataflow::{FieldMapping, MappingSet, MappingSetId, MappingSetRef, SchemaId},
    },
    error::Cause,
    json::Object,
};

const PATH: &str = "/mappingSets";

static CREATE: Route = Route::new(Method::POST, PATH, StatusCode::OK, Asked::CreatePart, &["id", "version"]);
static VALIDATE: Route = Route::ask("/mappingSets/validate", &["validationResponse"]);
static LIST: Route = Route::read(PATH, &["data"]);
static DELETE: Route = Route::change(Method::DELETE, "/mappingSets/{id}", StatusCode::NO_CONTENT, &[]);

pub(super) static ROUTES: [&Route; 4] = [&CREATE, &VALIDATE, &LIST, &DELETE];

/// The latest minor version of a schema's first major version.
const SCHEMA_CONTENT_TYPE: &str = "application/vnd.adobe.xed-full+json;version=1";
const LARGEST_PAGE: usize = 100;
/// The size of a page that is not asked for. A shorter page is the last one, also if Data Prep ignores the limit.
const DEFAULT_PAGE: usize = 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateMappingSet<'a> {
    name: &'a str,
    output_schema: OutputSchema<'a>,
    mappings: Vec<NewMapping<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputSchema<'a> {
    schema_ref: OutputSchemaRef<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputSchemaRef<'a> {
    id: &'a str,
    content_type: &'static str,
}

fn body(set: &NewMappingSet<'_>) -> bytes::Bytes {
    // The sandbox is a header.
    let NewMappingSet { sandbox: _, name, schema, mappings } = *set;
    let schema_ref = OutputSchemaRef { id: schema.as_str(), content_type: SCHEMA_CONTENT_TYPE };
    json(&CreateMappingSet {
        name,
        output_schema: OutputSchema { schema_ref },
        mappings: mappings.iter().map(NewMapping::from).collect(),
    })
}

pub(crate) fn create<'a>(set: &NewMappingSet<'a>) -> Call<'a, MappingSetRef> {
    Call { body: Some(body(set)), ..Call::new(&CREATE, set.sandbox, read_created) }
}

pub(crate) fn validate<'a>(set: &NewMappingSet<'a>) -> Call<'a, Vec<Option<String>>> {
    let number = set.mappings.len();
    let read = move |body: &[u8]| read_validation(body, number);
    Call { body: Some(body(set)), ..Call::new(&VALIDATE, set.sandbox, read) }
}

pub(crate) fn list<'a>(
    sandbox: &'a SandboxName,
    name: &'a str,
    page: Option<&PageToken>,
) -> Call<'a, MarkerPage<MappingSet>> {
    let start = page.and_then(|PageToken(start)| start.parse().ok()).unwrap_or(0);
    let mut call = Call::new(&LIST, sandbox, move |body| read_list(body, name, start));
    if is_plain(name) {
        call.query.push(("name", name.to_owned()));
    }
    call.query.push(("limit", LARGEST_PAGE.to_string()));
    call.query.push(("start", start.to_string()));
    call
}

pub(crate) fn delete<'a>(sandbox: &'a SandboxName, id: &'a MappingSetId) -> Call<'a, ()> {
    Call { id: Some(id.as_str()), ..Call::new(&DELETE, sandbox, wire::read_deleted) }
}

/// Reads the reply to a creation.
pub(crate) fn read_created(body: &[u8]) -> Result<MappingSetRef, Cause> {
    version(&object("the success names no mapping set", body)?)
        .ok_or_else(|| "the success names no usable mapping set".into())
}

/// The ID and the version, which is 0 in the beginning.
fn version(set: &Object<'_>) -> Option<MappingSetRef> {
    let version = if set.has("version") { set.integer("version")? } else { 0 };
    Some(MappingSetRef {
        id: wire::id(set, "id", MappingSetId::parse)?,
        version: u32::try_from(version).ok()?,
    })
}

/// Reads what is wrong with each of so many mappings.
///
/// # Errors
/// There is no result for each of them.
pub(crate) fn read_validation(body: &[u8], number: usize) -> Result<Vec<Option<String>>, Cause> {
    let body = value("no validation", body)?;
    let results = body.as_array().or_else(|| body["validationResponse"].as_array());
    let results = results.filter(|results| results.len() == number);
    let results = results.ok_or("no validation: not a result for each mapping")?;
    results.iter().map(verdict).collect()
}

fn verdict(result: &Value) -> Result<Option<String>, Cause> {
    let status = result["status"].as_str().ok_or("a validation without a status")?;
    if status.eq_ignore_ascii_case("SUCCESS") {
        return Ok(None);
    }
    let mut texts = Vec::new();
    collect_texts(&result["errors"], &mut texts);
    let said = presentable_text(&texts.join("; "));
    Ok(Some(said.unwrap_or_else(|| "Data Prep does not say what is wrong with it".to_owned())))
}

/// The texts in errors, whose form is not documented: their messages if they have any.
fn collect_texts(errors: &Value, texts: &mut Vec<String>) {
    const MOST_TEXTS: usize = 5;
    const MESSAGES: [&str; 5] = ["message", "detail", "description", "error", "title"];
    match errors {
        Value::String(text) if texts.len() < MOST_TEXTS => texts.push(text.clone()),
        Value::Array(errors) => errors.iter().for_each(|error| collect_texts(error, texts)),
        Value::Object(error) => match MESSAGES.into_iter().find_map(|name| error.get(name)?.as_str()) {
            Some(text) => collect_texts(&Value::from(text), texts),
            None => error.values().for_each(|error| collect_texts(error, texts)),
        },
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Reads a page of the list, which starts at this position: the sets of this name.
///
/// # Errors
/// A set cannot be read, and may be one of them.
pub(crate) fn read_list(body: &[u8], name: &str, start: usize) -> Result<MarkerPage<MappingSet>, Cause> {
    let page = object("no list of mapping sets", body)?;
    let member = if page.has("data") { "data" } else { "items" };
    let items = wire::objects("no list of mapping sets", &page, member)?.into_iter().map(|item| {
        let id = item.text("id").ok_or("a list with a mapping set that has no ID")?;
        let is_it = wire::optional_text(&item, "name")?.as_deref() == Some(name);
        let matching = if is_it { Some(mapping_set(&item)?) } else { None };
        Ok(MarkerItem { id, matching })
    });
    let items = items.collect::<Result<Vec<_>, Cause>>()?;
    let next = (items.len() >= DEFAULT_PAGE).then(|| PageToken((start + items.len()).to_string()));
    Ok(MarkerPage { items, next })
}

fn mapping_set(item: &Object<'_>) -> Result<MappingSet, Cause> {
    let output = item.object("outputSchema").and_then(|schema| schema.object("schemaRef"));
    let schema = output.and_then(|schema| wire::id(&schema, "id", SchemaId::parse));
    Ok(MappingSet {
        at: version(item).ok_or("a mapping set without a usable ID and version")?,
        name: item.text("name"),
        schema: schema.or_else(|| wire::id(item, "xdmSchema", SchemaId::parse)),
        mappings: item.array("mappings").and_then(mappings),
        created_at_ms: wire::milliseconds(item, "createdDate"),
    })
}

fn mappings(items: Vec<&RawValue>) -> Option<Vec<FieldMapping>> {
    items.into_iter().map(|item| read_mapping(&Object::parse(item.get().as_bytes()).ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::dataflow::MappingKind;

    #[test]
    fn both_forms_of_a_mapping_set_are_read() {
        let body = r#"{"data": [
            {"id": "m1", "name": "n", "version": "1", "xdmSchema": "https://ns.adobe.com/t/schemas/1",
             "mappings": [{"sourceAttribute": "Vid", "destinationXdmPath": "_id"}]},
            {"id": "m2", "name": "n", "outputSchema": {"schemaRef": {"id": "https://ns.adobe.com/t/schemas/1"}},
             "mappings": [{"sourceType": "text/x.schema-path", "source": "${a\\.b}", "destination": "_t.ab"}]},
            {"id": "m3", "name": "other"}]}"#;
        let page = read_list(body.as_bytes(), "n", 0).unwrap();
        let sets: Vec<_> = page.items.into_iter().filter_map(|item| item.matching).collect();
        assert_eq!((sets.len(), sets[0].at.version, sets[1].at.version), (2, 1, 0));
        assert!(sets.iter().all(|set| set.schema.is_some()));
        let source = |n: usize| sets[n].mappings.as_ref().map(|all| (all[0].source.as_str(), all[0].kind));
        assert_eq!(source(0), Some(("Vid", MappingKind::Attribute)));
        assert_eq!(source(1), Some(("a.b", MappingKind::Attribute)));
        for body in
            [r#"{"data": [null]}"#, r#"{"data": [{"id": "m", "name": "n", "version": -1}]}"#, "{}", "[]"]
        {
            assert!(read_list(body.as_bytes(), "n", 0).is_err(), "{body}");
        }
    }

    #[test]
    fn a_validation_has_a_result_for_each_mapping() {
        let body = r#"{"validationResponse": [{"status": "SUCCESS", "errors": null},
            {"status": "FAILED", "errors": [{"message": "no such field"}]}, {"status": "failed"}]}"#;
        let said = read_validation(body.as_bytes(), 3).unwrap();
        assert_eq!((said[0].as_deref(), said[1].as_deref()), (None, Some("no such field")));
        assert!(said[2].is_some());
        assert!(read_validation(body.as_bytes(), 2).is_err() && read_validation(b"[{}]", 1).is_err());
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            let _ = (read_created(&body), read_validation(&body, 1), read_list(&body, "n", 0));
        }
    }
}
