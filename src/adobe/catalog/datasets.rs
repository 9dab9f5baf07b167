//! `/dataSets`: an object with one member for each dataset, under its ID.

use http::{Method, StatusCode};
use serde::Serialize;

use crate::{
    adobe::{
        DatasetSelection, NewDatasetRequest, PageToken,
        answer::success::{object, value},
        client::{Call, Route, json},
        marker_list::{MarkerItem, MarkerPage},
        wire,
    },
    domain::{
        SandboxName,
        dataflow::{Dataset, DatasetId, SchemaId, SchemaRef},
    },
    error::Cause,
    json::Object,
};

const PATH: &str = "/dataSets";
const PATH_OF_ONE: &str = "/dataSets/{id}";

static CREATE: Route = Route::create_part(PATH, &[]);
static LIST: Route = Route::read(PATH, &[]);
static GET: Route = Route::read(PATH_OF_ONE, &["schemaRef", "name"]);
static DELETE: Route = Route::change(Method::DELETE, PATH_OF_ONE, StatusCode::OK, &[]);

pub(super) static ROUTES: [&Route; 4] = [&CREATE, &LIST, &GET, &DELETE];

/// The latest minor version of a schema's first major version.
const SCHEMA_CONTENT_TYPE: &str = "application/vnd.adobe.xed+json;version=1";
const LARGEST_PAGE: usize = 100;
/// The size of a page that is not asked for. A shorter page is the last one, also if the Catalog ignores the limit.
const DEFAULT_PAGE: usize = 20;
const REFERENCE: &str = "@/dataSets/";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateDataset<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    schema_ref: NewSchemaRef<'a>,
    tags: serde_json::Map<String, serde_json::Value>,
    enable_error_diagnostics: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewSchemaRef<'a> {
    id: &'a str,
    content_type: &'static str,
}

pub(crate) fn create<'a>(dataset: &NewDatasetRequest<'a>) -> Call<'a, DatasetId> {
    let NewDatasetRequest { sandbox, name, description, schema, tag: (key, tag), error_diagnostics } =
        *dataset;
    let body = json(&CreateDataset {
        name,
        description,
        schema_ref: NewSchemaRef { id: schema.as_str(), content_type: SCHEMA_CONTENT_TYPE },
        tags: [(key.to_owned(), serde_json::json!([tag]))].into_iter().collect(),
        enable_error_diagnostics: error_diagnostics,
    });
    let query = vec![("requestDataSource", "true".to_owned())];
    Call { body: Some(body), query, ..Call::new(&CREATE, sandbox, read_created) }
}

pub(crate) fn get<'a>(sandbox: &'a SandboxName, id: &'a DatasetId) -> Call<'a, Option<Dataset>> {
    let read = |body: &[u8]| read_dataset(body, id);
    Call { id: Some(id.as_str()), ..Call::new(&GET, sandbox, read) }
}

pub(crate) fn list<'a>(
    sandbox: &'a SandboxName,
    selection: DatasetSelection<'a>,
    page: Option<&PageToken>,
) -> Call<'a, MarkerPage<Dataset>> {
    let start = page.and_then(|PageToken(start)| start.parse().ok()).unwrap_or(0);
    let mut call = Call::new(&LIST, sandbox, move |body| read_list(body, selection, start));
    match selection {
        DatasetSelection::Tag(tag) => call.query.push(("tags", tag.to_owned())),
        // A filter by a nested property is not documented.
        DatasetSelection::Schema(_) => {}
    }
    call.query.push(("limit", LARGEST_PAGE.to_string()));
    call.query.push(("start", start.to_string()));
    call.query.push(("orderBy", "desc:created".to_owned()));
    call
}

pub(crate) fn delete<'a>(sandbox: &'a SandboxName, id: &'a DatasetId) -> Call<'a, ()> {
    Call { id: Some(id.as_str()), ..Call::new(&DELETE, sandbox, wire::read_deleted) }
}

/// Reads the reply to a creation: an array of one reference.
pub(crate) fn read_created(body: &[u8]) -> Result<DatasetId, Cause> {
    let created = value("the success names no dataset", body)?;
    let reference = match created.as_array().map(Vec::as_slice) {
        Some([reference]) => reference.as_str(),
        Some(_) => None,
        None => created["id"].as_str(),
    };
    let id = reference.map(|reference| reference.trim().trim_start_matches(REFERENCE));
    id.and_then(|id| DatasetId::parse(id).ok()).ok_or_else(|| "the success names no usable dataset".into())
}

/// Reads the reply to `GET /dataSets/{id}`: an object with the dataset under its ID, or the dataset itself.
///
/// # Errors
/// It is another dataset, or none.
pub(crate) fn read_dataset(body: &[u8], id: &DatasetId) -> Result<Option<Dataset>, Cause> {
    let body = object("no dataset", body)?;
    if let Some(item) = body.object(id.as_str()) {
        return Ok(Some(dataset(&item, id.clone())));
    }
    if body.is_empty() {
        return Ok(None);
    }
    if body.has("name") && body.has("schemaRef") {
        return Ok(Some(dataset(&body, id.clone())));
    }
    Err("another dataset than the one that was asked for".into())
}

/// Reads a page of the list, which starts at this position.
///
/// # Errors
/// A dataset cannot be read, and may be selected.
pub(crate) fn read_list(
    body: &[u8],
    selection: DatasetSelection<'_>,
    start: usize,
) -> Result<MarkerPage<Dataset>, Cause> {
    let list = object("no list of datasets", body)?;
    let items = list.members().map(|(id, item)| {
        let item = object("a list with an item that is no dataset", item.get().as_bytes())?;
        let is_selected = match selection {
            DatasetSelection::Tag(tag) => tags(&item)?.iter().any(|other| other == tag),
            DatasetSelection::Schema(id) => {
                schema_id(&item)?.is_some_and(|other| other.trim() == id.as_str())
            }
        };
        let dataset_id = || DatasetId::parse(id).map_err(|_| "a dataset without a usable ID");
        let matching = if is_selected { Some(dataset(&item, dataset_id()?)) } else { None };
        Ok(MarkerItem { id: id.to_owned(), matching })
    });
    let items = items.collect::<Result<Vec<_>, Cause>>()?;
    let next = (items.len() >= DEFAULT_PAGE).then(|| PageToken((start + items.len()).to_string()));
    Ok(MarkerPage { items, next })
}

fn dataset(item: &Object<'_>, id: DatasetId) -> Dataset {
    let schema_ref = item.object("schemaRef").unwrap_or_default();
    Dataset {
        id,
        name: item.text("name"),
        schema: wire::id(&schema_ref, "id", SchemaId::parse)
            .map(|id| SchemaRef { id, content_type: schema_ref.text("contentType") }),
        tags: tags(item).unwrap_or_default(),
        created_at_ms: wire::milliseconds(item, "created"),
        has_batch: ["lastBatchId", "lastSuccessfulBatch"].into_iter().any(|name| item.has(name)),
    }
}

/// The ID of the schema; a dataset may have none.
fn schema_id(item: &Object<'_>) -> Result<Option<String>, Cause> {
    if !item.has("schemaRef") {
        return Ok(None);
    }
    wire::optional_text(&item.object("schemaRef").ok_or("a dataset with an odd schemaRef")?, "id")
}

/// The tags as filters write them.
fn tags(item: &Object<'_>) -> Result<Vec<String>, Cause> {
    if !item.has("tags") {
        return Ok(Vec::new());
    }
    let all = item.object("tags").ok_or("a dataset with odd tags")?;
    let mut tags = Vec::new();
    for (key, values) in all.members() {
        // Some of Adobe's own tags have other values than texts.
        let values = serde_json::from_str(values.get()).unwrap_or(serde_json::Value::Null);
        let values = values.as_array().map_or_else(|| std::slice::from_ref(&values), Vec::as_slice);
        tags.extend(values.iter().filter_map(|value| Some(format!("{key}:{}", value.as_str()?))));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_creation_names_its_dataset_by_a_reference() {
        for (body, id) in [
            (r#"["@/dataSets/5ed5639d798a22191b6987b2"]"#, Some("5ed5639d798a22191b6987b2")),
            (r#"{"id": "5ed"}"#, Some("5ed")),
            (r#"["@/dataSets/a", "@/dataSets/b"]"#, None),
            (r#"["@/dataSets/../x"]"#, None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(read_created(body.as_bytes()).ok().as_ref().map(DatasetId::as_str), id, "{body}");
        }
    }

    #[test]
    fn datasets_are_members_of_an_object_and_selected_by_their_exact_tag() {
        let list = json!({
            "a1": {"name": "x", "tags": {"request": ["r-1"], "other": [5, "y"]}, "created": 1_612_310_466_000_i64},
            "b2": {"tags": {"request": ["r-10"]}}, "c3": {},
        });
        let read = |tag| read_list(list.to_string().as_bytes(), DatasetSelection::Tag(tag), 0).unwrap();
        let page = read("request:r-1");
        let found: Vec<_> = page.items.into_iter().filter_map(|item| item.matching).collect();
        assert_eq!((found.len(), found[0].id.as_str(), page.next), (1, "a1", None));
        assert_eq!(found[0].tags, ["other:y", "request:r-1"]);
        for body in
            [r#"{"a": null}"#, r#"{"a": {"tags": []}}"#, "[]", "", r#"{"../": {"tags": {"request": "r-1"}}}"#]
        {
            assert!(read_list(body.as_bytes(), DatasetSelection::Tag("request:r-1"), 0).is_err(), "{body}");
        }
        let many: serde_json::Map<_, _> = (0..20).map(|n| (format!("d{n}"), json!({}))).collect();
        let many = serde_json::Value::from(many).to_string();
        let next = read_list(many.as_bytes(), DatasetSelection::Tag("a:b"), 40).unwrap().next;
        assert_eq!(next, Some(PageToken("60".to_owned())));
    }

    #[test]
    fn one_dataset_comes_under_its_id() {
        let id = DatasetId::parse("a1").unwrap();
        let read = |body: &str| read_dataset(body.as_bytes(), &id);
        assert!(
            read(r#"{"a1": {"name": "x", "lastBatchId": "b"}}"#).unwrap().is_some_and(|set| set.has_batch)
        );
        assert!(read("{}").unwrap().is_none());
        assert!(read(r#"{"b2": {}}"#).is_err() && read("[]").is_err());
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            let id = DatasetId::parse("a").unwrap();
            let list = read_list(&body, DatasetSelection::Tag("a:b"), 0);
            let _ = (read_created(&body), read_dataset(&body, &id), list);
        }
    }
}
