//! Which column goes into which field: as the request says, or by name.

use std::collections::HashSet;

use super::{column_name, identifier::identifier};
use crate::{
    domain::{
        Column, InvalidReason,
        dataflow::{FieldMapping, MappingKind, MappingSource, SchemaField, XdmPath},
    },
    service::dataflows::error::Violation,
};

/// Where explicit mappings may go.
pub(super) enum Destinations<'a> {
    /// Into these fields.
    Fields(&'a [SchemaField]),
    /// Into these fields below `_{tenant}`. Those of the class are not known until the schema exists.
    NewSchema { fields: &'a [SchemaField], tenant: &'a str },
}

/// Checks the mappings of a request.
pub(super) fn check(
    mappings: &[FieldMapping],
    columns: &[Column],
    destinations: &Destinations<'_>,
    violations: &mut Vec<Violation>,
) {
    for (i, mapping) in mappings.iter().enumerate() {
        let mut violated = |part, reason, sentence| {
            let field = format!("mappings[{i}].{part}");
            violations.push(Violation { field, reason, sentence });
        };
        let source = mapping.source.as_str();
        if mapping.kind == MappingKind::Attribute && !columns.iter().any(|column| column.name == source) {
            let cure = "; an expression or a constant needs its kind";
            let sentence = column_name::missing(source, columns) + cure;
            violated("source", InvalidReason::NotFoundUpstream, sentence);
        }
        if let Some((reason, sentence)) = wrong_destination(&mapping.destination, destinations) {
            violated("destination", reason, sentence);
        }
    }
}

/// What is wrong with a destination.
fn wrong_destination(
    destination: &XdmPath,
    destinations: &Destinations<'_>,
) -> Option<(InvalidReason, String)> {
    let path = destination.as_str();
    let fields = match destinations {
        Destinations::Fields(fields) => fields,
        Destinations::NewSchema { tenant, .. } if !is_below_tenant(path, tenant) => return None,
        Destinations::NewSchema { fields, .. } => fields,
    };
    if fields.iter().any(|field| field.path == *destination) {
        return None;
    }
    // The fields inside an array or a map are not listed: Data Prep decides.
    let outer = path.split('[').next().unwrap_or(path).trim_end_matches('.');
    if (outer != path && fields.iter().any(|field| field.path.as_str() == outer))
        || path.starts_with("identityMap")
    {
        return None;
    }
    let below = format!("{path}.");
    let inner: Vec<_> =
        fields.iter().map(|field| field.path.as_str()).filter(|field| field.starts_with(&below)).collect();
    if !inner.is_empty() {
        let inner = column_name::one_of(inner.into_iter());
        let sentence = format!("is an object, which takes no value: use {inner}");
        return Some((InvalidReason::NotAllowed, sentence));
    }
    let near = column_name::nearest(path, fields.iter().map(|field| field.path.as_str()));
    let sentence = match near {
        Some(near) => format!("is no field of the schema: did you mean {near}?"),
        None => {
            "is no field of the schema: use the path of one that is, such as person.name.firstName".to_owned()
        }
    };
    Some((InvalidReason::NotFoundUpstream, sentence))
}

fn is_below_tenant(path: &str, tenant: &str) -> bool {
    path.strip_prefix('_')
        .and_then(|path| path.strip_prefix(tenant))
        .is_some_and(|rest| rest.starts_with('.'))
}

/// Maps each column to the field whose path is its name, ignoring case, or else to the only field of that name below
/// `_{tenant}`, where the types are compatible. A field takes one column: the first whose name has its case.
pub(super) fn by_name(columns: &[Column], fields: &[SchemaField], tenant: &str) -> Vec<FieldMapping> {
    let mut taken = HashSet::new();
    let mut found: Vec<Option<FieldMapping>> = vec![None; columns.len()];
    for is_exact in [true, false] {
        for (column, slot) in columns.iter().zip(&mut found) {
            if slot.is_some() {
                continue;
            }
            let field = field_for(column, fields, tenant, is_exact);
            let Some(field) = field.filter(|field| !taken.contains(&field.path)) else { continue };
            let Ok(source) = MappingSource::parse(&column.name) else { continue };
            taken.insert(&field.path);
            let (destination, kind) = (field.path.clone(), MappingKind::Attribute);
            *slot = Some(FieldMapping { source, destination, kind });
        }
    }
    found.into_iter().flatten().collect()
}

fn field_for<'a>(
    column: &Column,
    fields: &'a [SchemaField],
    tenant: &str,
    is_exact: bool,
) -> Option<&'a SchemaField> {
    // A schema that was made of a table has the converted names of its columns.
    let names = [column.name.clone(), identifier(&column.name)];
    let is_same = |name: &str, of_field: &str| {
        if is_exact { name == of_field } else { name.to_lowercase() == of_field.to_lowercase() }
    };
    let only = |matches: &dyn Fn(&SchemaField) -> bool| {
        let mut matching = fields.iter().filter(|field| matches(field));
        matching.next().filter(|_| matching.next().is_none())
    };
    names.iter().find_map(|name| {
        let by_path = only(&|field| is_same(name, field.path.as_str()));
        let by_leaf = || {
            only(&|field| {
                let path = field.path.as_str();
                let leaf = path.rsplit('.').next().unwrap_or(path);
                is_below_tenant(path, tenant) && is_same(name, leaf)
            })
        };
        by_path.or_else(by_leaf).filter(|field| is_compatible(column, field))
    })
}

/// Whether every value of the column can be a value of the field.
fn is_compatible(column: &Column, field: &SchemaField) -> bool {
    let is_time = |format: &str| matches!(format, "date-time" | "date");
    match (column.xdm_type.as_str(), field.kind.as_str()) {
        ("array" | "object", _) | (_, "array" | "object") => false,
        (_, "") => true,
        ("" | "string", "string") => !is_time(&field.format) || is_time(&column.xdm_format),
        (_, "string") => !is_time(&field.format),
        ("number" | "integer", "number") => true,
        (of_column, of_field) => of_column == of_field,
    }
}

/// The columns that no mapping uses, in their order.
pub(super) fn unmapped(columns: &[Column], mappings: &[FieldMapping]) -> Vec<String> {
    let is_used = |column: &&Column| {
        mappings.iter().any(|mapping| match mapping.kind {
            MappingKind::Attribute => mapping.source.as_str() == column.name,
            MappingKind::Expression => mapping.source.as_str().contains(&column.name),
            MappingKind::Static => false,
        })
    };
    columns.iter().filter(|column| !is_used(column)).map(|column| column.name.clone()).collect()
}

/// What the records of an event need, if it is not mapped: without it a run ingests nothing.
pub(super) fn missing_of_event(mappings: &[FieldMapping]) -> Option<Violation> {
    let is_mapped = |path: &&str| mappings.iter().any(|mapping| mapping.destination.as_str() == *path);
    let missing: Vec<_> = ["_id", "timestamp"].into_iter().filter(|path| !is_mapped(path)).collect();
    (!missing.is_empty()).then(|| Violation {
        field: "mappings".to_owned(),
        reason: InvalidReason::Required,
        sentence: format!(
            "must also fill {}, which every record of a schema for events needs: list all mappings",
            missing.join(" and ")
        ),
    })
}

#[cfg(test)]
mod tests;
