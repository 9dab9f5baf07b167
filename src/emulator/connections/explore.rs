//! `GET /connections/{id}/explore`

use http::StatusCode;
use serde_json::Value;

use super::Connection;
use crate::emulator::{
    connection_specs::Table,
    flow_service::{find, from_provider, known_parameters_only, source_error, value},
    problem::Problem,
    reply::Reply,
    routes::Call,
    settings::Settings,
    state::State,
};

/// The documented query parameters. Those about files have no effect, as there are none. The tutorials and the
/// reference differ in their case.
const PARAMETERS: [&str; 6] =
    ["objectType", "object", "FileType", "fileType", "CompressionType", "compressionType"];

/// Lists the tables behind a connection, or the columns of one.
///
/// # Errors
/// 404 in the legacy shape for an unknown connection; 400 for query parameters that are unknown,
/// missing, empty or invalid, and for an unknown table.
pub(super) fn explore(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &PARAMETERS)?;
    let tables = find::<Connection>(call, state)?.content.spec.tables;
    let pairs = call.request.query_pairs();
    // The codes are the provider's own, from the catalogue of the sources; their prefix
    // is not documented.
    let rejected = |code, detail: &str| {
        let detail = format!("{detail} Please provide a valid objectType and try again.");
        Err(source_error(&state.settings, code, detail))
    };
    let object_type = match value(&pairs, "objectType") {
        None => return rejected(1359, "The param objectType is missing in the request."),
        Some("") => return rejected(1334, "The query param : objectType cannot be empty."),
        Some(object_type) => object_type,
    };
    // Documented in capitals, and used in lower case by every tutorial.
    let body = match &*object_type.to_ascii_lowercase() {
        "root" => tables.iter().map(Table::item).collect(),
        "table" => schema(tables, object_type, value(&pairs, "object"), &state.settings)?,
        _ => return rejected(1358, "The provided param 'objectType' is invalid."),
    };
    Ok(Reply::json(StatusCode::OK, &body))
}

fn schema(
    tables: &[Table],
    object_type: &str,
    object: Option<&str>,
    settings: &Settings,
) -> Result<Value, Problem> {
    let Some(object) = object.filter(|object| !object.is_empty()) else {
        return Err(source_error(
            settings,
            1337,
            format!(
                "The object cannot be empty for objectType={object_type}. \
                 Please provide valid object and try again."
            ),
        ));
    };
    let table = tables.iter().find(|table| table.path == object);
    // The error for an unknown table is not documented. The words are those of the provider's 1330-400, which
    // comes nearest.
    let unknown = || {
        from_provider(&format!(
            "No columns were found for table {object}. Please provide a valid table name and try again"
        ))
    };
    table.map(Table::schema).ok_or_else(unknown)
}
