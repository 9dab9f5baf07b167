//! What exists at Adobe's services beside connections, and the origin of each.

use std::{collections::BTreeSet, time::Duration};

use hubspot_connection_service::{
    domain::{
        ConnectionId, Etag, RequestId,
        dataflow::{
            Dataflow, DataflowId, DataflowState, Dataset, DatasetId, MappingSet, MappingSetId, MappingSetRef,
            SchemaField, SchemaId, SchemaRef, SourceConnection, SourceConnectionId, StoredSchedule,
            TargetConnection, TargetConnectionId, TitledResource, XdmPath,
        },
    },
    service::dataflows::Part,
};
use tokio::time::Instant;

use super::replica::{COLUMNS, DATASET, DESCRIPTION, NAME, SCHEMA, TABLE, TENANT, TITLE};

/// Something as its service shows it.
#[derive(Clone, Debug)]
pub(in super::super) enum What {
    Source(SourceConnection),
    Target(TargetConnection),
    MappingSet(MappingSet),
    Dataset(Dataset),
    Schema(TitledResource),
    FieldGroup(TitledResource),
    Flow(Box<Dataflow>),
}

impl What {
    pub(in super::super) fn part(&self) -> Part {
        match self {
            Self::Source(_) => Part::SourceConnection,
            Self::Target(_) => Part::TargetConnection,
            Self::MappingSet(_) => Part::MappingSet,
            Self::Dataset(_) => Part::Dataset,
            Self::Schema(_) => Part::Schema,
            Self::FieldGroup(_) => Part::FieldGroup,
            Self::Flow(_) => Part::Flow,
        }
    }

    pub(in super::super) fn id(&self) -> &str {
        match self {
            Self::Source(source) => source.id.as_str(),
            Self::Target(target) => target.id.as_str(),
            Self::MappingSet(set) => set.at.id.as_str(),
            Self::Dataset(dataset) => dataset.id.as_str(),
            Self::Schema(titled) | Self::FieldGroup(titled) => titled.id.as_str(),
            Self::Flow(flow) => flow.id.as_ref().map_or("", DataflowId::as_str),
        }
    }

    /// Its kind and its ID, as leftovers name it.
    pub(in super::super) fn named(&self) -> String {
        format!("{}/{}", self.part().kind(), self.id())
    }
}

/// Something that was made.
#[derive(Clone, Debug)]
pub(in super::super) struct Thing {
    pub(in super::super) what: What,
    /// The request that made it; `None` for another client's.
    pub(in super::super) by: Option<RequestId>,
    /// The number of steps when it was sent.
    pub(in super::super) sent: usize,
    pub(in super::super) made_at: Instant,
    pub(in super::super) removed_at: Option<Instant>,
}

impl Thing {
    pub(in super::super) fn exists(&self) -> bool {
        self.removed_at.is_none()
    }

    /// Whether it can be read by its ID, which is not possible for so long.
    pub(in super::super) fn is_readable(&self, unread: Duration) -> bool {
        self.exists() && (self.by.is_none() || self.made_at.elapsed() >= unread)
    }

    /// Whether a list shows it, which is late by so much for what is made, and for what is removed.
    fn is_listed(&self, lag: Duration, stale: Duration) -> bool {
        (self.by.is_none() || self.made_at.elapsed() >= lag)
            && self.removed_at.is_none_or(|removed| removed.elapsed() < stale)
    }
}

/// Everything.
#[derive(Default)]
pub(in super::super) struct Things {
    made: Vec<Thing>,
    /// Wrong deletions, in words.
    pub(in super::super) wrongs: Vec<String>,
    /// The datasets into which something was ingested.
    ingested: BTreeSet<String>,
}

impl Things {
    /// The things of other clients. Some resemble those of this request.
    pub(in super::super) fn of_others(&mut self, connection: &ConnectionId, id: RequestId) {
        let schema = |number| SchemaId::parse(&format!("{SCHEMA}{number}")).unwrap();
        let titled =
            |id: SchemaId, title: String| TitledResource { id, title, description: Some("other".into()) };
        let field_group = SchemaId::parse("https://ns.adobe.com/acme/mixins/0").unwrap();
        let dataset = |id: &str, tag: String| Dataset {
            id: DatasetId::parse(id).unwrap(),
            name: Some("Contacts".to_owned()),
            schema: Some(SchemaRef { id: schema(""), content_type: None }),
            tags: vec![tag],
            created_at_ms: Some(1),
            has_batch: false,
        };
        let source = |number: &str, name: String| SourceConnection {
            id: SourceConnectionId::parse(&format!("source-of-another-{number}")).unwrap(),
            name: Some(name),
            connection: Some(connection.clone()),
            table: Some(TABLE.to_owned()),
            is_of_hubspot: Some(true),
            created_at_ms: Some(1),
        };
        let target = |number: &str, name: String| TargetConnection {
            id: TargetConnectionId::parse(&format!("target-of-another-{number}")).unwrap(),
            name: Some(name),
            dataset: Some(DatasetId::parse(DATASET).unwrap()),
            schema: Some(schema("")),
            created_at_ms: Some(1),
        };
        let set = MappingSet {
            at: MappingSetRef { id: MappingSetId::parse("setOfAnother").unwrap(), version: 0 },
            name: Some(format!("hubspot-{id}0")),
            schema: Some(schema("")),
            mappings: None,
            created_at_ms: Some(1),
        };
        let flow = Dataflow {
            id: DataflowId::parse("flow-of-another").ok(),
            etag: Etag::parse("\"1\"").ok(),
            name: Some(NAME.to_owned()),
            description: Some(DESCRIPTION.to_owned()),
            state: Some(DataflowState::Enabled),
            created_at_ms: Some(1),
            source_connections: vec![SourceConnectionId::parse("source-of-another-1").unwrap()],
            target_connections: vec![TargetConnectionId::parse("target-of-another-1").unwrap()],
            connection: Some(connection.clone()),
            is_of_hubspot: Some(true),
            mapping_set: Some(set.at.clone()),
            ..Dataflow::default()
        };
        for what in [
            What::Schema(titled(schema(""), "Contacts of another".to_owned())),
            What::FieldGroup(titled(field_group, format!("{TITLE} fields"))),
            What::Schema(titled(schema("2"), format!("{TITLE} 2"))),
            What::Dataset(dataset(DATASET, String::new())),
            What::Dataset(dataset("datasetOfAnother", format!("hubspotRequest:{id}0"))),
            What::Source(source("1", format!("hubspot-{id}-source-2"))),
            What::Source(source("2", format!("Hubspot-{id}-Source"))),
            What::Target(target("1", format!("hubspot-{id}-target-2"))),
            What::MappingSet(set),
            What::Flow(Box::new(flow)),
        ] {
            self.add(what, None, 0);
        }
    }

    pub(in super::super) fn add(&mut self, what: What, by: Option<RequestId>, sent: usize) {
        self.made.push(Thing { what, by, sent, made_at: Instant::now(), removed_at: None });
    }

    /// A new ID, of a form that every service has.
    pub(in super::super) fn new_id(&self, part: &str) -> String {
        format!("{part}-{}", self.made.len())
    }

    pub(in super::super) fn all(&self) -> &[Thing] {
        &self.made
    }

    /// What a list shows, oldest first.
    pub(in super::super) fn listed(&self, lag: Duration, stale: Duration) -> impl Iterator<Item = &What> {
        self.made.iter().filter(move |thing| thing.is_listed(lag, stale)).map(|thing| &thing.what)
    }

    pub(in super::super) fn existing(&self) -> impl Iterator<Item = &What> {
        self.made.iter().filter(|thing| thing.exists()).map(|thing| &thing.what)
    }

    pub(in super::super) fn has(&self, id: &str) -> bool {
        self.existing().any(|what| what.id() == id)
    }

    /// The schema or field group that has a title.
    pub(in super::super) fn owner(&self, title: &str) -> Option<SchemaId> {
        self.existing().find_map(|what| match what {
            What::Schema(titled) | What::FieldGroup(titled) if titled.title == title => {
                Some(titled.id.clone())
            }
            _ => None,
        })
    }

    pub(in super::super) fn ingest(&mut self, dataset: &DatasetId) {
        self.ingested.insert(dataset.to_string());
    }

    pub(in super::super) fn has_batch(&self, dataset: &str) -> bool {
        self.ingested.contains(dataset)
    }

    /// Deletes something, and notes if that is wrong.
    pub(in super::super) fn remove(&mut self, part: Part, id: &str) {
        let is_it = |thing: &&mut Thing| thing.exists() && thing.what.part() == part && thing.what.id() == id;
        let Some(thing) = self.made.iter_mut().find(is_it) else { return };
        thing.removed_at = Some(Instant::now());
        let (by, named) = (thing.by, thing.what.named());
        if by.is_none() {
            self.wrongs.push(format!("{named} of another is deleted"));
        }
        // What this request itself has made for nothing is deleted, too.
        let is_used = |user: &Thing| user.by.is_none() || user.what.part() == Part::Flow;
        if let Some(user) = self.user_of(part, id).filter(is_used) {
            self.wrongs.push(format!("{named} is deleted, which {} uses", user.what.named()));
        }
        if part == Part::Dataset && self.has_batch(id) {
            self.wrongs.push(format!("{named} is deleted with its data"));
        }
    }

    /// What uses something.
    pub(in super::super) fn user_of(&self, part: Part, id: &str) -> Option<Thing> {
        let uses = |what: &&What| match what {
            What::Flow(flow) => match part {
                Part::SourceConnection => flow.source_connections.iter().any(|source| source.as_str() == id),
                Part::TargetConnection => flow.target_connections.iter().any(|target| target.as_str() == id),
                Part::MappingSet => flow.mapping_set.as_ref().is_some_and(|set| set.id.as_str() == id),
                _ => false,
            },
            What::Target(target) => {
                part == Part::Dataset && target.dataset.as_ref().is_some_and(|dataset| dataset.as_str() == id)
            }
            What::Dataset(dataset) => {
                part == Part::Schema && dataset.schema.as_ref().is_some_and(|schema| schema.id.as_str() == id)
            }
            _ => false,
        };
        self.made.iter().find(|thing| thing.exists() && uses(&&thing.what)).cloned()
    }
}

/// The fields that a schema has: one for each column.
pub(in super::super) fn fields() -> Vec<SchemaField> {
    let field = |column: &&str| SchemaField {
        path: XdmPath::parse(&format!("_{TENANT}.{column}")).unwrap(),
        kind: "string".to_owned(),
        format: String::new(),
    };
    COLUMNS.iter().map(field).collect()
}

/// The schedule of a flow that starts then.
pub(in super::super) fn starting(start: i64) -> StoredSchedule {
    StoredSchedule { frequency: Some("once".to_owned()), start: Some(start), ..StoredSchedule::default() }
}
