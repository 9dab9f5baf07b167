//! Undoes a preparation, in reverse order.

use std::slice;

use super::{
    CreateDataflow, Markers,
    prepared::Prepared,
    removal::{Removal, Removed},
};
use crate::{
    adobe::{FlowSelection, Platform, TitledKind},
    domain::dataflow::{Dataflow, TargetConnectionId},
    exactly_once::{operation::Undone, scope::Scope},
    service::dataflows::{error::Part, flows::flows_of},
};

impl<P: Platform> CreateDataflow<P> {
    pub(super) async fn undone(&self, scope: &Scope, context: &str) -> Undone<Dataflow> {
        let remains = || Undone::Remains(context.to_owned());
        let Some(mut prepared) = Prepared::parse_context(context) else { return remains() };
        match self.flow_of(scope, &prepared).await {
            Ok(None) => {}
            Ok(Some(flow)) => return Undone::Exists(flow),
            Err(()) => return remains(),
        }
        let mut kept = Vec::new();
        let mut does_remain = self.has_surplus(scope, &prepared).await;
        let own: Vec<_> = prepared.own().into_iter().map(|(part, id)| (part, id.to_owned())).collect();
        for (part, id) in own {
            let kind = part.kind().to_owned();
            if prepared.undone.contains(&kind) {
                continue;
            }
            let is_kept = prepared.kept.contains(&kind);
            let removed = if is_kept {
                Removed::Kept("an earlier attempt may use it".to_owned())
            } else if does_remain || !scope.still_ours() {
                // The order is kept: what remains may use what comes after it.
                Removed::Remains(String::new())
            } else {
                self.remove(scope, &prepared, part, &kept).await
            };
            match removed {
                Removed::Gone => prepared.undone.push(kind),
                Removed::Kept(reason) => {
                    tracing::info!(request_id = %scope.request_id(), kind, id, reason, "a part of a refused creation is kept");
                    kept.push(format!("{kind}/{id}"));
                }
                Removed::Remains(reason) => {
                    tracing::debug!(request_id = %scope.request_id(), kind, id, reason, "a part of a refused creation remains");
                    does_remain = true;
                }
            }
        }
        if does_remain { Undone::Remains(prepared.to_context()) } else { Undone::Deleted { kept } }
    }

    /// Deletes what lost replies have left beside what was prepared. Returns whether some of it remains.
    async fn has_surplus(&self, scope: &Scope, prepared: &Prepared) -> bool {
        // An attempt that the store has forgotten may still use what this one does not know.
        if !prepared.is_sweep_due || scope.may_be_forgotten() {
            return false;
        }
        let markers = Markers::of(scope.request_id());
        let may_send = || scope.still_ours();
        match self.delete_surplus(&markers, prepared, scope.deadline(), may_send).await {
            Ok(remaining) => remaining > 0,
            Err(error) => {
                tracing::debug!(request_id = %scope.request_id(), %error, "could not look for what lost replies have left");
                true
            }
        }
    }

    /// The flow of the source connection: if there is one, it wins.
    ///
    /// # Errors
    /// That cannot be found out.
    async fn flow_of(&self, scope: &Scope, prepared: &Prepared) -> Result<Option<Dataflow>, ()> {
        let Some(source) = &prepared.source else { return Ok(None) };
        let selection = FlowSelection::OfSources(slice::from_ref(source));
        let sandbox = &self.dataflow.sandbox;
        let flows = flows_of(&*self.platform, sandbox, selection, scope.deadline()).await.map_err(drop)?;
        // One that does not show its source could be it.
        let is_undecided = !flows.is_empty();
        match flows.into_iter().find(|flow| flow.source_connections.contains(source)) {
            None if is_undecided => Err(()),
            flow => Ok(flow),
        }
    }

    async fn remove(&self, scope: &Scope, prepared: &Prepared, part: Part, kept: &[String]) -> Removed {
        let removal = Removal {
            platform: &*self.platform,
            sandbox: &self.dataflow.sandbox,
            deadline: scope.deadline(),
        };
        let is_kept = |part: Part| kept.iter().any(|id| id.starts_with(&format!("{}/", part.kind())));
        let may_send = || scope.still_ours();
        let Prepared { source, target, mapping_set, dataset, schema, field_group, .. } = prepared;
        match part {
            Part::TargetConnection => match target {
                Some(id) => removal.target(id).await,
                None => Removed::Gone,
            },
            Part::SourceConnection => match source {
                Some(id) => removal.source(id).await,
                None => Removed::Gone,
            },
            Part::MappingSet => match mapping_set {
                Some(set) => removal.mapping_set(&set.id).await,
                None => Removed::Gone,
            },
            Part::Dataset => match dataset {
                Some(id) => {
                    let own: Vec<TargetConnectionId> = target.iter().cloned().collect();
                    removal.dataset(id, &own, may_send).await
                }
                None => Removed::Gone,
            },
            Part::Schema => match schema {
                Some(_) if is_kept(Part::Dataset) => Removed::Kept("its dataset is kept".to_owned()),
                Some(id) => removal.schema(id, dataset.as_ref(), may_send).await,
                None => Removed::Gone,
            },
            Part::FieldGroup => match field_group {
                Some(_) if is_kept(Part::Schema) => Removed::Kept("its schema is kept".to_owned()),
                Some(id) => removal.titled(TitledKind::FieldGroup, id).await,
                None => Removed::Gone,
            },
            Part::Connection | Part::Table | Part::FlowSpec | Part::Flow | Part::Run => Removed::Gone,
        }
    }
}

/// What a context names and an undo has not deleted, each as `KIND/ID`.
pub(super) fn leftovers(context: &str) -> Vec<String> {
    let Some(prepared) = Prepared::parse_context(context) else { return Vec::new() };
    let remaining = prepared
        .own()
        .into_iter()
        .filter(|(part, _)| !prepared.undone.iter().any(|kind| kind == part.kind()));
    remaining.map(|(part, id)| format!("{}/{id}", part.kind())).collect()
}
