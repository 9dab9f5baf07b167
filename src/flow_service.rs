//! The port to the Flow Service: what the service needs of it, in the service's own words.
//!
//! [`HttpFlowService`] is the one implementation. Its errors say what a failure *means* for the call, which is
//! decided in one place, `classify`.

mod classify;
mod error_body;
mod http;
mod ims;
mod redaction;
mod retry_after;
mod token;
mod upstream_client;
mod wire;

use std::{error::Error as StdError, sync::Arc, time::Duration};

pub use self::{
    http::{HttpFlowService, Identity},
    ims::{Ims, ReadyToken},
    token::{AccessToken, IssueToken, IssuedToken, TokenError, TokenErrorKind, TokenSource},
    upstream_client::upstream_client,
};
use crate::domain::{CreatedConnection, NewConnection, Progress};

/// What the service needs of the Flow Service.
pub trait FlowService: Send + Sync + 'static {
    /// Creates a connection: sends one request that can create it, and a second one only where the
    /// first was refused for its access token.
    ///
    /// `progress` tells from when on the connection may exist.
    fn create_connection(
        &self,
        connection: &NewConnection,
        progress: &Progress,
    ) -> impl Future<Output = Result<CreatedConnection, CreateError>> + Send;
}

/// Why a creation did not answer with a connection, by what that means for the next step.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There was no access token to send it with: nothing was sent.
    #[error("no Adobe access token")]
    Token(#[source] Arc<TokenError>),
    /// No connection to the Flow Service could be made: nothing was sent.
    #[error("the Flow Service cannot be reached")]
    Unreachable(#[source] Cause),
    /// The Flow Service refused: nothing was created.
    #[error("the Flow Service refused the request as {refusal:?}: {problem}")]
    Refused {
        /// Who has to change what.
        refusal: Refusal,
        /// What the Flow Service said.
        problem: Problem,
    },
    /// The Flow Service has no room for the request: nothing was created.
    #[error("the Flow Service throttles: {problem}")]
    Throttled {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
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
