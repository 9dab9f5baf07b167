//! What a creation has prepared, as its record keeps it: the context of a sending or of an undo, and a part of the
//! outcome.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    domain::dataflow::{
        DataflowResources, DatasetId, FieldMapping, MappingKind, MappingSetId, MappingSetRef, MappingSource,
        SchemaId, SourceConnectionId, StartTime, TargetConnectionId, XdmPath,
    },
    service::dataflows::error::Part,
};

const VERSION: u32 = 1;

/// What was found or created, and what is sent with it. Before a refusal some of it may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(super) source: Option<SourceConnectionId>,
    pub(super) target: Option<TargetConnectionId>,
    pub(super) mapping_set: Option<MappingSetRef>,
    pub(super) dataset: Option<DatasetId>,
    pub(super) schema: Option<SchemaId>,
    pub(super) field_group: Option<SchemaId>,
    /// Whether the dataset is this creation's.
    pub(super) is_dataset_created: bool,
    /// Whether the schema and the field group are this creation's.
    pub(super) is_schema_created: bool,
    pub(super) start: Option<StartTime>,
    /// Whether the caller has left the start open.
    pub(super) is_start_default: bool,
    pub(super) mappings: Vec<FieldMapping>,
    pub(super) unmapped_columns: Vec<String>,
    /// Whether something with a marker of this creation may appear later, or be there twice.
    pub(super) is_sweep_due: bool,
    /// What an undo leaves, because an earlier attempt may have made it and may still use it: kinds of parts.
    pub(super) kept: Vec<String>,
    /// What an undo has deleted already, or has found in use: kinds of parts.
    pub(super) undone: Vec<String>,
    /// What carries the markers beside that, after replies were lost.
    pub(super) surplus: Surplus,
    /// The fields that this version does not know.
    pub(super) unknown: Map<String, Value>,
}

/// What carries the markers of a request, and is not used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surplus {
    pub(super) targets: Vec<TargetConnectionId>,
    pub(super) sources: Vec<SourceConnectionId>,
    pub(super) mapping_sets: Vec<MappingSetId>,
    pub(super) datasets: Vec<DatasetId>,
}

impl Surplus {
    pub(super) fn add(&mut self, more: Self) {
        fn add<T: PartialEq>(ids: &mut Vec<T>, more: Vec<T>) {
            for id in more {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        add(&mut self.targets, more.targets);
        add(&mut self.sources, more.sources);
        add(&mut self.mapping_sets, more.mapping_sets);
        add(&mut self.datasets, more.datasets);
    }
}

/// Everything that is sent.
pub(super) struct Sending<'a> {
    pub(super) source: &'a SourceConnectionId,
    pub(super) target: &'a TargetConnectionId,
    pub(super) mapping_set: &'a MappingSetRef,
    pub(super) start: StartTime,
}

impl Prepared {
    /// What is sent; `None` where some of it is missing.
    pub(super) fn sending(&self) -> Option<Sending<'_>> {
        Some(Sending {
            source: self.source.as_ref()?,
            target: self.target.as_ref()?,
            mapping_set: self.mapping_set.as_ref()?,
            start: self.start?,
        })
    }

    /// What is this creation's, in the order in which it is deleted, with its IDs.
    pub(super) fn own(&self) -> Vec<(Part, &str)> {
        let dataset = self.dataset.as_ref().filter(|_| self.is_dataset_created);
        let schema = self.schema.as_ref().filter(|_| self.is_schema_created);
        let parts = [
            (Part::TargetConnection, self.target.as_ref().map(TargetConnectionId::as_str)),
            (Part::SourceConnection, self.source.as_ref().map(SourceConnectionId::as_str)),
            (Part::MappingSet, self.mapping_set.as_ref().map(|set| set.id.as_str())),
            (Part::Dataset, dataset.map(DatasetId::as_str)),
            (Part::Schema, schema.map(SchemaId::as_str)),
            (Part::FieldGroup, self.field_group.as_ref().map(SchemaId::as_str)),
        ];
        parts.into_iter().filter_map(|(part, id)| Some((part, id?))).collect()
    }

    /// The same of the surplus.
    pub(super) fn surplus(&self) -> Vec<(Part, &str)> {
        let Surplus { targets, sources, mapping_sets, datasets } = &self.surplus;
        let targets = targets.iter().map(|id| (Part::TargetConnection, id.as_str()));
        let sources = sources.iter().map(|id| (Part::SourceConnection, id.as_str()));
        let sets = mapping_sets.iter().map(|id| (Part::MappingSet, id.as_str()));
        let datasets = datasets.iter().map(|id| (Part::Dataset, id.as_str()));
        targets.chain(sources).chain(sets).chain(datasets).collect()
    }

    pub(super) fn resources(&self) -> DataflowResources {
        DataflowResources {
            source_connection: self.source.clone(),
            target_connection: self.target.clone(),
            mapping_set: self.mapping_set.as_ref().map(|set| set.id.clone()),
            dataset: self.dataset.clone(),
            schema: self.schema.clone(),
            is_dataset_created: self.is_dataset_created,
            is_schema_created: self.is_schema_created,
        }
    }

    /// The text of a context. It is empty if there is nothing to undo.
    pub(super) fn to_context(&self) -> String {
        if self.own().is_empty() && self.surplus == Surplus::default() {
            return String::new();
        }
        let context = Context { version: VERSION, prepared: self.to_document() };
        // It has no keys but strings, so that it always can be written.
        serde_json::to_string(&context).unwrap_or_default()
    }

    /// Reads that text; `None` where it is damaged, or of another version.
    pub(super) fn parse_context(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let Context { version: VERSION, prepared } = serde_json::from_str(text).ok()? else { return None };
        Self::of_document(prepared)
    }

    pub(super) fn to_document(&self) -> Document {
        let mappings = self.mappings.iter().map(|mapping| MappingDocument {
            source: mapping.source.to_string(),
            destination: mapping.destination.to_string(),
            kind: mapping.kind.name().to_owned(),
        });
        Document {
            source: self.source.as_ref().map(ToString::to_string),
            target: self.target.as_ref().map(ToString::to_string),
            mapping_set: self.mapping_set.as_ref().map(|set| set.id.to_string()),
            mapping_set_version: self.mapping_set.as_ref().map(|set| set.version),
            dataset: self.dataset.as_ref().map(ToString::to_string),
            schema: self.schema.as_ref().map(ToString::to_string),
            field_group: self.field_group.as_ref().map(ToString::to_string),
            dataset_created: self.is_dataset_created,
            schema_created: self.is_schema_created,
            start: self.start.map(|start| start.0),
            start_is_default: self.is_start_default,
            mappings: mappings.collect(),
            unmapped_columns: self.unmapped_columns.clone(),
            sweep_due: self.is_sweep_due,
            kept: self.kept.clone(),
            undone: self.undone.clone(),
            surplus_targets: texts(&self.surplus.targets),
            surplus_sources: texts(&self.surplus.sources),
            surplus_mapping_sets: texts(&self.surplus.mapping_sets),
            surplus_datasets: texts(&self.surplus.datasets),
            unknown: self.unknown.clone(),
        }
    }

    pub(super) fn of_document(document: Document) -> Option<Self> {
        let mapping_set = match (document.mapping_set, document.mapping_set_version) {
            (Some(id), Some(version)) => Some(MappingSetRef { id: MappingSetId::parse(&id).ok()?, version }),
            (None, _) => None,
            (Some(_), None) => return None,
        };
        let mappings = document.mappings.into_iter().map(MappingDocument::parse);
        let surplus = Surplus {
            targets: all_parsed(&document.surplus_targets, TargetConnectionId::parse)?,
            sources: all_parsed(&document.surplus_sources, SourceConnectionId::parse)?,
            mapping_sets: all_parsed(&document.surplus_mapping_sets, MappingSetId::parse)?,
            datasets: all_parsed(&document.surplus_datasets, DatasetId::parse)?,
        };
        Some(Self {
            source: parsed(document.source, SourceConnectionId::parse)?,
            target: parsed(document.target, TargetConnectionId::parse)?,
            mapping_set,
            dataset: parsed(document.dataset, DatasetId::parse)?,
            schema: parsed(document.schema, SchemaId::parse)?,
            field_group: parsed(document.field_group, SchemaId::parse)?,
            is_dataset_created: document.dataset_created,
            is_schema_created: document.schema_created,
            start: document.start.map(StartTime),
            is_start_default: document.start_is_default,
            mappings: mappings.collect::<Option<_>>()?,
            unmapped_columns: document.unmapped_columns,
            is_sweep_due: document.sweep_due,
            kept: document.kept,
            undone: document.undone,
            surplus,
            unknown: document.unknown,
        })
    }
}

/// `None` where there is a text that is no such ID.
fn parsed<T, E>(text: Option<String>, parse: impl Fn(&str) -> Result<T, E>) -> Option<Option<T>> {
    text.map(|text| parse(&text)).transpose().ok()
}

fn texts<T: ToString>(ids: &[T]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// `None` where one is no such ID.
fn all_parsed<T, E>(texts: &[String], parse: impl Fn(&str) -> Result<T, E>) -> Option<Vec<T>> {
    texts.iter().map(|text| parse(text).ok()).collect()
}

#[derive(Serialize, Deserialize)]
struct Context {
    version: u32,
    #[serde(flatten)]
    prepared: Document,
}

/// The fields of both texts. What has its default is left out.
#[derive(Serialize, Deserialize)]
pub(super) struct Document {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mapping_set: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mapping_set_version: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dataset: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field_group: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dataset_created: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    schema_created: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    start_is_default: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mappings: Vec<MappingDocument>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unmapped_columns: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sweep_due: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kept: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    undone: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    surplus_targets: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    surplus_sources: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    surplus_mapping_sets: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    surplus_datasets: Vec<String>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct MappingDocument {
    source: String,
    destination: String,
    kind: String,
}

impl MappingDocument {
    fn parse(self) -> Option<FieldMapping> {
        Some(FieldMapping {
            source: MappingSource::parse(&self.source).ok()?,
            destination: XdmPath::parse(&self.destination).ok()?,
            kind: MappingKind::ALL.iter().copied().find(|kind| kind.name() == self.kind)?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::service::dataflows::creation) fn prepared() -> Prepared {
        let schema = |id: &str| SchemaId::parse(&format!("https://ns.adobe.com/acme/{id}")).ok();
        Prepared {
            source: SourceConnectionId::parse("s-1").ok(),
            target: TargetConnectionId::parse("t-1").ok(),
            mapping_set: Some(MappingSetRef { id: MappingSetId::parse("m1").unwrap(), version: 0 }),
            dataset: DatasetId::parse("d1").ok(),
            schema: schema("schemas/1"),
            field_group: schema("mixins/1"),
            is_dataset_created: true,
            is_schema_created: true,
            start: Some(StartTime(1_700_000_000)),
            is_start_default: true,
            mappings: vec![FieldMapping {
                source: MappingSource::parse("Vid").unwrap(),
                destination: XdmPath::parse("_acme.Vid").unwrap(),
                kind: MappingKind::Attribute,
            }],
            unmapped_columns: vec!["Other".to_owned()],
            is_sweep_due: false,
            kept: Vec::new(),
            undone: Vec::new(),
            surplus: Surplus::default(),
            unknown: Map::new(),
        }
    }

    /// They are kept in Redis, and every later version has to read them.
    #[test]
    fn the_text_of_a_context_is_what_it_always_was() {
        let text = concat!(
            r#"{"version":1,"source":"s-1","target":"t-1","mapping_set":"m1","mapping_set_version":0,"#,
            r#""dataset":"d1","schema":"https://ns.adobe.com/acme/schemas/1","#,
            r#""field_group":"https://ns.adobe.com/acme/mixins/1","dataset_created":true,"schema_created":true,"#,
            r#""start":1700000000,"start_is_default":true,"#,
            r#""mappings":[{"source":"Vid","destination":"_acme.Vid","kind":"ATTRIBUTE"}],"#,
            r#""unmapped_columns":["Other"]}"#
        );
        assert_eq!(prepared().to_context(), text);
        assert_eq!(Prepared::parse_context(text), Some(prepared()));
        let surplus =
            Surplus { sources: vec![SourceConnectionId::parse("s-2").unwrap()], ..Surplus::default() };
        let due = Prepared { is_sweep_due: true, kept: vec!["dataset".to_owned()], surplus, ..prepared() };
        assert_eq!(Prepared::parse_context(&due.to_context()), Some(due));
    }

    #[test]
    fn a_context_without_anything_to_undo_is_empty() {
        let found = Prepared {
            dataset: prepared().dataset,
            schema: prepared().schema,
            start: prepared().start,
            mappings: prepared().mappings,
            ..Prepared::default()
        };
        assert_eq!(found.to_context(), "");
        assert_eq!(Prepared::parse_context(""), Some(Prepared::default()));
        let created = Prepared { field_group: prepared().field_group, ..Prepared::default() };
        assert_eq!(Prepared::parse_context(&created.to_context()), Some(created));
    }

    #[test]
    fn fields_that_this_version_does_not_know_are_preserved_and_damage_is_noticed() {
        let text = prepared().to_context();
        let future = text.replace(r#","start""#, r#","future":{"a":[1]},"start""#);
        let read = Prepared::parse_context(&future).unwrap();
        assert_eq!(Prepared::parse_context(&read.to_context()), Some(read.clone()));
        assert!(read.to_context().contains(r#""future":{"a":[1]}"#));
        for (part, damaged) in [
            (r#""version":1"#, r#""version":2"#),
            ("s-1", "../.."),
            (r#","mapping_set_version":0"#, ""),
            ("ATTRIBUTE", "nonsense"),
            ("https://ns.adobe.com/acme/schemas/1", "ns"),
            ("]}", "]"),
        ] {
            let damaged = text.replace(part, damaged);
            assert_ne!(damaged, text, "{part}");
            assert_eq!(Prepared::parse_context(&damaged), None, "{damaged}");
        }
    }
}
