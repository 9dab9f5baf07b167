//! What the calls for dataflows ask for, and the pages that they return.

use crate::{
    adobe::PageToken,
    domain::{
        ConnectionId, SandboxName, TablePath,
        dataflow::{
            ClassId, Dataflow, DataflowOptions, DataflowRef, DatasetId, FieldMapping, MappingSetId,
            MappingSetRef, Run, RunState, Schedule, SchemaField, SchemaId, SourceConnectionId, StartTime,
            TargetConnectionId,
        },
    },
};

/// What the source connection of a table calls the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableParameter {
    #[default]
    Path,
    TableName,
    Both,
}

/// Which source connections to list.
#[derive(Debug)]
pub enum Selection<'a, I> {
    Name(&'a str),
    Ids(&'a [I]),
}

// Derived, it would need an ID that can be copied.
impl<I> Clone for Selection<'_, I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I> Copy for Selection<'_, I> {}

/// Which target connections to list.
#[derive(Clone, Copy, Debug)]
pub enum TargetSelection<'a> {
    Name(&'a str),
    Ids(&'a [TargetConnectionId]),
    Dataset(&'a DatasetId),
}

/// Which datasets to list.
#[derive(Clone, Copy, Debug)]
pub enum DatasetSelection<'a> {
    /// `KEY:VALUE`.
    Tag(&'a str),
    Schema(&'a SchemaId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TitledKind {
    Schema,
    FieldGroup,
}

/// The result of creating something whose title must be unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Titled {
    Created(SchemaId),
    /// This one has the title already.
    Taken(SchemaId),
}

#[derive(Clone, Copy, Debug)]
pub struct NewSourceConnection<'a> {
    pub sandbox: &'a SandboxName,
    pub name: &'a str,
    pub connection: &'a ConnectionId,
    pub table: &'a TablePath,
    pub parameter: TableParameter,
}

#[derive(Clone, Copy, Debug)]
pub struct NewTargetConnection<'a> {
    pub sandbox: &'a SandboxName,
    pub name: &'a str,
    pub dataset: &'a DatasetId,
    pub schema: &'a SchemaId,
}

/// A flow to create.
#[derive(Clone, Copy, Debug)]
pub struct NewFlow<'a> {
    pub sandbox: &'a SandboxName,
    pub name: &'a str,
    /// As it is stored, with the reference.
    pub description: Option<&'a str>,
    pub source: &'a SourceConnectionId,
    pub target: &'a TargetConnectionId,
    pub mapping_set: &'a MappingSetRef,
    pub schedule: &'a Schedule,
    /// In place of that of the schedule, which may have none.
    pub start: StartTime,
    pub options: &'a DataflowOptions,
}

/// A field group with these fields below `_{tenant}`.
#[derive(Clone, Copy, Debug)]
pub struct NewFieldGroup<'a> {
    pub sandbox: &'a SandboxName,
    pub title: &'a str,
    pub description: &'a str,
    pub class: &'a ClassId,
    /// Their paths begin with `_{tenant}.`.
    pub fields: &'a [SchemaField],
}

#[derive(Clone, Copy, Debug)]
pub struct NewSchema<'a> {
    pub sandbox: &'a SandboxName,
    pub title: &'a str,
    pub description: &'a str,
    pub class: &'a ClassId,
    pub field_group: &'a SchemaId,
}

#[derive(Clone, Copy, Debug)]
pub struct NewDatasetRequest<'a> {
    pub sandbox: &'a SandboxName,
    pub name: &'a str,
    pub description: Option<&'a str>,
    pub schema: &'a SchemaId,
    /// Key and value.
    pub tag: (&'a str, &'a str),
    pub error_diagnostics: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct NewMappingSet<'a> {
    pub sandbox: &'a SandboxName,
    pub name: &'a str,
    pub schema: &'a SchemaId,
    pub mappings: &'a [FieldMapping],
}

/// Which flows to list.
#[derive(Clone, Copy, Debug)]
pub struct FlowQuery<'a> {
    pub sandbox: &'a SandboxName,
    pub selection: FlowSelection<'a>,
    /// The largest number of flows on a page, 1 to 100.
    pub limit: u8,
}

#[derive(Clone, Copy, Debug)]
pub enum FlowSelection<'a> {
    /// Those whose source is HubSpot, of any or of one name.
    OfHubSpot {
        name: Option<&'a str>,
    },
    OfConnection(&'a ConnectionId),
    OfSources(&'a [SourceConnectionId]),
    OfTargets(&'a [TargetConnectionId]),
    OfMappingSet(&'a MappingSetId),
}

#[derive(Clone, Debug, Default)]
pub struct FlowPage {
    /// Every item of the list, also an unreadable one.
    pub items: Vec<Dataflow>,
    /// The next page; `None` on the last one.
    pub next: Option<PageToken>,
}

/// Which runs to list.
#[derive(Clone, Copy, Debug)]
pub struct RunQuery<'a> {
    pub flow: &'a DataflowRef,
    pub state: Option<RunState>,
    /// In milliseconds since the Unix epoch.
    pub started_after_ms: Option<i64>,
    pub started_before_ms: Option<i64>,
    /// The largest number of runs on a page, 1 to 100.
    pub limit: u8,
}

#[derive(Clone, Debug, Default)]
pub struct RunPage {
    /// The readable runs of the page.
    pub items: Vec<Run>,
    /// The next page; `None` on the last one.
    pub next: Option<PageToken>,
}
