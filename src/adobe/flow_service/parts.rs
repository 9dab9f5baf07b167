//! What source connections and target connections share.

use super::connections::is_plain;
use crate::{
    adobe::{
        PageToken,
        answer::success::object,
        client::Call,
        flow_service::{list::ListQuery, next_page::next_page},
        marker_list::{MarkerItem, MarkerPage},
        wire,
    },
    domain::Invalid,
    error::Cause,
    json::Object,
};

/// Filters by a name, if every server reads the filter in the same way.
pub(super) fn named(name: &str) -> Option<(&'static str, String)> {
    is_plain(name).then(|| ("property", format!("name=={name}")))
}

/// Filters by IDs: any of them.
pub(super) fn any_of<'a>(path: &str, ids: impl Iterator<Item = &'a str>) -> (&'static str, String) {
    ("property", format!("{path}=={}", ids.collect::<Vec<_>>().join(",")))
}

/// Asks for a page of this list, newest first.
pub(super) fn paged<T>(call: &mut Call<'_, T>, limit: u8, page: Option<&PageToken>) {
    call.query.push(("orderby", "-createdAt".to_owned()));
    call.query.push(("limit", limit.to_string()));
    call.query.extend(page.map(|PageToken(token)| ("continuationToken", token.clone())));
}

/// The largest page.
pub(super) const LARGEST_PAGE: u8 = ListQuery::LARGEST_PAGE;

/// Reads a page of a list of marked things. `matching` reads an item that matches, and is an error for one that may.
pub(super) fn read_marked<T>(
    body: &[u8],
    matching: impl Fn(&Object<'_>) -> Result<Option<T>, Cause>,
) -> Result<MarkerPage<T>, Cause> {
    let page = object("no list", body)?;
    let items = wire::objects("no list", &page, "items")?.into_iter().map(|item| {
        let id = item.text("id").ok_or("a list with an item that has no ID")?;
        Ok(MarkerItem { matching: matching(&item)?, id })
    });
    let items = items.collect::<Result<_, Cause>>()?;
    Ok(MarkerPage { items, next: next_page(&page)? })
}

/// Reads the ID in the reply to a creation.
pub(super) fn read_created_id<I>(body: &[u8], parse: fn(&str) -> Result<I, Invalid>) -> Result<I, Cause> {
    let created = object("the success holds no id", body)?;
    wire::id(&created, "id", parse).ok_or_else(|| "the success holds no usable id".into())
}
