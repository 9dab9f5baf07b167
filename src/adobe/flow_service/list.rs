//! Lists of connections, page by page.

use crate::{
    adobe::PageToken,
    domain::{Connection, ConnectionId, ConnectionState, Etag, SandboxName, StoredCredentials},
};

/// Which connections to list.
#[derive(Clone, Copy, Debug)]
pub struct ListQuery<'a> {
    pub sandbox: &'a SandboxName,
    /// The name to filter by. The list may have others: how the Flow Service compares names with other
    /// characters than letters and digits is not documented.
    pub name: Option<&'a str>,
    /// The largest number of connections on a page, 1 to 100.
    pub limit: u8,
}

impl<'a> ListQuery<'a> {
    /// The largest page that Adobe's OpenAPI document for destinations allows.
    pub const LARGEST_PAGE: u8 = 100;

    /// Every connection of a sandbox, on pages as large as they can be.
    pub fn all(sandbox: &'a SandboxName) -> Self {
        Self { sandbox, name: None, limit: Self::LARGEST_PAGE }
    }
}

/// One page of connections, in the order in which the Flow Service lists them, which should be newest
/// first.
#[derive(Clone, Debug, Default)]
pub struct ConnectionPage {
    /// Every item of the list, also an unreadable one.
    pub items: Vec<ListedConnection>,
    /// The next page; `None` on the last one.
    pub next: Option<PageToken>,
}

/// The readable parts of one connection of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedConnection {
    pub id: Option<ConnectionId>,
    pub etag: Option<Etag>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub state: Option<ConnectionState>,
    pub credentials: StoredCredentials,
    /// In milliseconds since the Unix epoch, if the Flow Service follows its documentation.
    pub created_at_ms: Option<i64>,
    pub updated_at_ms: Option<i64>,
    /// The client that created it; Adobe's interface is `exc_app`.
    pub created_client: Option<String>,
    /// Whether it names another source than HubSpot.
    pub is_of_another_source: bool,
}

impl ListedConnection {
    /// Whether it has an ID, a version, a name and a time of creation, as every connection does.
    pub(crate) fn is_complete(&self) -> bool {
        let Self { id, etag, name, created_at_ms, .. } = self;
        id.is_some() && etag.is_some() && name.is_some() && created_at_ms.is_some()
    }

    /// The connection, if it is complete and not to another source.
    pub fn readable(self) -> Option<Connection> {
        Some(Connection {
            id: self.id.filter(|_| !self.is_of_another_source)?,
            etag: self.etag?,
            name: self.name?,
            description: self.description,
            state: self.state,
            credentials: self.credentials,
            created_at_ms: self.created_at_ms?,
            updated_at_ms: self.updated_at_ms,
            created_client: self.created_client,
        })
    }
}
