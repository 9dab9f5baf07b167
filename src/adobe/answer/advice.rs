//! What went wrong at Adobe and what to do about it, in the words that callers read in errors and in the checks
//! of a test.

use std::borrow::Cow;

use super::problem::{Problem, Refusal};
use crate::adobe::{AskedService, TokenErrorKind};

/// Two parts of a sentence: the consequence stands between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What went wrong.
    pub what: Cow<'static, str>,
    /// What to do about it.
    pub cure: Cow<'static, str>,
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
        Advice { what: what.into(), cure: cure.into() }
    }
}

impl Refusal {
    /// About a refusal of this service.
    pub fn advice(self, service: AskedService) -> Advice {
        let (what, cure): (Cow<'static, str>, Cow<'static, str>) = match self {
            Self::Request | Self::NotFound => {
                (format!("{service} refuses the request").into(), "change the request".into())
            }
            Self::Source => (
                "the source of the connection refuses".into(),
                "TestHubSpotConnection reports what is wrong with the connection, and UpdateHubSpotConnection \
                 replaces its credentials"
                    .into(),
            ),
            Self::OwnRequest => (
                format!("{service} refuses what this service itself writes into such a request").into(),
                format!(
                    "it is no fault of the caller: an operator has to check {}, and look for a newer version of this \
                     service or a proxy that changes its requests",
                    service.url_setting()
                )
                .into(),
            ),
            Self::SandboxNotFound => {
                ("the sandbox does not exist".into(), "use the name, not the title, of one that does".into())
            }
            Self::Credentials => (
                "Adobe refuses this service's own credentials".into(),
                "an operator has to check HCS_ORG_ID, HCS_CLIENT_ID and the secret that goes with it".into(),
            ),
            Self::Permission => (
                "Adobe does not permit this service to do it".into(),
                format!(
                    "an operator has to give its credential the {} in the sandbox",
                    service.permissions()
                )
                .into(),
            ),
            Self::EtagMismatch => (
                "the connection was changed since it was read".into(),
                "read it again, and retry with its current etag or without one".into(),
            ),
            Self::InUse => {
                ("dataflows use the connection".into(), "delete those dataflows first, and retry".into())
            }
            Self::State => (
                "the connection is in a state that does not allow it".into(),
                "GetHubSpotConnection returns its state: a connection that is being established or changed is ready \
                 soon"
                    .into(),
            ),
        };
        Advice { what, cure }
    }
}

impl Problem {
    /// About a reply that is not this service's.
    pub fn unrecognized(service: AskedService) -> Advice {
        let cure = format!(
            "an operator has to find out what replies in the place of {service}, by {}, the proxy \
             (HCS_UPSTREAM_PROXY) and the firewall",
            service.url_setting()
        );
        Advice { what: "the reply is not Adobe's".into(), cure: cure.into() }
    }

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
