//! Page tokens: opaque to callers, bound to their query, and valid on every replica.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    adobe::PageToken,
    domain::{Invalid, InvalidReason, SandboxName, dataflow::RunState},
    service::{
        Filter,
        dataflows::{read::DataflowFilter, runs::ListHubSpotDataflowRuns},
    },
};

/// The first byte of every token.
const VERSION: u8 = 1;
/// Long enough to detect mistakes. It need not resist an attacker: a forged token can only request another page of
/// the same list.
const CHECKSUM: usize = 8;

/// What a list is about: the fields of its request, in an order that never changes. The page size may change between
/// pages.
pub(crate) struct Query(Vec<String>);

impl Query {
    pub(crate) fn connections(sandbox: &SandboxName, filter: &Filter) -> Self {
        let Filter { name, request_id } = filter;
        let mut fields = vec![sandbox.to_string(), name.clone().unwrap_or_default()];
        fields.extend(request_id.map(|id| id.to_string()));
        Self(fields)
    }

    pub(super) fn dataflows(sandbox: &SandboxName, filter: &DataflowFilter) -> Self {
        let DataflowFilter { connection, name } = filter;
        let connection = connection.as_ref().map(ToString::to_string).unwrap_or_default();
        let method = "dataflows".to_owned();
        Self(vec![method, sandbox.to_string(), connection, name.clone().unwrap_or_default()])
    }

    pub(super) fn runs(command: &ListHubSpotDataflowRuns) -> Self {
        let ListHubSpotDataflowRuns { at, state, started_after_ms, started_before_ms, .. } = command;
        let time = |time: &Option<i64>| time.map(|ms| ms.to_string()).unwrap_or_default();
        let state = state.map(RunState::name).unwrap_or_default().to_owned();
        let (sandbox, id) = (at.sandbox.to_string(), at.id.to_string());
        Self(vec!["runs".to_owned(), sandbox, id, state, time(started_after_ms), time(started_before_ms)])
    }
}

pub(crate) fn encode(page: &PageToken, query: &Query) -> String {
    let PageToken(token) = page;
    URL_SAFE_NO_PAD.encode([&[VERSION], &checksum(token, query)[..], token.as_bytes()].concat())
}

/// # Errors
/// [`Invalid`] for a text that is not a token, and for the token of another query.
pub(crate) fn decode(token: &str, query: &Query) -> Result<PageToken, Invalid> {
    let invalid = || {
        Invalid::new(
            InvalidReason::Malformed,
            "must be the next_page_token of the response to the same request: leave it empty to start with \
             the first page",
        )
    };
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    let (check, page) = match bytes.split_first() {
        Some((&VERSION, rest)) => rest.split_at_checked(CHECKSUM).ok_or_else(invalid)?,
        Some(_) | None => return Err(invalid()),
    };
    let page = std::str::from_utf8(page).map_err(|_| invalid())?;
    if check != checksum(page, query) {
        return Err(invalid());
    }
    Ok(PageToken(page.to_owned()))
}

/// Covers the token and the query, each field with its length.
fn checksum(token: &str, Query(fields): &Query) -> [u8; CHECKSUM] {
    let mut context = digest::Context::new(&digest::SHA256);
    for field in std::iter::once(token).chain(fields.iter().map(String::as_str)) {
        context.update(&(field.len() as u64).to_be_bytes());
        context.update(field.as_bytes());
    }
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&context.finish().as_ref()[..CHECKSUM]);
    checksum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        ConnectionId,
        dataflow::{DataflowId, DataflowRef},
    };

    fn connections(sandbox: &str, name: &str) -> Query {
        let filter = Filter { name: Some(name.to_owned()), request_id: None };
        Query::connections(&SandboxName::parse(sandbox).unwrap(), &filter)
    }

    #[test]
    fn a_token_of_one_method_is_none_of_another() {
        let prod = SandboxName::parse("prod").unwrap();
        let dataflows = |filter| Query::dataflows(&prod, &filter);
        let connection = ConnectionId::parse("a").unwrap();
        let token = encode(&PageToken("page".to_owned()), &dataflows(DataflowFilter::default()));
        assert!(decode(&token, &dataflows(DataflowFilter::default())).is_ok());
        let of_connection = DataflowFilter { connection: Some(connection), name: None };
        let named = DataflowFilter { connection: None, name: Some("a".to_owned()) };
        for query in [dataflows(of_connection), dataflows(named), connections("prod", "")] {
            assert!(decode(&token, &query).is_err());
        }
    }

    #[test]
    fn a_token_of_runs_belongs_to_its_dataflow_and_its_filters() {
        let id = |id| DataflowId::parse(id).unwrap();
        let runs = |id, state, started_after_ms, started_before_ms| {
            let at = DataflowRef { sandbox: SandboxName::parse("prod").unwrap(), id };
            let (page_size, page) = (1, None);
            Query::runs(&ListHubSpotDataflowRuns {
                at,
                page_size,
                page,
                state,
                started_after_ms,
                started_before_ms,
            })
        };
        let token = encode(&PageToken("page".to_owned()), &runs(id("a"), None, Some(1), None));
        assert!(decode(&token, &runs(id("a"), None, Some(1), None)).is_ok());
        for query in [
            runs(id("b"), None, Some(1), None),
            runs(id("a"), Some(RunState::Failed), Some(1), None),
            runs(id("a"), None, Some(2), None),
            runs(id("a"), None, None, Some(1)),
        ] {
            assert!(decode(&token, &query).is_err());
        }
    }

    proptest! {
        #[test]
        fn a_token_continues_its_query_and_no_other(page: String, name: String, other: String) {
            let page = PageToken(page);
            let token = encode(&page, &connections("prod", &name));
            prop_assert_eq!(decode(&token, &connections("prod", &name)), Ok(page));
            prop_assert!(decode(&token, &connections("dev", &name)).is_err());
            prop_assert!(other == name || decode(&token, &connections("prod", &other)).is_err());
        }

        #[test]
        fn any_other_text_is_malformed(token: String) {
            let invalid = decode(&token, &connections("prod", "")).unwrap_err();
            prop_assert_eq!(invalid.reason, InvalidReason::Malformed);
        }

        #[test]
        fn a_token_with_a_changed_character_is_refused(page: String, index: usize, c in "[A-Za-z0-9_-]") {
            let query = connections("prod", "");
            let token = encode(&PageToken(page), &query);
            let index = index % token.len();
            let changed = format!("{}{c}{}", &token[..index], &token[index + 1..]);
            prop_assert!(changed == token || decode(&changed, &query).is_err());
        }
    }
}
