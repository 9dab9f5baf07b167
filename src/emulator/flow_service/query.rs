//! The query parameters of the Flow Service.

use crate::emulator::{
    collection::{Field, Filter, FilterError},
    problem::Problem,
    received::ReceivedRequest,
};

/// The largest page.
pub(super) const MAX_LIMIT: usize = 100;

/// How much of a list is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Extent {
    /// Its length.
    Count,
    /// Up to so many items.
    Page(Option<usize>),
}

impl Extent {
    /// Reads `count` and `limit`.
    ///
    /// # Errors
    /// 1401-400 for both at once, 1452-400 for a value that they cannot have.
    pub(in crate::emulator) fn parse(pairs: &[(String, String)]) -> Result<Self, Problem> {
        let limit = value(pairs, "limit");
        let count = match value(pairs, "count") {
            None => false,
            // Clients in Python send it with a capital letter.
            Some(count) => match &*count.to_ascii_lowercase() {
                "false" => false,
                "true" => true,
                _ => return Err(invalid_value(count, "count")),
            },
        };
        if count && limit.is_some() {
            return Err(Problem::invalid(
                1401,
                "The limit and count parameters cannot be given together in the same request. \
                 Please provide either only the limit or the count parameter and try again.",
            ));
        }
        Ok(if count { Self::Count } else { Self::Page(limit.map(parse_limit).transpose()?) })
    }
}

fn parse_limit(limit: &str) -> Result<usize, Problem> {
    let parsed = limit.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    parsed.ok_or_else(|| invalid_value(limit, "limit"))
}

/// The value of a parameter, the first one if there are several.
pub(in crate::emulator) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Parses every `property`.
pub(in crate::emulator) fn filters(
    pairs: &[(String, String)],
    fields: &[Field],
) -> Result<Vec<Filter>, Problem> {
    let properties = pairs.iter().filter(|(key, _)| key == "property");
    let parse = |property: &str| Filter::parse(property, fields).map_err(|error| rejected_filter(&error));
    properties.map(|(_, property)| parse(property)).collect()
}

fn rejected_filter(error: &FilterError) -> Problem {
    let code = match error {
        FilterError::UnsupportedOperator { .. } => 1448,
        FilterError::UnknownField(_) => 1449,
        FilterError::Malformed(_) => 1453,
    };
    Problem::invalid(code, error.to_string())
}

/// A value that a parameter cannot have.
pub(in crate::emulator) fn invalid_value(value: &str, field: &str) -> Problem {
    Problem::invalid(1452, format!("Invalid value {value} for field {field}."))
}

/// Rejects query parameters that a route does not know.
///
/// # Errors
/// 1451-400 for the first of them.
pub(in crate::emulator) fn known_parameters_only(
    request: &ReceivedRequest,
    known: &[&str],
) -> Result<(), Problem> {
    match request.query_pairs().iter().find(|(name, _)| !known.contains(&&**name)) {
        None => Ok(()),
        Some((name, _)) => {
            Err(Problem::invalid(1451, format!("Invalid params {name} provided in query params.")))
        }
    }
}
