//! Filters: which connections a list shows.

use serde::{Deserialize, Serialize};

use super::Connection;
use crate::emulator::property::{self, FilterError};

/// One `property`: a field and the values that it may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    field: Field,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Field {
    Id,
    Name,
    Description,
    ConnectionSpecId,
    State,
}

const FIELDS: [(&str, Field); 5] = [
    ("id", Field::Id),
    ("name", Field::Name),
    ("description", Field::Description),
    ("connectionSpec.id", Field::ConnectionSpecId),
    ("state", Field::State),
];

impl Filter {
    /// Parses `field==value`, with `=` tolerated: the value is one or several separated by commas,
    /// each bare or in double quotes.
    ///
    /// # Errors
    /// [`FilterError`] when the field is unknown, the operator another, or there is no value.
    pub fn parse(property: &str) -> Result<Self, FilterError> {
        let (field, values) = property::parse(property, &FIELDS)?;
        Ok(Self { field, values })
    }

    /// Whether a connection has one of the values.
    pub(super) fn matches(&self, connection: &Connection) -> bool {
        let found = match self.field {
            Field::Id => Some(&*connection.id),
            Field::Name => Some(&*connection.content.name),
            Field::Description => connection.content.description.as_deref(),
            Field::ConnectionSpecId => Some(connection.content.spec.id),
            Field::State => Some(&*connection.state),
        };
        found.is_some_and(|found| self.values.iter().any(|value| value == found))
    }
}
