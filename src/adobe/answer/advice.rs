//! What went wrong at Adobe and what to do about it, in the words that callers read in errors and in the checks
//! of a test.

use super::problem::{Problem, Refusal};
use crate::adobe::TokenErrorKind;

/// Two parts of a sentence: the consequence stands between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What went wrong.
    pub what: &'static str,
    /// What to do about it.
    pub cure: &'static str,
}

impl TokenErrorKind {
    pub fn advice(self) -> Advice {
        let (what, cure) = match self {
            Self::BadCredentials => (
                "Adobe refuses the client credentials of this service",
                "an operator has to check HCS_CLIENT_ID and HCS_CLIENT_SECRET against the credential in \
                 Adobe's Developer Console",
            ),
            Self::BadScope => (
                "Adobe refuses the scopes of this service",
                "an operator has to set HCS_SCOPES to those of the credential in Adobe's Developer Console",
            ),
            Self::TokenRefused => (
                "Adobe refuses the access tokens of this service",
                "try again; if it persists, an operator has to check HCS_ACCESS_TOKEN if it is set, or else \
                 that HCS_CLIENT_ID belongs to HCS_ORG_ID",
            ),
            Self::SecretUnreadable => (
                "the secret of this service cannot be read",
                "try again; if it persists, an operator has to check the file that HCS_CLIENT_SECRET_FILE or \
                 HCS_ACCESS_TOKEN_FILE names",
            ),
            Self::Unrecognized => (
                "the reply to the request for an access token is not that of Adobe's IMS",
                "an operator has to find out what replies in its place, by HCS_IMS_URL, the proxy \
                 (HCS_UPSTREAM_PROXY) and the firewall",
            ),
            Self::Throttled => ("Adobe throttles this service", "try again later"),
            Self::Unavailable => ("Adobe issues no access token at the moment", "try again"),
        };
        Advice { what, cure }
    }
}

impl Refusal {
    pub fn advice(self) -> Advice {
        let (what, cure) = match self {
            Self::Request | Self::NotFound => ("the Flow Service refuses the request", "change the request"),
            Self::Source => (
                "the source of the connection refuses",
                "TestHubSpotConnection reports what is wrong with the connection, and UpdateHubSpotConnection \
                 replaces its credentials",
            ),
            Self::OwnRequest => (
                "the Flow Service refuses what this service itself writes into such a request",
                "it is no fault of the caller: an operator has to check HCS_FLOW_SERVICE_URL, and look for a newer \
                 version of this service or a proxy that changes its requests",
            ),
            Self::SandboxNotFound => {
                ("the sandbox does not exist", "use the name, not the title, of one that does")
            }
            Self::Credentials => (
                "Adobe refuses this service's own credentials",
                "an operator has to check HCS_ORG_ID, HCS_CLIENT_ID and the secret that goes with it",
            ),
            Self::Permission => (
                "Adobe does not permit this service to do it",
                "an operator has to give its credential the permissions Manage Sources and View Sources in \
                 the sandbox",
            ),
            Self::EtagMismatch => (
                "the connection was changed since it was read",
                "read it again, and retry with its current etag or without one",
            ),
            Self::InUse => ("dataflows use the connection", "delete those dataflows first, and retry"),
            Self::State => (
                "the connection is in a state that does not allow it",
                "GetHubSpotConnection returns its state: a connection that is being established or changed is ready soon",
            ),
        };
        Advice { what, cure }
    }
}

impl Problem {
    pub const UNRECOGNIZED: Advice = Advice {
        what: "the reply is not Adobe's",
        cure: "an operator has to find out what replies in the place of the Flow Service, by HCS_FLOW_SERVICE_URL, \
               the proxy (HCS_UPSTREAM_PROXY) and the firewall",
    };

    /// What the reply says, in brackets.
    pub fn said(&self) -> String {
        if self.is_unrecognized() {
            let content_type = self.message.as_deref().unwrap_or("no content type");
            return format!("(HTTP {}, {content_type})", self.status);
        }
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => format!("({code}: {message})"),
            (Some(text), None) | (None, Some(text)) => format!("({text})"),
            (None, None) => format!("(HTTP {})", self.status),
        }
    }
}
