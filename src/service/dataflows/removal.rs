//! The rules of deleting what a creation has made. Nothing that holds data, or that something else uses, is deleted.

use tokio::time::Instant;

use crate::{
    adobe::{CallError, DatasetSelection, Platform, TargetSelection, TitledKind},
    domain::{
        SandboxName,
        dataflow::{DatasetId, MappingSetId, SchemaId, SourceConnectionId, TargetConnectionId},
    },
};

/// What has become of something that was to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    Gone,
    /// It stays, for this reason.
    Kept(String),
    /// Its deletion may still arrive, or was not possible at the moment.
    Remains(String),
}

/// Deletes parts of dataflows.
pub(super) struct Removal<'a, P> {
    pub(super) platform: &'a P,
    pub(super) sandbox: &'a SandboxName,
    pub(super) deadline: Instant,
}

impl<P: Platform> Removal<'_, P> {
    pub(super) async fn target(&self, id: &TargetConnectionId) -> Removed {
        removed(self.platform.delete_target_connection(self.sandbox, id, self.deadline).await)
    }

    pub(super) async fn source(&self, id: &SourceConnectionId) -> Removed {
        removed(self.platform.delete_source_connection(self.sandbox, id, self.deadline).await)
    }

    pub(super) async fn mapping_set(&self, id: &MappingSetId) -> Removed {
        removed(self.platform.delete_mapping_set(self.sandbox, id, self.deadline).await)
    }

    /// Deletes a dataset into which nothing was ever ingested, and that no other target connection names.
    pub(super) async fn dataset(
        &self,
        id: &DatasetId,
        own: &[TargetConnectionId],
        may_send: impl Fn() -> bool,
    ) -> Removed {
        let (has_batches, targets) = tokio::join!(
            self.platform.has_batches(self.sandbox, id, self.deadline),
            self.platform.list_target_connections(self.sandbox, TargetSelection::Dataset(id), self.deadline),
        );
        match (has_batches, targets) {
            (Ok(true), _) => Removed::Kept("data was ingested into it".to_owned()),
            (_, Ok(targets)) if targets.iter().any(|target| !own.contains(&target.id)) => {
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
            Removed::Kept(format!("Adobe refuses to delete it ({said})"))
        }
        Err(error) => Removed::Remains(format!("it could not be deleted: {error}")),
    }
}
