//! One mapping of a mapping set: as it is sent, and as it is read in the two forms that Adobe's documents have.

use std::borrow::Cow;

use serde::Serialize;

use crate::{
    domain::dataflow::{FieldMapping, MappingKind, MappingSource, XdmPath},
    json::Object,
};

/// A mapping in the current form, which alone has expressions.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewMapping<'a> {
    source_type: &'static str,
    source: Cow<'a, str>,
    destination: &'a str,
}

impl<'a> From<&'a FieldMapping> for NewMapping<'a> {
    fn from(mapping: &'a FieldMapping) -> Self {
        let FieldMapping { source, destination, kind } = mapping;
        let source = match kind {
            MappingKind::Attribute => attribute(source.as_str()),
            MappingKind::Expression | MappingKind::Static => Cow::Borrowed(source.as_str()),
        };
        Self { source_type: kind.name(), source, destination: destination.as_str() }
    }
}

/// The words of Data Prep's expressions.
const RESERVED: [&str; 24] = [
    "new", "mod", "or", "break", "var", "lt", "for", "false", "while", "eq", "gt", "div", "not", "null",
    "continue", "else", "and", "ne", "true", "le", "if", "ge", "return", "_errors",
];

/// The name of a column as Data Prep reads it: in `${…}` if it is no plain identifier, with `\.` for a dot in it.
pub(crate) fn attribute(column: &str) -> Cow<'_, str> {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_rest = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_plain = column.starts_with(is_first) && column.chars().all(is_rest);
    let is_wrapped = column.starts_with("${") && column.ends_with('}');
    if is_wrapped || is_plain && !RESERVED.contains(&column) {
        Cow::Borrowed(column)
    } else {
        Cow::Owned(format!("${{{}}}", column.replace('.', "\\.")))
    }
}

/// The column that an attribute names.
pub(crate) fn column(attribute: &str) -> String {
    match attribute.strip_prefix("${").and_then(|name| name.strip_suffix('}')) {
        Some(name) => name.replace("\\.", "."),
        None => attribute.to_owned(),
    }
}

/// Reads a mapping; `None` if it has no readable source and destination.
pub(super) fn read_mapping(item: &Object<'_>) -> Option<FieldMapping> {
    let first =
        |names: [&str; 2]| names.into_iter().find_map(|name| item.text(name)).filter(|text| !text.is_empty());
    let (source, destination) =
        (first(["source", "sourceAttribute"])?, first(["destination", "destinationXdmPath"])?);
    let kind = match item.text("sourceType") {
        None => MappingKind::Attribute,
        Some(kind) => kind_of(&kind)?,
    };
    let source = if kind == MappingKind::Attribute { column(&source) } else { source };
    Some(FieldMapping {
        source: MappingSource::parse(&source).ok()?,
        destination: XdmPath::parse(&destination).ok()?,
        kind,
    })
}

/// The kind of a source, by either of the names that Data Prep has for it.
fn kind_of(name: &str) -> Option<MappingKind> {
    match name.trim().to_ascii_lowercase().as_str() {
        "text/x.schema-path" => Some(MappingKind::Attribute),
        "text/x.aep-xl" => Some(MappingKind::Expression),
        name => MappingKind::ALL.iter().copied().find(|kind| kind.name().eq_ignore_ascii_case(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_no_plain_identifier_is_wrapped_and_read_back() {
        for (name, sent) in [
            ("Vid", "Vid"),
            ("_x1", "_x1"),
            ("mod", "${mod}"),
            ("a.b", "${a\\.b}"),
            ("First Name", "${First Name}"),
            ("1st", "${1st}"),
        ] {
            assert_eq!(attribute(name), sent);
            assert_eq!(column(sent), name);
        }
    }
}
