//! `PATCH /flows/{id}`

use serde_json::{Map, Value};

use super::{
    Flow, Frequency, check_state, mapping, options, schedule::Schedule, transformations::Transformations,
};
use crate::emulator::{
    flow_service::{self, Instruction, description, from_provider, missing_reference, name, source_error},
    gateway::Tenant,
    problem::Problem,
    reply::Reply,
    routes::Call,
    runs,
    settings::Settings,
    state::State,
};

/// Changes a flow: applies all instructions, or none.
///
/// # Errors
/// The Flow Service's or the sources', for the first mistake.
pub(super) fn patch(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    runs::make_due(state);
    flow_service::patch::<Flow>(
        call,
        state,
        |flow| check_state(flow, "update", 1457),
        |state, flow, instructions| apply(state, &call.tenant, flow, instructions),
    )
}

/// Applies the instructions, then checks what must fit together.
fn apply(
    state: &State,
    tenant: &Tenant,
    flow: &mut Flow,
    instructions: &[Instruction<'_>],
) -> Result<(), Problem> {
    let settings = &state.settings;
    let mut schedule = flow.schedule.shown();
    let mut transformations = flow.transformations.given.clone();
    for instruction in instructions {
        let Instruction { path, value } = *instruction;
        let parts: Vec<_> = path.split('/').collect();
        match parts[..] {
            ["", "name"] => flow.name = name(value)?,
            ["", "description"] => flow.description = description(value)?,
            ["", "labels"] => flow.labels = options::labels(value)?,
            ["", "options"] => flow.options = options::parse(value)?,
            ["", "options", option] => {
                set(&mut flow.options, option, value);
                flow.options = options::parse(Some(&Value::Object(flow.options.clone())))?;
            }
            ["", "scheduleParams", field @ ("startTime" | "frequency" | "interval" | "backfill")] => {
                set(&mut schedule, field, value);
            }
            ["", "transformations"] => match value {
                Some(Value::Array(all)) => transformations.clone_from(all),
                Some(one) => transformations.push(one.clone()),
                None => return Err(invalid_path(path, settings)),
            },
            ["", "transformations", index] => {
                let index: usize = index.parse().map_err(|_| invalid_path(path, settings))?;
                let found = transformations.get_mut(index).ok_or_else(|| invalid_path(path, settings))?;
                found.clone_from(value.ok_or_else(|| from_provider("a transformation must be replaced"))?);
            }
            _ => return Err(invalid_path(path, settings)),
        }
    }
    let now_ms = state.flows.now_ms();
    let schedule = Schedule::parse(&schedule, settings)?;
    let has_new_transformations = transformations != flow.transformations.given;
    if schedule != flow.schedule || has_new_transformations {
        check_started(flow, &schedule, now_ms, settings)?;
    }
    if schedule.start != flow.schedule.start {
        schedule.check_start(now_ms, settings)?;
    }
    let transformations = Transformations::parse(&transformations, schedule.frequency, settings)?;
    if has_new_transformations {
        let id = &flow.target_connection;
        let target = state.target_connections.get(tenant, id);
        let target = target.ok_or_else(|| missing_reference("The target connection", id))?;
        mapping::check(&transformations, &target.content, tenant, state)?;
    }
    if schedule != flow.schedule {
        // What has begun keeps its run. The other periods are counted anew.
        flow.next_period = schedule.periods_begun(now_ms);
    }
    flow.schedule = schedule;
    flow.transformations = transformations;
    flow.operation = "update";
    Ok(())
}

fn set(members: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    match value {
        Some(value) => members.insert(name.to_owned(), value.clone()),
        None => members.remove(name),
    };
}

/// What cannot change after the start. For a flow that runs once, that is its schedule and its mapping.
fn check_started(flow: &Flow, new: &Schedule, now_ms: u64, settings: &Settings) -> Result<(), Problem> {
    let old = &flow.schedule;
    if !old.has_started(now_ms) {
        return Ok(());
    }
    let refused = |code, detail: &str| Err(source_error(settings, code, detail));
    if new.start != old.start || old.frequency == Frequency::Once {
        return refused(1366, "The start time has passed and the update operation is no longer allowed.");
    }
    if new.frequency == Frequency::Once {
        return refused(
            1403,
            "The start time has passed and you can no longer change the frequency to once.",
        );
    }
    if new.takes_everything(0) != old.takes_everything(0) {
        return refused(1404, "The start time has passed and you can no longer update backfill.");
    }
    Ok(())
}

fn invalid_path(path: &str, settings: &Settings) -> Problem {
    let detail = format!(
        "The path {path} provided in ops is invalid. Please provide valid path {path} and try again."
    );
    source_error(settings, 1365, detail)
}
