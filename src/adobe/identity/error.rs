//! Why there is no access token.

use std::time::Duration;

use crate::{adobe::answer::problem::may_pass, error::Cause, metrics::RefreshOutcome};

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
#[error("{kind}{}", self.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub struct TokenError {
    /// What has to be done about it.
    pub kind: TokenErrorKind,
    /// The HTTP status of the reply of IMS.
    pub status: Option<u16>,
    /// The error code of IMS: `invalid_client`.
    pub code: Option<String>,
    /// The media type of an unrecognized reply.
    pub content_type: Option<String>,
    /// How long to wait before the next attempt.
    pub retry_after: Option<Duration>,
    /// The cause, for the log.
    #[source]
    pub source: Option<Cause>,
}

/// Why there is no access token, by who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenErrorKind {
    /// The client ID or secret is wrong.
    #[error("IMS refuses the client credentials")]
    BadCredentials,
    /// The scopes are not those of the credential.
    #[error("IMS refuses the scopes")]
    BadScope,
    /// Too many tokens were requested.
    #[error("IMS throttles")]
    Throttled,
    /// IMS cannot be reached, or its reply holds no token.
    #[error("IMS issues no token")]
    Unavailable,
    /// The reply has no known form of IMS.
    #[error("the reply is not IMS's")]
    Unrecognized,
    /// The Flow Service refuses each new token.
    #[error("the Flow Service refuses each new token")]
    TokenRefused,
    /// The configured secret cannot be read.
    #[error("the secret cannot be read")]
    SecretUnreadable,
}

impl TokenErrorKind {
    pub(super) fn refresh_outcome(self) -> RefreshOutcome {
        match self {
            Self::BadCredentials | Self::BadScope | Self::SecretUnreadable => RefreshOutcome::Refused,
            Self::Throttled => RefreshOutcome::Throttled,
            Self::TokenRefused | Self::Unavailable | Self::Unrecognized => RefreshOutcome::Unavailable,
        }
    }
}

impl TokenError {
    /// An error that consists of its kind.
    pub fn of_kind(kind: TokenErrorKind) -> Self {
        Self { kind, status: None, code: None, content_type: None, retry_after: None, source: None }
    }

    /// An error of this kind with its cause.
    pub(super) fn caused_by(kind: TokenErrorKind, cause: impl Into<Cause>) -> Self {
        Self { source: Some(cause.into()), ..Self::of_kind(kind) }
    }

    /// Whether a later attempt may succeed although nobody acts.
    pub fn may_pass(&self) -> bool {
        match self.kind {
            TokenErrorKind::Throttled
            | TokenErrorKind::Unavailable
            | TokenErrorKind::TokenRefused
            | TokenErrorKind::SecretUnreadable => true,
            TokenErrorKind::Unrecognized => self.status.is_some_and(may_pass),
            TokenErrorKind::BadCredentials | TokenErrorKind::BadScope => false,
        }
    }

    /// The reply in brackets, with a space before it; empty if there was none.
    pub fn said(&self) -> String {
        match (self.kind, self.status, &self.content_type) {
            (_, None, _) => String::new(),
            (_, Some(status), Some(content_type)) => format!(" (HTTP {status}, {content_type})"),
            (TokenErrorKind::Unrecognized, Some(status), None) => {
                format!(" (HTTP {status}, no content type)")
            }
            (_, Some(status), None) => format!(" (HTTP {status})"),
        }
    }
}
