//! The pages of a list.

use std::{collections::HashSet, hash::Hash};

use super::ConnectionPage;
use crate::{domain::ConnectionId, error::Cause};

/// Names a page of a list. It is opaque.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageToken(pub String);

/// The number of empty pages in a row that ends a list. A few are normal: a server may filter after it has cut
/// the pages.
const MOST_EMPTY: u32 = 50;

/// The pages of a list that were read already, so that reading it always ends.
#[derive(Debug)]
pub struct PageTrail<I = ConnectionId> {
    tokens: HashSet<PageToken>,
    ids: HashSet<I>,
    empty: u32,
}

impl PageTrail<ConnectionId> {
    /// Adds the page that was read.
    ///
    /// # Errors
    /// The pages form a loop, or too many in a row are empty.
    pub fn follow(&mut self, page: &ConnectionPage) -> Result<(), Cause> {
        self.follow_ids(page.items.iter().map(|item| item.id.clone()), page.next.as_ref())
    }
}

impl<I: Eq + Hash> PageTrail<I> {
    /// A trail that begins with this page, `None` for the first one.
    pub fn beginning_at(page: Option<&PageToken>) -> Self {
        Self { tokens: page.cloned().into_iter().collect(), ids: HashSet::new(), empty: 0 }
    }

    /// Adds the page that was read, with the IDs of its items, `None` for an unreadable one.
    ///
    /// # Errors
    /// The pages form a loop, or too many in a row are empty.
    pub fn follow_ids(
        &mut self,
        ids: impl IntoIterator<Item = Option<I>>,
        next: Option<&PageToken>,
    ) -> Result<(), Cause> {
        let (mut is_empty, mut is_new, mut is_old) = (true, false, false);
        for id in ids {
            is_empty = false;
            let is_first = id.map(|id| self.ids.insert(id));
            is_new |= is_first == Some(true);
            is_old |= is_first == Some(false);
        }
        // An unreadable item may be new. The last page may hold nothing else, and no other page may.
        let goes_on = is_new || is_empty || next.is_none() && !is_old;
        if !goes_on {
            return Err("a page of the list shows only items of earlier pages".into());
        }
        self.empty = if is_empty { self.empty + 1 } else { 0 };
        match next {
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

impl<I: Eq + Hash> Default for PageTrail<I> {
    fn default() -> Self {
        Self::beginning_at(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adobe::ListedConnection;

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
