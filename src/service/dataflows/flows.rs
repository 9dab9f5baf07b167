//! The flows that use something.

use std::collections::HashSet;

use tokio::time::Instant;

use crate::{
    adobe::{CallError, FlowPage, FlowQuery, FlowSelection, ListQuery, Platform},
    domain::{SandboxName, dataflow::Dataflow},
};

/// More pages than the flows of anything that this service has made fill.
const MOST_PAGES: usize = 100;

/// The flows that use what is selected, or do not show what they use.
///
/// # Errors
/// The list cannot be read to its end.
pub(in crate::service) async fn flows_of<P: Platform>(
    platform: &P,
    sandbox: &SandboxName,
    selection: FlowSelection<'_>,
    deadline: Instant,
) -> Result<Vec<Dataflow>, CallError> {
    let query = FlowQuery { sandbox, selection, limit: ListQuery::LARGEST_PAGE };
    let (mut flows, mut next, mut seen) = (Vec::new(), None, HashSet::new());
    for _ in 0..MOST_PAGES {
        let FlowPage { items, next: following } =
            platform.list_flows(&query, next.as_ref(), deadline).await?;
        // The list may have flows that do not match.
        flows.extend(items.into_iter().filter(|flow| may_use(flow, selection)));
        let Some(following) = following else { return Ok(flows) };
        if !seen.insert(following.clone()) {
            break;
        }
        next = Some(following);
    }
    Err(CallError::Undecodable("the list of flows does not end".into()))
}

fn may_use(flow: &Dataflow, selection: FlowSelection<'_>) -> bool {
    fn shares<T: PartialEq>(of_flow: &[T], selected: &[T]) -> bool {
        of_flow.is_empty() || of_flow.iter().any(|id| selected.contains(id))
    }
    match selection {
        FlowSelection::OfSources(ids) => shares(&flow.source_connections, ids),
        FlowSelection::OfTargets(ids) => shares(&flow.target_connections, ids),
        FlowSelection::OfMappingSet(id) => flow.mapping_set.as_ref().is_none_or(|set| set.id == *id),
        FlowSelection::OfHubSpot { .. } | FlowSelection::OfConnection(_) => true,
    }
}
