//! `POST /flows`

use serde_json::{Map, Value};

use super::{Flow, mapping, options, schedule::Schedule, transformations::Transformations};
use crate::emulator::{
    flow_service::{
        created, description, from_provider, invalid_spec, known_parameters_only, missing_reference, name,
        object_body, source_error,
    },
    flow_specs::{CRM_TO_AEP_ID, CRM_TO_AEP_VERSION},
    gateway::Tenant,
    problem::Problem,
    reply::Reply,
    routes::Call,
    settings::Settings,
    state::State,
};

/// Creates a flow. Equal names are accepted: the real service documents no rule against them.
///
/// # Errors
/// The Flow Service's or the sources', for the first mistake in the body. The order of the checks is not
/// documented.
pub(super) fn create(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &["mode"])?;
    if call.request.query_pairs().iter().any(|(name, _)| name == "mode") {
        let detail = "Mode is not allowed in flow request. Please check your request and try again.";
        return Err(source_error(&state.settings, 1368, detail));
    }
    let fields = object_body(&call.request.body)?;
    let client = call.request.header("x-api-key").unwrap_or_default();
    let flow = parse(&fields, &call.tenant, client, state)?;
    Ok(created(state.flows.create(&call.tenant, flow)))
}

fn parse(fields: &Map<String, Value>, tenant: &Tenant, client: &str, state: &State) -> Result<Flow, Problem> {
    let settings = &state.settings;
    if fields.contains_key("state") {
        return Err(Problem::invalid(1410, "State is not allowed in the create flow request."));
    }
    check_spec(fields.get("flowSpec"))?;
    let source_id = only_id(fields, "sourceConnectionIds", settings)?;
    let target_id = only_id(fields, "targetConnectionIds", settings)?;
    let no_schedule = Map::new();
    let schedule = fields.get("scheduleParams").and_then(Value::as_object).unwrap_or(&no_schedule);
    let schedule = Schedule::parse(schedule, settings)?;
    let given = match fields.get("transformations") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(given)) => given.as_slice(),
        Some(_) => return Err(from_provider("transformations must be an array")),
    };
    let transformations = Transformations::parse(given, schedule.frequency, settings)?;
    schedule.check_start(state.flows.now_ms(), settings)?;

    let source = state
        .source_connections
        .get(tenant, source_id)
        .ok_or_else(|| missing_reference("The source connection", source_id))?;
    let target = state
        .target_connections
        .get(tenant, target_id)
        .ok_or_else(|| missing_reference("The target connection", target_id))?;
    let base_connection = &source.content.base_connection;
    if state.connections.get(tenant, base_connection).is_none() {
        return Err(missing_reference("The base connection", base_connection));
    }
    mapping::check(&transformations, &target.content, tenant, state)?;
    Ok(Flow {
        name: name(fields.get("name"))?,
        description: description(fields.get("description"))?,
        source_connection: source_id.to_owned(),
        source_spec: source.content.spec,
        base_connection: base_connection.clone(),
        target_connection: target_id.to_owned(),
        transformations,
        schedule,
        options: options::parse(fields.get("options"))?,
        labels: options::labels(fields.get("labels"))?,
        state: "enabled".to_owned(),
        operation: "create",
        client: client.to_owned(),
        next_period: 0,
        last_run: None,
    })
}

/// Without a version, the most recent one counts.
fn check_spec(spec: Option<&Value>) -> Result<(), Problem> {
    let spec = spec.and_then(Value::as_object).ok_or_else(invalid_spec)?;
    let is_known = spec.get("id").is_some_and(|id| id == CRM_TO_AEP_ID)
        && spec.get("version").is_none_or(|version| version == CRM_TO_AEP_VERSION);
    if is_known { Ok(()) } else { Err(invalid_spec()) }
}

/// The id in a list that must have exactly one.
fn only_id<'a>(fields: &'a Map<String, Value>, list: &str, settings: &Settings) -> Result<&'a str, Problem> {
    let ids = match fields.get(list) {
        None | Some(Value::Null) => {
            let detail =
                format!("The {list} cannot be null or empty. Please provide valid {list} and try again.");
            return Err(source_error(settings, 1320, detail));
        }
        Some(ids) => ids.as_array().ok_or_else(|| from_provider(&format!("{list} must be an array")))?,
    };
    let [id] = ids.as_slice() else {
        let size = ids.len();
        let detail = format!(
            "The length of {list} should be one, supplied size is {size}. \
             Please provide valid size and try again."
        );
        return Err(source_error(settings, 1321, detail));
    };
    id.as_str().filter(|id| !id.is_empty()).ok_or_else(|| {
        let detail = format!(
            "The {list} connection ID can't be null in flowRequest. \
             Please provide valid {list} connection ID in flowRequest."
        );
        source_error(settings, 1338, detail)
    })
}
