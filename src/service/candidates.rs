//! Which connection could be the one that a lost creation made.
//!
//! The Flow Service has no idempotency key and accepts duplicate names, so a lost creation can only be
//! recognized: by its name, by the time of its creation, and by certain evidence to the contrary.

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::{
    domain::{Connection, Credential, NewConnection},
    flow_service::ConnectionPage,
};

/// By how much the Flow Service's clock may be off against what its `Date` header says, whole seconds
/// being its unit.
const CLOCK_SLACK: Duration = Duration::from_secs(5);
/// What Adobe's interface calls itself as the creator of a connection.
const ADOBE_INTERFACE: &str = "exc_app";

/// When a creation was sent, by the clock of this process: the first time, and the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    as_of: Instant,
    first: Duration,
    last: Duration,
}

impl Sent {
    /// A creation that was first and last sent so long ago.
    pub(super) fn ago(first: Duration, last: Duration) -> Self {
        Self { as_of: Instant::now(), first, last }
    }

    /// A creation that was sent, or sent once more, between these two moments.
    pub(super) fn between(earlier: Option<Self>, before: Instant, after: Instant) -> Self {
        Self::ago(earlier.map_or_else(|| before.elapsed(), |sent| sent.first_ago()), after.elapsed())
    }

    fn first_ago(&self) -> Duration {
        self.first + self.as_of.elapsed()
    }

    /// How long ago it was last sent.
    pub(super) fn last_ago(&self) -> Duration {
        self.last + self.as_of.elapsed()
    }

    /// The time within which the connection was created, if it was.
    fn window(&self, server_time_ms: i64, settle_window: Duration) -> Window {
        let milliseconds = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let before = |ago: Duration| server_time_ms.saturating_sub(milliseconds(ago));
        Window {
            from_ms: before(self.first_ago().saturating_add(CLOCK_SLACK)),
            to_ms: before(self.last_ago()).saturating_add(milliseconds(settle_window)),
        }
    }
}

/// A span of time by the Flow Service's clock.
#[derive(Clone, Copy, Debug)]
struct Window {
    from_ms: i64,
    to_ms: i64,
}

/// What a page of a list says about a lost creation.
#[derive(Debug)]
pub(super) struct Sighting {
    /// Those that could be it.
    pub(super) candidates: Vec<Connection>,
    /// Whether one that cannot be read could be it.
    pub(super) is_blurred: bool,
    /// Whether the connections on later pages are too old to be it.
    pub(super) is_past: bool,
}

/// Looks through a page.
pub(super) fn sight(
    page: ConnectionPage,
    lost: &NewConnection,
    sent: &Sent,
    settle_window: Duration,
) -> Sighting {
    let window = sent.window(page.server_time_ms, settle_window);
    let is_past = page.connections.last().is_some_and(|oldest| oldest.created_at_ms < window.from_ms);
    let own_name = lost.name.as_str();
    let is_blurred = page.unreadable.iter().any(|name| name.as_deref().is_none_or(|name| name == own_name));
    let is_within = |c: &Connection| (window.from_ms..=window.to_ms).contains(&c.created_at_ms);
    let candidates = page
        .connections
        .into_iter()
        .filter(|connection| connection.name == own_name && is_within(connection))
        .filter(|connection| !is_certainly_another(connection, lost))
        .collect();
    Sighting { candidates, is_blurred, is_past }
}

fn is_certainly_another(connection: &Connection, lost: &NewConnection) -> bool {
    let description = lost.description.as_ref().map_or("", |description| description.as_str());
    connection.created_client.as_deref() == Some(ADOBE_INTERFACE)
        // A list need not tell descriptions.
        || connection.description.as_deref().is_some_and(|shown| shown != description)
        || connection
            .credentials
            .client_id
            .as_deref()
            .is_some_and(|id| is_certainly_another_client(id, &lost.credentials.client_id))
}

/// Whether a client ID differs. What the Flow Service masks, and how, is not documented: only an ID
/// that has the length of the other one and looks like none of the usual masks is taken at its word.
fn is_certainly_another_client(shown: &str, own: &Credential) -> bool {
    let own = own.expose_secret();
    let looks_masked = !shown.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        || shown.to_ascii_lowercase().contains("xxx")
        || shown.bytes().all(|b| Some(&b) == shown.as_bytes().first());
    shown.len() == own.len() && !looks_masked && shown != own
}
