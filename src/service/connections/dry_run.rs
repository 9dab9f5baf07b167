//! The use case: check everything that a creation or an update needs, and change nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use super::{
    checks::{Checks, SANDBOX_READ, TOKEN_ACCEPTED},
    introspection,
    update::UpdateHubSpotConnection,
};
use crate::{
    adobe::{AskedService, CallError, FlowService, ListQuery, Refusal},
    domain::{
        CallProgress, Check, CheckName, Connection, ConnectionState, Etag, HubSpotCredentials, NewConnection,
        SandboxName, Stage,
    },
    service::{
        Service,
        finding::{finding, is_of_token, respond_by},
    },
};

/// How long the connection specification that was read last is used.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// The same if it differs from what this service sends, so that dry runs notice a correction soon.
const FRESH_DRIFT: Duration = Duration::from_secs(60);

/// The concurrency limit is reached.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("too many calls are in progress")]
pub struct TooManyCalls;

/// Adobe's connection specification for HubSpot, as it was last read. It is the same for every organization
/// and sandbox.
#[derive(Debug, Default)]
pub(crate) struct Spec {
    last: Mutex<Option<(Instant, Arc<[String]>)>>,
    has_drifted: Arc<AtomicBool>,
}

impl Spec {
    async fn drift<F: FlowService>(
        &self,
        flow_service: &F,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> Result<Arc<[String]>, CallError> {
        // Another dry run may be reading it.
        let Ok(mut last) = timeout_at(deadline, self.last.lock()).await else {
            return Err(CallError::TooLate);
        };
        if let Some((read, drift)) = &*last
            && read.elapsed() < if drift.is_empty() { FRESH } else { FRESH_DRIFT }
        {
            return Ok(Arc::clone(drift));
        }
        let drift: Arc<[String]> = flow_service.spec_drift(sandbox, deadline).await?.into();
        if !drift.is_empty() {
            tracing::error!(
                ?drift,
                "Adobe's connection specification for HubSpot is not what this service sends: creations may \
                 be refused until the service is changed"
            );
        }
        self.has_drifted.store(!drift.is_empty(), Ordering::Relaxed);
        *last = Some((Instant::now(), Arc::clone(&drift)));
        Ok(drift)
    }
}

impl<F: FlowService> Service<F> {
    /// Checks what a creation needs beyond a valid request: the access token, the sandbox, the permission to look into
    /// it, that Adobe still takes what this service sends, and what HubSpot says about the credentials, if it may be
    /// asked.
    ///
    /// # Errors
    /// [`TooManyCalls`]. Whatever is found is a check.
    pub async fn dry_run(
        &self,
        connection: &NewConnection,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Vec<Check>, TooManyCalls> {
        call.enter(Stage::Read);
        let Some(_permit) = self.limits.call() else {
            self.creations.engine.metrics.shed.inc();
            return Err(TooManyCalls);
        };
        let deadline = respond_by(deadline);
        let NewConnection { sandbox, credentials, .. } = connection;
        let at_adobe = async {
            let checks = Checks::of(CheckName::OF_CREATION);
            let query = ListQuery { limit: 1, ..ListQuery::all(sandbox) };
            match self.flow_service.list_connections(&query, None, deadline).await {
                Ok(_) => self.check_spec(checks, sandbox, Some(credentials), deadline).await,
                Err(error) => stopped(checks, error, CheckName::Sandbox, Some(credentials)),
            }
        };
        let (checks, of_hubspot) = tokio::join!(at_adobe, self.ask_hubspot(Some(credentials), deadline));
        Ok([checks, of_hubspot].concat())
    }

    /// Checks what an update needs, in the same way, and the connection itself. HubSpot is asked about new credentials.
    pub async fn dry_run_of_update(
        &self,
        command: &UpdateHubSpotConnection,
        deadline: Instant,
        call: &CallProgress,
    ) -> Vec<Check> {
        call.enter(Stage::Read);
        let deadline = respond_by(deadline);
        let UpdateHubSpotConnection { at, etag, changes } = command;
        let credentials = changes.credentials();
        let at_adobe = async {
            let mut checks = Checks::of(CheckName::OF_UPDATE);
            let found = match self.flow_service.get_connection(at, deadline).await {
                Ok(found) => found,
                Err(CallError::OtherSource) => None,
                Err(error) => return stopped(checks, error, CheckName::Connection, credentials),
            };
            passed_before(&mut checks, CheckName::Connection);
            match obstacle(found.as_ref(), etag.as_ref()) {
                None => checks.passed("the connection is to HubSpot"),
                Some(obstacle) => {
                    checks.failed(obstacle);
                    return checks.skipping_the_rest().checks;
                }
            }
            self.check_spec(checks, &at.sandbox, credentials, deadline).await
        };
        let (checks, of_hubspot) = tokio::join!(at_adobe, self.ask_hubspot(credentials, deadline));
        [checks, of_hubspot].concat()
    }

    /// Makes the last check at Adobe, after what is known to have passed.
    async fn check_spec(
        &self,
        mut checks: Checks,
        sandbox: &SandboxName,
        credentials: Option<&HubSpotCredentials>,
        deadline: Instant,
    ) -> Vec<Check> {
        passed_before(&mut checks, CheckName::ConnectionSpec);
        match self.spec.drift(&*self.flow_service, sandbox, deadline).await {
            Ok(drift) if drift.is_empty() => {
                checks.passed("Adobe takes connections to HubSpot as this service sends them");
            }
            Ok(drift) => checks.failed(format!(
                "Adobe's connection specification for HubSpot is not what this service sends, so that creations may be \
                 refused: {}: an operator has to look for a newer version of this service",
                drift.join("; ")
            )),
            Err(error) => {
                let error = without(credentials, error);
                checks.failed(finding(&error, AskedService::FlowService, "connection specification of HubSpot"));
            }
        }
        checks.skipping_the_rest().checks
    }

    async fn ask_hubspot(&self, credentials: Option<&HubSpotCredentials>, deadline: Instant) -> Vec<Check> {
        let Some((hubspot, credentials)) = self.hubspot.as_ref().zip(credentials) else { return Vec::new() };
        introspection::checks(&hubspot.introspect(credentials, deadline).await)
    }

    /// Whether Adobe's connection specification for HubSpot was not what this service sends, when it
    /// was last read.
    pub fn spec_has_drifted(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.spec.has_drifted)
    }
}

/// The checks before this one have passed.
fn passed_before(checks: &mut Checks, name: CheckName) {
    while let Some(next) = checks.next().filter(|next| *next != name) {
        checks.passed(if next == CheckName::AdobeToken { TOKEN_ACCEPTED } else { SANDBOX_READ });
    }
}

/// The report where the first request to Adobe fails: because of the access token or the sandbox, or in what it was
/// about.
fn stopped(
    mut checks: Checks,
    error: CallError,
    about: CheckName,
    credentials: Option<&HubSpotCredentials>,
) -> Vec<Check> {
    let error = without(credentials, error);
    let failed = match error.refusal() {
        _ if is_of_token(&error) => CheckName::AdobeToken,
        Some(Refusal::SandboxNotFound | Refusal::Permission) => CheckName::Sandbox,
        Some(_) | None => about,
    };
    if error.refusal().is_some() {
        passed_before(&mut checks, failed);
    }
    while checks.next().is_some_and(|next| next != failed) {
        checks.skipped("not checked: the Flow Service cannot be queried at the moment");
    }
    let subject = if failed == CheckName::Connection { "connection" } else { "connections of the sandbox" };
    checks.failed(finding(&error, AskedService::FlowService, subject));
    checks.skipping_the_rest().checks
}

/// Why the connection cannot be changed.
fn obstacle(found: Option<&Connection>, meant_for: Option<&Etag>) -> Option<&'static str> {
    let Some(found) = found else {
        return Some(
            "there is no HubSpot connection of this ID in the sandbox: take the ID from ListHubSpotConnections, and name \
             the sandbox that holds it",
        );
    };
    if meant_for.is_some_and(|etag| !etag.is_same(&found.etag)) {
        return Some(
            "the connection was changed since the etag was read: read it again, and use its current etag or none",
        );
    }
    (found.state == Some(ConnectionState::Deleting))
        .then_some("the connection is being deleted: create another one")
}

/// An error without the credentials: Adobe may repeat those of an earlier request.
fn without(credentials: Option<&HubSpotCredentials>, error: CallError) -> CallError {
    match credentials {
        Some(credentials) => error.redacted(credentials),
        None => error,
    }
}
