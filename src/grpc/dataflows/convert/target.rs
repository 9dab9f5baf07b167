//! Where a dataflow writes.

use std::collections::HashMap;

use super::twice;
use crate::{
    domain::{
        Description, ResourceName,
        dataflow::{
            ClassId, ColumnName, DatasetId, NewDataset, SchemaFromTable, SchemaId, SchemaSource, Target,
        },
    },
    grpc::violations::{Violations, optional, required},
    proto,
};

pub(super) fn parse_target(
    violations: &mut Violations<'_>,
    target: Option<proto::create_hub_spot_dataflow_request::Target>,
) -> Option<Target> {
    use proto::create_hub_spot_dataflow_request::Target as Given;
    match target {
        Some(Given::DatasetId(id)) => {
            violations.check("dataset_id", DatasetId::parse(&id)).map(Target::Dataset)
        }
        Some(Given::NewDataset(dataset)) => parse_dataset(violations, dataset).map(Target::NewDataset),
        None => violations.check("target", Err(required("is required: set dataset_id or new_dataset"))),
    }
}

fn parse_dataset(violations: &mut Violations<'_>, dataset: proto::NewDataset) -> Option<NewDataset> {
    use proto::new_dataset::Schema;
    let proto::NewDataset { name, description, schema } = dataset;
    let name = violations.check("new_dataset.name", ResourceName::parse(&name));
    let description = violations.check("new_dataset.description", Description::parse(&description));
    let schema = match schema {
        Some(Schema::SchemaId(id)) => {
            violations.check("new_dataset.schema_id", SchemaId::parse(&id)).map(SchemaSource::Existing)
        }
        Some(Schema::SchemaFromTable(schema)) => {
            parse_schema(violations, schema, name.as_ref()).map(SchemaSource::Table)
        }
        None => violations
            .check("new_dataset.schema", Err(required("is required: set schema_id or schema_from_table"))),
    };
    Some(NewDataset { name: name?, description: description?, schema: schema? })
}

fn parse_schema(
    violations: &mut Violations<'_>,
    schema: proto::SchemaFromTable,
    dataset: Option<&ResourceName>,
) -> Option<SchemaFromTable> {
    let proto::SchemaFromTable { title, class_id, columns } = schema;
    let field = |name: &str| format!("new_dataset.schema_from_table.{name}");
    let title = violations.check(field("title"), optional(&title, ResourceName::parse));
    let class = violations.check(field("class_id"), optional(&class_id, ClassId::parse));
    let mut first = HashMap::new();
    let columns: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let column = ColumnName::parse(column).and_then(|column| {
                let earlier = *first.entry(column.clone()).or_insert(index);
                if earlier == index { Ok(column) } else { Err(twice(&field(&format!("columns[{earlier}]")))) }
            });
            violations.check(field(&format!("columns[{index}]")), column)
        })
        .collect();
    Some(SchemaFromTable {
        title: title?.or_else(|| dataset.cloned())?,
        class: class?.unwrap_or_else(ClassId::profile),
        columns: columns.into_iter().collect::<Option<_>>()?,
    })
}
