//! What HubSpot says about credentials, and why it says nothing.

use crate::error::Cause;

/// Which of the two tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Refresh,
    Access,
}

impl TokenKind {
    /// As in `token_type_hint`, and as the field of the credentials.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Refresh => "refresh_token",
            Self::Access => "access_token",
        }
    }
}

/// What HubSpot says about both tokens.
#[derive(Debug)]
pub struct Introspection {
    pub refresh_token: Result<Answer, NoAnswer>,
    pub access_token: Result<Answer, NoAnswer>,
}

/// What HubSpot says about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Active(TokenInfo),
    /// It is unknown, has expired or was revoked.
    Inactive {
        /// What the reply says about the application.
        client: ClientAnswer,
        /// The text of the reply, in brackets, with a space before it; empty if there is none.
        said: String,
    },
    /// The client ID is unknown, or the client secret is not that of the application.
    ClientRefused {
        /// As above.
        said: String,
    },
}

/// What the reply to an introspection says about the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAnswer {
    /// Its client ID and secret are accepted.
    Accepted,
    /// Nothing certain: HubSpot may look at the token first.
    Unknown,
}

/// An active token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenInfo {
    /// Whether it is of the application that the credentials name, where the reply says so.
    pub is_of_client: Option<bool>,
    pub app_id: Option<i64>,
    /// The account, which HubSpot calls portal as well.
    pub hub_id: Option<i64>,
    /// Which token it is in truth.
    pub kind: Option<TokenKind>,
    /// `None` where the reply names none that can be read.
    pub scopes: Option<Vec<String>>,
}

/// Why it is not known what HubSpot says: neither a yes nor a no. Its sentence is for callers, and its causes for the
/// log.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("too many credentials are being checked at the moment: try again later")]
    Busy,
    #[error("HubSpot throttles this service: try again later")]
    Throttled,
    #[error("HubSpot keeps failing, and is not asked for some seconds: try again later")]
    BreakerOpen,
    #[error(
        "HubSpot cannot be reached: try again; if it persists, an operator has to check HCS_HUBSPOT_URL, the proxy \
         (HCS_UPSTREAM_PROXY), HCS_UPSTREAM_CA_FILE and the firewall"
    )]
    Unreachable(#[source] Cause),
    #[error(
        "HubSpot did not reply in time: try again; if it persists, an operator has to check the way to HubSpot"
    )]
    TimedOut(#[source] Cause),
    #[error("HubSpot fails (HTTP {status}){said}: try again later")]
    Fails { status: u16, said: String },
    #[error(
        "the reply is not HubSpot's (HTTP {status}, {content_type}): an operator has to find out what replies in its \
         place, by HCS_HUBSPOT_URL, the proxy (HCS_UPSTREAM_PROXY) and the firewall"
    )]
    Unrecognized { status: u16, content_type: String },
    #[error(
        "the reply of HubSpot says neither yes nor no (HTTP {status}){said}: try again; if it persists, look for a \
         newer version of this service"
    )]
    Unclear { status: u16, said: String },
}
