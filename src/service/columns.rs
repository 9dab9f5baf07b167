//! Reading the columns of a table, for calls about connections and for creations of dataflows.

use tokio::time::Instant;

use crate::{
    adobe::{CallError, FlowService, Refusal},
    domain::{Column, ConnectionRef, TablePath},
};

/// Why the columns of a table could not be read.
pub(super) enum Unread {
    /// The connection has no such table.
    NoTable,
    /// They are refused of a table that exists.
    Refused(CallError),
    Failed(CallError),
}

/// Lists the columns of a table.
///
/// How the Flow Service refuses a table that does not exist is not documented, and may look like a missing
/// entitlement: if it refuses, the list of tables decides.
///
/// # Errors
/// [`Unread`].
pub(super) async fn columns<F: FlowService>(
    flow_service: &F,
    at: &ConnectionRef,
    table: &TablePath,
    deadline: Instant,
) -> Result<Vec<Column>, Unread> {
    let error = match flow_service.list_columns(at, table, deadline).await {
        Ok(columns) => return Ok(columns),
        Err(error) => error,
    };
    match error.refusal() {
        Some(Refusal::NotFound | Refusal::Request | Refusal::Source | Refusal::Permission) => {}
        Some(_) | None => return Err(Unread::Failed(error)),
    }
    let tables = flow_service.list_tables(at, deadline).await.map_err(Unread::Failed)?;
    let exists = tables.iter().any(|known| known.path == table.as_str());
    Err(if exists { Unread::Refused(error) } else { Unread::NoTable })
}
