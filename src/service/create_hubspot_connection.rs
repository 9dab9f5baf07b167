//! The creation of a connection.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::Instrument;

use super::Service;
use crate::{
    domain::{CallProgress, CreatedConnection, NewConnection, Progress, RequestId, SandboxName, Stage},
    flow_service::{CreateError, FlowService},
};

/// The command: what a valid request asks for, with everything decided.
#[derive(Clone, Debug)]
pub struct CreateHubSpotConnection {
    /// The connection to create.
    pub connection: NewConnection,
}

/// A creation that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// The name of the creation.
    pub request_id: RequestId,
    /// The connection that it made.
    pub connection: CreatedConnection,
}

/// A creation that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("the creation failed")]
pub struct Error {
    /// The name of the creation.
    pub request_id: RequestId,
    /// The sandbox that the connection was meant for.
    pub sandbox: SandboxName,
    /// Why it did not succeed.
    #[source]
    pub kind: CreateError,
}

impl<F: FlowService> Service<F> {
    /// Creates a connection.
    ///
    /// The creation is a task of its own: where the caller leaves, or its deadline is spent, this
    /// future is dropped, and the request that is under way is still finished.
    ///
    /// # Errors
    /// What [`FlowService::create_connection`] fails with, and the name of the creation.
    pub async fn create_hubspot_connection(
        &self,
        command: CreateHubSpotConnection,
        call: Arc<CallProgress>,
    ) -> Result<Creation, Error> {
        let request_id = RequestId::generate();
        let progress = Arc::new(Progress::new(request_id));
        call.follow(&progress);
        tracing::Span::current().record("request_id", tracing::field::display(request_id));

        let flow_service = Arc::clone(&self.flow_service);
        let CreateHubSpotConnection { connection } = command;
        let sandbox = connection.sandbox.clone();
        let creation = async move { create(&*flow_service, &connection, &progress).await };

        let outcome = match self.creations.spawn(creation.in_current_span()).await {
            Ok(outcome) => outcome,
            // A bug here: the task panicked, and nobody knows how far it had come.
            Err(error) => Err(CreateError::OutcomeUnknown { problem: None, cause: error.into() }),
        };
        match outcome {
            Ok(connection) => Ok(Creation { request_id, connection }),
            Err(kind) => Err(Error { request_id, sandbox, kind }),
        }
    }
}

/// The longest that a creation waits for its pass, and then for its first byte to leave.
const PATIENCE: Duration = Duration::from_secs(30);

async fn create(
    flow_service: &impl FlowService,
    connection: &NewConnection,
    progress: &Arc<Progress>,
) -> Result<CreatedConnection, CreateError> {
    let attempt = async || {
        progress.enter(Stage::AdobeToken);
        let pass = flow_service.pass(Instant::now() + PATIENCE).await?;
        flow_service.create_connection(&pass, connection, Instant::now() + PATIENCE, progress).await
    };
    let mut outcome = attempt().await;
    if let Err(CreateError::TokenRefused { .. }) = outcome {
        outcome = attempt().await;
    }
    outcome
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::{
        domain::{ConnectionId, ConnectionName, Credential, Etag, HubSpotCredentials},
        flow_service::{ConnectionPage, PageToken, ReadError},
    };

    /// Creates nothing before it has a permit.
    #[derive(Clone)]
    struct SlowFlowService {
        permits: Arc<Semaphore>,
        created: Arc<Semaphore>,
    }

    impl SlowFlowService {
        fn new() -> Self {
            Self { permits: Arc::new(Semaphore::new(0)), created: Arc::new(Semaphore::new(0)) }
        }
    }

    impl FlowService for SlowFlowService {
        type Pass = ();

        async fn pass(&self, _: Instant) -> Result<(), CreateError> {
            Ok(())
        }

        async fn create_connection(
            &self,
            (): &(),
            _: &NewConnection,
            _: Instant,
            progress: &Arc<Progress>,
        ) -> Result<CreatedConnection, CreateError> {
            progress.enter(Stage::Create);
            progress.set_may_exist(true);
            self.permits.acquire().await.expect("never closed").forget();
            self.created.add_permits(1);
            Ok(CreatedConnection {
                id: ConnectionId::parse("c-1").unwrap(),
                etag: Etag::parse("\"e-1\"").unwrap(),
            })
        }

        async fn list_connections(
            &self,
            _: &SandboxName,
            _: Option<&PageToken>,
            _: Instant,
        ) -> Result<ConnectionPage, ReadError> {
            unreachable!("nothing is listed")
        }

        fn retry_in(&self, _: u32, _: Option<Duration>, _: Instant) -> Option<Duration> {
            None
        }
    }

    struct BrokenFlowService;

    impl FlowService for BrokenFlowService {
        type Pass = ();

        async fn pass(&self, _: Instant) -> Result<(), CreateError> {
            Ok(())
        }

        async fn create_connection(
            &self,
            (): &(),
            _: &NewConnection,
            _: Instant,
            _: &Arc<Progress>,
        ) -> Result<CreatedConnection, CreateError> {
            panic!("a bug");
        }

        async fn list_connections(
            &self,
            _: &SandboxName,
            _: Option<&PageToken>,
            _: Instant,
        ) -> Result<ConnectionPage, ReadError> {
            unreachable!("nothing is listed")
        }

        fn retry_in(&self, _: u32, _: Option<Duration>, _: Instant) -> Option<Duration> {
            None
        }
    }

    fn command() -> CreateHubSpotConnection {
        let credential = || Credential::parse("x").unwrap();
        CreateHubSpotConnection {
            connection: NewConnection {
                sandbox: SandboxName::parse("prod").unwrap(),
                name: ConnectionName::parse("n").unwrap(),
                description: None,
                credentials: HubSpotCredentials {
                    client_id: credential(),
                    client_secret: credential(),
                    access_token: credential(),
                    refresh_token: credential(),
                },
            },
        }
    }

    #[tokio::test]
    async fn a_creation_is_finished_though_its_caller_has_left() {
        let flow_service = SlowFlowService::new();
        let creations = TaskTracker::new();
        let service = Service::new(flow_service.clone(), creations.clone());
        let call = Arc::new(CallProgress::default());

        let caller = service.create_hubspot_connection(command(), Arc::clone(&call));
        tokio::select! {
            biased;
            _ = caller => unreachable!("it has no permit"),
            () = std::future::ready(()) => {}
        }
        flow_service.permits.add_permits(1);
        creations.close();
        creations.wait().await;
        assert_eq!(flow_service.created.available_permits(), 1);
        assert!(call.creation().unwrap().may_exist());
    }

    #[tokio::test]
    async fn a_panic_leaves_the_outcome_unknown() {
        let service = Service::new(BrokenFlowService, TaskTracker::new());
        let error = service.create_hubspot_connection(command(), Arc::default()).await.unwrap_err();
        assert!(matches!(error.kind, CreateError::OutcomeUnknown { .. }));
    }
}
