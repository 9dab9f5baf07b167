//! The schema that is made of the columns of a table.

use super::{column_name, identifier::identifiers};
use crate::{
    domain::{
        Column, InvalidReason,
        dataflow::{ColumnName, FieldMapping, MappingKind, MappingSource, SchemaField, XdmPath},
    },
    service::dataflows::error::Violation,
};

/// The fields of a schema, and which column goes into which of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::service::dataflows) struct TableSchema {
    /// Their paths begin with `_{tenant}.`.
    pub(in crate::service::dataflows) fields: Vec<SchemaField>,
    pub(super) mappings: Vec<FieldMapping>,
}

/// Makes a schema of the selected columns, or of all that have a type which a field can have.
pub(super) fn of_table(
    columns: &[Column],
    selected: &[ColumnName],
    tenant: &str,
    violations: &mut Vec<Violation>,
) -> TableSchema {
    let mut chosen: Vec<&Column> = Vec::new();
    if selected.is_empty() {
        chosen.extend(columns.iter().filter(|column| kind(column).is_some()));
        if chosen.is_empty() {
            violations.push(Violation {
                field: "table".to_owned(),
                reason: InvalidReason::NotAllowed,
                sentence: "has no column from which a field can be made: choose another table".to_owned(),
            });
        }
    }
    for (i, name) in selected.iter().enumerate() {
        let (reason, sentence) = match columns.iter().find(|column| column.name == name.as_str()) {
            Some(column) if kind(column).is_some() => {
                chosen.push(column);
                continue;
            }
            Some(Column { xdm_type, .. }) => (
                InvalidReason::NotAllowed,
                format!("is of the type {xdm_type:?}, of which no field can be made: leave it out"),
            ),
            None => (InvalidReason::NotFoundUpstream, column_name::missing(name.as_str(), columns)),
        };
        let field = format!("new_dataset.schema_from_table.columns[{i}]");
        violations.push(Violation { field, reason, sentence });
    }
    let mut seen = std::collections::HashSet::new();
    chosen.retain(|column| seen.insert(column.name.as_str()));
    let names = identifiers(chosen.iter().map(|column| column.name.as_str()));
    let mut schema = TableSchema::default();
    for (column, name) in chosen.iter().zip(names) {
        let (Ok(path), Ok(source)) =
            (XdmPath::parse(&format!("_{tenant}.{name}")), MappingSource::parse(&column.name))
        else {
            continue;
        };
        let (kind, format) = (kind(column).unwrap_or_default().to_owned(), column.xdm_format.clone());
        schema.mappings.push(FieldMapping {
            source,
            destination: path.clone(),
            kind: MappingKind::Attribute,
        });
        schema.fields.push(SchemaField { path, kind, format });
    }
    schema
}

/// The type of a field for a column: what explore reports, or a string where it reports nothing.
fn kind(column: &Column) -> Option<&str> {
    let kind = column.xdm_type.as_str();
    match kind {
        _ if column.name.trim().is_empty() => None,
        "" => Some("string"),
        "string" | "number" | "integer" | "boolean" => Some(kind),
        _ => None,
    }
}
