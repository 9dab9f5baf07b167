//! Filters over the properties of a document: `a.b[].c==value`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A property path and the operators that a list supports for it.
pub(crate) type Field = (&'static str, &'static [Operator]);

/// One condition on a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filter {
    path: String,
    operator: Operator,
    /// One of them is enough.
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// The operators as they are written. One that begins like another comes before it. `None` is one that no list
/// here supports: regular expressions.
const OPERATORS: [(&str, Option<Operator>); 9] = [
    ("==", Some(Operator::Equal)),
    ("!=", Some(Operator::NotEqual)),
    ("!>", Some(Operator::LessOrEqual)),
    (">=", Some(Operator::GreaterOrEqual)),
    ("<=", Some(Operator::LessOrEqual)),
    ("=", Some(Operator::Equal)),
    (">", Some(Operator::Greater)),
    ("<", Some(Operator::Less)),
    ("~", None),
];

/// The only operator that most properties support.
pub(crate) const EQUAL: &[Operator] = &[Operator::Equal];

/// The operators of a time.
pub(crate) const ORDERED: &[Operator] =
    &[Operator::Equal, Operator::Greater, Operator::GreaterOrEqual, Operator::Less, Operator::LessOrEqual];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilterError {
    #[error("Invalid field {0} in filter params.")]
    UnknownField(String),
    #[error("Operator {operator} not supported for field {field}.")]
    UnsupportedOperator { operator: &'static str, field: String },
    #[error("Invalid query value {0} provided in query param.")]
    Malformed(String),
}

impl Filter {
    /// Parses `path==value`. The value is one or several separated by commas, each bare or in double quotes.
    ///
    /// # Errors
    /// Unless `fields` has the path with the operator, and there is a value.
    pub(crate) fn parse(property: &str, fields: &[Field]) -> Result<Self, FilterError> {
        let malformed = || FilterError::Malformed(property.to_owned());
        let end = property.find(['=', '!', '>', '<', '~']).ok_or_else(malformed)?;
        let (path, rest) = property.split_at(end);
        let operator = OPERATORS.iter().find(|(written, _)| rest.starts_with(written));
        let (written, operator) = *operator.ok_or_else(malformed)?;
        let value = &rest[written.len()..];
        if path.is_empty() || value.is_empty() {
            return Err(malformed());
        }
        let Some((_, supported)) = fields.iter().find(|(known, _)| *known == path) else {
            return Err(FilterError::UnknownField(path.to_owned()));
        };
        let operator = operator
            .filter(|operator| supported.contains(operator))
            .ok_or_else(|| FilterError::UnsupportedOperator { operator: written, field: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), operator, values: split_values(value) })
    }

    pub(crate) fn matches(&self, document: &Value) -> bool {
        let found = values_at(document, &self.path);
        let any = |condition: fn(&str, &str) -> bool| {
            found.iter().any(|found| self.values.iter().any(|value| condition(found, value)))
        };
        match self.operator {
            Operator::Equal => any(|found, value| found == value),
            Operator::NotEqual => !any(|found, value| found == value),
            Operator::Greater => any(|found, value| compare(found, value).is_gt()),
            Operator::GreaterOrEqual => any(|found, value| compare(found, value).is_ge()),
            Operator::Less => any(|found, value| compare(found, value).is_lt()),
            Operator::LessOrEqual => any(|found, value| compare(found, value).is_le()),
        }
    }
}

/// The scalars that a path leads to, as text: several where it passes through an array with `[]`.
fn values_at(document: &Value, path: &str) -> Vec<String> {
    let mut found = vec![document];
    for segment in path.split('.') {
        let (name, is_array) = segment.strip_suffix("[]").map_or((segment, false), |name| (name, true));
        found = found.into_iter().filter_map(|value| value.get(name)).collect();
        if is_array {
            found = found.into_iter().filter_map(Value::as_array).flatten().collect();
        }
    }
    found.into_iter().filter_map(text).collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Integers by their value, everything else as text.
fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

/// Splits at commas, except those within double quotes. A quoted value ends at a quote that a comma or the
/// end follows, so it may contain quotes.
fn split_values(mut text: &str) -> Vec<String> {
    let mut values = Vec::new();
    loop {
        let quoted = text.strip_prefix('"').and_then(|rest| {
            let (value, rest) = rest
                .split_once("\",")
                .map(|(value, rest)| (value, Some(rest)))
                .or_else(|| rest.strip_suffix('"').map(|value| (value, None)))?;
            Some((value, rest))
        });
        let (value, rest) = quoted.unwrap_or_else(|| match text.split_once(',') {
            Some((value, rest)) => (value, Some(rest)),
            None => (text, None),
        });
        values.push(value.to_owned());
        match rest {
            Some(rest) => text = rest,
            None => return values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const COMPARED: &[Operator] = &[
        Operator::NotEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
        Operator::Less,
        Operator::LessOrEqual,
    ];
    const FIELDS: &[Field] =
        &[("id", EQUAL), ("name", EQUAL), ("state", EQUAL), ("flow.steps[].id", EQUAL), ("size", COMPARED)];

    fn parse(property: &str) -> Result<Filter, FilterError> {
        Filter::parse(property, FIELDS)
    }

    fn by_name(values: &[&str]) -> Filter {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        Filter { path: "name".to_owned(), operator: Operator::Equal, values }
    }

    #[test]
    fn values_are_bare_or_quoted_one_or_several() {
        for (property, values) in [
            ("name==TestConn", &["TestConn"][..]),
            ("name=\"abc\"", &["abc"]),
            ("name==\"hubspot\"", &["hubspot"]),
            ("name==a,b", &["a", "b"]),
            ("name==\"a,b\",c", &["a,b", "c"]),
            ("name==\"say \"hi\"\"", &["say \"hi\""]),
            ("name==a==b", &["a==b"]),
            ("name==\"", &["\""]),
            ("name==\"\"", &[""]),
            ("name==grüße 🎉", &["grüße 🎉"]),
        ] {
            assert_eq!(parse(property), Ok(by_name(values)), "{property}");
        }
    }

    #[test]
    fn each_mistake_has_its_error() {
        let unsupported =
            |operator, field: &str| FilterError::UnsupportedOperator { operator, field: field.to_owned() };
        for (property, error) in [
            ("providerId==x", FilterError::UnknownField("providerId".to_owned())),
            ("id>=x", unsupported(">=", "id")),
            ("name!=x", unsupported("!=", "name")),
            ("name~x", unsupported("~", "name")),
            ("size==1", unsupported("==", "size")),
            ("name", FilterError::Malformed("name".to_owned())),
            ("name==", FilterError::Malformed("name==".to_owned())),
            ("==x", FilterError::Malformed("==x".to_owned())),
            ("name!x", FilterError::Malformed("name!x".to_owned())),
            ("", FilterError::Malformed(String::new())),
        ] {
            assert_eq!(parse(property), Err(error), "{property}");
        }
    }

    #[test]
    fn a_path_leads_through_objects_and_arrays() {
        let document = json!({
            "id": 7, "name": null, "state": ["x"], "size": "900",
            "flow": {"steps": [{"id": "a"}, {"id": true}, {}, "c"]},
        });
        for (property, is_match) in [
            ("id==7", true),
            ("id==8,7", true),
            ("id==8", false),
            ("name==null", false),
            ("state==x", false),
            ("flow.steps[].id==a", true),
            ("flow.steps[].id==b,true", true),
            ("flow.steps[].id==c", false),
            ("size!=900", false),
            ("size!=1", true),
            ("size>1000", false),
            ("size>899", true),
            ("size>=900", true),
            ("size<1000", true),
            ("size<=899", false),
            ("size!>900", true),
        ] {
            assert_eq!(parse(property).unwrap().matches(&document), is_match, "{property}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_rejected(text in "(id|name|state)?[=!<>~]{0,3}.*") {
            let _ = parse(&text);
        }

        #[test]
        fn a_quoted_value_without_quotes_is_taken_as_it_is(value in "[^\"]*") {
            prop_assert_eq!(parse(&format!("name==\"{value}\"")), Ok(by_name(&[&value])));
        }
    }
}
