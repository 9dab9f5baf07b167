//! The rules of deleting the parts of dataflows. Nothing that holds data, or that something else uses, is deleted.

use std::slice;

use tokio::time::Instant;

use super::{error::Part, flows::flows_of};
use crate::{
    adobe::{CallError, DatasetSelection, FlowSelection, Platform, TargetSelection, TitledKind},
    domain::{
        SandboxName,
        dataflow::{
            Dataflow, DataflowId, DatasetId, MappingSetId, SchemaId, SourceConnectionId, TargetConnectionId,
        },
    },
};

/// What has become of something that was to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    Gone,
    /// It stays, for this reason.
    Kept(String),
    /// It stays, because a flow uses it: this reason.
    InUse(String),
    /// Its deletion may still arrive, or was not possible at the moment.
    Remains(String),
}

/// What a flow refers to, and what is deleted after it.
#[derive(Clone, Copy, Debug)]
pub(super) enum OfFlow<'a> {
    Target(&'a TargetConnectionId),
    Source(&'a SourceConnectionId),
    MappingSet(&'a MappingSetId),
}

impl<'a> OfFlow<'a> {
    pub(super) fn part(self) -> Part {
        match self {
            Self::Target(_) => Part::TargetConnection,
            Self::Source(_) => Part::SourceConnection,
            Self::MappingSet(_) => Part::MappingSet,
        }
    }

    pub(super) fn id(self) -> &'a str {
        match self {
            Self::Target(id) => id.as_str(),
            Self::Source(id) => id.as_str(),
            Self::MappingSet(id) => id.as_str(),
        }
    }

    fn users(self) -> FlowSelection<'a> {
        match self {
            Self::Target(id) => FlowSelection::OfTargets(slice::from_ref(id)),
            Self::Source(id) => FlowSelection::OfSources(slice::from_ref(id)),
            Self::MappingSet(id) => FlowSelection::OfMappingSet(id),
        }
    }

    /// All of these, in the order in which they are deleted.
    pub(super) fn all(
        targets: &'a [TargetConnectionId],
        sources: &'a [SourceConnectionId],
        mapping_sets: &'a [MappingSetId],
    ) -> impl Iterator<Item = Self> {
        let (targets, sources) = (targets.iter().map(Self::Target), sources.iter().map(Self::Source));
        targets.chain(sources).chain(mapping_sets.iter().map(Self::MappingSet))
    }
}

/// Deletes parts of dataflows.
pub(super) struct Removal<'a, P> {
    pub(super) platform: &'a P,
    pub(super) sandbox: &'a SandboxName,
    pub(super) deadline: Instant,
}

impl<P: Platform> Removal<'_, P> {
    pub(super) async fn of_flow(&self, part: OfFlow<'_>) -> Removed {
        let (platform, sandbox, deadline) = (self.platform, self.sandbox, self.deadline);
        removed(match part {
            OfFlow::Target(id) => platform.delete_target_connection(sandbox, id, deadline).await,
            OfFlow::Source(id) => platform.delete_source_connection(sandbox, id, deadline).await,
            OfFlow::MappingSet(id) => platform.delete_mapping_set(sandbox, id, deadline).await,
        })
    }

    /// The same, unless a flow uses it: another than those that are `gone`, which lists may still show.
    pub(super) async fn unused(&self, part: OfFlow<'_>, gone: &[DataflowId]) -> Removed {
        let users = flows_of(self.platform, self.sandbox, part.users(), self.deadline).await;
        let Ok(users) = users else {
            return Removed::Remains("whether a dataflow uses it could not be read".to_owned());
        };
        match users.iter().find(|flow| flow.id.as_ref().is_none_or(|id| !gone.contains(id))) {
            None => self.of_flow(part).await,
            Some(Dataflow { id: Some(other), .. }) => Removed::InUse(format!("the dataflow {other} uses it")),
            Some(Dataflow { id: None, .. }) => Removed::InUse("another dataflow uses it".to_owned()),
        }
    }

    /// Deletes a dataset into which nothing was ever ingested, and that no target connection names but those that are
    /// `gone`, which lists may still show.
    pub(super) async fn dataset(
        &self,
        id: &DatasetId,
        gone: &[TargetConnectionId],
        may_send: impl Fn() -> bool,
    ) -> Removed {
        let (has_batches, targets) = tokio::join!(
            self.platform.has_batches(self.sandbox, id, self.deadline),
            self.platform.list_target_connections(self.sandbox, TargetSelection::Dataset(id), self.deadline),
        );
        match (has_batches, targets) {
            (Ok(true), _) => Removed::Kept("data was ingested into it".to_owned()),
            (_, Ok(targets)) if targets.iter().any(|target| !gone.contains(&target.id)) => {
                Removed::Kept("another target connection names it".to_owned())
            }
            (Ok(false), Ok(_)) if may_send() => {
                removed(self.platform.delete_dataset(self.sandbox, id, self.deadline).await)
            }
            (Ok(false), Ok(_)) => Removed::Remains("another process deletes it".to_owned()),
            (Err(error), _) | (_, Err(error)) => removed(Err(error)),
        }
    }

    /// Deletes a schema that no dataset uses but these, which are deleted.
    pub(super) async fn schema(
        &self,
        id: &SchemaId,
        deleted: &[DatasetId],
        may_send: impl Fn() -> bool,
    ) -> Removed {
        let datasets =
            self.platform.list_datasets(self.sandbox, DatasetSelection::Schema(id), self.deadline).await;
        match datasets {
            // The list may have others, and may still show the one that is deleted.
            Ok(datasets)
                if datasets.iter().any(|dataset| {
                    dataset.schema.as_ref().is_none_or(|schema| schema.id == *id)
                        && !deleted.contains(&dataset.id)
                }) =>
            {
                Removed::Kept("a dataset uses it".to_owned())
            }
            Ok(_) if may_send() => self.titled(TitledKind::Schema, id).await,
            Ok(_) => Removed::Remains("another process deletes it".to_owned()),
            Err(error) => removed(Err(error)),
        }
    }

    pub(super) async fn titled(&self, kind: TitledKind, id: &SchemaId) -> Removed {
        removed(self.platform.delete_titled(self.sandbox, kind, id, self.deadline).await)
    }
}

/// A refusal is final: it must not be in the way of the request id for ever.
fn removed(deletion: Result<(), CallError>) -> Removed {
    match deletion {
        Ok(()) => Removed::Gone,
        Err(error) if error.refusal().is_some() => {
            let said = error.problem().map(ToString::to_string).unwrap_or_default();
            Removed::Kept(format!(
                "Adobe refuses to delete it ({said}): repeat the call once that is corrected"
            ))
        }
        Err(error) => Removed::Remains(format!("it could not be deleted: {error}")),
    }
}
