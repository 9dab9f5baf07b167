//! Runs: what the flows have done. They are made when something reads them, for the periods of each schedule
//! that have become due.

mod document;
mod oddities;
mod plan;
mod run;

use super::{
    catalog::{Batch, add_batch},
    flow_service,
    flows::Flow,
    gateway::Tenant,
    routes::Endpoint,
    state::State,
};
pub(super) use plan::Plan;
use plan::RunResult;
pub use plan::{Outcome, PlannedRun};
pub(super) use run::Run;
use run::{Period, last_run_details};

pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint::tenant("GET /runs", |call, state| {
        make_due(state);
        flow_service::list::<Run>(call, state)
    }),
    Endpoint::tenant("GET /runs/{id}", |call, state| {
        make_due(state);
        flow_service::get::<Run>(call, state)
    }),
];

/// Makes a run for every period that has become due. A flow that is not enabled then gets none, also not later.
pub(super) fn make_due(state: &mut State) {
    let now_ms = state.flows.now_ms();
    let delay_ms = u64::try_from(state.settings.run_delay.as_millis()).unwrap_or(u64::MAX);
    let due = |flow: &Flow| {
        let begins_ms = flow.schedule.begins_ms(flow.next_period)?;
        let ends_ms = begins_ms.checked_add(delay_ms).filter(|ends_ms| *ends_ms <= now_ms)?;
        Some((begins_ms, ends_ms))
    };
    let all = state.flows.all().iter().filter(|flow| due(&flow.content).is_some());
    let flows: Vec<_> = all.map(|flow| (flow.tenant.clone(), flow.id.clone())).collect();
    for (tenant, id) in flows {
        while let Some(flow) = state.flows.get(&tenant, &id).map(|flow| flow.content.clone()) {
            let Some((started_ms, completed_ms)) = due(&flow) else { break };
            if flow.state == "enabled" {
                let planned = state.run_plan.take(&id);
                let number = flow.next_period;
                let before = number.checked_sub(1).and_then(|number| flow.schedule.begins_ms(number));
                let takes_everything = flow.schedule.takes_everything(number);
                let window_start_ms = before.unwrap_or(if takes_everything { 0 } else { started_ms });
                let period = Period { started_ms, completed_ms, window_start_ms, takes_everything };
                make(state, &tenant, &id, &flow, &period, planned.as_ref());
            }
            state.flows.amend(&tenant, &id, |flow| flow.next_period += 1);
        }
    }
}

/// Makes runs at once, whatever the schedules say. A name of a flow can be `*`, for all that are enabled.
///
/// # Errors
/// When a named flow does not exist or is not enabled. Nothing is made then.
pub(super) fn make_now(state: &mut State, planned: &[PlannedRun]) -> Result<(), String> {
    let enabled = |planned: &PlannedRun| {
        let flows = state.flows.all().iter();
        let flows = flows.filter(|flow| planned.is_for(&flow.id) && flow.content.state == "enabled");
        flows.map(|flow| (flow.tenant.clone(), flow.id.clone(), flow.content.clone())).collect::<Vec<_>>()
    };
    let all: Vec<_> = planned.iter().map(|planned| (planned, enabled(planned))).collect();
    if let Some((planned, _)) = all.iter().find(|(planned, flows)| planned.flow != "*" && flows.is_empty()) {
        return Err(format!("no enabled flow has the id {:?}", planned.flow));
    }
    let now_ms = state.flows.now_ms();
    for (planned, flows) in all {
        for (tenant, id, flow) in flows {
            let window_start_ms = flow.schedule.begins_ms(0).unwrap_or_default().min(now_ms);
            let period =
                Period { started_ms: now_ms, completed_ms: now_ms, window_start_ms, takes_everything: true };
            for _ in 0..planned.count {
                make(state, &tenant, &id, &flow, &period, Some(planned));
            }
        }
    }
    Ok(())
}

fn make(
    state: &mut State,
    tenant: &Tenant,
    id: &str,
    flow: &Flow,
    period: &Period,
    planned: Option<&PlannedRun>,
) {
    let source = state.source_connections.get(tenant, &flow.source_connection);
    let table = source.and_then(|source| source.content.table());
    let target = state.target_connections.get(tenant, &flow.target_connection);
    let dataset = target.map(|target| target.content.dataset_id.clone());
    let dataset = dataset.filter(|dataset| state.datasets.get(tenant, dataset).is_some());
    let rows = table.map_or(0, |table| if period.takes_everything { table.rows } else { 0 });
    // Without a plan, a flow fails where it finds no table or no dataset.
    let outcome = match (planned, table, &dataset) {
        (Some(planned), _, _) => planned.outcome,
        (None, None, _) => Outcome::FailedCopy,
        (None, Some(_), None) => Outcome::FailedIngest,
        (None, Some(_), Some(_)) => Outcome::Succeeded,
    };
    let result = RunResult::new(outcome, rows, planned);
    let batch = dataset.zip(result.batch_status()).and_then(|(dataset, status)| {
        let batch = Batch {
            dataset,
            status: status.to_owned(),
            records_read: result.input,
            records_written: result.output,
        };
        add_batch(state, tenant, batch)
    });
    let run = Run::new(id, flow, period, result, batch);
    let last_run = last_run_details(state.runs.create(tenant, run));
    state.flows.amend(tenant, id, |flow| flow.last_run = Some(last_run));
}
