//! `GET /{NAME}`: pages by continuation token.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    FlowServiceResource,
    query::{Extent, MAX_LIMIT, filters, invalid_value, known_parameters_only, value},
};
use crate::emulator::{
    collection::{Cursor, Order, OrderError, Query},
    problem::Problem,
    received::ReceivedRequest,
    reply::Reply,
    routes::Call,
    state::State,
};

/// The page size without a `limit`. The real service's is not documented.
const DEFAULT_LIMIT: usize = 20;

/// Lists records, or counts them.
///
/// # Errors
/// The Flow Service's, for query parameters that are unknown or invalid.
pub(in crate::emulator) fn list<R: FlowServiceResource>(
    call: &Call<'_>,
    state: &mut State,
) -> Result<Reply, Problem> {
    let parameters = ["property", "limit", "orderby", "continuationToken", "count"];
    known_parameters_only(call.request, &parameters)?;
    let Parameters { query, extent, token } = Parameters::parse::<R>(call.request)?;
    let list = |query: &Query| R::collection(state).list(&call.tenant, query, state.settings.index_lag);
    let limit = match extent {
        Extent::Page(limit) => limit,
        Extent::Count => {
            let count = list(&query.unwrap_or_default()).len();
            return Ok(Reply::json(StatusCode::OK, &json!({"count": count})));
        }
    };
    let (query, after, limit) = match token {
        None => (query.unwrap_or_default(), None, limit.unwrap_or(DEFAULT_LIMIT)),
        Some(token) if query.as_ref().is_none_or(|query| *query == token.query) => {
            (token.query, Some(token.after), limit.unwrap_or(token.limit))
        }
        Some(_) => return Err(invalid_value("of another list", "continuationToken")),
    };
    let page = query.page(list(&query), after.as_ref(), limit);
    let items: Vec<Value> = page.records.iter().map(|record| R::item(record, state)).collect();
    let mut links = json!({});
    if let Some(after) = page.next {
        let token = Token { query, limit, after }.encode();
        links["next"] = json!({"href": format!("/{}?continuationToken={token}", R::NAME)});
    }
    Ok(Reply::json(StatusCode::OK, &json!({"items": items, "_links": links})))
}

struct Parameters {
    /// `None` without filters and order.
    query: Option<Query>,
    extent: Extent,
    token: Option<Token>,
}

impl Parameters {
    fn parse<R: FlowServiceResource>(request: &ReceivedRequest) -> Result<Self, Problem> {
        let pairs = request.query_pairs();
        let extent = Extent::parse(&pairs)?;
        let filters = filters(&pairs, R::FIELDS)?;
        let order = value(&pairs, "orderby")
            .map(|orderby| Order::parse(orderby, R::ORDERS))
            .transpose()
            .map_err(|error: OrderError| Problem::invalid(1433, error.to_string()))?;
        let query = (!filters.is_empty() || order.is_some())
            .then(|| Query { filters, order: order.unwrap_or_default() });
        let token = value(&pairs, "continuationToken")
            .map(|token| Token::decode(token).ok_or_else(|| invalid_value(token, "continuationToken")))
            .transpose()?;
        Ok(Self { query, extent, token })
    }
}

/// A continuation token. It holds all that the next page needs, so the request for that page may repeat the query
/// or leave it out.
#[derive(Serialize, Deserialize)]
struct Token {
    query: Query,
    limit: usize,
    after: Cursor,
}

impl Token {
    /// Hexadecimal, because a URL needs no escapes for it.
    fn encode(&self) -> String {
        // None of its types can fail to serialize. An empty token would be rejected as invalid.
        let json = serde_json::to_vec(self).unwrap_or_default();
        json.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn decode(token: &str) -> Option<Self> {
        let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        };
        let json: Vec<u8> = token.as_bytes().chunks(2).map(byte).collect::<Option<_>>()?;
        let token: Self = serde_json::from_slice(&json).ok()?;
        (1..=MAX_LIMIT).contains(&token.limit).then_some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::{Options, connections::Connection, gateway::Tenant, received::tests::request};

    fn error_code(query: &str) -> String {
        let request = request("GET", &format!("/connections?{query}"), &[], "");
        let tenant = Tenant { org: "ORG@AdobeOrg".to_owned(), sandbox: "prod".to_owned() };
        let call = Call { request: &request, id: "", tenant };
        match list::<Connection>(&call, &mut State::new(Options::default())) {
            Err(Problem::Report { code, .. }) => code,
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn each_mistake_has_its_code() {
        for (query, code) in [
            ("limit=10&count=true", "1401"),
            ("orderby=size", "1433"),
            ("property=id%3E%3D5", "1448"),
            ("property=providerId==x", "1449"),
            ("start=5", "1451"),
            ("count=yes", "1452"),
            ("limit=0", "1452"),
            ("limit=101", "1452"),
            ("limit=-1", "1452"),
            ("limit=", "1452"),
            ("continuationToken=", "1452"),
            ("continuationToken=7b7", "1452"),
            ("continuationToken=%F0%9F%8E%89", "1452"),
            ("property=name==", "1453"),
        ] {
            assert_eq!(error_code(query), code, "{query}");
        }
    }
}
