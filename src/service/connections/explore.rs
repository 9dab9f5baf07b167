//! The use cases: the tables that a connection can read, and their columns.

use tokio::time::Instant;

use crate::service::{ConnectionError, Service};
use crate::{
    adobe::{FlowService, Refusal},
    domain::{CallProgress, Column, ConnectionRef, Stage, Table, TablePath},
};

impl<F: FlowService> Service<F> {
    /// Lists the tables that a connection can read.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub async fn list_hubspot_tables(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Vec<Table>, ConnectionError> {
        call.enter(Stage::Read);
        self.prove(at, deadline).await?;
        let tables = self.flow_service.list_tables(at, deadline).await;
        tables.map_err(ConnectionError::about_connection)
    }

    /// Lists the columns of a table.
    ///
    /// How the Flow Service refuses a table that does not exist is not documented, and may look like a
    /// missing entitlement: if it refuses, the list of tables decides.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub async fn get_hubspot_table(
        &self,
        at: &ConnectionRef,
        table: &TablePath,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Vec<Column>, ConnectionError> {
        call.enter(Stage::Read);
        self.prove(at, deadline).await?;
        let flow_service = &*self.flow_service;
        let error = match flow_service.list_columns(at, table, deadline).await {
            Ok(columns) => return Ok(columns),
            Err(error) => error,
        };
        let may_be_missing = match error.refusal() {
            Some(Refusal::NotFound | Refusal::Request | Refusal::Source | Refusal::Permission) => true,
            Some(_) | None => false,
        };
        if !may_be_missing {
            return Err(ConnectionError::about_connection(error));
        }
        let tables = flow_service.list_tables(at, deadline).await;
        let tables = tables.map_err(ConnectionError::about_connection)?;
        if tables.iter().any(|known| known.path == table.as_str()) {
            return Err(ConnectionError::Call(error));
        }
        Err(ConnectionError::TableNotFound)
    }
}
