//! The parts of a dataflow in the Schema Registry, the Catalog and Data Prep.

use super::{DatasetId, FieldMapping, MappingSetId, XdmPath};
use crate::domain::{
    Invalid,
    text::{check_id, check_line, text},
};

/// The `$id` of a schema or a field group: a URI of up to 1,024 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(String);

text!(SchemaId);

impl SchemaId {
    /// # Errors
    /// [`Invalid`] when it is no such URI.
    pub fn parse(id: &str) -> Result<Self, Invalid> {
        check_id(
            id,
            1024,
            is_uri,
            "must be the $id of a schema, such as https://ns.adobe.com/TENANT/schemas/ID",
        )?;
        Ok(Self(id.to_owned()))
    }
}

/// The `$id` of a class: a URI of up to 1,024 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassId(String);

text!(ClassId);

impl ClassId {
    /// Adobe's class of individual profiles.
    pub fn profile() -> Self {
        Self("https://ns.adobe.com/xdm/context/profile".to_owned())
    }

    /// # Errors
    /// [`Invalid`] when it is no such URI.
    pub fn parse(id: &str) -> Result<Self, Invalid> {
        check_id(
            id,
            1024,
            is_uri,
            "must be the $id of a class, such as https://ns.adobe.com/xdm/context/profile",
        )?;
        Ok(Self(id.to_owned()))
    }
}

fn is_uri(id: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'<' | b'>' | b'\\' | b',');
    id.starts_with("https://") && id.bytes().all(is_allowed)
}

/// The name of a column: 1 to 1,024 characters without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnName(String);

text!(ColumnName);

impl ColumnName {
    /// # Errors
    /// [`Invalid`] when it is blank, too long or contains a control character.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        check_line(name, 1024, "is required: the name of a column of the table")?;
        Ok(Self(name.to_owned()))
    }
}

/// A schema with all its fields. The Schema Registry resolves what it is composed of.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    pub id: SchemaId,
    pub title: Option<String>,
    /// Every field that is no object, in any order.
    pub fields: Vec<SchemaField>,
}

/// A field of a schema that holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaField {
    pub path: XdmPath,
    /// The JSON type: `string`, `number`, `integer`, `boolean`, `array`; empty where it is not stated.
    pub kind: String,
    /// `date-time`, `date`; empty where there is none.
    pub format: String,
}

/// A schema or a field group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TitledResource {
    pub id: SchemaId,
    pub title: String,
    /// Missing in some forms of the list.
    pub description: Option<String>,
}

/// A schema as a dataset names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaRef {
    pub id: SchemaId,
    pub content_type: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    pub id: DatasetId,
    pub name: Option<String>,
    /// `None` where it is missing or unreadable.
    pub schema: Option<SchemaRef>,
    /// `KEY:VALUE`, as filters write them.
    pub tags: Vec<String>,
    /// In milliseconds since the Unix epoch.
    pub created_at_ms: Option<i64>,
    /// Whether it is known that something was ingested.
    pub has_batch: bool,
}

/// A version of a mapping set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingSetRef {
    pub id: MappingSetId,
    pub version: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingSet {
    pub at: MappingSetRef,
    pub name: Option<String>,
    pub schema: Option<SchemaId>,
    /// `None` where some of it is unreadable.
    pub mappings: Option<Vec<FieldMapping>>,
    /// In milliseconds since the Unix epoch.
    pub created_at_ms: Option<i64>,
}
