//! Prepares a dataflow: everything that it refers to is found by its marker, or created.
//!
//! The longest chain of calls is, with a new schema: reads, field group, schema, dataset, target connection. With an
//! existing dataset: dataset, schema, validation, and then everything else at once.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

use super::{CreateDataflow, Markers, marked::Marked, prepared::Prepared, steps::Steps};
use crate::{
    adobe::{CallError, NewMappingSet, Platform, TableParameter},
    domain::{
        Stage,
        dataflow::{Dataflow, NewDataset, SchemaId, SchemaSource, Target},
    },
    exactly_once::{
        operation::{Earlier, Unprepared},
        scope::Scope,
    },
    service::dataflows::{
        error::{CreateDataflowError, Part},
        fit::{Fit, fit, schedule},
        plan::validate,
        reads::Reads,
    },
};

impl<P: Platform> CreateDataflow<P> {
    pub(super) async fn prepared(
        &self,
        scope: &Scope,
        earlier: Earlier<'_>,
    ) -> Result<ControlFlow<Dataflow, String>, Unprepared<CreateDataflowError>> {
        scope.enter(Stage::Prepare);
        if let Earlier::Prepared(context) = earlier
            && !context.is_empty()
        {
            return match self.prepared_again(context) {
                Ok(context) => Ok(ControlFlow::Continue(context)),
                Err(error) => {
                    let undo = is_certain(&error).then(|| context.to_owned());
                    Err(Unprepared { error, undo })
                }
            };
        }
        let markers = Markers::of(scope.request_id());
        let (reads, marked) = tokio::join!(
            Reads::of(&*self.platform, &self.specs, &self.dataflow, scope.deadline()),
            self.marked(&markers, scope.deadline()),
        );
        let mut marked = marked.map_err(|error| Unprepared { error, undo: None })?;
        if let [flow, others @ ..] = &mut marked.flows[..] {
            if !others.is_empty() {
                self.metrics.duplicates.inc();
                let others: Vec<_> = others.iter().map(|flow| &flow.id).collect();
                tracing::error!(request_id = %scope.request_id(), ?others, "one request created several dataflows");
            }
            return Ok(ControlFlow::Break(std::mem::take(flow)));
        }
        let undone = if marked.is_empty(&markers) {
            Vec::new()
        } else {
            let undone = scope.undone().await;
            undone.map_err(|error| Unprepared { error: CreateDataflowError::Store(error), undo: None })?
        };
        marked.remove(&undone);
        let preparation = Preparation {
            operation: self,
            scope,
            markers: &markers,
            marked: &marked,
            undone: &undone,
            prepared: Mutex::new(self.beginning(&marked, &markers)),
            has_lost: AtomicBool::new(false),
        };
        let outcome = preparation.run(reads).await;
        let has_lost = preparation.has_lost.load(Ordering::Relaxed);
        let mut prepared = preparation.prepared.into_inner();
        match outcome {
            Ok(()) => {
                prepared.is_sweep_due = scope.may_be_retry() || marked.needs_sweep(&markers, has_lost);
                self.keep(scope, &markers, &marked, &mut prepared);
                Ok(ControlFlow::Continue(prepared.to_context()))
            }
            Err(error) => Err(self.refused(scope, &markers, error, prepared, &marked, has_lost).await),
        }
    }

    /// The kinds of what was there before: an attempt that the store has forgotten may still use it.
    fn kept(&self, marked: &Marked, markers: &Markers) -> Vec<String> {
        let (is_dataset_created, is_schema_created) = (self.makes_dataset(), self.makes_schema());
        let mut before = Prepared { is_dataset_created, is_schema_created, ..Prepared::default() };
        marked.complete(&mut before, markers);
        before.own().into_iter().map(|(part, _)| part.kind().to_owned()).collect()
    }

    /// What is certain from the start.
    fn beginning(&self, marked: &Marked, markers: &Markers) -> Prepared {
        let dataset = match &self.dataflow.target {
            Target::Dataset(id) => Some(id.clone()),
            Target::NewDataset(_) => None,
        };
        let mut prepared = Prepared {
            is_dataset_created: self.makes_dataset(),
            is_schema_created: self.makes_schema(),
            ..Prepared::default()
        };
        // Of the parts that are found only those can be undone that are there already.
        marked.complete(&mut prepared, markers);
        Prepared { dataset: prepared.dataset.or(dataset), ..prepared }
    }

    /// The context of a sending that is proven to have created nothing. Only a start that the caller has left open
    /// is new.
    fn prepared_again(&self, context: &str) -> Result<String, CreateDataflowError> {
        let prepared = parse(context)?;
        let start = schedule::start(&self.dataflow.schedule, self.now_ms());
        let (start, _) = start.map_err(|violation| CreateDataflowError::Invalid(vec![violation]))?;
        Ok(Prepared { start: Some(start), ..prepared }.to_context())
    }

    /// After a certain refusal everything that was prepared is undone; after any other failure a retry resumes.
    async fn refused(
        &self,
        scope: &Scope,
        markers: &Markers,
        error: CreateDataflowError,
        mut prepared: Prepared,
        marked: &Marked,
        has_lost: bool,
    ) -> Unprepared<CreateDataflowError> {
        if !is_certain(&error) {
            return Unprepared { error, undo: None };
        }
        // What a lost reply was about may be visible by now.
        let late = if has_lost { self.marked(markers, scope.deadline()).await.ok() } else { None };
        if let Some(late) = &late {
            late.complete(&mut prepared, markers);
        }
        self.keep(scope, markers, late.as_ref().unwrap_or(marked), &mut prepared);
        Unprepared { error, undo: Some(prepared.to_context()) }
    }

    /// Decides what an undo would do with that which was there before.
    fn keep(&self, scope: &Scope, markers: &Markers, marked: &Marked, prepared: &mut Prepared) {
        if scope.may_be_forgotten() {
            prepared.kept = self.kept(marked, markers);
        } else {
            prepared.surplus = marked.surplus(prepared);
        }
    }
}

/// Whether a retry of the same request would fail again.
fn is_certain(error: &CreateDataflowError) -> bool {
    match error {
        CreateDataflowError::Invalid(_)
        | CreateDataflowError::ConnectionNotFound(_)
        | CreateDataflowError::TableNotFound(_)
        | CreateDataflowError::DatasetNotFound(_)
        | CreateDataflowError::SchemaNotFound(_)
        | CreateDataflowError::TitleTaken { .. } => true,
        CreateDataflowError::Call { error, .. } => error.refusal().is_some(),
        CreateDataflowError::NothingMade
        | CreateDataflowError::TakenOver
        | CreateDataflowError::Store(_)
        | CreateDataflowError::TooMany => false,
    }
}

/// Reads a context of the record.
fn parse(context: &str) -> Result<Prepared, CreateDataflowError> {
    Prepared::parse_context(context).ok_or_else(|| {
        let error = CallError::Undecodable("the record of the creation is of another version".into());
        CreateDataflowError::Call { part: Part::Flow, error }
    })
}

struct Preparation<'a, P: Platform> {
    operation: &'a CreateDataflow<P>,
    scope: &'a Scope,
    markers: &'a Markers,
    marked: &'a Marked,
    /// What undos have deleted.
    undone: &'a [String],
    /// What is there so far.
    prepared: Mutex<Prepared>,
    has_lost: AtomicBool,
}

impl<P: Platform> Preparation<'_, P> {
    async fn run(&self, mut reads: Reads) -> Result<(), CreateDataflowError> {
        let Self { operation, scope, .. } = self;
        let dataflow = &operation.dataflow;
        if !reads.errors.is_empty() {
            return Err(reads.errors.swap_remove(0).1);
        }
        let (mut fitted, violations) = fit(dataflow, reads.known(operation.now_ms()));
        if !violations.is_empty() {
            return Err(CreateDataflowError::Invalid(violations));
        }
        let schema = match (&dataflow.target, reads.schema) {
            (Target::NewDataset(NewDataset { schema: SchemaSource::Table(table), .. }), _) => {
                self.title_is_free(table.title.as_str())?;
                let steps = self.steps();
                let field_group = steps.field_group(table, &fitted.fields).await?;
                self.prepared.lock().field_group = Some(field_group.clone());
                let schema = steps.schema(table, &field_group).await?;
                self.prepared.lock().schema = Some(schema.clone());
                if !self.marked.field_groups.is_empty() {
                    self.keep_to(&schema, &mut fitted).await?;
                }
                schema
            }
            (_, Some(schema)) => {
                self.validate(&schema.id, &fitted).await?;
                self.prepared.lock().schema = Some(schema.id.clone());
                schema.id
            }
            // Without an error it was read.
            (_, None) => return Err(unread(Part::Schema)),
        };
        let parameter = reads.parameter.ok_or_else(|| unread(Part::FlowSpec))?;
        self.rest(&schema, &fitted, parameter).await?;
        let start = schedule::start(&dataflow.schedule, operation.now_ms());
        let (start, is_default) = start.map_err(|violation| CreateDataflowError::Invalid(vec![violation]))?;
        if !scope.still_ours() {
            return Err(CreateDataflowError::TakenOver);
        }
        let mut prepared = self.prepared.lock();
        prepared.start = Some(start);
        prepared.is_start_default = is_default;
        prepared.mappings = fitted.mappings;
        prepared.unmapped_columns = fitted.unmapped_columns;
        Ok(())
    }

    fn steps(&self) -> Steps<'_, P> {
        let Self { operation, scope, markers, marked, undone, has_lost, .. } = self;
        Steps { operation, scope, markers, marked, undone, has_lost }
    }

    /// Somebody else's schema may have the title.
    fn title_is_free(&self, title: &str) -> Result<(), CreateDataflowError> {
        let is_others = |schema: &&crate::domain::dataflow::TitledResource| {
            !self.markers.is_in(schema.description.as_deref())
        };
        match self.marked.schemas.iter().find(is_others) {
            Some(owner) => {
                let (title, owner) = (title.to_owned(), owner.id.clone());
                Err(CreateDataflowError::TitleTaken { title, owner })
            }
            None => Ok(()),
        }
    }

    /// Leaves out what a schema that an earlier attempt has made does not have: the table may have changed since.
    async fn keep_to(&self, schema: &SchemaId, fitted: &mut Fit) -> Result<(), CreateDataflowError> {
        let Self { operation, scope, .. } = self;
        if !operation.dataflow.mappings.is_empty() {
            return Ok(());
        }
        let read = operation.platform.get_schema(&operation.dataflow.sandbox, schema, scope.deadline()).await;
        let read = read.map_err(|error| CreateDataflowError::Call { part: Part::Schema, error })?;
        // It may not be visible yet: then the table has not changed either.
        if let Some(schema) = read {
            fitted.keep_to(&schema.fields);
        }
        Ok(())
    }

    async fn validate(&self, schema: &SchemaId, fitted: &Fit) -> Result<(), CreateDataflowError> {
        let operation = self.operation;
        let set = self.set(schema, fitted);
        validate(&*operation.platform, &operation.dataflow, &set, self.scope.deadline()).await
    }

    fn set<'b>(&'b self, schema: &'b SchemaId, fitted: &'b Fit) -> NewMappingSet<'b> {
        NewMappingSet {
            sandbox: &self.operation.dataflow.sandbox,
            name: &self.markers.mapping_set,
            schema,
            mappings: &fitted.mappings,
        }
    }

    /// What needs nothing but the schema. What one part has made is known even if another fails.
    async fn rest(
        &self,
        schema: &SchemaId,
        fitted: &Fit,
        parameter: TableParameter,
    ) -> Result<(), CreateDataflowError> {
        let (steps, operation) = (self.steps(), self.operation);
        let target = async {
            let dataset = match &operation.dataflow.target {
                Target::Dataset(id) => id.clone(),
                Target::NewDataset(new) => steps.dataset(new, schema).await?,
            };
            self.prepared.lock().dataset = Some(dataset.clone());
            let target = steps.target(&dataset, schema).await?;
            self.prepared.lock().target = Some(target);
            Ok(())
        };
        let mapping_set = async {
            if operation.makes_schema() {
                self.validate(schema, fitted).await?;
            }
            let set = steps.mapping_set(&self.set(schema, fitted)).await?;
            self.prepared.lock().mapping_set = Some(set);
            Ok(())
        };
        let source = async {
            let source = steps.source(parameter).await?;
            self.prepared.lock().source = Some(source);
            Ok(())
        };
        let (target, mapping_set, source) = tokio::join!(target, mapping_set, source);
        let mut errors: Vec<_> =
            [target, mapping_set, source].into_iter().filter_map(|part| part.err()).collect();
        // A certain refusal first: what it leaves is undone.
        errors.sort_by_key(|error| !is_certain(error));
        errors.into_iter().next().map_or(Ok(()), Err)
    }
}

fn unread(part: Part) -> CreateDataflowError {
    let error = CallError::Undecodable(format!("the {} was not read", part.kind().replace('_', " ")).into());
    CreateDataflowError::Call { part, error }
}
