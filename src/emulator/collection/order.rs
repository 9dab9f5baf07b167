//! The order of a list, and positions in it.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Record;

/// An order by a property, then by creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    path: String,
    descending: bool,
}

/// A position in an order: after one record and before the next. Unlike a count, it stays valid when records
/// are created or deleted between two pages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    value: Value,
    sequence: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Incorrect field= {0} passed in orderBy, example are +name, -name, name.")]
pub(crate) struct OrderError(String);

impl Order {
    /// Parses `name`, `+name` or `-name`. A leading space counts as a plus sign, because a plus sign that is
    /// not percent-encoded is decoded to a space.
    pub(crate) fn parse(orderby: &str, paths: &[&str]) -> Result<Self, OrderError> {
        let (descending, path) = match orderby.strip_prefix('-') {
            Some(path) => (true, path),
            None => (false, orderby.strip_prefix(['+', ' ']).unwrap_or(orderby)),
        };
        if paths.contains(&path) {
            Ok(Self { path: path.to_owned(), descending })
        } else {
            Err(OrderError(path.to_owned()))
        }
    }

    pub(crate) fn cursor<R>(&self, record: &Record<R>) -> Cursor {
        let value = self.path.split('.').fold(&record.document, |value, name| &value[name]);
        Cursor { value: value.clone(), sequence: record.sequence }
    }

    pub(crate) fn compare(&self, a: &Cursor, b: &Cursor) -> Ordering {
        let ascending = compare(&a.value, &b.value).then(a.sequence.cmp(&b.sequence));
        if self.descending { ascending.reverse() } else { ascending }
    }
}

impl Default for Order {
    /// The newest first, as the documentation of lists says. Where a resource has no such property, the order
    /// of creation gives the same.
    fn default() -> Self {
        Self { path: "createdAt".to_owned(), descending: true }
    }
}

/// Numbers and texts by their value; of the rest, all are equal.
fn compare(a: &Value, b: &Value) -> Ordering {
    a.as_u64().cmp(&b.as_u64()).then_with(|| a.as_str().cmp(&b.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_gives_the_direction() {
        let parse = |orderby| Order::parse(orderby, &["name", "createdAt"]);
        for orderby in ["name", "+name", " name"] {
            let order = Order { path: "name".to_owned(), descending: false };
            assert_eq!(parse(orderby), Ok(order), "{orderby:?}");
        }
        assert_eq!(parse("-createdAt"), Ok(Order::default()));
        for orderby in ["", "-", "size", "--name", "name,createdAt"] {
            assert!(parse(orderby).is_err(), "{orderby:?}");
        }
    }
}
