//! The port to the Flow Service: what the service needs of it, in the service's own words.
//!
//! [`HttpFlowService`] is the one implementation. Its errors say what a failure *means* for the call,
//! which is decided in one place, `classify`.

mod breaker;
mod classify;
mod error_body;
mod http;
mod ims;
mod redaction;
mod retry;
mod retry_after;
mod throttle;
mod token;
mod upstream_client;
mod wire;

use std::{error::Error as StdError, sync::Arc, time::Duration};

use tokio::time::Instant;

pub use self::{
    http::{HttpFlowService, Identity, Pass, Timeouts},
    ims::{Ims, ReadyToken},
    token::{AccessToken, IssueToken, IssuedToken, TokenError, TokenErrorKind, TokenSource},
    upstream_client::upstream_client,
};
use crate::domain::{ConnectionId, CreatedConnection, Etag, NewConnection, Progress, SandboxName};

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

    /// Sends the one request that can create the connection, once, and only if its first byte leaves
    /// before `send_by`. `progress` tells from when on the connection may exist.
    fn create_connection(
        &self,
        pass: &Self::Pass,
        connection: &NewConnection,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> impl Future<Output = Result<CreatedConnection, CreateError>> + Send;

    /// Reads one page of the HubSpot connections of a sandbox, newest first: the first page, or the
    /// one that a page named as its next. Reads are repeated within `deadline`.
    ///
    /// Nothing keeps the Flow Service from naming a page as its own next one: whoever follows the
    /// pages has to come to an end by itself.
    fn list_connections(
        &self,
        sandbox: &SandboxName,
        page: Option<&PageToken>,
        deadline: Instant,
    ) -> impl Future<Output = Result<ConnectionPage, ReadError>> + Send;

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
    /// Nothing was created, and sending it again would not change that.
    GiveUp,
    /// It may have been created: it must be looked for.
    LookFor,
}

impl CreateError {
    /// The one table of what each failure means.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Token(error) => match error.kind {
                TokenErrorKind::Throttled | TokenErrorKind::Unavailable => {
                    NextStep::SendAgain(error.retry_after)
                }
                TokenErrorKind::BadCredentials
                | TokenErrorKind::BadScope
                | TokenErrorKind::TokenRefused
                | TokenErrorKind::SecretUnreadable => NextStep::GiveUp,
            },
            Self::Unreachable(_) | Self::TooLate => NextStep::SendAgain(None),
            Self::Throttled { retry_after, problem: _ } => NextStep::SendAgain(*retry_after),
            Self::TokenRefused { .. } => NextStep::RefreshToken,
            Self::BreakerOpen { .. } | Self::Refused { .. } => NextStep::GiveUp,
            Self::OutcomeUnknown { .. } => NextStep::LookFor,
        }
    }
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no access token.
    #[error("no Adobe access token")]
    Token(#[source] Arc<TokenError>),
    /// The Flow Service has failed too often.
    #[error("the circuit breaker of the Flow Service is open")]
    BreakerOpen {
        /// When the next attempt is let through.
        retry_after: Duration,
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
    /// The Flow Service cannot be reached, or fails.
    #[error("the Flow Service fails")]
    Unavailable {
        /// What came back, where it was an answer of some kind.
        problem: Option<Problem>,
        /// What went wrong.
        #[source]
        cause: Cause,
    },
    /// The answer is a success that cannot be read.
    #[error("the answer cannot be read")]
    Undecodable(#[source] Cause),
}

/// One page of connections, newest first.
#[derive(Clone, Debug, Default)]
pub struct ConnectionPage {
    /// The connections.
    pub connections: Vec<ConnectionSummary>,
    /// The names of those that the Flow Service listed in a form that cannot be read, where at least
    /// the name can: nobody knows what they are.
    pub unreadable: Vec<Option<String>>,
    /// Names the next page; `None` on the last one.
    pub next: Option<PageToken>,
    /// How long ago each connection was created cannot be told by this process's clock: this is the
    /// Flow Service's, in milliseconds since the Unix epoch, from the answer's `Date`.
    pub server_time_ms: i64,
}

/// What a list tells of a connection, as far as it helps to recognize one. Credentials are not
/// taken from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSummary {
    /// The connection's ID.
    pub id: ConnectionId,
    /// Its version.
    pub etag: Etag,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// When it was created by the Flow Service's clock, in milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// The client that created it; Adobe's interface is `exc_app`.
    pub created_client: Option<String>,
    /// The HubSpot client ID, where the Flow Service tells one. It may be masked.
    pub hubspot_client_id: Option<String>,
}

/// Names a page of a list, opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken(pub String);

/// The cause of a failure, for the log alone: it may name hosts.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Who has to change what before the request can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The caller: the request itself is refused.
    Request,
    /// The caller: the sandbox does not exist.
    SandboxNotFound,
    /// An operator: Adobe does not accept this service's own credentials.
    Credentials,
    /// An operator: Adobe does not permit this service to do it.
    Permission,
}

/// An error answer of the Flow Service, with every text cleaned, cut and free of credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The error code as Adobe's documentation lists it: `FLOW-1413-400`, `403003`.
    pub code: Option<String>,
    /// The explanation.
    pub message: Option<String>,
    /// The id under which Adobe's support finds the request.
    pub request_id: Option<String>,
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
