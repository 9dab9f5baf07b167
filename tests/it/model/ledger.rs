//! The existing connections, and the origin of each.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubspot_connection_service::domain::RequestId;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    faults::ForeignConnection,
    listing::{OtherConnections, Shown},
};

/// The content of the requests. Each part has something that lists can alter.
pub(super) const NAME: &str = "HubSpot  R&D Märkte";
pub(super) const DESCRIPTION: &str = "Sales & Märkte <EU>\n100% live, for the ";
pub(super) const CLIENT_ID: &str = "0f3a9c1e-7b2d-4e5f-8a6b-1c2d3e4f5a6b";

/// The content of a connection.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) sandbox: String,
    pub(super) name: String,
    /// The stored form.
    pub(super) description: Option<String>,
    pub(super) client_id: String,
}

/// A connection that was made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) id: String,
    pub(super) etag: String,
    pub(super) content: Content,
    created_client: &'static str,
    state: String,
    /// The request that made it; `None` for another client's.
    pub(super) by: Option<RequestId>,
    /// The number of steps when it was sent.
    pub(super) sent: usize,
    pub(super) sent_at: Instant,
    pub(super) made_at: Instant,
    pub(super) is_removed: bool,
    created_at_ms: i64,
}

/// All of them, oldest first.
pub(super) struct Ledger {
    made: Vec<Made>,
    began: (Duration, Instant),
}

impl Ledger {
    pub(super) fn new(others: OtherConnections) -> Self {
        let time_of_day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut ledger = Self { made: Vec::new(), began: (time_of_day, Instant::now()) };
        let ages: &[i64] =
            if others == OtherConnections::None { &[] } else { &[63_000_000, 2_600_000, 600, 10] };
        for age in ages {
            let content = Content {
                sandbox: "prod".to_owned(),
                name: format!("made {age} seconds ago"),
                description: Some("another".to_owned()),
                client_id: "another".to_owned(),
            };
            let index = ledger.add(content, "demo-client", None, 0, Instant::now());
            ledger.made[index].created_at_ms -= age * 1000;
        }
        ledger
    }

    /// The time of day, in milliseconds since the Unix epoch.
    pub(super) fn now_ms(&self) -> i64 {
        let (time_of_day, began) = self.began;
        i64::try_from((time_of_day + began.elapsed()).as_millis()).unwrap()
    }

    fn add(
        &mut self,
        content: Content,
        created_client: &'static str,
        by: Option<RequestId>,
        sent: usize,
        sent_at: Instant,
    ) -> usize {
        let created_at_ms = self.now_ms();
        self.made.push(Made {
            id: Uuid::new_v4().to_string(),
            etag: format!("\"{:08x}-0000-0200-0000-5f40212f0000\"", self.made.len()),
            content,
            created_client,
            state: "enabled".to_owned(),
            by,
            sent,
            sent_at,
            made_at: Instant::now(),
            is_removed: false,
            created_at_ms,
        });
        self.made.len() - 1
    }

    /// The content of a request.
    pub(super) fn create(
        &mut self,
        content: Content,
        state: &str,
        by: RequestId,
        (sent, sent_at): (usize, Instant),
    ) -> &Made {
        let index = self.add(content, "demo-client", Some(by), sent, sent_at);
        state.clone_into(&mut self.made[index].state);
        &self.made[index]
    }

    /// The content of another client's connection.
    pub(super) fn create_foreign(&mut self, foreign: ForeignConnection) {
        let description = match foreign {
            ForeignConnection::WithoutDescription => None,
            ForeignConnection::WithTheDescription | ForeignConnection::OfTheInterface => Some(DESCRIPTION),
            ForeignConnection::WithAnotherDescription => Some("another"),
        };
        let content = Content {
            sandbox: "prod".to_owned(),
            name: NAME.to_owned(),
            description: description.map(str::to_owned),
            client_id: "**********".to_owned(),
        };
        let is_of_interface = foreign == ForeignConnection::OfTheInterface;
        self.add(content, if is_of_interface { "exc_app" } else { "demo-client" }, None, 0, Instant::now());
    }

    /// The existing connections of a sandbox, newest first.
    pub(super) fn present(&self, sandbox: &str) -> impl Iterator<Item = &Made> {
        self.made.iter().rev().filter(move |made| !made.is_removed && made.content.sandbox == sandbox)
    }

    pub(super) fn get(&self, sandbox: &str, id: &str) -> Option<&Made> {
        self.present(sandbox).find(|made| made.id == id)
    }

    /// Deletes a connection; `None` if it does not exist.
    pub(super) fn remove(&mut self, sandbox: &str, id: &str) -> Option<()> {
        let is_it = |made: &&mut Made| !made.is_removed && made.content.sandbox == sandbox && made.id == id;
        self.made.iter_mut().find(is_it).map(|made| made.is_removed = true)
    }

    /// Every connection that was ever made, oldest first.
    pub(super) fn all(&self) -> &[Made] {
        &self.made
    }

    pub(super) fn set_states(&mut self, state: &str) {
        self.made.iter_mut().for_each(|made| state.clone_into(&mut made.state));
    }

    pub(super) fn clear(&mut self) {
        self.made.iter_mut().for_each(|made| made.is_removed = true);
    }
}

impl Made {
    /// The connection as it was sent.
    pub(super) fn shown(&self) -> Shown {
        Shown {
            id: self.id.clone(),
            etag: Some(self.etag.clone()),
            name: Some(self.content.name.clone()),
            description: self.content.description.clone(),
            state: self.state.clone(),
            client_id: Some(self.content.client_id.clone()),
            created_at_ms: Some(self.created_at_ms),
            created_client: self.created_client.to_owned(),
        }
    }
}
