//! The port to the Flow Service: what the service needs of it, in the service's own words.
//!
//! [`HttpFlowService`] is the one implementation. Its errors say what a failure *means* for the call,
//! which is decided in one place, `classify`.

pub(crate) mod answer;
pub(crate) mod client;
pub(crate) mod flow_service;
pub(crate) mod identity;
pub(crate) mod resilience;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

pub use crate::adobe::{
    answer::{advice::Advice, presentable::redacted},
    flow_service::{
        HttpFlowService, Identity, Pass, Timeouts, UpstreamState,
        list::{ConnectionPage, ListQuery, ListedConnection, PageToken, PageTrail},
    },
    identity::{
        ims::{Ims, ReadyToken},
        token::{AccessToken, IssueToken, IssuedToken, TokenError, TokenErrorKind, TokenSource},
    },
};
use crate::domain::{
    Column, Connection, ConnectionChanges, ConnectionRef, CreatedConnection, Etag, NewConnection, Progress,
    RequestId, SandboxName, Table, TablePath,
};
use crate::{
    error::Cause,
    http_client::{HttpClientConfig, HttpVersion},
    secret::Secret,
};

/// How this service authenticates to Adobe.
#[derive(Clone, Debug)]
pub struct AdobeConfig {
    /// The organization, sent as `x-gw-ims-org-id`.
    pub org_id: String,
    /// The client ID of the service's own credential, sent as `x-api-key`.
    pub client_id: String,
    /// Where its access tokens come from.
    pub credential: AdobeCredential,
    /// The IMS scopes.
    pub scopes: Vec<String>,
}

/// Where the service's access tokens come from.
#[derive(Clone, Debug)]
pub enum AdobeCredential {
    /// A client secret, exchanged for access tokens at IMS.
    ClientSecret(Secret),
    /// A ready access token, used until Adobe refuses it.
    AccessToken(Secret),
}

/// How the Flow Service and IMS are called.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// The base URL of the Flow Service; its path ends in no slash unless it is the root.
    pub flow_service_url: reqwest::Url,
    /// The token endpoint of IMS.
    pub ims_url: reqwest::Url,
    /// The longest one attempt of anything but a creation may take.
    pub attempt_timeout: Duration,
    /// The longest a creation may take.
    pub create_timeout: Duration,
    /// The HTTP version spoken to the Flow Service.
    pub http: HttpVersion,
    /// How connections are opened.
    pub client: HttpClientConfig,
}

/// What the service needs of the Flow Service.
pub trait FlowService: Send + Sync + 'static {
    /// The leave to send one request, as [`FlowService::pass`] gives it.
    type Pass: Send + Sync;

    /// Waits until a request may be sent: until there is an access token and, after a throttle, until
    /// the time that Adobe asked for is over. It is not worth waiting longer than `deadline`.
    ///
    /// # Errors
    /// [`CreateError`], by which nothing was sent.
    fn pass(&self, deadline: Instant) -> impl Future<Output = Result<Self::Pass, CreateError>> + Send;

    /// Sends the one request that can create the connection, with this reference, once, and only if its
    /// first byte leaves before `send_by`. `progress` says from when on the connection may exist.
    fn create_connection(
        &self,
        pass: &Self::Pass,
        connection: &NewConnection,
        reference: Option<RequestId>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> impl Future<Output = Result<CreatedConnection, CreateError>> + Send;

    /// Reads one page of the HubSpot connections of a sandbox, asked for newest first: the first page, or
    /// the one that a page named as its next. Like every read it is repeated within `deadline`.
    ///
    /// The Flow Service may name an earlier page as the next one: a [`PageTrail`] detects that.
    fn list_connections(
        &self,
        query: &ListQuery<'_>,
        page: Option<&PageToken>,
        deadline: Instant,
    ) -> impl Future<Output = Result<ConnectionPage, CallError>> + Send;

    /// Counts the HubSpot connections of a sandbox.
    fn count_connections(
        &self,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> impl Future<Output = Result<u64, CallError>> + Send;

    /// Reads a connection; `None` where there is none of this ID. One to another source is
    /// [`CallError::OtherSource`].
    fn get_connection(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<Connection>, CallError>> + Send;

    /// Changes a connection that still is as it was read, and answers with its new version. A change
    /// that may have arrived is not repeated: [`CallError::may_have_arrived`].
    fn update_connection(
        &self,
        sandbox: &SandboxName,
        before: &Connection,
        changes: &ConnectionChanges,
        deadline: Instant,
    ) -> impl Future<Output = Result<Etag, CallError>> + Send;

    /// Deletes a connection, or begins to. A deletion that may have arrived is not repeated.
    fn delete_connection(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Has the Flow Service try a connection, and tells whether it works.
    fn test_connection(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> impl Future<Output = Result<bool, CallError>> + Send;

    /// Lists the tables that a connection can read.
    fn list_tables(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<Table>, CallError>> + Send;

    /// Lists the columns of a table.
    fn list_columns(
        &self,
        at: &ConnectionRef,
        table: &TablePath,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<Column>, CallError>> + Send;

    /// In what the connection specification that Adobe has for HubSpot differs from what this service
    /// sends: nothing, if all is well.
    fn spec_drift(
        &self,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<String>, CallError>> + Send;

    /// How long to wait before something that failed is sent again: at least the time that was
    /// `asked` for, and a random time that grows with `attempt`, the number of attempts so far. `None`
    /// where it is not to be sent again: the wait would pass the deadline, or too many requests are
    /// repetitions already.
    fn retry_in(&self, attempt: u32, asked: Option<Duration>, deadline: Instant) -> Option<Duration>;
}

/// Why a creation did not answer with a connection.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is no access token to send it with: nothing was sent.
    #[error("no Adobe access token")]
    Token(#[source] Arc<TokenError>),
    /// The Flow Service has failed too often: nothing was sent.
    #[error("the circuit breaker of the Flow Service is open")]
    BreakerOpen {
        /// When the next attempt is let through.
        retry_after: Duration,
    },
    /// No connection to the Flow Service could be made: nothing was sent.
    #[error("the Flow Service cannot be reached")]
    Unreachable(#[source] Cause),
    /// The request was not on its way in time: nothing was sent.
    #[error("the request was not on its way in time")]
    TooLate,
    /// There was no access token in time: nothing was sent.
    #[error("there was no Adobe access token in time")]
    NoTokenInTime,
    /// The process is stopping: nothing was sent.
    #[error("this process is stopping")]
    Stopping,
    /// The Flow Service has no room for the request, or said so of an earlier one: nothing was
    /// created.
    #[error("the Flow Service throttles")]
    Throttled {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What the Flow Service said, where it was to this request.
        problem: Option<Problem>,
    },
    /// The Flow Service does not accept the access token: nothing was created.
    #[error("the Flow Service refuses the access token: {problem}")]
    TokenRefused {
        /// What the Flow Service said.
        problem: Problem,
    },
    /// The Flow Service refused: nothing was created.
    #[error("the Flow Service refused the request as {refusal:?}: {problem}")]
    Refused {
        /// Who has to change what.
        refusal: Refusal,
        /// What the Flow Service said.
        problem: Problem,
    },
    /// The request was sent and no usable answer came back: the connection may exist.
    #[error("the outcome of the creation is not known")]
    OutcomeUnknown {
        /// What came back, where it was an answer of some kind.
        problem: Option<Problem>,
        /// What went wrong.
        #[source]
        cause: Cause,
    },
}

/// What a failed creation means for its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Nothing was created: it may be sent again, after this time where one was asked for.
    SendAgain(Option<Duration>),
    /// Nothing was created: it may be sent again once, with a fresh access token.
    RefreshToken,
    /// Nothing was created, and it is not sent again by this service.
    GiveUp,
    /// It may have been created: it must be looked for.
    LookFor,
}

impl CreateError {
    /// The one table of what each failure means.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Token(error) if error.may_pass() => NextStep::SendAgain(error.retry_after),
            Self::Token(_) => NextStep::GiveUp,
            Self::Unreachable(_) | Self::TooLate | Self::NoTokenInTime | Self::Stopping => {
                NextStep::SendAgain(None)
            }
            // One customer's source must not use up what all calls may repeat.
            Self::Throttled { problem: Some(problem), .. } if problem.is_of_source() => NextStep::GiveUp,
            Self::Throttled { retry_after, problem: _ } => NextStep::SendAgain(*retry_after),
            Self::TokenRefused { .. } => NextStep::RefreshToken,
            Self::BreakerOpen { .. } | Self::Refused { .. } => NextStep::GiveUp,
            Self::OutcomeUnknown { .. } => NextStep::LookFor,
        }
    }
}

/// Why a request other than a creation did not get its answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no access token: nothing was sent.
    #[error("no Adobe access token")]
    Token(#[source] Arc<TokenError>),
    /// The Flow Service has failed too often: nothing was sent.
    #[error("the circuit breaker of the Flow Service is open")]
    BreakerOpen {
        /// When the next attempt is let through.
        retry_after: Duration,
    },
    /// There was no access token in time: nothing was sent.
    #[error("there was no Adobe access token in time")]
    NoTokenInTime,
    /// No connection to the Flow Service could be made: nothing was sent.
    #[error("the Flow Service cannot be reached")]
    Unreachable(#[source] Cause),
    /// The Flow Service does not accept the access token, nor the one that replaced it.
    #[error("the Flow Service refuses the access token: {problem}")]
    TokenRefused {
        /// What the Flow Service said.
        problem: Problem,
    },
    /// The Flow Service refuses.
    #[error("the Flow Service refused the request as {refusal:?}: {problem}")]
    Refused {
        /// Who has to change what.
        refusal: Refusal,
        /// What the Flow Service said.
        problem: Problem,
    },
    /// The Flow Service has no room for the request.
    #[error("the Flow Service throttles")]
    Throttled {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What the Flow Service said, where it was to this request.
        problem: Option<Problem>,
    },
    /// The connection is to another source.
    #[error("the connection is to another source")]
    OtherSource,
    /// The Flow Service fails, or gave no answer in time.
    #[error("the Flow Service fails")]
    Unavailable {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What came back, where it was an answer of some kind.
        problem: Option<Box<Problem>>,
        /// What went wrong.
        #[source]
        cause: Cause,
    },
    /// The reply is nobody's verdict: neither an error that Adobe sends nor what the route replies.
    #[error("the reply is not Adobe's: {problem}")]
    Unrecognized {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What can be read of it.
        problem: Box<Problem>,
    },
    /// The answer is a success that cannot be read.
    #[error("the answer cannot be read")]
    Undecodable(#[source] Cause),
}

impl CallError {
    /// Whether what was asked for may have been done all the same.
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Unrecognized { .. } | Self::Undecodable(_) => true,
            Self::Token(_)
            | Self::NoTokenInTime
            | Self::BreakerOpen { .. }
            | Self::Unreachable(_)
            | Self::TokenRefused { .. }
            | Self::Refused { .. }
            | Self::OtherSource
            | Self::Throttled { .. } => false,
        }
    }

    /// What was refused, where something was.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            Self::OtherSource
            | Self::Unavailable { .. }
            | Self::Unrecognized { .. }
            | Self::Undecodable(_)
            | Self::Token(_)
            | Self::NoTokenInTime
            | Self::BreakerOpen { .. }
            | Self::Unreachable(_)
            | Self::TokenRefused { .. }
            | Self::Throttled { .. } => None,
        }
    }

    /// What the reply says, where there was one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } | Self::TokenRefused { problem } => Some(problem),
            Self::Throttled { problem, .. } => problem.as_ref(),
            Self::Unavailable { problem, .. } => problem.as_deref(),
            Self::Unrecognized { problem, .. } => Some(problem),
            Self::OtherSource
            | Self::Undecodable(_)
            | Self::Token(_)
            | Self::NoTokenInTime
            | Self::BreakerOpen { .. }
            | Self::Unreachable(_) => None,
        }
    }

    /// Whether repeating the request may help, and may use the budget that all calls share.
    pub fn is_worth_repeating(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::TokenRefused { .. } => false,
            Self::Unrecognized { problem, .. } => problem.may_pass() || problem.is_in_place_of_lost(),
            Self::Token(_)
            | Self::BreakerOpen { .. }
            | Self::NoTokenInTime
            | Self::Unreachable(_)
            | Self::Throttled { .. }
            | Self::OtherSource
            | Self::Unavailable { .. }
            | Self::Undecodable(_) => !self.problem().is_some_and(Problem::is_of_source),
        }
    }
}

/// Who has to change what before the request can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The caller: the request itself is refused.
    Request,
    /// The caller: the source of the connection refuses, most likely its credentials.
    Source,
    /// An operator: what is refused is what this service itself writes into every such request.
    OwnRequest,
    /// The caller: the sandbox does not exist.
    SandboxNotFound,
    /// An operator: Adobe does not accept this service's own credentials.
    Credentials,
    /// An operator: Adobe does not permit this service to do it.
    Permission,
    /// The caller: what the path names does not exist.
    NotFound,
    /// The caller: the connection was changed since it was read.
    EtagMismatch,
    /// The caller: dataflows use the connection.
    InUse,
    /// The caller: not in the state that the connection is in.
    State,
}

/// Who sent a reply. What it means for other calls depends on that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Author {
    /// The Flow Service.
    #[default]
    FlowService,
    /// The gateway before it.
    Gateway,
    /// The source behind one connection, which says nothing about any other call.
    Source,
    /// Nobody knows whom: a proxy, a CDN or a firewall in Adobe's place.
    Unrecognized,
}

/// An error answer of the Flow Service, with every text cleaned, cut and free of credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// Who sent it.
    pub author: Author,
    /// The error code as Adobe's documentation lists it: `FLOW-1413-400`, `403003`.
    pub code: Option<String>,
    /// The explanation; of a reply that is not Adobe's nothing but its media type.
    pub message: Option<String>,
    /// The id under which Adobe's support finds the request.
    pub request_id: Option<String>,
    /// The dataflows that it names where they are what stands in the way.
    pub flows: Box<[String]>,
}

impl Problem {
    /// Whether it says something about one connection only.
    pub fn is_of_source(&self) -> bool {
        self.author == Author::Source
    }

    /// Whether somebody in Adobe's place sent it.
    pub fn is_unrecognized(&self) -> bool {
        self.author == Author::Unrecognized
    }

    /// Whether the cause may pass by itself, where somebody in Adobe's place sent it.
    pub fn may_pass(&self) -> bool {
        may_pass(self.status)
    }

    /// Whether somebody in Adobe's place has sent it instead of a reply that was lost.
    pub fn is_in_place_of_lost(&self) -> bool {
        self.is_unrecognized() && answer::classify::is_lost(self.status)
    }

    /// Whether it says that the Flow Service fails. A refusal does not; nor does what its source says, or
    /// somebody in its place who does not even say that something fails.
    fn is_failure(&self) -> bool {
        match self.author {
            Author::Source => false,
            Author::Unrecognized => self.status == 408 || (500..600).contains(&self.status),
            Author::FlowService | Author::Gateway => !answer::classify::is_client_error(self.status),
        }
    }
}

/// Whether a status from nobody knows whom is one that may pass by itself.
fn may_pass(status: u16) -> bool {
    matches!(status, 407 | 408 | 429 | 500..=599)
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, ", code {code}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ", {message:?}")?;
        }
        if let Some(request_id) = &self.request_id {
            write!(f, ", request {request_id}")?;
        }
        Ok(())
    }
}
