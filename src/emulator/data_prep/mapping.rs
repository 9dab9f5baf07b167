//! One mapping of a mapping set, in both dialects of the documentation.

use serde_json::{Value, json};

/// How the source is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceType {
    Attribute,
    Expression,
    Static,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) source_type: SourceType,
    pub(super) source: String,
    /// A path in the schema, like `person.name.firstName`.
    pub(super) destination: String,
}

impl SourceType {
    fn name(self) -> &'static str {
        match self {
            Self::Attribute => "ATTRIBUTE",
            Self::Expression => "EXPRESSION",
            Self::Static => "STATIC",
        }
    }
}

impl Mapping {
    /// With the fields of both dialects.
    pub(super) fn document(&self) -> Value {
        let Self { source_type, source, destination } = self;
        json!({
            "sourceType": source_type.name(),
            "source": source,
            "destination": destination,
            "sourceAttribute": source,
            "destinationXdmPath": destination,
            "identity": false,
            "primaryIdentity": false,
            "functionVersion": 0,
            "version": 0,
        })
    }
}
