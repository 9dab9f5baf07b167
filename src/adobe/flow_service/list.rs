//! Lists of connections, page by page.

use std::collections::HashSet;

use crate::{
    domain::{Connection, ConnectionId, ConnectionState, Etag, SandboxName, StoredCredentials},
    error::Cause,
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

/// Names a page of a list. It is opaque.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageToken(pub String);

/// The number of empty pages in a row that ends a list. A few are normal: a server may filter after it has cut
/// the pages.
const MOST_EMPTY: u32 = 50;

/// The pages of a list that were read already, so that reading it always ends.
#[derive(Debug, Default)]
pub struct PageTrail {
    tokens: HashSet<PageToken>,
    ids: HashSet<ConnectionId>,
    empty: u32,
}

impl PageTrail {
    /// A trail that begins with this page, `None` for the first one.
    pub fn beginning_at(page: Option<&PageToken>) -> Self {
        Self { tokens: page.cloned().into_iter().collect(), ..Self::default() }
    }

    /// Adds the page that was read.
    ///
    /// # Errors
    /// The pages form a loop, or too many in a row are empty.
    pub fn follow(&mut self, page: &ConnectionPage) -> Result<(), Cause> {
        let (mut is_new, mut is_old) = (false, false);
        for id in page.items.iter().filter_map(|item| item.id.as_ref()) {
            let is_first = self.ids.insert(id.clone());
            is_new |= is_first;
            is_old |= !is_first;
        }
        // An unreadable item may be new. The last page may hold nothing else, and no other page may.
        let goes_on = is_new || page.items.is_empty() || page.next.is_none() && !is_old;
        if !goes_on {
            return Err("a page of the list shows only connections of earlier pages".into());
        }
        self.empty = if page.items.is_empty() { self.empty + 1 } else { 0 };
        match &page.next {
            Some(next) if !self.tokens.insert(next.clone()) => {
                Err("a page of the list names an earlier page as its next one".into())
            }
            Some(_) if self.empty >= MOST_EMPTY => {
                Err(format!("{MOST_EMPTY} pages of the list in a row are empty").into())
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page of these connections; `?` is one without a readable ID.
    fn page(ids: &[&str], next: Option<&str>) -> ConnectionPage {
        let item = |id: &&str| ListedConnection { id: ConnectionId::parse(id).ok(), ..Default::default() };
        ConnectionPage {
            items: ids.iter().map(item).collect(),
            next: next.map(|token| PageToken(token.to_owned())),
        }
    }

    /// The number of pages that are followed, and whether these are all.
    fn followed(pages: &[ConnectionPage]) -> (usize, bool) {
        let mut trail = PageTrail::default();
        let good = pages.iter().take_while(|page| trail.follow(page).is_ok()).count();
        (good, good == pages.len())
    }

    #[test]
    fn pages_that_go_on_are_followed_to_the_last_one() {
        for pages in [
            vec![page(&[], None)],
            vec![page(&["1", "2"], Some("a")), page(&["3"], Some("b")), page(&[], None)],
            // A connection that was created meanwhile moves the others to later pages.
            vec![page(&["1", "2"], Some("a")), page(&["2", "3"], None)],
            vec![page(&["1"], Some("a")), page(&[], Some("b")), page(&[], Some("c")), page(&["2"], None)],
            // An unreadable item must not prevent the end of the list.
            vec![page(&["1", "?"], Some("a")), page(&["?"], None)],
        ] {
            assert_eq!(followed(&pages), (pages.len(), true), "{pages:?}");
        }
    }

    #[test]
    fn pages_that_form_a_loop_are_not() {
        for (pages, good) in [
            (vec![page(&["1"], Some("a")), page(&["2"], Some("a"))], 1),
            (vec![page(&["1"], Some("a")), page(&["2"], Some("b")), page(&["3"], Some("a"))], 2),
            (vec![page(&[], Some("a")), page(&[], Some("b")), page(&[], Some("a"))], 2),
            // The same page under another name, and once more as if it were the last one.
            (vec![page(&["1", "2"], Some("a")), page(&["1", "2"], Some("b"))], 1),
            (vec![page(&["1", "2"], Some("a")), page(&["1", "2"], None)], 1),
            (vec![page(&["1", "2"], Some("a")), page(&["3"], Some("b")), page(&["2"], Some("c"))], 2),
            // An unreadable item does not make a page new.
            (vec![page(&["1"], Some("a")), page(&["?", "1"], Some("b"))], 1),
            (vec![page(&["1"], Some("a")), page(&["?"], Some("b"))], 1),
            (vec![page(&["1", "?"], Some("a")), page(&["1", "?"], None)], 1),
        ] {
            assert_eq!(followed(&pages), (good, false), "{pages:?}");
        }
    }

    #[test]
    fn a_page_that_names_itself_is_not_followed() {
        let token = PageToken("a".to_owned());
        assert!(PageTrail::beginning_at(Some(&token)).follow(&page(&["1"], Some("a"))).is_err());
        assert!(PageTrail::beginning_at(Some(&token)).follow(&page(&["1"], Some("b"))).is_ok());
    }

    #[test]
    fn empty_pages_come_to_an_end() {
        let mut trail = PageTrail::default();
        let read = (0..1000).take_while(|n| trail.follow(&page(&[], Some(&n.to_string()))).is_ok()).count();
        assert!((20..100).contains(&read), "{read}");
    }
}
