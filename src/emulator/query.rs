//! The query parameters that several routes have in common.

use super::{problem::Problem, property::FilterError, received::ReceivedRequest};

/// The largest page that a client may ask for.
pub(super) const MAX_LIMIT: usize = 100;

/// How much of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Only how long it is.
    Count,
    /// Up to so many items.
    Page(Option<usize>),
}

impl Extent {
    /// Reads `count` and `limit`.
    ///
    /// # Errors
    /// 1401-400 for both at once, 1452-400 for a value that they cannot have.
    pub(super) fn parse(pairs: &[(String, String)]) -> Result<Self, Problem> {
        let limit = value(pairs, "limit");
        let count = match value(pairs, "count") {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return Err(invalid_value(other, "count")),
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

/// The value of a parameter; of one that is given several times, the first.
pub(super) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Parses every `property`.
///
/// # Errors
/// The answer to the first that is refused.
pub(super) fn filters<F>(
    pairs: &[(String, String)],
    parse: impl Fn(&str) -> Result<F, FilterError>,
) -> Result<Vec<F>, Problem> {
    let properties = pairs.iter().filter(|(key, _)| key == "property");
    properties.map(|(_, property)| parse(property).map_err(|error| refused_filter(&error))).collect()
}

fn refused_filter(error: &FilterError) -> Problem {
    let code = match error {
        FilterError::UnsupportedOperator { .. } => 1448,
        FilterError::UnknownField(_) => 1449,
        FilterError::Malformed(_) => 1453,
    };
    Problem::invalid(code, error.to_string())
}

/// The answer to a value that a parameter cannot have.
pub(super) fn invalid_value(value: &str, field: &str) -> Problem {
    Problem::invalid(1452, format!("Invalid value {value} for field {field}."))
}

/// Refuses query parameters that a route does not know.
///
/// # Errors
/// 1451-400 for the first of them.
pub(super) fn known_parameters_only(request: &ReceivedRequest, known: &[&str]) -> Result<(), Problem> {
    match request.query_pairs().iter().find(|(name, _)| !known.contains(&&**name)) {
        None => Ok(()),
        Some((name, _)) => {
            Err(Problem::invalid(1451, format!("Invalid params {name} provided in query params.")))
        }
    }
}
