//! What an error reply says, cleaned, and who sent it.

use std::fmt;

use super::{classify, presentable::redacted};
use crate::domain::HubSpotCredentials;

/// Who has to change what before the request can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The caller: the request.
    Request,
    /// The caller: the source of the connection refuses, most likely its credentials.
    Source,
    /// An operator: the part that this service itself writes into every such request.
    OwnRequest,
    /// The caller: the sandbox does not exist.
    SandboxNotFound,
    /// An operator: Adobe does not accept this service's own credentials.
    Credentials,
    /// An operator: Adobe does not permit this service to do it.
    Permission,
    /// The caller: the resource does not exist.
    NotFound,
    /// The caller: the connection was changed since it was read.
    EtagMismatch,
    /// The caller: dataflows use the connection.
    InUse,
    /// The caller: the state of the connection does not allow it.
    State,
}

/// Who sent a reply: it decides what the reply means for other calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Author {
    /// The Flow Service.
    #[default]
    FlowService,
    /// The sibling of the Flow Service that was asked: the Schema Registry, the Catalog or Data Prep.
    Sibling,
    /// The gateway before it.
    Gateway,
    /// The source behind one connection: the reply says nothing about any other call.
    Source,
    /// Unknown: a proxy, a CDN or a firewall in Adobe's place.
    Unrecognized,
}

/// An error reply, with every text cleaned, cut and free of credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// Who sent it.
    pub author: Author,
    /// The error code as Adobe's documentation lists it: `FLOW-1413-400`, `403003`.
    pub code: Option<String>,
    /// The explanation. Of an unrecognized reply only its media type.
    pub message: Option<String>,
    /// The id under which Adobe's support finds the request.
    pub request_id: Option<String>,
    /// The dataflows that use the connection, if the reply names them.
    pub flows: Box<[String]>,
}

impl Problem {
    /// Whether it says something about one connection only.
    pub fn is_of_source(&self) -> bool {
        self.author == Author::Source
    }

    /// Whether it has no known form of Adobe's.
    pub fn is_unrecognized(&self) -> bool {
        self.author == Author::Unrecognized
    }

    /// Whether the cause of an unrecognized reply may pass by itself.
    pub fn may_pass(&self) -> bool {
        may_pass(self.status)
    }

    /// Whether an unrecognized reply replaces one that was lost.
    pub fn replaces_lost_reply(&self) -> bool {
        self.is_unrecognized() && classify::is_lost(self.status)
    }

    /// Whether it says that the service fails: neither a refusal, nor a word of the source, nor an
    /// unrecognized reply that does not even claim a failure.
    pub(crate) fn is_failure(&self) -> bool {
        match self.author {
            Author::Source => false,
            Author::Unrecognized => self.status == 408 || (500..600).contains(&self.status),
            Author::FlowService | Author::Sibling | Author::Gateway => {
                !classify::is_client_error(self.status)
            }
        }
    }

    /// The same without these credentials.
    pub(crate) fn redacted(&self, credentials: &HubSpotCredentials) -> Self {
        let text = |text: &String| redacted(text, credentials);
        let is_clean = |id: &&String| text(id) == **id;
        Self {
            status: self.status,
            author: self.author,
            code: self.code.as_ref().map(text),
            message: self.message.as_ref().map(text),
            request_id: self.request_id.as_ref().filter(is_clean).cloned(),
            flows: self.flows.iter().filter(is_clean).cloned().collect(),
        }
    }
}

/// Whether the status of an unrecognized reply is one that may pass by itself.
pub(crate) fn may_pass(status: u16) -> bool {
    matches!(status, 407 | 408 | 429 | 500..=599)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
