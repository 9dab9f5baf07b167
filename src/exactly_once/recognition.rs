//! Whether a resource is the one that a request created.
//!
//! The reference decides. Where an item shows none, it is another's only if its description could not be a
//! part of this creation's.

use crate::domain::{
    Description, RequestId,
    reference::{before_last_escape, last_reference, skeleton, stored_description},
};

/// How Adobe's user interface names itself as the creator of a resource.
const USER_INTERFACE: &str = "exc_app";

/// So many hexadecimal digits of an id in a row are in no other text by chance.
const PART: usize = 12;

/// How an item of a list matches a creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// It is the resource that was created.
    Same,
    /// It is another's.
    Another,
    /// It could be the resource, and shows less of the description than was sent.
    Perhaps,
    /// It shows no description, or the caller's without a reference. This service writes no such thing.
    Unmarked,
}

/// The reference of a creation, and what a description can show of it.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(super) request_id: RequestId,
    /// The letters and digits of the stored description.
    stored: String,
    /// The same of the caller's description.
    callers: String,
    /// The digits of the request id.
    digits: String,
}

impl Reference {
    pub(super) fn new(description: Option<&Description>, request_id: RequestId) -> Self {
        let of = |reference| skeleton(&stored_description(description, reference).unwrap_or_default());
        let digits = skeleton(&request_id.to_string());
        Self { request_id, stored: of(Some(request_id)), callers: of(None), digits }
    }

    /// How an item with this description and creator matches.
    pub(crate) fn recognize(&self, description: Option<&str>, created_client: Option<&str>) -> Match {
        let description = description.unwrap_or_default();
        match last_reference(description) {
            Some(id) if id == self.request_id => return Match::Same,
            Some(_) => return Match::Another,
            None => {}
        }
        if created_client == Some(USER_INTERFACE) {
            return Match::Another;
        }
        let shown = skeleton(description);
        let is_cut = || self.stored.starts_with(&skeleton(before_last_escape(description)));
        if shown.is_empty() || shown == self.callers {
            Match::Unmarked
        } else if self.stored.starts_with(&shown) || self.shows_a_part_of_the_id(&shown) || is_cut() {
            Match::Perhaps
        } else {
            Match::Another
        }
    }

    fn shows_a_part_of_the_id(&self, shown: &str) -> bool {
        let mut parts = self.digits.as_bytes().windows(PART);
        parts.any(|part| shown.as_bytes().windows(PART).any(|other| other == part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7";
    const OTHER: &str = "1a2b3c4d-52a0-4d0e-9d53-000000000000";

    fn own(description: &str) -> Reference {
        Reference::new(Description::parse(description).unwrap().as_ref(), RequestId::parse(ID).unwrap())
    }

    #[test]
    fn the_last_reference_decides() {
        for (shown, expected) in [
            (format!("for marketing [request {ID}]"), Match::Same),
            (format!("FOR MARKETING [REQUEST {}]", ID.to_uppercase()), Match::Same),
            (format!("something else [request {ID}]"), Match::Same),
            (format!("for marketing [request {OTHER}]"), Match::Another),
            (format!("for marketing [request {ID}] [request {OTHER}]"), Match::Another),
        ] {
            assert_eq!(
                own("for marketing").recognize(Some(&shown), Some(USER_INTERFACE)),
                expected,
                "{shown}"
            );
        }
    }

    #[test]
    fn a_description_that_could_be_cut_is_no_evidence() {
        for (shown, expected) in [
            ("", Match::Unmarked),
            ("****", Match::Unmarked),
            ("for marketing", Match::Unmarked),
            ("For Marketing", Match::Unmarked),
            ("for mark", Match::Perhaps),
            ("for mark…", Match::Perhaps),
            ("for marketing [request 8f1f6c0e-52a1", Match::Perhaps),
            ("for marketing (request 8f1f6c0e_52a1_4d0e_9d53_6d1fb1d3e2a7)", Match::Perhaps),
            ("…e-52a1-4d0e-9d53-6d1fb1d3e2a7]", Match::Perhaps),
            ("for sales", Match::Another),
            ("for marketing, too", Match::Another),
        ] {
            assert_eq!(own("for marketing").recognize(Some(shown), None), expected, "{shown}");
            assert_ne!(own("").recognize(Some("for sales"), None), Match::Same);
        }
        assert_eq!(own("for marketing").recognize(None, None), Match::Unmarked);
        assert_eq!(own("").recognize(Some("[request 8f"), None), Match::Perhaps);
        assert_eq!(own("").recognize(Some("for sales"), None), Match::Another);
    }

    #[test]
    fn a_description_that_is_cut_within_an_escape_is_no_evidence() {
        for shown in ["sales &am", "sales &amp;#1", "sales &#82", "sales &", "sales%2", "sales %26 mark%C"] {
            assert_eq!(own("sales & marketing").recognize(Some(shown), None), Match::Perhaps, "{shown}");
        }
        assert_eq!(own("sales & marketing").recognize(Some("sold &am"), None), Match::Another);
        assert_eq!(own("R&D").recognize(Some("R&D"), None), Match::Unmarked);
    }

    #[test]
    fn what_the_user_interface_made_without_a_reference_is_anothers() {
        assert_eq!(own("d").recognize(None, Some("exc_app")), Match::Another);
        assert_eq!(own("d").recognize(None, Some("another_client")), Match::Unmarked);
    }
}
