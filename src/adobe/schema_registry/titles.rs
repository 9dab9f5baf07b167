//! Schemas and field groups by their titles, which are unique, and their deletion.

use http::{Method, StatusCode};

use crate::{
    adobe::{
        PageToken, TitledKind,
        answer::success::object,
        client::{Call, Route},
        flow_service::connections::is_plain,
        marker_list::{MarkerItem, MarkerPage},
        wire,
    },
    domain::{
        SandboxName,
        dataflow::{SchemaId, TitledResource},
    },
    error::Cause,
    json::Object,
};

static SCHEMAS: Route = Route::read("/tenant/schemas", &["results"]);
static FIELD_GROUPS: Route = Route::read("/tenant/fieldgroups", &["results"]);
static SCHEMA: Route = Route::read("/tenant/schemas/{id}", &["$id"]);
static FIELD_GROUP: Route = Route::read("/tenant/fieldgroups/{id}", &["$id"]);
static DELETE_SCHEMA: Route =
    Route::change(Method::DELETE, "/tenant/schemas/{id}", StatusCode::NO_CONTENT, &[]);
static DELETE_FIELD_GROUP: Route =
    Route::change(Method::DELETE, "/tenant/fieldgroups/{id}", StatusCode::NO_CONTENT, &[]);

pub(super) static ROUTES: [&Route; 5] =
    [&SCHEMAS, &FIELD_GROUPS, &FIELD_GROUP, &DELETE_SCHEMA, &DELETE_FIELD_GROUP];

/// The short form of a list: IDs and titles.
const SHORT: &str = "application/vnd.adobe.xed-id+json";
/// One resource as it was created, with its description. The version is required.
const AS_CREATED: &str = "application/vnd.adobe.xed+json; version=1";
/// The largest page, by Adobe's documentation.
const LARGEST_PAGE: usize = 300;

/// Asks for a page of the resources with a title.
pub(crate) fn list<'a>(
    sandbox: &'a SandboxName,
    kind: TitledKind,
    title: &'a str,
    page: Option<&PageToken>,
) -> Call<'a, MarkerPage<SchemaId>> {
    let route = match kind {
        TitledKind::Schema => &SCHEMAS,
        TitledKind::FieldGroup => &FIELD_GROUPS,
    };
    let mut call = Call::new(route, sandbox, move |body| read_titles(body, title));
    call.accept = Some(SHORT);
    if is_plain(title) {
        call.query.push(("property", format!("title=={title}")));
    }
    // A page can be continued only in an order.
    call.query.push(("orderby", "title".to_owned()));
    call.query.push(("limit", LARGEST_PAGE.to_string()));
    call.query.extend(page.map(|PageToken(start)| ("start", start.clone())));
    call
}

/// Reads one resource with its description.
pub(crate) fn get<'a>(
    sandbox: &'a SandboxName,
    kind: TitledKind,
    id: &'a SchemaId,
) -> Call<'a, TitledResource> {
    let route = match kind {
        TitledKind::Schema => &SCHEMA,
        TitledKind::FieldGroup => &FIELD_GROUP,
    };
    Call { id: Some(id.as_str()), accept: Some(AS_CREATED), ..Call::new(route, sandbox, read_titled) }
}

pub(crate) fn delete<'a>(sandbox: &'a SandboxName, kind: TitledKind, id: &'a SchemaId) -> Call<'a, ()> {
    let route = match kind {
        TitledKind::Schema => &DELETE_SCHEMA,
        TitledKind::FieldGroup => &DELETE_FIELD_GROUP,
    };
    Call { id: Some(id.as_str()), ..Call::new(route, sandbox, wire::read_deleted) }
}

/// Reads a page of the list: the IDs of those with this title.
///
/// # Errors
/// An item cannot be read, and may be one of them, or the next page cannot be asked for.
pub(crate) fn read_titles(body: &[u8], title: &str) -> Result<MarkerPage<SchemaId>, Cause> {
    let page = object("no list of titles", body)?;
    let results = wire::objects("no list of titles", &page, "results")?;
    let number = results.len();
    let items = results.into_iter().map(|item| {
        let id = item.text("$id").ok_or("a list of titles with an item that has no $id")?;
        let is_it = wire::optional_text(&item, "title")?.as_deref() == Some(title);
        let matching = if is_it { Some(SchemaId::parse(&id).map_err(|_| "an unusable $id")?) } else { None };
        Ok(MarkerItem { id, matching })
    });
    let items = items.collect::<Result<_, Cause>>()?;
    let next = next_start(&page)?;
    if next.is_none() && number >= LARGEST_PAGE {
        return Err("a list of titles that does not say how it goes on".into());
    }
    Ok(MarkerPage { items, next })
}

/// Where the next page starts: `None` on the last one.
fn next_start(page: &Object<'_>) -> Result<Option<PageToken>, Cause> {
    const UNUSABLE: &str = "the next page of titles cannot be asked for";
    if !page.has("_page") {
        return Ok(None);
    }
    let place = page.object("_page").ok_or(UNUSABLE)?;
    if !place.has("next") {
        return Ok(None);
    }
    // A title, or a number where the order is one of numbers.
    let next =
        place.text("next").or_else(|| place.integer("next").map(|next| next.to_string())).ok_or(UNUSABLE)?;
    Ok(Some(next).filter(|next| !next.is_empty()).map(PageToken))
}

/// Reads one resource.
pub(crate) fn read_titled(body: &[u8]) -> Result<TitledResource, Cause> {
    let body = object("no schema or field group", body)?;
    Ok(TitledResource {
        id: wire::id(&body, "$id", SchemaId::parse).ok_or("no schema or field group: no usable $id")?,
        title: body.text("title").ok_or("no schema or field group: no title")?,
        description: body.text("description"),
    })
}
