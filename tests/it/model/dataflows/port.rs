//! The services that a dataflow needs, with faults at each step.

use std::sync::Arc;

use hubspot_connection_service::{
    adobe::{
        CallError, DatasetSelection, FlowPage, FlowQuery, NewDatasetRequest, NewFieldGroup, NewFlow,
        NewMappingSet, NewSchema, NewSourceConnection, NewTargetConnection, PageToken, Platform, RunPage,
        RunQuery, Selection, TableParameter, TargetSelection, Titled, TitledKind,
    },
    domain::{
        Etag, Progress, SandboxName,
        dataflow::{
            CreatedDataflow, Dataflow, DataflowId, DataflowRef, DataflowState, Dataset, DatasetId,
            MappingSet, MappingSetId, MappingSetRef, Schema, SchemaId, SchemaRef, SourceConnection,
            SourceConnectionId, TargetConnection, TargetConnectionId, TitledResource,
        },
    },
    service::dataflows::Part,
};
use tokio::time::Instant;

use super::{
    super::{faults::Fault, port::Port},
    replica::TENANT,
    things::{Things, What, fields, starting},
    variant::Hidden,
};

type Answer<T> = Result<T, CallError>;

impl Platform for Port {
    async fn table_parameter(&self, _: &SandboxName, _: Instant) -> Answer<TableParameter> {
        self.reads("parameter").await?;
        Ok(TableParameter::Path)
    }

    async fn flow_spec_drift(&self, _: &SandboxName, _: Instant) -> Answer<Vec<String>> {
        unreachable!("no part of a creation")
    }

    async fn create_source_connection(
        &self,
        source: &NewSourceConnection<'_>,
        _: Instant,
    ) -> Answer<SourceConnectionId> {
        let (name, by) = (source.name.to_owned(), self.marked(source.name));
        let (connection, table) = (source.connection.clone(), source.table.to_string());
        let now_ms = self.0.world.now_ms();
        let commit = move |things: &mut Things, sent| {
            let id = SourceConnectionId::parse(&things.new_id("source")).unwrap();
            let (name, connection, table) = (Some(name), Some(connection), Some(table));
            let is_of_hubspot = Some(true);
            let created_at_ms = Some(now_ms);
            let made =
                SourceConnection { id: id.clone(), name, connection, table, is_of_hubspot, created_at_ms };
            things.add(What::Source(made), by, sent);
            id
        };
        self.make(Part::SourceConnection, Vec::new(), commit).await
    }

    async fn list_source_connections(
        &self,
        _: &SandboxName,
        selection: Selection<'_, SourceConnectionId>,
        _: Instant,
    ) -> Answer<Vec<SourceConnection>> {
        let select = |what: &What| match (what, selection) {
            (What::Source(source), Selection::Name(name)) => {
                resembles(source.name.as_ref(), name).then(|| source.clone())
            }
            (What::Source(source), Selection::Ids(ids)) => ids.contains(&source.id).then(|| source.clone()),
            _ => None,
        };
        self.listed("sources", select).await
    }

    async fn delete_source_connection(
        &self,
        _: &SandboxName,
        id: &SourceConnectionId,
        _: Instant,
    ) -> Answer<()> {
        self.remove(Part::SourceConnection, id.as_str()).await
    }

    async fn create_target_connection(
        &self,
        target: &NewTargetConnection<'_>,
        _: Instant,
    ) -> Answer<TargetConnectionId> {
        let (name, by) = (target.name.to_owned(), self.marked(target.name));
        let (dataset, schema) = (target.dataset.clone(), target.schema.clone());
        let created_at_ms = Some(self.0.world.now_ms());
        let commit = move |things: &mut Things, sent| {
            let id = TargetConnectionId::parse(&things.new_id("target")).unwrap();
            let (name, dataset, schema) = (Some(name), Some(dataset), Some(schema));
            let made = TargetConnection { id: id.clone(), name, dataset, schema, created_at_ms };
            things.add(What::Target(made), by, sent);
            id
        };
        self.make(Part::TargetConnection, vec![target.dataset.to_string()], commit).await
    }

    async fn list_target_connections(
        &self,
        _: &SandboxName,
        selection: TargetSelection<'_>,
        _: Instant,
    ) -> Answer<Vec<TargetConnection>> {
        let select = |what: &What| {
            let What::Target(target) = what else { return None };
            let is_selected = match selection {
                TargetSelection::Name(name) => resembles(target.name.as_ref(), name),
                TargetSelection::Ids(ids) => ids.contains(&target.id),
                TargetSelection::Dataset(id) => target.dataset.as_ref() == Some(id),
            };
            is_selected.then(|| target.clone())
        };
        self.listed("targets", select).await
    }

    async fn delete_target_connection(
        &self,
        _: &SandboxName,
        id: &TargetConnectionId,
        _: Instant,
    ) -> Answer<()> {
        self.remove(Part::TargetConnection, id.as_str()).await
    }

    async fn create_flow(
        &self,
        (): &(),
        flow: &NewFlow<'_>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Answer<CreatedDataflow> {
        let (by, world) = (Some(progress.request_id()), Arc::clone(&self.0.world));
        let mut made = Dataflow {
            etag: Etag::parse("\"1\"").ok(),
            name: Some(flow.name.to_owned()),
            description: flow.description.map(str::to_owned),
            state: Some(DataflowState::Enabled),
            source_connections: vec![flow.source.clone()],
            target_connections: vec![flow.target.clone()],
            connection: Some(world.connection()),
            is_of_hubspot: Some(true),
            mapping_set: Some(flow.mapping_set.clone()),
            schedule: starting(flow.start.0),
            ..Dataflow::default()
        };
        let now = move || world.now_ms();
        let commit = move |things: &mut Things, sent| {
            let id = DataflowId::parse(&things.new_id("flow")).unwrap();
            made.id = Some(id.clone());
            made.created_at_ms = Some(now());
            things.add(What::Flow(Box::new(made)), by, sent);
            CreatedDataflow { id, etag: Etag::parse("\"1\"").unwrap() }
        };
        assert!(Instant::now() < send_by, "it is sent too late");
        let uses = vec![flow.source.to_string(), flow.target.to_string(), flow.mapping_set.id.to_string()];
        self.make(Part::Flow, uses, commit).await
    }

    /// As an unfiltered list.
    async fn list_flows(&self, _: &FlowQuery<'_>, _: Option<&PageToken>, _: Instant) -> Answer<FlowPage> {
        let select = |what: &What| if let What::Flow(flow) = what { Some(self.shown(flow)) } else { None };
        let mut items = self.listed("flows", select).await?;
        items.reverse();
        Ok(FlowPage { items, next: None })
    }

    async fn count_flows(&self, _: &SandboxName, _: Instant) -> Answer<u64> {
        unreachable!("no part of a creation")
    }

    async fn get_flow(&self, at: &DataflowRef, _: Instant) -> Answer<Option<Dataflow>> {
        let select = |what: &What| match what {
            What::Flow(flow) if flow.id.as_ref() == Some(&at.id) => Some(self.shown(flow)),
            _ => None,
        };
        self.got("flow", select).await
    }

    async fn set_flow_enabled(&self, _: &DataflowRef, _: bool, _: Instant) -> Answer<Option<Etag>> {
        unreachable!("no part of a creation")
    }

    async fn delete_flow(&self, at: &DataflowRef, _: Instant) -> Answer<()> {
        self.remove(Part::Flow, at.id.as_str()).await
    }

    async fn list_runs(&self, _: &RunQuery<'_>, _: Option<&PageToken>, _: Instant) -> Answer<RunPage> {
        unreachable!("no part of a creation")
    }

    async fn tenant(&self, _: &SandboxName, _: Instant) -> Answer<String> {
        self.reads("tenant").await?;
        Ok(TENANT.to_owned())
    }

    async fn get_schema(&self, _: &SandboxName, id: &SchemaId, _: Instant) -> Answer<Option<Schema>> {
        let select = |what: &What| match what {
            What::Schema(titled) if titled.id == *id => {
                Some(Schema { id: id.clone(), title: Some(titled.title.clone()), fields: fields() })
            }
            _ => None,
        };
        self.got("schema", select).await
    }

    async fn list_titles(
        &self,
        _: &SandboxName,
        kind: TitledKind,
        title: &str,
        _: Instant,
    ) -> Answer<Vec<TitledResource>> {
        let select = |what: &What| match (what, kind) {
            (What::Schema(titled), TitledKind::Schema)
            | (What::FieldGroup(titled), TitledKind::FieldGroup) => {
                resembles(Some(&titled.title), title).then(|| titled.clone())
            }
            _ => None,
        };
        self.listed("titles", select).await
    }

    async fn create_field_group(&self, group: &NewFieldGroup<'_>, _: Instant) -> Answer<Titled> {
        self.make_titled(TitledKind::FieldGroup, group.title, group.description).await
    }

    async fn create_schema(&self, schema: &NewSchema<'_>, _: Instant) -> Answer<Titled> {
        self.make_titled(TitledKind::Schema, schema.title, schema.description).await
    }

    async fn delete_titled(
        &self,
        _: &SandboxName,
        kind: TitledKind,
        id: &SchemaId,
        _: Instant,
    ) -> Answer<()> {
        self.remove(part(kind), id.as_str()).await
    }

    async fn get_dataset(&self, _: &SandboxName, id: &DatasetId, _: Instant) -> Answer<Option<Dataset>> {
        let select = |what: &What| match what {
            What::Dataset(dataset) if dataset.id == *id => Some(dataset.clone()),
            _ => None,
        };
        self.got("dataset", select).await
    }

    async fn list_datasets(
        &self,
        _: &SandboxName,
        selection: DatasetSelection<'_>,
        _: Instant,
    ) -> Answer<Vec<Dataset>> {
        let select = |what: &What| {
            let What::Dataset(dataset) = what else { return None };
            let is_selected = match selection {
                DatasetSelection::Tag(tag) => dataset.tags.iter().any(|known| known.starts_with(tag)),
                DatasetSelection::Schema(id) => {
                    dataset.schema.as_ref().is_some_and(|schema| schema.id == *id)
                }
            };
            is_selected.then(|| dataset.clone())
        };
        self.listed("datasets", select).await
    }

    async fn create_dataset(&self, dataset: &NewDatasetRequest<'_>, _: Instant) -> Answer<DatasetId> {
        let (key, value) = dataset.tag;
        let (tag, by) = (format!("{key}:{value}"), self.marked(value));
        let (name, schema) = (dataset.name.to_owned(), dataset.schema.clone());
        let created_at_ms = Some(self.0.world.now_ms());
        let commit = move |things: &mut Things, sent| {
            let id = DatasetId::parse(&things.new_id("dataset")).unwrap();
            let (name, schema) = (Some(name), Some(SchemaRef { id: schema, content_type: None }));
            let made =
                Dataset { id: id.clone(), name, schema, tags: vec![tag], created_at_ms, has_batch: false };
            things.add(What::Dataset(made), by, sent);
            id
        };
        self.make(Part::Dataset, vec![dataset.schema.to_string()], commit).await
    }

    async fn has_batches(&self, _: &SandboxName, id: &DatasetId, _: Instant) -> Answer<bool> {
        let fault = self.reads("batches").await?;
        let mut things = self.0.world.things.lock().unwrap();
        if fault == Some(Fault::Ingests) {
            things.ingest(id);
        }
        Ok(things.has_batch(id.as_str()))
    }

    async fn delete_dataset(&self, _: &SandboxName, id: &DatasetId, _: Instant) -> Answer<()> {
        self.remove(Part::Dataset, id.as_str()).await
    }

    async fn list_mapping_sets(&self, _: &SandboxName, name: &str, _: Instant) -> Answer<Vec<MappingSet>> {
        let select = |what: &What| match what {
            What::MappingSet(set) => resembles(set.name.as_ref(), name).then(|| set.clone()),
            _ => None,
        };
        self.listed("mapping sets", select).await
    }

    async fn validate_mappings(&self, set: &NewMappingSet<'_>, _: Instant) -> Answer<Vec<Option<String>>> {
        let fault = self.reads("validation").await?;
        let is_refused =
            fault == Some(Fault::Refused) || self.0.world.variant().refused == Some("validation");
        Ok(set.mappings.iter().map(|_| is_refused.then(|| "wrong".to_owned())).collect())
    }

    async fn create_mapping_set(&self, set: &NewMappingSet<'_>, _: Instant) -> Answer<MappingSetRef> {
        let (name, by) = (set.name.to_owned(), self.marked(set.name));
        let (schema, mappings) = (set.schema.clone(), set.mappings.to_vec());
        let created_at_ms = Some(self.0.world.now_ms());
        let commit = move |things: &mut Things, sent| {
            let at = MappingSetRef { id: MappingSetId::parse(&things.new_id("set")).unwrap(), version: 0 };
            let (name, schema, mappings) = (Some(name), Some(schema), Some(mappings));
            let made = MappingSet { at: at.clone(), name, schema, mappings, created_at_ms };
            things.add(What::MappingSet(made), by, sent);
            at
        };
        self.make(Part::MappingSet, Vec::new(), commit).await
    }

    async fn delete_mapping_set(&self, _: &SandboxName, id: &MappingSetId, _: Instant) -> Answer<()> {
        self.remove(Part::MappingSet, id.as_str()).await
    }
}

impl Port {
    /// A flow as it is shown.
    fn shown(&self, flow: &Dataflow) -> Dataflow {
        let mut flow = flow.clone();
        let is_anothers = flow.id.as_ref().is_some_and(|id| id.as_str().contains("another"));
        match self.0.world.variant().hidden {
            Hidden::Description if !is_anothers => flow.description = None,
            Hidden::Source if !is_anothers => flow.source_connections = Vec::new(),
            Hidden::Nothing | Hidden::Description | Hidden::Source => {}
        }
        flow
    }

    async fn make_titled(&self, kind: TitledKind, title: &str, description: &str) -> Answer<Titled> {
        let (title, description, by) = (title.to_owned(), description.to_owned(), self.marked(description));
        let commit = move |things: &mut Things, sent| {
            if let Some(owner) = things.owner(&title) {
                return Titled::Taken(owner);
            }
            let path = if kind == TitledKind::Schema { "schemas" } else { "mixins" };
            let id = format!("https://ns.adobe.com/{TENANT}/{path}/{}", things.new_id(path));
            let id = SchemaId::parse(&id).unwrap();
            let titled = TitledResource { id: id.clone(), title, description: Some(description) };
            let is_schema = kind == TitledKind::Schema;
            things.add(if is_schema { What::Schema(titled) } else { What::FieldGroup(titled) }, by, sent);
            Titled::Created(id)
        };
        self.make(part(kind), Vec::new(), commit).await
    }
}

fn part(kind: TitledKind) -> Part {
    match kind {
        TitledKind::Schema => Part::Schema,
        TitledKind::FieldGroup => Part::FieldGroup,
    }
}

/// Whether a list by name has it, which does not compare exactly.
fn resembles(shown: Option<&String>, name: &str) -> bool {
    shown.is_some_and(|shown| shown.to_lowercase().starts_with(&name.to_lowercase()))
}
