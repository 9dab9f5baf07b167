//! Finding or creating the parts of a dataflow, each by its marker. A duplicate of any of them is litter, not damage.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use opentelemetry::{
    Context,
    context::FutureExt as _,
    trace::{SpanKind, TraceContextExt as _},
};
use tokio::time::{Instant, sleep};

use super::{
    CreateDataflow, Markers, TAG,
    marked::{Marked, at, datasets, is_among, sources, targets, titled},
};
use crate::{
    adobe::{
        CallError, NewDatasetRequest, NewFieldGroup, NewMappingSet, NewSchema, NewSourceConnection,
        NewTargetConnection, Platform, TableParameter, Titled, TitledKind,
    },
    domain::dataflow::{
        DatasetId, MappingSetRef, NewDataset, SchemaField, SchemaFromTable, SchemaId, SourceConnection,
        SourceConnectionId, TargetConnection, TargetConnectionId,
    },
    exactly_once::scope::Scope,
    metrics::StepOutcome,
    service::dataflows::{
        error::{CreateDataflowError, Part},
        refusal,
    },
    telemetry::spans,
};

/// How often one part is created at most, where each reply is lost.
const MOST_ATTEMPTS: u32 = 3;
/// The pause before each list that looks for something whose reply was lost.
const PAUSE: Duration = Duration::from_secs(1);

/// How often something is looked for before it is created again after a lost reply.
#[derive(Clone, Copy)]
enum Repeat {
    /// A second one cannot be created, or harms nobody.
    AtOnce,
    AfterTwoLists,
}

/// Why a part was not created.
enum NotCreated {
    /// The lease has ended: another process may create it by now.
    TakenOver,
    Call(CallError),
}

/// The steps of one preparation.
pub(super) struct Steps<'a, P: Platform> {
    pub(super) operation: &'a CreateDataflow<P>,
    pub(super) scope: &'a Scope,
    pub(super) markers: &'a Markers,
    pub(super) marked: &'a Marked,
    /// What undos have deleted: lists may still show it.
    pub(super) undone: &'a [String],
    /// Whether a reply was lost, so that a duplicate may appear later.
    pub(super) has_lost: &'a AtomicBool,
}

impl<P: Platform> Steps<'_, P> {
    fn platform(&self) -> &P {
        &self.operation.platform
    }

    fn deadline(&self) -> Instant {
        self.scope.deadline()
    }

    pub(super) async fn source(
        &self,
        parameter: TableParameter,
    ) -> Result<SourceConnectionId, CreateDataflowError> {
        let dataflow = &self.operation.dataflow;
        let is_equal = |source: &&SourceConnection| {
            source.connection.as_ref() == Some(&dataflow.connection)
                && source.table.as_deref() == Some(dataflow.table.as_str())
        };
        let found = self.marked.sources.iter().find(is_equal).map(|source| source.id.clone());
        let source = NewSourceConnection {
            sandbox: &dataflow.sandbox,
            name: &self.markers.source,
            connection: &dataflow.connection,
            table: &dataflow.table,
            parameter,
        };
        let find = || async {
            let listed = sources(self.platform(), &dataflow.sandbox, self.markers, self.deadline()).await?;
            let mut found = listed.iter().filter(is_equal).map(|source| source.id.clone());
            Ok(found.find(|id| !is_among(self.undone, Part::SourceConnection, id.as_str())))
        };
        let create = || self.platform().create_source_connection(&source, self.deadline());
        self.find_or_create(Part::SourceConnection, found, Repeat::AfterTwoLists, create, find).await
    }

    pub(super) async fn target(
        &self,
        dataset: &DatasetId,
        schema: &SchemaId,
    ) -> Result<TargetConnectionId, CreateDataflowError> {
        let sandbox = &self.operation.dataflow.sandbox;
        let is_equal = |target: &&TargetConnection| target.dataset.as_ref() == Some(dataset);
        let found = self.marked.targets.iter().find(is_equal).map(|target| target.id.clone());
        let target = NewTargetConnection { sandbox, name: &self.markers.target, dataset, schema };
        let find = || async {
            let listed = targets(self.platform(), sandbox, self.markers, self.deadline()).await?;
            let mut found = listed.iter().filter(is_equal).map(|target| target.id.clone());
            Ok(found.find(|id| !is_among(self.undone, Part::TargetConnection, id.as_str())))
        };
        let create = || self.platform().create_target_connection(&target, self.deadline());
        self.find_or_create(Part::TargetConnection, found, Repeat::AfterTwoLists, create, find).await
    }

    pub(super) async fn dataset(
        &self,
        new: &NewDataset,
        schema: &SchemaId,
    ) -> Result<DatasetId, CreateDataflowError> {
        let dataflow = &self.operation.dataflow;
        let is_equal = |dataset: &&crate::domain::dataflow::Dataset| {
            dataset.schema.as_ref().is_none_or(|of_dataset| of_dataset.id == *schema)
        };
        let found = self.marked.datasets.iter().find(is_equal).map(|dataset| dataset.id.clone());
        let dataset = NewDatasetRequest {
            sandbox: &dataflow.sandbox,
            name: new.name.as_str(),
            description: new.description.as_ref().map(|description| description.as_str()),
            schema,
            tag: (TAG, &self.markers.id),
            error_diagnostics: dataflow.options.error_diagnostics,
        };
        let find = || async {
            let listed = datasets(self.platform(), &dataflow.sandbox, self.markers, self.deadline()).await?;
            let mut found = listed.iter().filter(is_equal).map(|dataset| dataset.id.clone());
            Ok(found.find(|id| !is_among(self.undone, Part::Dataset, id.as_str())))
        };
        let create = || self.platform().create_dataset(&dataset, self.deadline());
        self.find_or_create(Part::Dataset, found, Repeat::AfterTwoLists, create, find).await
    }

    /// Only a mapping set that equals what would be sent is reused.
    pub(super) async fn mapping_set(
        &self,
        set: &NewMappingSet<'_>,
    ) -> Result<MappingSetRef, CreateDataflowError> {
        let equal = self.marked.mapping_sets.iter().find(|known| {
            known.schema.as_ref() == Some(set.schema) && known.mappings.as_deref() == Some(set.mappings)
        });
        let found = equal.map(|known| known.at.clone());
        let create = || self.platform().create_mapping_set(set, self.deadline());
        let find = || async { Ok(None) };
        self.find_or_create(Part::MappingSet, found, Repeat::AtOnce, create, find).await
    }

    pub(super) async fn field_group(
        &self,
        from_table: &SchemaFromTable,
        fields: &[SchemaField],
    ) -> Result<SchemaId, CreateDataflowError> {
        let found = self.marked.field_groups.first().map(|group| group.id.clone());
        let group = NewFieldGroup {
            sandbox: &self.operation.dataflow.sandbox,
            title: &self.markers.field_group,
            description: &self.markers.of_field_group(from_table.title.as_str()),
            class: &from_table.class,
            fields,
        };
        let create = || async {
            // The title has the request id, so that nobody else has it.
            self.platform().create_field_group(&group, self.deadline()).await
        };
        let find = || async { Ok(None) };
        let found = found.map(Titled::Created);
        match self.find_or_create(Part::FieldGroup, found, Repeat::AtOnce, create, find).await? {
            Titled::Created(id) => Ok(id),
            Titled::Taken(id) => self.not_undone(Part::FieldGroup, id).await,
        }
    }

    /// The owner of a title, unless an undo has deleted it: then the check of titles lags behind.
    async fn not_undone(&self, part: Part, owner: SchemaId) -> Result<SchemaId, CreateDataflowError> {
        let undone = self.scope.undone().await.map_err(CreateDataflowError::Store)?;
        if !is_among(&undone, part, owner.as_str()) {
            return Ok(owner);
        }
        let cause = format!("{owner} still has the title, and was deleted").into();
        Err(at(part)(CallError::Unavailable { retry_after: None, problem: None, cause }))
    }

    pub(super) async fn schema(
        &self,
        from_table: &SchemaFromTable,
        field_group: &SchemaId,
    ) -> Result<SchemaId, CreateDataflowError> {
        let own = self.marked.schemas.iter().find(|schema| self.markers.is_in(schema.description.as_deref()));
        let (table, id) = (&self.operation.dataflow.table, &self.markers.id);
        let description = format!("made of the table {table} of HubSpot [request {id}]");
        let schema = NewSchema {
            sandbox: &self.operation.dataflow.sandbox,
            title: from_table.title.as_str(),
            description: &description,
            class: &from_table.class,
            field_group,
        };
        let create = || self.platform().create_schema(&schema, self.deadline());
        let find = || async { Ok(None) };
        let found = own.map(|schema| Titled::Created(schema.id.clone()));
        match self.find_or_create(Part::Schema, found, Repeat::AtOnce, create, find).await? {
            Titled::Created(id) => Ok(id),
            Titled::Taken(owner) => {
                let own = self.own_schema(from_table, owner).await?;
                self.not_undone(Part::Schema, own).await
            }
        }
    }

    /// The owner of the title, if it is this request's: the reply to its creation was lost.
    async fn own_schema(
        &self,
        from_table: &SchemaFromTable,
        owner: SchemaId,
    ) -> Result<SchemaId, CreateDataflowError> {
        let title = from_table.title.as_str();
        let taken = |owner| CreateDataflowError::TitleTaken { title: title.to_owned(), owner };
        if !owner.as_str().contains("/schemas/") {
            return Err(taken(owner));
        }
        for attempt in 1..=MOST_ATTEMPTS {
            let sandbox = &self.operation.dataflow.sandbox;
            let listed = titled(self.platform(), sandbox, TitledKind::Schema, title, self.deadline()).await;
            let listed = listed.map_err(at(Part::Schema))?;
            match listed.into_iter().find(|schema| schema.id == owner) {
                Some(schema) if self.markers.is_in(schema.description.as_deref()) => return Ok(owner),
                Some(_) => return Err(taken(owner)),
                None if attempt < MOST_ATTEMPTS && self.has_time() => sleep(PAUSE).await,
                None => break,
            }
        }
        let cause = format!("no list shows the schema {owner} yet, which has the title").into();
        Err(at(Part::Schema)(CallError::Unavailable { retry_after: None, problem: None, cause }))
    }

    fn has_time(&self) -> bool {
        Instant::now() + PAUSE < self.deadline()
    }

    /// Creates a part, unless it was found. After a lost reply it is looked for before it is created again.
    async fn find_or_create<T, C, F>(
        &self,
        part: Part,
        found: Option<T>,
        repeat: Repeat,
        create: impl Fn() -> C,
        find: impl Fn() -> F,
    ) -> Result<T, CreateDataflowError>
    where
        C: Future<Output = Result<T, CallError>>,
        F: Future<Output = Result<Option<T>, CallError>>,
    {
        let metrics = &self.operation.metrics;
        if let Some(found) = found {
            metrics.stepped(part.kind(), StepOutcome::Found);
            return Ok(found);
        }
        let trace = spans::begin(&Context::current(), SpanKind::Internal, || part.kind().into(), Vec::new);
        let created = self.create(repeat, create, find).with_context(trace.clone()).await;
        trace.span().end();
        metrics
            .stepped(part.kind(), if created.is_ok() { StepOutcome::Created } else { StepOutcome::Failed });
        created.map_err(|not_created| match not_created {
            NotCreated::TakenOver => CreateDataflowError::TakenOver,
            NotCreated::Call(error) => refusal::at(part, error),
        })
    }

    async fn create<T, C, F>(
        &self,
        repeat: Repeat,
        create: impl Fn() -> C,
        find: impl Fn() -> F,
    ) -> Result<T, NotCreated>
    where
        C: Future<Output = Result<T, CallError>>,
        F: Future<Output = Result<Option<T>, CallError>>,
    {
        let mut attempt = 1;
        loop {
            if !self.scope.still_ours() {
                return Err(NotCreated::TakenOver);
            }
            let error = match create().await {
                Ok(created) => return Ok(created),
                Err(error) => error,
            };
            if !error.may_have_arrived() {
                return Err(NotCreated::Call(error));
            }
            self.has_lost.store(true, Ordering::Relaxed);
            let lists = match repeat {
                Repeat::AtOnce => 0,
                Repeat::AfterTwoLists => 2,
            };
            for _ in 0..lists {
                if !self.has_time() {
                    return Err(NotCreated::Call(error));
                }
                sleep(PAUSE).await;
                if let Some(found) = find().await.map_err(NotCreated::Call)? {
                    return Ok(found);
                }
            }
            let pause = self.platform().retry_in(attempt, None, self.deadline());
            let Some(pause) = pause.filter(|_| attempt < MOST_ATTEMPTS) else {
                return Err(NotCreated::Call(error));
            };
            sleep(pause).await;
            attempt += 1;
        }
    }
}
