//! `PATCH /{NAME}/{id}`: a JSON patch of a version.

use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::{FlowServiceResource, find, json_body, known_parameters_only, no_body};
use crate::emulator::{collection::Record, problem::Problem, reply::Reply, routes::Call, state::State};

/// One change. Adding and replacing are the same, and removing something missing changes nothing. RFC 6902
/// distinguishes these; whether the real service does is not documented.
#[derive(Clone, Copy, Debug)]
pub(in crate::emulator) struct Instruction<'a> {
    pub(in crate::emulator) path: &'a str,
    /// `None` removes.
    pub(in crate::emulator) value: Option<&'a Value>,
}

/// Changes a record: applies all instructions, or none.
///
/// # Errors
/// The Flow Service's, for the first mistake. The order of its checks is not documented.
pub(in crate::emulator) fn patch<R: FlowServiceResource>(
    call: &Call<'_>,
    state: &mut State,
    check_state: impl Fn(&Record<R>) -> Result<(), Problem>,
    apply: impl Fn(&State, &mut R, &[Instruction<'_>]) -> Result<(), Problem>,
) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &[])?;
    let Some(supplied) = call.request.header(header::IF_MATCH) else {
        return Err(Problem::invalid(
            1403,
            "The header 'If-Match' is missing in the request. Please provide the header and try again.",
        ));
    };
    let objects = parse(&call.request.body)?;
    let record = find::<R>(call, state)?;
    check_state(record)?;
    // The quotes are part of the etag. Without them it is another one.
    if supplied != record.etag {
        let current = &record.etag;
        let message =
            format!("Supplied version=[{supplied}] does not match the current version on entity=[{current}]");
        return Err(Problem::Legacy { status: StatusCode::PRECONDITION_FAILED, message });
    }
    let instructions: Vec<_> = objects.iter().map(Instruction::parse).collect::<Result<_, _>>()?;
    let mut content = record.content.clone();
    apply(state, &mut content, &instructions)?;
    let changed = R::collection_mut(state).replace(&call.tenant, call.id, content);
    let etag = changed.map(|record| &record.etag);
    Ok(Reply::json(StatusCode::OK, &json!({"id": call.id, "etag": etag})))
}

/// An array in every example, but a single object in the reference.
fn parse(body: &[u8]) -> Result<Vec<Map<String, Value>>, Problem> {
    let Value::Array(instructions) = json_body(body)? else {
        return Err(Problem::unreadable("The request body must be a JSON array"));
    };
    if instructions.is_empty() {
        return Err(no_body());
    }
    let parse = |instruction| {
        let Value::Object(instruction) = instruction else {
            return Err(rejected_instruction("An instruction must be an object"));
        };
        Ok(instruction)
    };
    instructions.into_iter().map(parse).collect()
}

impl<'a> Instruction<'a> {
    fn parse(instruction: &'a Map<String, Value>) -> Result<Self, Problem> {
        let missing = |field: &str| rejected_instruction(&format!("Missing field \"{field}\""));
        let text = |field: &str| match instruction.get(field) {
            None => Err(missing(field)),
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(rejected_instruction(&format!("Field \"{field}\" must be a string"))),
        };
        let op = text("op")?;
        let path = text("path")?;
        // Documented in capitals, and in lower case in every example.
        let value = match &*op.to_ascii_lowercase() {
            "add" | "replace" => Some(instruction.get("value").ok_or_else(|| missing("value"))?),
            // The reference requires a value here as well, the examples have none: it is ignored.
            "remove" => None,
            _ => {
                return Err(Problem::invalid(
                    1434,
                    format!(
                        "Unsupported operation '{op}' received. \
                         Please use one of the supported operation types and try again."
                    ),
                ));
            }
        };
        Ok(Self { path, value })
    }
}

pub(in crate::emulator) fn rejected_instruction(reason: &str) -> Problem {
    Problem::invalid(1455, format!("An error has occurred while validating patch instructions: {reason}."))
}
