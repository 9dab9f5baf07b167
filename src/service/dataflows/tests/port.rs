//! The ports of the world.
use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::world::{Fault, SCHEMA, State, World, error, field};
use crate::{
    adobe::*,
    domain::{
        Column, Connection, ConnectionChanges, ConnectionRef, CreatedConnection, Etag, NewConnection,
        Progress, RequestId, SandboxName, StoredCredentials, Table, TablePath, dataflow::*,
    },
};

type Reply<T> = Result<T, CallError>;

impl FlowService for World {
    type Permit = ();

    async fn permit(&self, _: Instant) -> Reply<()> {
        Ok(())
    }
    fn retry_in(&self, attempt: u32, _: Option<Duration>, deadline: Instant) -> Option<Duration> {
        Some(Duration::from_millis(200)).filter(|pause| attempt < 3 && Instant::now() + *pause < deadline)
    }
    async fn create_connection(
        &self,
        (): &(),
        _: &NewConnection,
        _: Option<RequestId>,
        _: Instant,
        _: &Arc<Progress>,
    ) -> Reply<CreatedConnection> {
        unimplemented!("no dataflow creates connections")
    }
    async fn list_connections(
        &self,
        _: &ListQuery<'_>,
        _: Option<&PageToken>,
        _: Instant,
    ) -> Reply<ConnectionPage> {
        unimplemented!("no dataflow lists connections")
    }
    async fn count_connections(&self, _: &SandboxName, _: Instant) -> Reply<u64> {
        unimplemented!("no dataflow counts connections")
    }
    async fn get_connection(&self, at: &ConnectionRef, deadline: Instant) -> Reply<Option<Connection>> {
        let connection = (at.id.as_str() == "c-1").then(|| Connection {
            id: at.id.clone(),
            etag: Etag::parse("\"1\"").unwrap(),
            name: String::new(),
            description: None,
            state: None,
            credentials: StoredCredentials::default(),
            created_at_ms: 0,
            updated_at_ms: None,
            created_client: None,
        });
        self.read("get_connection", deadline, |_| connection).await
    }
    async fn update_connection(
        &self,
        _: &SandboxName,
        _: &Connection,
        _: &ConnectionChanges,
        _: Instant,
    ) -> Reply<Etag> {
        unimplemented!("no dataflow changes connections")
    }
    async fn delete_connection(&self, _: &ConnectionRef, _: Instant) -> Reply<()> {
        unimplemented!("no dataflow deletes connections")
    }
    async fn test_connection(&self, _: &ConnectionRef, _: Instant) -> Reply<bool> {
        unimplemented!("no dataflow tests connections")
    }
    async fn list_tables(&self, _: &ConnectionRef, deadline: Instant) -> Reply<Vec<Table>> {
        self.read("list_tables", deadline, |_| Vec::new()).await
    }
    async fn list_columns(&self, _: &ConnectionRef, _: &TablePath, deadline: Instant) -> Reply<Vec<Column>> {
        let column = |name: &str, xdm_type: &str, format: &str| Column {
            name: name.to_owned(),
            kind: String::new(),
            xdm_type: xdm_type.to_owned(),
            xdm_format: format.to_owned(),
        };
        let columns = vec![
            column("Vid", "integer", ""),
            column("Email", "string", ""),
            column("Added_At", "string", "date-time"),
        ];
        self.read("list_columns", deadline, |_| columns).await
    }
    async fn spec_drift(&self, _: &SandboxName, _: Instant) -> Reply<Vec<String>> {
        unimplemented!("dataflows have their own specification")
    }
}

impl Platform for World {
    async fn table_parameter(&self, _: &SandboxName, _: Instant) -> Reply<TableParameter> {
        Ok(TableParameter::Path)
    }
    async fn flow_spec_drift(&self, _: &SandboxName, _: Instant) -> Reply<Vec<String>> {
        Ok(Vec::new())
    }
    async fn create_source_connection(
        &self,
        source: &NewSourceConnection<'_>,
        deadline: Instant,
    ) -> Reply<SourceConnectionId> {
        self.write("create_source_connection", deadline, |state| {
            let id = SourceConnectionId::parse(&format!("source-{}", state.next())).unwrap();
            let created_at_ms = state.made_at_ms();
            state.sources.push(SourceConnection {
                id: id.clone(),
                name: Some(source.name.to_owned()),
                connection: Some(source.connection.clone()),
                table: Some(source.table.to_string()),
                is_of_hubspot: Some(true),
                created_at_ms,
            });
            id
        })
        .await
    }
    async fn list_source_connections(
        &self,
        _: &SandboxName,
        selection: Selection<'_, SourceConnectionId>,
        deadline: Instant,
    ) -> Reply<Vec<SourceConnection>> {
        let is_selected = |source: &&SourceConnection| match selection {
            Selection::Name(name) => source.name.as_deref() == Some(name),
            Selection::Ids(ids) => ids.contains(&source.id),
        };
        self.read("list_source_connections", deadline, |s| s.listed(|s| &s.sources, is_selected)).await
    }
    async fn delete_source_connection(
        &self,
        _: &SandboxName,
        id: &SourceConnectionId,
        deadline: Instant,
    ) -> Reply<()> {
        self.write("delete_source_connection", deadline, |s| s.sources.retain(|it| it.id != *id)).await
    }
    async fn create_target_connection(
        &self,
        target: &NewTargetConnection<'_>,
        deadline: Instant,
    ) -> Reply<TargetConnectionId> {
        self.write("create_target_connection", deadline, |state| {
            let id = TargetConnectionId::parse(&format!("target-{}", state.next())).unwrap();
            let created_at_ms = state.made_at_ms();
            state.targets.push(TargetConnection {
                id: id.clone(),
                name: Some(target.name.to_owned()),
                dataset: Some(target.dataset.clone()),
                schema: Some(target.schema.clone()),
                created_at_ms,
            });
            id
        })
        .await
    }
    async fn list_target_connections(
        &self,
        _: &SandboxName,
        selection: TargetSelection<'_>,
        deadline: Instant,
    ) -> Reply<Vec<TargetConnection>> {
        let is_selected = |target: &&TargetConnection| match selection {
            TargetSelection::Name(name) => target.name.as_deref() == Some(name),
            TargetSelection::Ids(ids) => ids.contains(&target.id),
            TargetSelection::Dataset(id) => target.dataset.as_ref() == Some(id),
        };
        self.read("list_target_connections", deadline, |s| s.listed(|s| &s.targets, is_selected)).await
    }
    async fn delete_target_connection(
        &self,
        _: &SandboxName,
        id: &TargetConnectionId,
        deadline: Instant,
    ) -> Reply<()> {
        self.write("delete_target_connection", deadline, |s| s.targets.retain(|it| it.id != *id)).await
    }
    async fn create_flow(
        &self,
        (): &(),
        flow: &NewFlow<'_>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Reply<CreatedDataflow> {
        progress.sent();
        self.write("create_flow", send_by, |state| {
            let id = DataflowId::parse(&format!("flow-{}", state.next())).unwrap();
            let etag = Etag::parse("\"1\"").unwrap();
            let created_at_ms = state.made_at_ms();
            state.flows.push(Dataflow {
                id: Some(id.clone()),
                etag: Some(etag.clone()),
                name: Some(flow.name.to_owned()),
                description: flow.description.map(str::to_owned),
                created_at_ms,
                source_connections: vec![flow.source.clone()],
                target_connections: vec![flow.target.clone()],
                mapping_set: Some(flow.mapping_set.clone()),
                schedule: StoredSchedule { start: Some(flow.start.0), ..StoredSchedule::default() },
                ..Dataflow::default()
            });
            CreatedDataflow { id, etag }
        })
        .await
    }
    async fn list_flows(
        &self,
        _: &FlowQuery<'_>,
        _: Option<&PageToken>,
        deadline: Instant,
    ) -> Reply<FlowPage> {
        // A server that ignores the filter.
        self.read("list_flows", deadline, |state| FlowPage { items: state.flows.clone(), next: None }).await
    }
    async fn count_flows(&self, _: &SandboxName, _: Instant) -> Reply<u64> {
        unimplemented!("no creation counts flows")
    }
    async fn get_flow(&self, at: &DataflowRef, deadline: Instant) -> Reply<Option<Dataflow>> {
        let is_it = |flow: &&Dataflow| flow.id.as_ref() == Some(&at.id);
        let found = |state: &State| state.readable_flows().iter().find(is_it).cloned();
        self.read("get_flow", deadline, found).await
    }
    async fn set_flow_enabled(&self, _: &DataflowRef, _: bool, _: Instant) -> Reply<Option<Etag>> {
        unimplemented!("no creation pauses flows")
    }
    async fn delete_flow(&self, at: &DataflowRef, deadline: Instant) -> Reply<()> {
        let is_it = |flow: &Dataflow| flow.id.as_ref() == Some(&at.id);
        let delete = |state: &mut State| {
            let is_found = state.readable_flows().iter().any(is_it);
            state.flows.retain(|flow| !is_found || !is_it(flow));
            is_found
        };
        let is_found = self.write("delete_flow", deadline, delete).await?;
        is_found.then_some(()).ok_or_else(|| error(Fault::NotFound))
    }
    async fn list_runs(&self, _: &RunQuery<'_>, _: Option<&PageToken>, _: Instant) -> Reply<RunPage> {
        unimplemented!("no creation lists runs")
    }
    async fn tenant(&self, _: &SandboxName, deadline: Instant) -> Reply<String> {
        self.read("tenant", deadline, |_| "acme".to_owned()).await
    }
    async fn get_schema(&self, _: &SandboxName, id: &SchemaId, deadline: Instant) -> Reply<Option<Schema>> {
        self.read("get_schema", deadline, |state| {
            if id.as_str() == SCHEMA {
                let fields = vec![field("email", "string"), field("_acme.vid", "integer")];
                return Some(Schema { id: id.clone(), title: None, fields });
            }
            let schema = state.schemas.iter().find(|schema| schema.id == *id)?;
            let fields = state.groups.first().map(|(_, fields)| fields.clone()).unwrap_or_default();
            Some(Schema { id: id.clone(), title: Some(schema.title.clone()), fields })
        })
        .await
    }
    async fn list_titles(
        &self,
        _: &SandboxName,
        kind: TitledKind,
        title: &str,
        deadline: Instant,
    ) -> Reply<Vec<TitledResource>> {
        self.read("list_titles", deadline, |state| match kind {
            TitledKind::Schema => {
                state.schemas.iter().filter(|schema| schema.title == title).cloned().collect()
            }
            TitledKind::FieldGroup => {
                let groups = state.groups.iter().map(|(group, _)| group);
                groups.filter(|group| group.title == title).cloned().collect()
            }
        })
        .await
    }
    async fn create_field_group(&self, group: &NewFieldGroup<'_>, deadline: Instant) -> Reply<Titled> {
        self.write("create_field_group", deadline, |state| {
            if let Some((taken, _)) = state.groups.iter().find(|(known, _)| known.title == group.title) {
                return Titled::Taken(taken.id.clone());
            }
            let id = SchemaId::parse(&format!("https://ns.adobe.com/acme/mixins/{}", state.next())).unwrap();
            let (title, description) = (group.title.to_owned(), Some(group.description.to_owned()));
            let made = TitledResource { id: id.clone(), title, description };
            state.groups.push((made, group.fields.to_vec()));
            Titled::Created(id)
        })
        .await
    }
    async fn create_schema(&self, schema: &NewSchema<'_>, deadline: Instant) -> Reply<Titled> {
        self.write("create_schema", deadline, |state| {
            if let Some(taken) = state.schemas.iter().find(|known| known.title == schema.title) {
                return Titled::Taken(taken.id.clone());
            }
            let id = SchemaId::parse(&format!("https://ns.adobe.com/acme/schemas/{}", state.next())).unwrap();
            let (title, description) = (schema.title.to_owned(), Some(schema.description.to_owned()));
            state.schemas.push(TitledResource { id: id.clone(), title, description });
            Titled::Created(id)
        })
        .await
    }
    async fn delete_titled(
        &self,
        _: &SandboxName,
        kind: TitledKind,
        id: &SchemaId,
        deadline: Instant,
    ) -> Reply<()> {
        self.write("delete_titled", deadline, |state| match kind {
            TitledKind::Schema => state.schemas.retain(|schema| schema.id != *id),
            TitledKind::FieldGroup => state.groups.retain(|(group, _)| group.id != *id),
        })
        .await
    }
    async fn get_dataset(
        &self,
        _: &SandboxName,
        id: &DatasetId,
        deadline: Instant,
    ) -> Reply<Option<Dataset>> {
        let is_it = |dataset: &&Dataset| dataset.id == *id;
        self.read("get_dataset", deadline, |state| state.datasets.iter().find(is_it).cloned()).await
    }
    async fn list_datasets(
        &self,
        _: &SandboxName,
        selection: DatasetSelection<'_>,
        deadline: Instant,
    ) -> Reply<Vec<Dataset>> {
        let is_selected = |dataset: &&Dataset| match selection {
            DatasetSelection::Tag(tag) => dataset.tags.iter().any(|known| known == tag),
            DatasetSelection::Schema(id) => dataset.schema.as_ref().is_some_and(|schema| schema.id == *id),
        };
        self.read("list_datasets", deadline, |s| s.listed(|s| &s.datasets, is_selected)).await
    }
    async fn create_dataset(&self, dataset: &NewDatasetRequest<'_>, deadline: Instant) -> Reply<DatasetId> {
        self.write("create_dataset", deadline, |state| {
            let id = DatasetId::parse(&format!("dataset-{}", state.next())).unwrap();
            let created_at_ms = state.made_at_ms();
            let (key, value) = dataset.tag;
            state.datasets.push(Dataset {
                id: id.clone(),
                name: Some(dataset.name.to_owned()),
                schema: Some(SchemaRef { id: dataset.schema.clone(), content_type: None }),
                tags: vec![format!("{key}:{value}")],
                created_at_ms,
                has_batch: false,
            });
            id
        })
        .await
    }
    async fn has_batches(&self, _: &SandboxName, id: &DatasetId, deadline: Instant) -> Reply<bool> {
        let has = |dataset: &Dataset| dataset.id == *id && dataset.has_batch;
        self.read("has_batches", deadline, |state| state.datasets.iter().any(has)).await
    }
    async fn delete_dataset(&self, _: &SandboxName, id: &DatasetId, deadline: Instant) -> Reply<()> {
        self.write("delete_dataset", deadline, |s| s.datasets.retain(|it| it.id != *id)).await
    }
    async fn list_mapping_sets(
        &self,
        _: &SandboxName,
        name: &str,
        deadline: Instant,
    ) -> Reply<Vec<MappingSet>> {
        let is_it = |set: &&MappingSet| set.name.as_deref() == Some(name);
        self.read("list_mapping_sets", deadline, |s| s.listed(|s| &s.sets, is_it)).await
    }
    async fn validate_mappings(
        &self,
        set: &NewMappingSet<'_>,
        deadline: Instant,
    ) -> Reply<Vec<Option<String>>> {
        let count = set.mappings.len();
        self.read("validate_mappings", deadline, |state| vec![state.wrong_mapping.clone(); count]).await
    }
    async fn create_mapping_set(&self, set: &NewMappingSet<'_>, deadline: Instant) -> Reply<MappingSetRef> {
        self.write("create_mapping_set", deadline, |state| {
            let id = MappingSetId::parse(&format!("set{}", state.next())).unwrap();
            let created_at_ms = state.made_at_ms();
            let at = MappingSetRef { id, version: 0 };
            state.sets.push(MappingSet {
                at: at.clone(),
                name: Some(set.name.to_owned()),
                schema: Some(set.schema.clone()),
                mappings: Some(set.mappings.to_vec()),
                created_at_ms,
            });
            at
        })
        .await
    }
    async fn delete_mapping_set(&self, _: &SandboxName, id: &MappingSetId, deadline: Instant) -> Reply<()> {
        self.write("delete_mapping_set", deadline, |s| s.sets.retain(|set| set.at.id != *id)).await
    }
}
