//! Undoes a preparation, in reverse order.

use super::{
    CreateDataflow, Markers,
    marked::Marked,
    prepared::{Prepared, Surplus},
};
use crate::{
    adobe::{FlowSelection, Platform, TitledKind},
    domain::dataflow::{Dataflow, TargetConnectionId},
    exactly_once::{operation::Undone, scope::Scope},
    service::dataflows::{
        error::Part,
        flows::flows_of,
        removal::{OfFlow, Removal, Removed},
    },
};

impl<P: Platform> CreateDataflow<P> {
    pub(super) async fn undone(&self, scope: &Scope, context: &str) -> Undone<Dataflow> {
        let remains = || Undone::Remains(context.to_owned());
        let Some(mut prepared) = Prepared::parse_context(context) else { return remains() };
        // What a lost reply was about may be visible by now. An attempt that the store has forgotten may use it.
        if prepared.is_sweep_due && !scope.may_be_forgotten() {
            let markers = Markers::of(scope.request_id());
            let (platform, sandbox) = (&*self.platform, &self.dataflow.sandbox);
            match Marked::of_names(platform, sandbox, &markers, scope.deadline()).await {
                Ok(marked) => prepared.surplus.add(marked.surplus(&prepared)),
                Err(_) => return remains(),
            }
        }
        match self.flow_of(scope, &prepared).await {
            Ok(None) => {}
            Ok(Some(flow)) => return Undone::Exists(flow),
            Err(()) => return remains(),
        }
        let (mut deleted, mut kept) = (Vec::new(), Vec::new());
        let mut does_remain = self.undo_surplus(scope, &mut prepared, &mut kept).await;
        let own: Vec<_> = prepared.own().into_iter().map(|(part, id)| (part, id.to_owned())).collect();
        for (part, id) in own {
            let kind = part.kind().to_owned();
            if prepared.undone.contains(&kind) {
                deleted.push(format!("{kind}/{id}"));
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
                Removed::Gone => {
                    deleted.push(format!("{kind}/{id}"));
                    prepared.undone.push(kind);
                }
                Removed::Kept(reason) | Removed::InUse(reason) => {
                    tracing::info!(request_id = %scope.request_id(), kind, id, reason, "a part of a refused creation is kept");
                    kept.push(format!("{kind}/{id}"));
                }
                Removed::Remains(reason) => {
                    tracing::debug!(request_id = %scope.request_id(), kind, id, reason, "a part of a refused creation remains");
                    does_remain = true;
                }
            }
        }
        if does_remain {
            return Undone::Remains(prepared.to_context());
        }
        // What was surplus is there with its ID.
        deleted.extend(prepared.undone.into_iter().filter(|name| name.contains('/')));
        Undone::Deleted { deleted, kept }
    }

    /// Deletes what is not used beside that. Whether some of it remains.
    async fn undo_surplus(&self, scope: &Scope, prepared: &mut Prepared, kept: &mut Vec<String>) -> bool {
        let removal = self.removal(scope);
        let Surplus { targets, sources, mapping_sets, datasets } = prepared.surplus.clone();
        let mut does_remain = false;
        let mut note = |part: Part, id: &str, removed: &Removed| match removed {
            Removed::Gone => {
                let name = format!("{}/{id}", part.kind());
                if !prepared.undone.contains(&name) {
                    prepared.undone.push(name);
                }
            }
            Removed::Kept(_) | Removed::InUse(_) => kept.push(format!("{}/{id}", part.kind())),
            Removed::Remains(_) => does_remain = true,
        };
        // The own target connection is deleted after this, if it is.
        let mut gone: Vec<_> = prepared.target.iter().cloned().collect();
        for part in OfFlow::all(&targets, &sources, &mapping_sets) {
            let removed = if scope.still_ours() {
                removal.of_flow(part).await
            } else {
                Removed::Remains(String::new())
            };
            note(part.part(), part.id(), &removed);
            if let (OfFlow::Target(id), Removed::Gone) = (part, removed) {
                gone.push(id.clone());
            }
        }
        for id in &datasets {
            let removed = removal.dataset(id, &gone, || scope.still_ours()).await;
            note(Part::Dataset, id.as_str(), &removed);
        }
        does_remain
    }

    fn removal(&self, scope: &Scope) -> Removal<'_, P> {
        Removal { platform: &*self.platform, sandbox: &self.dataflow.sandbox, deadline: scope.deadline() }
    }

    /// The flow of a source connection: if there is one, it wins.
    ///
    /// # Errors
    /// That cannot be found out.
    async fn flow_of(&self, scope: &Scope, prepared: &Prepared) -> Result<Option<Dataflow>, ()> {
        let sources: Vec<_> = prepared.source.iter().chain(&prepared.surplus.sources).cloned().collect();
        if sources.is_empty() {
            return Ok(None);
        }
        let selection = FlowSelection::OfSources(&sources);
        let sandbox = &self.dataflow.sandbox;
        let flows = flows_of(&*self.platform, sandbox, selection, scope.deadline()).await.map_err(drop)?;
        // One that does not show its source could be it.
        let is_undecided = !flows.is_empty();
        let is_own = |flow: &Dataflow| flow.source_connections.iter().any(|id| sources.contains(id));
        match flows.into_iter().find(is_own) {
            None if is_undecided => Err(()),
            flow => Ok(flow),
        }
    }

    async fn remove(&self, scope: &Scope, prepared: &Prepared, part: Part, kept: &[String]) -> Removed {
        let removal = self.removal(scope);
        let is_kept = |part: Part| kept.iter().any(|id| id.starts_with(&format!("{}/", part.kind())));
        let may_send = || scope.still_ours();
        let Prepared { source, target, mapping_set, dataset, schema, field_group, .. } = prepared;
        match part {
            Part::TargetConnection => match target {
                Some(id) => removal.of_flow(OfFlow::Target(id)).await,
                None => Removed::Gone,
            },
            Part::SourceConnection => match source {
                Some(id) => removal.of_flow(OfFlow::Source(id)).await,
                None => Removed::Gone,
            },
            Part::MappingSet => match mapping_set {
                Some(set) => removal.of_flow(OfFlow::MappingSet(&set.id)).await,
                None => Removed::Gone,
            },
            Part::Dataset => match dataset {
                Some(id) => {
                    let kind = Part::TargetConnection.kind();
                    let is_gone = |id: &&TargetConnectionId| !kept.contains(&format!("{kind}/{id}"));
                    let own = target.iter().chain(&prepared.surplus.targets);
                    let gone: Vec<_> = own.filter(is_gone).cloned().collect();
                    removal.dataset(id, &gone, may_send).await
                }
                None => Removed::Gone,
            },
            Part::Schema => match schema {
                Some(_) if is_kept(Part::Dataset) => Removed::Kept("its dataset is kept".to_owned()),
                Some(id) => {
                    let deleted: Vec<_> = dataset.iter().chain(&prepared.surplus.datasets).cloned().collect();
                    removal.schema(id, &deleted, may_send).await
                }
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
    let is_undone = |name: &str| prepared.undone.iter().any(|undone| undone == name);
    let own = prepared.own().into_iter().filter(|(part, _)| !is_undone(part.kind()));
    let own = own.map(|(part, id)| format!("{}/{id}", part.kind()));
    let surplus = prepared.surplus().into_iter().map(|(part, id)| format!("{}/{id}", part.kind()));
    own.chain(surplus.filter(|name| !is_undone(name))).collect()
}
