//! `GET /tenant/{kind}`

use std::cmp::Ordering;

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Kind, XdmResource,
    accept::{Accept, Form},
};
use crate::emulator::{
    collection::{Field, Filter, Operator, Order, Query, Record},
    platform::{self, bad_request},
    problem::Problem,
    reply::Reply,
    routes::Call,
    state::State,
};

const COMPARE: &[Operator] = &[
    Operator::Equal,
    Operator::NotEqual,
    Operator::Greater,
    Operator::GreaterOrEqual,
    Operator::Less,
    Operator::LessOrEqual,
];
const MEMBER: &[Operator] = &[Operator::Equal, Operator::NotEqual];

/// The largest page.
const MAX_ITEMS: usize = 300;

const FIELDS: &[Field] = &[
    ("$id", COMPARE),
    ("title", COMPARE),
    ("version", COMPARE),
    ("description", COMPARE),
    ("meta:altId", COMPARE),
    ("meta:class", COMPARE),
    ("meta:extends[]", MEMBER),
    ("meta:intendedToExtend[]", MEMBER),
];

/// By what a list can be ordered, with the path of its value.
const ORDERS: [(&str, &str); 4] =
    [("title", "title"), ("$id", "$id"), ("meta:altId", "meta:altId"), (UPDATED, UPDATED_PATH)];

/// The order of a list that names none.
const UPDATED: &str = "updated";
const UPDATED_PATH: &str = "meta:registryMetadata.repo:lastModifiedDate";

/// Lists resources. A page begins after the value of `start` in the property of `orderby`.
///
/// # Errors
/// 406 without a known form in the `Accept` header, 400 for query parameters that are unknown or invalid.
pub(super) fn list(kind: Kind, call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    let form = Accept::of_list(call.request)?;
    let parameters = Parameters::parse(call)?;
    let listed = state.xdm_resources.list(&call.tenant, &parameters.query, state.settings.index_lag);
    let listed: Vec<_> = listed.into_iter().filter(|record| record.content.kind == kind).collect();
    let (page, next) = parameters.page(listed);
    let results: Vec<Value> = page.iter().map(|record| item(record, form)).collect();
    let links = next.as_ref().map(|next| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("orderby", &parameters.orderby)
            .append_pair("start", next)
            .finish();
        json!({"href": format!("/tenant/{}?{query}", kind.name())})
    });
    let body = json!({
        "results": results,
        "_page": {"orderby": parameters.orderby, "next": next, "count": page.len()},
        "_links": {"next": links},
    });
    Ok(Reply::json(StatusCode::OK, &body))
}

fn item(record: &Record<XdmResource>, form: Form) -> Value {
    let document = &record.document;
    match form {
        Form::Id => ["$id", "meta:altId", "version", "title"]
            .into_iter()
            .map(|name| (name.to_owned(), document[name].clone()))
            .collect(),
        Form::Raw | Form::Full => document.clone(),
    }
}

struct Parameters {
    query: Query,
    orderby: String,
    /// The path of the value in the order.
    path: &'static str,
    descending: bool,
    start: Option<String>,
    limit: usize,
}

impl Parameters {
    fn parse(call: &Call<'_>) -> Result<Self, Problem> {
        let given = platform::Parameters::parse(call, &["property", "orderby", "start", "limit"])?;
        let filters = given.all("property").map(filter).collect::<Result<_, _>>()?;
        let start = given.get("start").map(str::to_owned);
        let limit = given.number("limit", 1, 500)?;
        let orderby = given.get("orderby").map(str::to_owned);
        if orderby.is_none() && (start.is_some() || limit.is_some()) {
            return Err(bad_request("The query parameters start and limit need orderby."));
        }
        let orderby = orderby.unwrap_or_else(|| UPDATED.to_owned());
        let (name, descending) = orderby.strip_prefix('-').map_or((&*orderby, false), |name| (name, true));
        let path = ORDERS.iter().find(|(known, _)| *known == name).map(|(_, path)| *path);
        let path = path.ok_or_else(|| {
            let known: Vec<_> = ORDERS.iter().map(|(known, _)| *known).collect();
            bad_request(format!("The query parameter orderby can be one of {}.", known.join(", ")))
        })?;
        let sign = if descending { "-" } else { "" };
        let order = Order::parse(&format!("{sign}{path}"), &[path])
            .map_err(|error| bad_request(error.to_string()))?;
        let limit = limit.unwrap_or(MAX_ITEMS).min(MAX_ITEMS);
        Ok(Self { query: Query { filters, order }, orderby, path, descending, start, limit })
    }

    /// One page of what is listed in order, and the `start` of the next one. Records with the value of the last one
    /// are on the same page even beyond the limit, because the next page begins after this value.
    fn page<'a>(
        &self,
        listed: Vec<&'a Record<XdmResource>>,
    ) -> (Vec<&'a Record<XdmResource>>, Option<String>) {
        let value = |record: &Record<XdmResource>| {
            let value = self.path.split('.').fold(&record.document, |value, name| &value[name]);
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        };
        let is_after = |record: &&Record<XdmResource>| match &self.start {
            None => true,
            Some(start) if self.descending => value(record).cmp(start) == Ordering::Less,
            Some(start) => value(record).cmp(start) == Ordering::Greater,
        };
        let mut records: Vec<_> = listed.into_iter().filter(is_after).collect();
        let Some(last) = records.get(self.limit - 1).map(|record| value(record)) else {
            return (records, None);
        };
        let mut end = self.limit;
        while records.get(end).is_some_and(|record| value(record) == last) {
            end += 1;
        }
        let is_last = records.len() == end;
        records.truncate(end);
        (records, (!is_last).then_some(last))
    }
}

/// Parses `path==value`. The value is one, even with commas and quotes, and names of arrays are without brackets.
fn filter(property: &str) -> Result<Filter, Problem> {
    let end = property.find(['=', '!', '>', '<', '~']).unwrap_or(property.len());
    let (path, rest) = property.split_at(end);
    let (operator, value) = rest.split_at(rest.find(|c| !"=!><~".contains(c)).unwrap_or(rest.len()));
    let brackets = if ["meta:extends", "meta:intendedToExtend"].contains(&path) { "[]" } else { "" };
    Filter::parse(&format!("{path}{brackets}{operator}\"{value}\""), FIELDS)
        .map_err(|error| bad_request(error.to_string()))
}
