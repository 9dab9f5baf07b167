//! The order of a list: the `orderby` parameter, and places in it.

use std::{cmp::Ordering, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Connection;

/// An order; the default one is the newest first, as the documentation of lists says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    key: Key,
    descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Key {
    Name,
    CreatedAt,
    UpdatedAt,
}

/// A place in an order: after one connection and before the next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    value: KeyValue,
    sequence: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum KeyValue {
    Time(u64),
    Text(String),
}

/// An order by a field that cannot be ordered by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Incorrect field= {0} passed in orderBy, example are +name, -name, name.")]
pub struct OrderError(String);

impl Order {
    pub(super) fn cursor(self, connection: &Connection) -> Cursor {
        let value = match self.key {
            Key::Name => KeyValue::Text(connection.content.name.clone()),
            Key::CreatedAt => KeyValue::Time(connection.created_at_ms),
            Key::UpdatedAt => KeyValue::Time(connection.updated_at_ms),
        };
        Cursor { value, sequence: connection.sequence }
    }

    pub(super) fn compare(self, a: &Cursor, b: &Cursor) -> Ordering {
        if self.descending { b.cmp(a) } else { a.cmp(b) }
    }
}

impl Default for Order {
    fn default() -> Self {
        Self { key: Key::CreatedAt, descending: true }
    }
}

impl FromStr for Order {
    type Err = OrderError;

    /// Parses `name`, `+name` or `-name`. A leading space counts as a plus sign, which is what a
    /// plus sign that was not percent-encoded arrives as.
    fn from_str(orderby: &str) -> Result<Self, OrderError> {
        let (descending, field) = match orderby.strip_prefix('-') {
            Some(field) => (true, field),
            None => (false, orderby.strip_prefix(['+', ' ']).unwrap_or(orderby)),
        };
        let key = match field {
            "name" => Key::Name,
            "createdAt" => Key::CreatedAt,
            "updatedAt" => Key::UpdatedAt,
            _ => return Err(OrderError(field.to_owned())),
        };
        Ok(Self { key, descending })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_gives_the_direction() {
        for orderby in ["name", "+name", " name"] {
            assert_eq!(orderby.parse(), Ok(Order { key: Key::Name, descending: false }), "{orderby:?}");
        }
        assert_eq!("-createdAt".parse(), Ok(Order::default()));
        for orderby in ["", "-", "size", "--name", "name,createdAt"] {
            assert!(orderby.parse::<Order>().is_err(), "{orderby:?}");
        }
    }
}
