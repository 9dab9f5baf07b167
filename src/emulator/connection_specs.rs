//! The `/connectionSpecs` routes. Specifications belong to no organization and no sandbox.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    problem::Problem,
    property::{self, FilterError},
    query::{Extent, filters, invalid_value, known_parameters_only, value},
    reply::Reply,
    routes::{Call, Endpoint},
    settings::Settings,
    spec::{HUBSPOT, Spec},
    state::State,
};

pub(super) const ROUTES: &[Endpoint] =
    &[Endpoint::tenant("GET /connectionSpecs", list), Endpoint::tenant("GET /connectionSpecs/{id}", get)];

/// `GET /connectionSpecs`: lists specifications, or counts them.
///
/// # Errors
/// What the Flow Service answers to query parameters that it does not know or understand.
fn list(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &["property", "limit", "continuationToken", "count"])?;
    let pairs = call.request.query_pairs();
    let extent = Extent::parse(&pairs)?;
    let filters = filters(&pairs, Filter::parse)?;
    let mut found: Vec<&Spec> =
        Spec::ALL.into_iter().filter(|spec| filters.iter().all(|filter| filter.matches(spec))).collect();
    let limit = match extent {
        Extent::Count => return Ok(Reply::json(StatusCode::OK, &json!({"count": found.len()}))),
        Extent::Page(limit) => limit.unwrap_or(found.len()),
    };
    // A token is the ID of the last specification before the page, whose client repeats the filters.
    if let Some(token) = value(&pairs, "continuationToken") {
        let last = found.iter().position(|spec| spec.id == token);
        let last = last.ok_or_else(|| invalid_value(token, "continuationToken"))?;
        found.drain(..=last);
    }
    let is_last = found.len() <= limit;
    found.truncate(limit);
    let mut body = json!({"items": found.iter().map(|spec| item(spec, &state.settings)).collect::<Vec<_>>()});
    if let (false, Some(last)) = (is_last, found.last()) {
        let href = format!("/connectionSpecs?continuationToken={}", last.id);
        body["_links"] = json!({"next": {"href": href}});
    }
    Ok(Reply::json(StatusCode::OK, &body))
}

/// `GET /connectionSpecs/{id}`: reads one specification, which comes as a list of one.
///
/// # Errors
/// 1451-400 for any query parameter, 404 in the legacy shape for an unknown ID.
fn get(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &[])?;
    let id = call.id;
    let Some(spec) = Spec::ALL.into_iter().find(|spec| spec.id == id) else {
        let message = format!("connectionSpecs not found with id = [{id}]");
        return Err(Problem::Legacy { status: StatusCode::NOT_FOUND, message });
    };
    Ok(Reply::json(StatusCode::OK, &json!({"items": [item(spec, &state.settings)]})))
}

fn item(spec: &Spec, settings: &Settings) -> Value {
    let mut item = spec.item();
    if let (Some(auth_spec), true) = (&settings.auth_spec, spec.id == HUBSPOT.id) {
        item["authSpec"] = if auth_spec.is_array() { auth_spec.clone() } else { json!([auth_spec]) };
    }
    item
}

/// One `property`: a field and the values that it may have.
struct Filter {
    field: Field,
    values: Vec<String>,
}

#[derive(Clone, Copy)]
enum Field {
    Id,
    Name,
    ProviderId,
    Version,
}

impl Filter {
    fn parse(property: &str) -> Result<Self, FilterError> {
        let fields = [
            ("id", Field::Id),
            ("name", Field::Name),
            ("providerId", Field::ProviderId),
            ("version", Field::Version),
        ];
        let (field, values) = property::parse(property, &fields)?;
        Ok(Self { field, values })
    }

    fn matches(&self, spec: &Spec) -> bool {
        let found = match self.field {
            Field::Id => spec.id,
            Field::Name => spec.name,
            Field::ProviderId => spec.provider_id,
            Field::Version => spec.version,
        };
        self.values.iter().any(|value| value == found)
    }
}
