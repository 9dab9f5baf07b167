//! Creating a connection, as an operation of the exactly-once engine. Nothing has to be prepared for it, but HubSpot may
//! be asked first.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::{
    create::{Created, Error, Failure, Observer, UnreportedOutcome},
    introspection,
    outcome::{Outcome, Verdict},
    read::read_pages,
    recent::RecentConnections,
    verification::VerificationError,
};
use crate::{
    adobe::{CallError, FlowService, ListQuery, ListedConnection},
    domain::{
        CheckState, Connection, ConnectionId, ConnectionRef, CreatedConnection, Description, Identity,
        NewConnection, Progress, RequestId, SandboxName, Stage, Verification,
        reference::{fold, split},
    },
    exactly_once::{
        Kind,
        creation::{Creation, Finished},
        operation::{Earlier, Item, Operation, Unprepared},
        recognition::{Match, Reference},
        scope::Scope,
        store::Origin,
    },
    hubspot::HubSpot,
};

/// More pages than the connections of any sandbox fill.
const MOST_PAGES: usize = 100;

/// The creation of one connection.
pub(crate) struct CreateConnection<F> {
    pub(super) flow_service: Arc<F>,
    pub(super) connection: NewConnection,
    pub(super) verification: Verification,
    /// Asked before a creation whose connection has to work.
    pub(super) hubspot: Option<Arc<HubSpot>>,
    pub(super) recent: RecentConnections,
    /// Who began it, where callers are checked.
    pub(super) caller: Option<Identity>,
    pub(super) observer: Observer,
}

impl<F> CreateConnection<F> {
    fn outcome(&self, connection: CreatedConnection, origin: Origin) -> Outcome {
        let verdict = match self.verification {
            Verification::Report | Verification::Require => Some(Verdict::Pending),
            Verification::None => None,
        };
        Outcome::new(connection, origin, verdict)
    }

    /// The fields that a retry has to repeat. The access token is none: HubSpot's live for 30 minutes, and
    /// request ids for a day.
    fn fields(&self) -> [(&'static str, &str); 7] {
        let NewConnection { sandbox, name, credentials, .. } = &self.connection;
        [
            ("sandbox_name", sandbox.as_str()),
            ("name", name.as_str()),
            ("description", self.description_text()),
            ("credentials.client_id", credentials.client_id.expose_secret()),
            ("credentials.client_secret", credentials.client_secret.expose_secret()),
            ("credentials.refresh_token", credentials.refresh_token.expose_secret()),
            (
                "verification",
                match self.verification {
                    Verification::None => "none",
                    Verification::Report => "report",
                    Verification::Require => "require",
                },
            ),
        ]
    }

    /// Whether HubSpot is asked about the credentials.
    fn is_asked_about(&self, earlier: Earlier<'_>, was_sent: bool) -> bool {
        self.verification == Verification::Require && earlier == Earlier::Unknown && !was_sent
    }

    fn description_text(&self) -> &str {
        self.connection.description.as_ref().map_or("", Description::as_str)
    }
}

impl<F: FlowService> Operation for CreateConnection<F> {
    const KIND: Kind = Kind::Connection;
    const IS_RECOGNIZED_BY_CONTEXT: bool = false;

    fn connection_id(id: &ConnectionId) -> Option<&str> {
        Some(id.as_str())
    }

    type Id = ConnectionId;
    type Item = ListedConnection;
    type Permission = F::Permit;
    type Outcome = Outcome;
    type Created = Created;
    type Error = VerificationError;

    fn sandbox(&self) -> &SandboxName {
        &self.connection.sandbox
    }

    fn content(&self) -> impl Iterator<Item = (&'static str, &str)> + Clone {
        self.fields().into_iter()
    }

    fn description(&self) -> Option<&Description> {
        self.connection.description.as_ref()
    }

    /// Asks HubSpot, and only if this call has sent nothing: what was sent may have created a connection, which no later
    /// refusal of HubSpot undoes.
    async fn prepare(
        &self,
        scope: &Scope,
        earlier: Earlier<'_>,
    ) -> Result<ControlFlow<ListedConnection, String>, Unprepared<VerificationError>> {
        if let Some(hubspot) =
            self.hubspot.as_ref().filter(|_| self.is_asked_about(earlier, scope.was_sent()))
        {
            scope.enter(Stage::Verify);
            // The other half of a short deadline is for Adobe. In a box, so that only such creations take the memory.
            let now = Instant::now();
            let deadline = now + scope.deadline().saturating_duration_since(now) / 2;
            let asked = Box::pin(hubspot.introspect(&self.connection.credentials, deadline)).await;
            let checks = introspection::checks(&asked);
            if checks.iter().any(|check| check.state == CheckState::Failed) {
                return Err(Unprepared { error: VerificationError::Refused(checks), undo: None });
            }
        }
        Ok(ControlFlow::Continue(String::new()))
    }

    async fn permission(&self, deadline: Instant) -> Result<F::Permit, CallError> {
        self.flow_service.permit(deadline).await
    }

    async fn send(
        &self,
        permission: &F::Permit,
        _: &str,
        reference: Option<RequestId>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Result<Outcome, CallError> {
        let Self { flow_service, connection, .. } = self;
        let created =
            flow_service.create_connection(permission, connection, reference, send_by, progress).await?;
        Ok(self.outcome(created, Origin::Reply))
    }

    fn retry_in(&self, attempt: u32, asked: Option<Duration>, deadline: Instant) -> Option<Duration> {
        self.flow_service.retry_in(attempt, asked, deadline)
    }

    async fn list(
        &self,
        _: RequestId,
        _: Option<&str>,
        items: &mut Vec<ListedConnection>,
        is_enough: impl Fn(&[ListedConnection]) -> bool + Send + Sync,
        deadline: Instant,
    ) -> Result<(), CallError> {
        let query = ListQuery::all(&self.connection.sandbox);
        let take = |page| {
            items.extend(page);
            is_enough(items)
        };
        read_pages(&*self.flow_service, &query, MOST_PAGES, deadline, take).await
    }

    async fn read(
        &self,
        id: &ConnectionId,
        deadline: Instant,
    ) -> Result<Option<ListedConnection>, CallError> {
        let at = ConnectionRef { sandbox: self.connection.sandbox.clone(), id: id.clone() };
        Ok(self.flow_service.get_connection(&at, deadline).await?.map(listed))
    }

    fn recognize(&self, item: &ListedConnection, reference: &Reference, _: &str) -> Match {
        reference.recognize(item.description.as_deref(), item.created_client.as_deref())
    }

    fn resembles(&self, item: &ListedConnection) -> bool {
        let is_same_name = |name: &str| fold(name) == fold(self.connection.name.as_str());
        item.name.as_deref().is_none_or(is_same_name)
    }

    fn differences(&self, item: &ListedConnection) -> Vec<String> {
        let (description, _) = split(item.description.as_deref().unwrap_or_default());
        let shown = [
            ("name", item.name.as_deref().unwrap_or_default(), self.connection.name.as_str()),
            ("description", description.as_deref().unwrap_or_default(), self.description_text()),
        ];
        let differ = shown.iter().filter(|(_, shown, asked)| fold(shown) != fold(asked));
        differ.map(|(field, ..)| (*field).to_owned()).collect()
    }

    fn found(&self, item: &ListedConnection, _: &str, origin: Origin) -> Option<Outcome> {
        let connection = CreatedConnection { id: item.id.clone()?, etag: item.etag.clone()? };
        Some(self.outcome(connection, origin))
    }

    fn is_complete(&self, outcome: &Outcome) -> bool {
        match outcome.verdict {
            Some(Verdict::Pending) => false,
            // It is deleted again.
            Some(Verdict::Failed(_)) => self.verification != Verification::Require,
            Some(Verdict::Passed(_) | Verdict::Deleted(_)) | None => true,
        }
    }

    fn redacted(&self, error: &CallError) -> CallError {
        error.redacted(&self.connection.credentials)
    }

    async fn complete(creation: &Creation<Self>, finished: Finished<Outcome>) -> Result<Created, Failure> {
        creation.verified(finished).await
    }

    fn report_abandoned(&self, outcome: Result<&Created, Error>, may_exist: bool) {
        let unreported = match &outcome {
            Ok(created) => UnreportedOutcome::Created { sandbox: self.sandbox(), created },
            Err(error) => UnreportedOutcome::Failed { error, may_exist },
        };
        (self.observer)(self.caller.as_ref(), &unreported);
    }
}

/// A connection that was read by its ID, as a list would show it.
fn listed(connection: Connection) -> ListedConnection {
    ListedConnection {
        id: Some(connection.id),
        etag: Some(connection.etag),
        name: Some(connection.name),
        description: connection.description,
        state: connection.state,
        credentials: connection.credentials,
        created_at_ms: Some(connection.created_at_ms),
        updated_at_ms: connection.updated_at_ms,
        created_client: connection.created_client,
        is_of_another_source: false,
    }
}

impl Item for ListedConnection {
    type Id = ConnectionId;

    fn id(&self) -> Option<&ConnectionId> {
        self.id.as_ref()
    }

    fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    fn created_at_ms(&self) -> Option<i64> {
        self.created_at_ms
    }

    fn updated_at_ms(&self) -> Option<i64> {
        self.updated_at_ms
    }

    fn is_of_another_kind(&self) -> bool {
        self.is_of_another_source
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Credential, HubSpotCredentials, ResourceName},
        exactly_once::{Comparison, FingerprintKeys},
    };

    fn operation(fields: [&str; 7], verification: Verification) -> CreateConnection<()> {
        let [sandbox, name, description, client_id, client_secret, refresh_token, access_token] = fields;
        let credential = |value| Credential::parse(value).unwrap();
        CreateConnection {
            flow_service: Arc::new(()),
            connection: NewConnection {
                sandbox: SandboxName::parse(sandbox).unwrap(),
                name: ResourceName::parse(name).unwrap(),
                description: Description::parse(description).unwrap(),
                credentials: HubSpotCredentials {
                    client_id: credential(client_id),
                    client_secret: credential(client_secret),
                    access_token: credential(access_token),
                    refresh_token: credential(refresh_token),
                },
            },
            verification,
            hubspot: None,
            recent: RecentConnections::default(),
            caller: None,
            observer: |_, _| {},
        }
    }

    const FIELDS: [&str; 7] = ["prod", "n", "d", "id", "secret", "refresh", "access"];

    #[test]
    fn the_fields_that_differ_are_named_and_the_access_token_is_none() {
        let keys = FingerprintKeys::new(&[1; 32], None);
        let of = |fields, verification| keys.fingerprints(operation(fields, verification).fields());
        let stored = of(FIELDS, Verification::None).current;
        let differs = |name: &str| Comparison::Differs(vec![name.to_owned()]);
        let names = operation(FIELDS, Verification::None).fields().map(|(name, _)| name);
        for (place, name) in names[..6].iter().enumerate() {
            let mut changed = FIELDS;
            changed[place] = "other";
            assert_eq!(of(changed, Verification::None).compare(&stored), differs(name));
        }
        let refreshed = ["prod", "n", "d", "id", "secret", "refresh", "another"];
        assert_eq!(of(refreshed, Verification::None).compare(&stored), Comparison::Same);
        assert_eq!(of(FIELDS, Verification::Require).compare(&stored), differs("verification"));
    }

    #[test]
    fn hubspot_is_asked_only_before_anything_was_sent() {
        let required = operation(FIELDS, Verification::Require);
        assert!(required.is_asked_about(Earlier::Unknown, false));
        // The store had no record when it was claimed again, after a sending that created nothing.
        assert!(!required.is_asked_about(Earlier::Unknown, true));
        assert!(!required.is_asked_about(Earlier::Prepared(""), false));
        assert!(!operation(FIELDS, Verification::Report).is_asked_about(Earlier::Unknown, false));
    }
}
