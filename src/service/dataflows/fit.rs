//! Whether a request fits what is at Adobe. Everything is found at once.

mod column_name;
mod identifier;
mod mapping;
pub(super) mod schedule;
mod schema;

use self::{mapping::Destinations, schema::TableSchema};
use super::error::Violation;
use crate::domain::{
    Column, InvalidReason,
    dataflow::{FieldMapping, NewDataflow, NewDataset, Schema, SchemaField, SchemaSource, Target},
};

/// Adobe's class of events, each of which has an id and a time.
const EVENT_CLASS: &str = "https://ns.adobe.com/xdm/context/experienceevent";

/// What is mapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fit {
    pub(super) mappings: Vec<FieldMapping>,
    pub(super) unmapped_columns: Vec<String>,
    /// The fields of the schema that is made, where one is.
    pub(super) fields: Vec<SchemaField>,
}

impl Fit {
    /// Leaves out what does not go into these fields.
    pub(super) fn keep_to(&mut self, fields: &[SchemaField]) {
        let left_out = self
            .mappings
            .extract_if(.., |mapping| fields.iter().all(|field| field.path != mapping.destination));
        self.unmapped_columns.extend(left_out.map(|mapping| mapping.source.to_string()));
    }
}

/// What is known of Adobe's side. What could not be read is `None`, and is not checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) columns: Option<&'a [Column]>,
    /// The schema, where it exists before.
    pub(super) schema: Option<&'a Schema>,
    pub(super) tenant: Option<&'a str>,
    pub(super) now_ms: i64,
}

/// Fits a dataflow to what is known.
pub(super) fn fit(dataflow: &NewDataflow, known: Known<'_>) -> (Fit, Vec<Violation>) {
    let mut violations = Vec::new();
    let fit = known.columns.map(|columns| map(dataflow, columns, known, &mut violations));
    if let Some(columns) = known.columns {
        schedule::check_delta_column(&dataflow.schedule, columns, &mut violations);
    }
    violations.extend(schedule::start(&dataflow.schedule, known.now_ms).err());
    (fit.unwrap_or_default(), violations)
}

fn map(dataflow: &NewDataflow, columns: &[Column], known: Known<'_>, violations: &mut Vec<Violation>) -> Fit {
    let (Fit { mappings, fields, .. }, is_of_events) = match (&dataflow.target, known) {
        (
            Target::NewDataset(NewDataset { schema: SchemaSource::Table(table), .. }),
            Known { tenant: Some(tenant), .. },
        ) => {
            let before = violations.len();
            let TableSchema { fields, mappings } =
                schema::of_table(columns, &table.columns, tenant, violations);
            let mappings = if dataflow.mappings.is_empty() {
                mappings
            } else {
                // A column that is wrong has no field, which says nothing about the mappings.
                if violations.len() == before {
                    let destinations = Destinations::NewSchema { fields: &fields, tenant };
                    mapping::check(&dataflow.mappings, columns, &destinations, violations);
                }
                dataflow.mappings.clone()
            };
            (Fit { mappings, fields, ..Fit::default() }, table.class.as_str() == EVENT_CLASS)
        }
        (_, Known { schema: Some(schema), .. }) if !dataflow.mappings.is_empty() => {
            mapping::check(&dataflow.mappings, columns, &Destinations::Fields(&schema.fields), violations);
            (Fit { mappings: dataflow.mappings.clone(), ..Fit::default() }, is_of_events(schema))
        }
        (_, Known { schema: Some(schema), tenant: Some(tenant), .. }) => {
            let mappings = mapping::by_name(columns, &schema.fields, tenant);
            if mappings.is_empty() {
                let sentence =
                    "is required here: no column of the table has the name of a field of the schema";
                let (field, reason) = ("mappings".to_owned(), InvalidReason::Required);
                violations.push(Violation { field, reason, sentence: sentence.to_owned() });
                return Fit::default();
            }
            (Fit { mappings, ..Fit::default() }, is_of_events(schema))
        }
        _ => return Fit::default(),
    };
    if is_of_events {
        violations.extend(mapping::missing_of_event(&mappings));
    }
    let unmapped_columns = mapping::unmapped(columns, &mappings);
    Fit { mappings, unmapped_columns, fields }
}

/// Records that are no events have no time of their own at the top.
fn is_of_events(schema: &Schema) -> bool {
    ["_id", "timestamp"].iter().all(|name| schema.fields.iter().any(|field| field.path.as_str() == *name))
}

/// What Data Prep finds wrong, as violations of a request.
pub(super) fn violations_of(
    dataflow: &NewDataflow,
    mappings: &[FieldMapping],
    found: &[Option<String>],
) -> Vec<Violation> {
    let wrong = mappings.iter().zip(found).enumerate();
    let wrong = wrong.filter_map(|(i, (mapping, found))| Some((i, mapping, found.as_ref()?)));
    let violation = |(i, mapping, found): (usize, &FieldMapping, &String)| {
        let (source, destination) = (&mapping.source, &mapping.destination);
        let (field, cure) = if dataflow.mappings.is_empty() {
            let cure = "list all mappings, without this one or with an expression";
            ("mappings".to_owned(), format!("{cure} ({source} to {destination})"))
        } else if is_about_destination(found, destination.as_str()) {
            (format!("mappings[{i}].destination"), "correct it".to_owned())
        } else {
            (format!("mappings[{i}].source"), "correct it".to_owned())
        };
        let sentence = format!("is refused by Data Prep ({found}): {cure}");
        Violation { field, reason: InvalidReason::NotAllowed, sentence }
    };
    wrong.map(violation).collect()
}

fn is_about_destination(found: &str, destination: &str) -> bool {
    let lower = found.to_lowercase();
    found.contains(destination)
        || ["destination", "target", "schema", "xdm"].iter().any(|word| lower.contains(word))
}
