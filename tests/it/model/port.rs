//! The Flow Service, with faults at each step.

use std::{sync::Arc, time::Duration};

use hubspot_connection_service::{
    adobe::{
        CallError, ConnectionPage, FlowService, ListQuery, ListedConnection, PageToken, Problem, Refusal,
    },
    domain::{
        Column, Connection, ConnectionChanges, ConnectionId, ConnectionRef, ConnectionState,
        CreatedConnection, Etag, NewConnection, Progress, RequestId, SandboxName, StoredCredentials, Table,
        TablePath, reference::stored_description,
    },
};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    dataflows::columns,
    faults::{Fault, StepKind},
    ledger::{Content, Made},
    listing::Shown,
    world::Process,
};

/// The Flow Service from the point of view of a replica.
pub(super) struct Port(pub(super) Process);

const BACKOFF: Duration = Duration::from_millis(300);

impl FlowService for Port {
    type Permit = ();

    async fn permit(&self, deadline: Instant) -> Result<(), CallError> {
        match self.0.step(StepKind::Pass).await {
            Some(Fault::SlowPass(milliseconds)) => {
                let until = Instant::now() + Duration::from_millis(milliseconds);
                sleep_until(until.min(deadline)).await;
                if until < deadline { Ok(()) } else { Err(CallError::TooLate) }
            }
            Some(_) => Err(CallError::Unreachable("no token".into())),
            None => Ok(()),
        }
    }

    fn retry_in(&self, attempt: u32, _: Option<Duration>, deadline: Instant) -> Option<Duration> {
        (attempt < 2 && Instant::now() + BACKOFF < deadline).then_some(BACKOFF)
    }

    async fn create_connection(
        &self,
        (): &(),
        connection: &NewConnection,
        reference: Option<RequestId>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Result<CreatedConnection, CallError> {
        let Self(process) = self;
        let request_id = progress.request_id();
        let lost = || CallError::Unavailable { retry_after: None, problem: None, cause: "lost".into() };
        let fault = process.step(StepKind::Create).await;
        assert!(Instant::now() < send_by, "it is sent too late");
        let (world, sent, content) =
            (Arc::clone(&process.world), process.world.moment(), stored(connection, reference));
        let commit = move || created(&world.commit(content, request_id, sent));
        // The time in transit, there and back.
        sleep(Duration::from_millis(50)).await;
        match fault {
            Some(Fault::NotSent) => Err(CallError::Unreachable("refused".into())),
            Some(Fault::Throttled) => Err(CallError::Throttled { retry_after: None, problem: None }),
            Some(Fault::TokenRefused) => Err(CallError::TokenRefused { problem: Problem::default() }),
            Some(Fault::LostBeforeCommit) => Err(lost()),
            Some(Fault::LateCommit(seconds)) => {
                tokio::spawn(async move {
                    sleep(Duration::from_secs(seconds)).await;
                    commit();
                });
                Err(lost())
            }
            Some(Fault::LostSlowly(seconds)) => {
                commit();
                sleep(Duration::from_secs(seconds)).await;
                Err(lost())
            }
            Some(Fault::LostLate(seconds)) => {
                // It arrives whether or not a caller still waits for it.
                let arrival = tokio::spawn(async move {
                    sleep(Duration::from_secs(seconds)).await;
                    commit();
                });
                let _ = arrival.await;
                Err(lost())
            }
            Some(Fault::SlowReply(milliseconds)) => {
                let created = commit();
                sleep(Duration::from_millis(milliseconds)).await;
                Ok(created)
            }
            Some(Fault::LostAfterCommit) => {
                commit();
                Err(lost())
            }
            Some(Fault::DeathAfter) => {
                commit();
                process.die().await;
                Err(lost())
            }
            _ => {
                let created = commit();
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
        let Self(process) = self;
        self.read(StepKind::List).await?;
        let (shown, next) =
            process.world.list(query.sandbox.as_str(), page.map(|PageToken(token)| token.as_str()));
        Ok(ConnectionPage { items: shown.iter().map(listed).collect(), next: next.map(PageToken) })
    }

    async fn get_connection(&self, at: &ConnectionRef, _: Instant) -> Result<Option<Connection>, CallError> {
        if self.read(StepKind::Get).await? == Presence::Denied {
            return Ok(None);
        }
        match self.0.world.get(at.sandbox.as_str(), at.id.as_str()) {
            None => Ok(None),
            Some(shown) => match listed(&shown).readable() {
                Some(connection) => Ok(Some(connection)),
                None => Err(CallError::Undecodable("too few fields are shown".into())),
            },
        }
    }

    async fn test_connection(&self, at: &ConnectionRef, _: Instant) -> Result<bool, CallError> {
        let presence = self.read(StepKind::Test).await?;
        if presence == Presence::Reported && self.0.world.has(at.sandbox.as_str(), at.id.as_str()) {
            Ok(self.0.world.setting.works)
        } else {
            Err(not_found())
        }
    }

    /// Not a step: no decision depends on it.
    async fn list_tables(&self, _: &ConnectionRef, _: Instant) -> Result<Vec<Table>, CallError> {
        let name = || "Hubspot.Contacts".to_owned();
        Ok(vec![Table { name: name(), path: name(), can_preview: true, can_fetch_schema: true }])
    }

    async fn delete_connection(&self, at: &ConnectionRef, _: Instant) -> Result<(), CallError> {
        let Self(process) = self;
        let fault = process.step(StepKind::Delete).await;
        let remove = || process.world.delete(at.sandbox.as_str(), at.id.as_str());
        let lost = || Err(CallError::Unavailable { retry_after: None, problem: None, cause: "lost".into() });
        match fault {
            Some(Fault::NotSent) => Err(CallError::Unreachable("refused".into())),
            Some(Fault::LostBeforeCommit) => lost(),
            Some(Fault::NotFound) => Err(not_found()),
            Some(Fault::LostAfterCommit) => {
                remove();
                lost()
            }
            Some(Fault::DeathAfter) => {
                remove();
                process.die().await;
                lost()
            }
            _ => remove().ok_or_else(not_found),
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
        self.reads("columns").await?;
        Ok(columns())
    }

    async fn spec_drift(&self, _: &SandboxName, _: Instant) -> Result<Vec<String>, CallError> {
        unreachable!("{NO_PART}")
    }
}

const NO_PART: &str = "no part of a creation";

/// Whether a connection is reported.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Reported,
    Denied,
}

impl Port {
    async fn read(&self, kind: StepKind) -> Result<Presence, CallError> {
        let Self(process) = self;
        match process.step(kind).await {
            Some(Fault::ReadFails) => {
                return Err(CallError::Unavailable {
                    retry_after: None,
                    problem: None,
                    cause: "down".into(),
                });
            }
            Some(Fault::NotFound) => return Ok(Presence::Denied),
            Some(Fault::DeathAfter) => process.die().await,
            _ => {}
        }
        Ok(Presence::Reported)
    }
}

fn not_found() -> CallError {
    CallError::Refused { refusal: Refusal::NotFound, problem: Problem::default() }
}

/// The stored form of a connection that is sent.
fn stored(connection: &NewConnection, reference: Option<RequestId>) -> Content {
    Content {
        sandbox: connection.sandbox.as_str().to_owned(),
        name: connection.name.as_str().to_owned(),
        description: stored_description(connection.description.as_ref(), reference),
        client_id: connection.credentials.client_id.expose_secret().to_owned(),
    }
}

fn created(made: &Made) -> CreatedConnection {
    CreatedConnection { id: ConnectionId::parse(&made.id).unwrap(), etag: Etag::parse(&made.etag).unwrap() }
}

/// A connection as the service reads it.
fn listed(shown: &Shown) -> ListedConnection {
    ListedConnection {
        id: ConnectionId::parse(&shown.id).ok(),
        etag: shown.etag.as_deref().and_then(|etag| Etag::parse(etag).ok()),
        name: shown.name.clone(),
        description: shown.description.clone(),
        state: ConnectionState::parse(&shown.state),
        credentials: StoredCredentials { client_id: shown.client_id.clone(), ..StoredCredentials::default() },
        created_at_ms: shown.created_at_ms,
        updated_at_ms: None,
        created_client: Some(shown.created_client.clone()),
        is_of_another_source: false,
    }
}
