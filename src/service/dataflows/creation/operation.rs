//! The creation of a dataflow, as the exactly-once engine sees it.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    CreateDataflow, Markers, marked::sources, outcome::Outcome, prepared::Prepared, undo::leftovers,
};
use crate::{
    adobe::{CallError, FlowSelection, NewFlow, Platform},
    domain::{
        Description, Progress, RequestId, SandboxName,
        dataflow::{
            CreatedDataflow, Dataflow, DataflowId, DataflowRef, SourceConnectionId, StartTime, StoredSchedule,
        },
        reference::{fold, split, stored_description},
    },
    exactly_once::{
        Kind,
        creation::{Creation, Finished},
        operation::{Earlier, Item, Operation, Undone, Unprepared},
        recognition::{Match, Reference},
        scope::Scope,
        store::Origin,
    },
    metrics::StepOutcome,
    service::dataflows::{
        create::{DataflowCreated, Error, Failure, UnreportedDataflow},
        error::{CreateDataflowError, Part},
        flows::flows_of,
    },
};

impl<P: Platform> Operation for CreateDataflow<P> {
    const KIND: Kind = Kind::Dataflow;
    const IS_RECOGNIZED_BY_CONTEXT: bool = true;

    fn connection_id(_: &DataflowId) -> Option<&str> {
        None
    }

    type Id = DataflowId;
    type Item = Dataflow;
    type Permission = P::Permit;
    type Outcome = Outcome;
    type Created = DataflowCreated;
    type Error = CreateDataflowError;

    fn sandbox(&self) -> &SandboxName {
        &self.dataflow.sandbox
    }

    fn content(&self) -> impl Iterator<Item = (&'static str, &str)> + Clone {
        self.content.iter().map(|(name, value)| (*name, value.as_str()))
    }

    fn description(&self) -> Option<&Description> {
        self.dataflow.description.as_ref()
    }

    async fn prepare(
        &self,
        scope: &Scope,
        earlier: Earlier<'_>,
    ) -> Result<ControlFlow<Dataflow, String>, Unprepared<CreateDataflowError>> {
        // In a box: it is large.
        Box::pin(self.prepared(scope, earlier)).await
    }

    async fn permission(&self, deadline: Instant) -> Result<P::Permit, CallError> {
        self.platform.permit(deadline).await
    }

    async fn send(
        &self,
        permission: &P::Permit,
        context: &str,
        reference: Option<RequestId>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Result<Outcome, CallError> {
        let Some(prepared) = Prepared::parse_context(context) else { return Err(CallError::TooLate) };
        // The preparation is complete where it was successful.
        let Some(sending) = prepared.sending() else { return Err(CallError::TooLate) };
        let dataflow = &self.dataflow;
        let description = stored_description(dataflow.description.as_ref(), reference);
        let flow = NewFlow {
            sandbox: &dataflow.sandbox,
            name: dataflow.name.as_str(),
            description: description.as_deref(),
            source: sending.source,
            target: sending.target,
            mapping_set: sending.mapping_set,
            schedule: &dataflow.schedule,
            start: sending.start,
            options: &dataflow.options,
        };
        let created = self.platform.create_flow(permission, &flow, send_by, progress).await;
        let outcome = if created.is_ok() { StepOutcome::Created } else { StepOutcome::Failed };
        self.metrics.stepped(Part::Flow.kind(), outcome);
        Ok(Outcome { dataflow: created?, origin: Origin::Reply, prepared })
    }

    fn retry_in(&self, attempt: u32, asked: Option<Duration>, deadline: Instant) -> Option<Duration> {
        self.platform.retry_in(attempt, asked, deadline)
    }

    async fn undo(&self, scope: &Scope, context: &str) -> Undone<Dataflow> {
        self.undone(scope, context).await
    }

    fn leftovers(&self, context: &str) -> Vec<String> {
        leftovers(context)
    }

    async fn list(
        &self,
        request_id: RequestId,
        context: Option<&str>,
        items: &mut Vec<Dataflow>,
        _: impl Fn(&[Dataflow]) -> bool + Send + Sync,
        deadline: Instant,
    ) -> Result<(), CallError> {
        let (platform, sandbox) = (&*self.platform, &self.dataflow.sandbox);
        items.extend(flows_by_marks(platform, sandbox, request_id, context, deadline).await?);
        Ok(())
    }

    async fn read(&self, id: &DataflowId, deadline: Instant) -> Result<Option<Dataflow>, CallError> {
        let at = DataflowRef { sandbox: self.dataflow.sandbox.clone(), id: id.clone() };
        self.platform.get_flow(&at, deadline).await
    }

    fn recognize(&self, item: &Dataflow, reference: &Reference, context: &str) -> Match {
        let by_reference = reference.recognize(item.description.as_deref(), item.created_client.as_deref());
        if by_reference == Match::Same {
            return Match::Same;
        }
        let source = Prepared::parse_context(context).and_then(|prepared| prepared.source);
        match source {
            // Without a context only the flows of the marked source connections are listed.
            _ if item.source_connections.is_empty() => Match::Perhaps,
            None => Match::Same,
            Some(source) if item.source_connections.contains(&source) => Match::Same,
            Some(_) => by_reference,
        }
    }

    fn resembles(&self, item: &Dataflow) -> bool {
        item.name.as_deref().is_none_or(|name| fold(name) == fold(self.dataflow.name.as_str()))
    }

    fn differences(&self, item: &Dataflow) -> Vec<String> {
        let asked = &self.dataflow;
        let (description, _) = split(item.description.as_deref().unwrap_or_default());
        let differs = |shown: &str, asked: &str| fold(shown) != fold(asked);
        let repetition = asked.schedule.repetition.as_ref();
        let StoredSchedule { frequency, interval, delta_column, .. } = &item.schedule;
        let fields = [
            ("name", item.name.as_deref().is_some_and(|name| differs(name, asked.name.as_str()))),
            (
                "description",
                differs(
                    description.as_deref().unwrap_or_default(),
                    asked.description.as_ref().map_or("", Description::as_str),
                ),
            ),
            ("connection_id", item.connection.as_ref().is_some_and(|id| *id != asked.connection)),
            (
                "schedule.frequency",
                frequency.as_deref().is_some_and(|frequency| {
                    differs(frequency, repetition.map_or("once", |repetition| repetition.frequency.name()))
                }),
            ),
            (
                "schedule.interval",
                repetition.is_some_and(|repetition| {
                    interval.is_some_and(|interval| interval != i64::from(repetition.interval))
                }),
            ),
            (
                "schedule.delta_column.name",
                repetition.is_some_and(|repetition| {
                    delta_column.as_ref().is_some_and(|name| name != repetition.delta_column.name.as_str())
                }),
            ),
        ];
        fields.iter().filter(|(_, differs)| *differs).map(|(field, _)| (*field).to_owned()).collect()
    }

    fn found(&self, item: &Dataflow, context: &str, origin: Origin) -> Option<Outcome> {
        let dataflow = CreatedDataflow { id: item.id.clone()?, etag: item.etag.clone()? };
        let of_context = Prepared::parse_context(context).filter(|prepared| {
            prepared.source.as_ref().is_some_and(|source| item.source_connections.contains(source))
        });
        let prepared = of_context.unwrap_or_else(|| Prepared {
            source: item.source_connections.first().cloned(),
            target: item.target_connections.first().cloned(),
            mapping_set: item.mapping_set.clone(),
            is_dataset_created: self.makes_dataset(),
            is_schema_created: self.makes_schema(),
            start: item.schedule.start.map(StartTime),
            mappings: self.dataflow.mappings.clone(),
            is_sweep_due: true,
            ..Prepared::default()
        });
        self.metrics.stepped(Part::Flow.kind(), StepOutcome::Found);
        Some(Outcome { dataflow, origin, prepared })
    }

    fn is_complete(&self, outcome: &Outcome) -> bool {
        !outcome.prepared.is_sweep_due
    }

    /// The request has no secrets.
    fn redacted(&self, error: &CallError) -> CallError {
        error.copy()
    }

    async fn complete(
        creation: &Creation<Self>,
        finished: Finished<Outcome>,
    ) -> Result<DataflowCreated, Failure> {
        Ok(creation.completed(finished).await)
    }

    fn report_abandoned(&self, outcome: Result<&DataflowCreated, Error>, may_exist: bool) {
        let unreported = match &outcome {
            Ok(created) => UnreportedDataflow::Created { sandbox: self.sandbox(), created },
            Err(error) => UnreportedDataflow::Failed { error, may_exist },
        };
        (self.observer)(self.caller.as_ref(), &unreported);
    }
}

/// The flows that a sending with this context may have created or, without a context, those of the source
/// connections that carry the marker of the request. One that does not show its source is among them.
///
/// # Errors
/// They cannot be read to their end.
pub(super) async fn flows_by_marks<P: Platform>(
    platform: &P,
    sandbox: &SandboxName,
    request_id: RequestId,
    context: Option<&str>,
    deadline: Instant,
) -> Result<Vec<Dataflow>, CallError> {
    let source = context.and_then(Prepared::parse_context).and_then(|prepared| prepared.source);
    let ids: Vec<SourceConnectionId> = match source {
        Some(source) => vec![source],
        None => {
            let marked = sources(platform, sandbox, &Markers::of(request_id), deadline).await?;
            marked.into_iter().map(|source| source.id).collect()
        }
    };
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    flows_of(platform, sandbox, FlowSelection::OfSources(&ids), deadline).await
}

impl Item for Dataflow {
    type Id = DataflowId;

    fn id(&self) -> Option<&DataflowId> {
        self.id.as_ref()
    }

    fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    fn created_at_ms(&self) -> Option<i64> {
        self.created_at_ms
    }

    fn updated_at_ms(&self) -> Option<i64> {
        self.updated_at_ms
    }

    fn is_of_another_kind(&self) -> bool {
        self.is_of_hubspot == Some(false)
    }
}
