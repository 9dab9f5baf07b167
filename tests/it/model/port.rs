//! The Flow Service, each of whose steps can fail.

use std::{sync::Arc, time::Duration};

use hubspot_connection_service::{
    domain::{
        Column, Connection, ConnectionChanges, ConnectionId, ConnectionRef, ConnectionState,
        CreatedConnection, Etag, NewConnection, Progress, SandboxName, StoredCredentials, Table, TablePath,
    },
    emulator::store as emulator,
    flow_service::{
        CallError, ConnectionPage, CreateError, FlowService, ListQuery, PageToken, Problem, Refusal,
    },
};
use tokio::time::{Instant, sleep};

use super::world::{Fault, Process, StepKind, World, tenant};

/// The Flow Service as a replica sees it.
pub(super) struct Port(pub(super) Process);

impl FlowService for Port {
    type Pass = ();

    async fn pass(&self, _: Instant) -> Result<(), CreateError> {
        match self.0.step(StepKind::Pass).await {
            Some(_) => Err(CreateError::Unreachable("no token".into())),
            None => Ok(()),
        }
    }

    fn retry_in(&self, attempt: u32, _: Option<Duration>, _: Instant) -> Option<Duration> {
        (attempt < 2).then_some(Duration::from_millis(300))
    }

    async fn create_connection(
        &self,
        (): &(),
        connection: &NewConnection,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Result<CreatedConnection, CreateError> {
        let Self(process) = self;
        let request_id = progress.request_id();
        let lost = || CreateError::OutcomeUnknown { problem: None, cause: "lost".into() };
        let fault = process.step(StepKind::Create).await;
        assert!(Instant::now() < send_by);
        // The way there and back.
        sleep(Duration::from_millis(50)).await;
        match fault {
            Some(Fault::NotSent) => Err(CreateError::Unreachable("refused".into())),
            Some(Fault::Throttled) => Err(CreateError::Throttled { retry_after: None, problem: None }),
            Some(Fault::TokenRefused) => Err(CreateError::TokenRefused { problem: Problem::default() }),
            Some(Fault::LostBeforeCommit) => Err(lost()),
            Some(Fault::LateCommit(seconds)) => {
                let (world, connection) = (Arc::clone(&process.world), connection.clone());
                tokio::spawn(async move {
                    sleep(Duration::from_secs(seconds)).await;
                    world.commit(&connection, request_id);
                });
                Err(lost())
            }
            Some(Fault::LostSlowly(seconds)) => {
                process.world.commit(connection, request_id);
                sleep(Duration::from_secs(seconds)).await;
                Err(lost())
            }
            Some(Fault::SlowAnswer(milliseconds)) => {
                let created = process.world.commit(connection, request_id);
                sleep(Duration::from_millis(milliseconds)).await;
                Ok(created)
            }
            Some(Fault::LostAfterCommit) => {
                process.world.commit(connection, request_id);
                Err(lost())
            }
            Some(Fault::DeathAfter) => {
                process.world.commit(connection, request_id);
                process.die().await;
                Err(lost())
            }
            _ => {
                let created = process.world.commit(connection, request_id);
                sleep(Duration::from_millis(50)).await;
                Ok(created)
            }
        }
    }

    async fn list_connections(
        &self,
        query: &ListQuery<'_>,
        page: Option<&PageToken>,
        _: Instant,
    ) -> Result<ConnectionPage, CallError> {
        assert!(page.is_none(), "there is one page");
        let Self(process) = self;
        self.read(StepKind::List).await?;
        let ledger = process.world.ledger.lock().unwrap();
        let (tenant, lag) = (tenant(query.sandbox), process.world.index_lag);
        let all = ledger.list(&tenant, &emulator::Query::default(), None, 100, lag);
        Ok(ConnectionPage {
            connections: all.connections.into_iter().map(seen).collect(),
            unreadable: Vec::new(),
            next: None,
            server_time_ms: i64::try_from(ledger.now_ms()).unwrap(),
        })
    }

    async fn get_connection(&self, at: &ConnectionRef, _: Instant) -> Result<Option<Connection>, CallError> {
        self.read(StepKind::Get).await?;
        let World { ledger, index_lag, .. } = &*self.0.world;
        let ledger = ledger.lock().unwrap();
        let connection = ledger.get(&tenant(&at.sandbox), at.id.as_str());
        let lag_ms = u64::try_from(index_lag.as_millis()).unwrap();
        // Nothing is promised about when a connection can be read by its ID either.
        Ok(connection.filter(|made| ledger.now_ms() >= made.created_at_ms + lag_ms).map(seen))
    }

    async fn test_connection(&self, at: &ConnectionRef, _: Instant) -> Result<bool, CallError> {
        self.read(StepKind::Test).await?;
        let ledger = self.0.world.ledger.lock().unwrap();
        match ledger.get(&tenant(&at.sandbox), at.id.as_str()) {
            Some(_) => Ok(self.0.world.works),
            None => Err(not_found()),
        }
    }

    /// Not a step: nothing is decided by it.
    async fn list_tables(&self, _: &ConnectionRef, _: Instant) -> Result<Vec<Table>, CallError> {
        let name = || "Hubspot.Contacts".to_owned();
        Ok(vec![Table { name: name(), path: name(), can_preview: true, can_fetch_schema: true }])
    }

    async fn delete_connection(&self, at: &ConnectionRef, _: Instant) -> Result<(), CallError> {
        let Self(process) = self;
        let fault = process.step(StepKind::Delete).await;
        let remove = || process.world.ledger.lock().unwrap().remove(&tenant(&at.sandbox), at.id.as_str());
        let lost = || Err(CallError::Unavailable { retry_after: None, problem: None, cause: "lost".into() });
        match fault {
            Some(Fault::NotSent) => Err(CallError::Unreachable("refused".into())),
            Some(Fault::LostBeforeCommit) => lost(),
            Some(Fault::LostAfterCommit) => {
                remove();
                lost()
            }
            Some(Fault::DeathAfter) => {
                remove();
                process.die().await;
                lost()
            }
            _ => remove().map(drop).ok_or_else(not_found),
        }
    }

    async fn count_connections(&self, _: &SandboxName, _: Instant) -> Result<u64, CallError> {
        unreachable!("{NO_PART}")
    }

    async fn update_connection(
        &self,
        _: &SandboxName,
        _: &Connection,
        _: &ConnectionChanges,
        _: Instant,
    ) -> Result<Etag, CallError> {
        unreachable!("{NO_PART}")
    }

    async fn list_columns(
        &self,
        _: &ConnectionRef,
        _: &TablePath,
        _: Instant,
    ) -> Result<Vec<Column>, CallError> {
        unreachable!("{NO_PART}")
    }

    async fn spec_drift(&self, _: &SandboxName, _: Instant) -> Result<Vec<String>, CallError> {
        unreachable!("{NO_PART}")
    }
}

const NO_PART: &str = "no part of a creation";

impl Port {
    async fn read(&self, kind: StepKind) -> Result<(), CallError> {
        let Self(process) = self;
        match process.step(kind).await {
            Some(Fault::ReadFails) => {
                return Err(CallError::Unavailable {
                    retry_after: None,
                    problem: None,
                    cause: "down".into(),
                });
            }
            Some(Fault::DeathAfter) => process.die().await,
            _ => {}
        }
        Ok(())
    }
}

fn not_found() -> CallError {
    CallError::Refused { refusal: Refusal::NotFound, problem: Problem::default() }
}

/// A connection as the Flow Service tells of it.
fn seen(connection: &emulator::Connection) -> Connection {
    Connection {
        id: ConnectionId::parse(&connection.id).unwrap(),
        etag: Etag::parse(&connection.etag).unwrap(),
        name: connection.content.name.clone(),
        description: None,
        state: ConnectionState::parse(&connection.state),
        credentials: StoredCredentials { client_id: Some("x".to_owned()), ..StoredCredentials::default() },
        created_at_ms: i64::try_from(connection.created_at_ms).unwrap(),
        updated_at_ms: None,
        created_client: Some("demo-client".to_owned()),
    }
}
