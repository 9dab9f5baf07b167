//! What carries the markers of a request.

use tokio::time::Instant;

use super::{
    CreateDataflow, Markers,
    prepared::{Prepared, Surplus},
};
use crate::{
    adobe::{CallError, DatasetSelection, FlowSelection, Platform, Selection, TargetSelection, TitledKind},
    domain::{
        SandboxName,
        dataflow::{
            Dataflow, Dataset, MappingSet, NewDataset, SchemaSource, SourceConnection, Target,
            TargetConnection, TitledResource,
        },
    },
    service::dataflows::{
        error::{CreateDataflowError, Part},
        flows::flows_of,
    },
};

/// What lists show of a request, oldest first.
#[derive(Debug, Default)]
pub(super) struct Marked {
    pub(super) sources: Vec<SourceConnection>,
    pub(super) targets: Vec<TargetConnection>,
    pub(super) mapping_sets: Vec<MappingSet>,
    pub(super) datasets: Vec<Dataset>,
    /// Those with the title of the new schema, also others'.
    pub(super) schemas: Vec<TitledResource>,
    pub(super) field_groups: Vec<TitledResource>,
    /// The flows of the source connections.
    pub(super) flows: Vec<Dataflow>,
}

impl Marked {
    /// Reads what every request makes.
    pub(super) async fn of_names<P: Platform>(
        platform: &P,
        sandbox: &SandboxName,
        markers: &Markers,
        deadline: Instant,
    ) -> Result<Self, CreateDataflowError> {
        let (sources, targets, mapping_sets, datasets) = tokio::join!(
            sources(platform, sandbox, markers, deadline),
            targets(platform, sandbox, markers, deadline),
            mapping_sets(platform, sandbox, markers, deadline),
            datasets(platform, sandbox, markers, deadline),
        );
        Ok(Self {
            sources: sources.map_err(at(Part::SourceConnection))?,
            targets: targets.map_err(at(Part::TargetConnection))?,
            mapping_sets: mapping_sets.map_err(at(Part::MappingSet))?,
            datasets: datasets.map_err(at(Part::Dataset))?,
            ..Self::default()
        })
    }

    /// Whether there is anything of the request.
    pub(super) fn is_empty(&self, markers: &Markers) -> bool {
        self.sources.is_empty()
            && self.targets.is_empty()
            && self.mapping_sets.is_empty()
            && self.datasets.is_empty()
            && self.field_groups.is_empty()
            && !self.schemas.iter().any(|schema| markers.is_in(schema.description.as_deref()))
    }

    /// Whether something of the request may be there twice, or appear later.
    pub(super) fn needs_sweep(&self, markers: &Markers, has_lost: bool) -> bool {
        has_lost || self.has_duplicates() || !self.is_empty(markers)
    }

    /// Whether one marker has several objects.
    fn has_duplicates(&self) -> bool {
        self.sources.len() > 1
            || self.targets.len() > 1
            || self.mapping_sets.len() > 1
            || self.datasets.len() > 1
    }

    /// What is there beside that which was prepared.
    pub(super) fn surplus(&self, prepared: &Prepared) -> Surplus {
        let Prepared { source, target, mapping_set, dataset, .. } = prepared;
        let used_set = mapping_set.as_ref().map(|set| &set.id);
        let targets = self.targets.iter().map(|target| &target.id);
        let sources = self.sources.iter().map(|source| &source.id);
        let sets = self.mapping_sets.iter().map(|set| &set.at.id);
        let datasets = self.datasets.iter().map(|dataset| &dataset.id);
        Surplus {
            targets: targets.filter(|id| Some(*id) != target.as_ref()).cloned().collect(),
            sources: sources.filter(|id| Some(*id) != source.as_ref()).cloned().collect(),
            mapping_sets: sets.filter(|id| Some(*id) != used_set).cloned().collect(),
            datasets: datasets.filter(|id| Some(*id) != dataset.as_ref()).cloned().collect(),
        }
    }

    /// Removes what was deleted, each as `KIND/ID`: lists may still show it.
    pub(super) fn remove(&mut self, deleted: &[String]) {
        let stays = |part: Part, id: &str| !is_among(deleted, part, id);
        self.sources.retain(|source| stays(Part::SourceConnection, source.id.as_str()));
        self.targets.retain(|target| stays(Part::TargetConnection, target.id.as_str()));
        self.mapping_sets.retain(|set| stays(Part::MappingSet, set.at.id.as_str()));
        self.datasets.retain(|dataset| stays(Part::Dataset, dataset.id.as_str()));
        self.schemas.retain(|schema| stays(Part::Schema, schema.id.as_str()));
        self.field_groups.retain(|group| stays(Part::FieldGroup, group.id.as_str()));
    }

    /// Adds to what was prepared whatever is missing there.
    pub(super) fn complete(&self, prepared: &mut Prepared, markers: &Markers) {
        let Prepared { source, target, mapping_set, dataset, schema, field_group, .. } = prepared;
        let own = self.schemas.iter().find(|schema| markers.is_in(schema.description.as_deref()));
        *source = source.take().or_else(|| self.sources.first().map(|source| source.id.clone()));
        *target = target.take().or_else(|| self.targets.first().map(|target| target.id.clone()));
        *mapping_set = mapping_set.take().or_else(|| self.mapping_sets.first().map(|set| set.at.clone()));
        *dataset = dataset.take().or_else(|| self.datasets.first().map(|dataset| dataset.id.clone()));
        *schema = schema.take().or_else(|| own.map(|schema| schema.id.clone()));
        *field_group = field_group.take().or_else(|| self.field_groups.first().map(|group| group.id.clone()));
    }
}

impl<P: Platform> CreateDataflow<P> {
    /// Reads everything that this request may have made, and the flow that it may have created.
    pub(super) async fn marked(
        &self,
        markers: &Markers,
        deadline: Instant,
    ) -> Result<Marked, CreateDataflowError> {
        let (platform, sandbox) = (&*self.platform, &self.dataflow.sandbox);
        let sources_and_flows = async {
            let sources = sources(platform, sandbox, markers, deadline).await;
            let sources = sources.map_err(at(Part::SourceConnection))?;
            let ids: Vec<_> = sources.iter().map(|source| source.id.clone()).collect();
            let flows = if ids.is_empty() {
                Vec::new()
            } else {
                let flows = flows_of(platform, sandbox, FlowSelection::OfSources(&ids), deadline).await;
                flows.map_err(at(Part::Flow))?
            };
            // One that does not show its source could be this request's: nothing may be sent.
            if flows.iter().any(|flow| flow.source_connections.is_empty()) {
                let error = CallError::Undecodable("a flow does not show its source connection".into());
                return Err(at(Part::Flow)(error));
            }
            Ok::<_, CreateDataflowError>((sources, flows))
        };
        let datasets = async {
            if self.makes_dataset() {
                datasets(platform, sandbox, markers, deadline).await
            } else {
                Ok(Vec::new())
            }
        };
        let (sources_and_flows, targets, mapping_sets, datasets, titles) = tokio::join!(
            sources_and_flows,
            targets(platform, sandbox, markers, deadline),
            mapping_sets(platform, sandbox, markers, deadline),
            datasets,
            self.titles(markers, deadline),
        );
        let (sources, mut flows) = sources_and_flows?;
        flows.sort_by_key(|flow| age(flow.created_at_ms));
        let (schemas, field_groups) = titles?;
        Ok(Marked {
            sources,
            targets: targets.map_err(at(Part::TargetConnection))?,
            mapping_sets: mapping_sets.map_err(at(Part::MappingSet))?,
            datasets: datasets.map_err(at(Part::Dataset))?,
            schemas,
            field_groups,
            flows,
        })
    }

    async fn titles(
        &self,
        markers: &Markers,
        deadline: Instant,
    ) -> Result<(Vec<TitledResource>, Vec<TitledResource>), CreateDataflowError> {
        let Target::NewDataset(NewDataset { schema: SchemaSource::Table(table), .. }) = &self.dataflow.target
        else {
            return Ok((Vec::new(), Vec::new()));
        };
        let list = |kind, title| titled(&*self.platform, &self.dataflow.sandbox, kind, title, deadline);
        let (schemas, groups) = tokio::join!(
            list(TitledKind::Schema, table.title.as_str()),
            list(TitledKind::FieldGroup, &markers.field_group)
        );
        Ok((schemas.map_err(at(Part::Schema))?, groups.map_err(at(Part::FieldGroup))?))
    }
}

pub(super) async fn sources<P: Platform>(
    platform: &P,
    sandbox: &SandboxName,
    markers: &Markers,
    deadline: Instant,
) -> Result<Vec<SourceConnection>, CallError> {
    let selection = Selection::Name(&markers.source);
    let mut sources = platform.list_source_connections(sandbox, selection, deadline).await?;
    sources.retain(|source| source.name.as_ref().is_none_or(|name| *name == markers.source));
    sources.sort_by_key(|source| age(source.created_at_ms));
    Ok(sources)
}

pub(super) async fn targets<P: Platform>(
    platform: &P,
    sandbox: &SandboxName,
    markers: &Markers,
    deadline: Instant,
) -> Result<Vec<TargetConnection>, CallError> {
    let selection = TargetSelection::Name(&markers.target);
    let mut targets = platform.list_target_connections(sandbox, selection, deadline).await?;
    targets.retain(|target| target.name.as_ref().is_none_or(|name| *name == markers.target));
    targets.sort_by_key(|target| age(target.created_at_ms));
    Ok(targets)
}

pub(super) async fn mapping_sets<P: Platform>(
    platform: &P,
    sandbox: &SandboxName,
    markers: &Markers,
    deadline: Instant,
) -> Result<Vec<MappingSet>, CallError> {
    let mut sets = platform.list_mapping_sets(sandbox, &markers.mapping_set, deadline).await?;
    sets.retain(|set| set.name.as_ref() == Some(&markers.mapping_set));
    sets.sort_by_key(|set| age(set.created_at_ms));
    Ok(sets)
}

pub(super) async fn datasets<P: Platform>(
    platform: &P,
    sandbox: &SandboxName,
    markers: &Markers,
    deadline: Instant,
) -> Result<Vec<Dataset>, CallError> {
    let selection = DatasetSelection::Tag(&markers.tag);
    let mut datasets = platform.list_datasets(sandbox, selection, deadline).await?;
    datasets.retain(|dataset| dataset.tags.contains(&markers.tag));
    datasets.sort_by_key(|dataset| age(dataset.created_at_ms));
    Ok(datasets)
}

pub(super) async fn titled<P: Platform>(
    platform: &P,
    sandbox: &SandboxName,
    kind: TitledKind,
    title: &str,
    deadline: Instant,
) -> Result<Vec<TitledResource>, CallError> {
    let mut titled = platform.list_titles(sandbox, kind, title, deadline).await?;
    titled.retain(|titled| titled.title == title);
    Ok(titled)
}

/// Whether these, each as `KIND/ID`, have this one.
pub(super) fn is_among(names: &[String], part: Part, id: &str) -> bool {
    let is_it = |name: &String| name.split_once('/') == Some((part.kind(), id));
    names.iter().any(is_it)
}

/// Orders by age: what shows none counts as young.
fn age(created_at_ms: Option<i64>) -> i64 {
    created_at_ms.unwrap_or(i64::MAX)
}

/// A failed call, with what it was about.
pub(super) fn at(part: Part) -> impl Fn(CallError) -> CreateDataflowError {
    move |error| CreateDataflowError::Call { part, error }
}
