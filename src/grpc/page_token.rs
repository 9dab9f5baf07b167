//! Page tokens: opaque to callers, bound to their query, and valid on every replica.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    adobe::PageToken,
    domain::{Invalid, InvalidReason, SandboxName},
    service::Filter,
};

/// The first byte of every token.
const VERSION: u8 = 1;
/// Long enough to detect mistakes. It need not resist an attacker: a forged token can only request another page of
/// the same connections.
const CHECKSUM: usize = 8;

pub(crate) fn encode(page: &PageToken, sandbox: &SandboxName, filter: &Filter) -> String {
    let PageToken(token) = page;
    URL_SAFE_NO_PAD.encode([&[VERSION], &checksum(token, sandbox, filter)[..], token.as_bytes()].concat())
}

/// # Errors
/// [`Invalid`] for a text that is not a token, and for the token of another query.
pub(crate) fn decode(token: &str, sandbox: &SandboxName, filter: &Filter) -> Result<PageToken, Invalid> {
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
    if check != checksum(page, sandbox, filter) {
        return Err(invalid());
    }
    Ok(PageToken(page.to_owned()))
}

/// Covers the token and the query, each field with its length. The page size may change between pages.
fn checksum(token: &str, sandbox: &SandboxName, filter: &Filter) -> [u8; CHECKSUM] {
    let mut context = digest::Context::new(&digest::SHA256);
    let Filter { name, request_id } = filter;
    let request_id = request_id.map(|id| id.to_string());
    let fields = [token, sandbox.as_str(), name.as_deref().unwrap_or_default()];
    for field in fields.into_iter().chain(request_id.as_deref()) {
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

    fn sandbox(name: &str) -> SandboxName {
        SandboxName::parse(name).unwrap()
    }

    fn named(name: &str) -> Filter {
        Filter { name: Some(name.to_owned()), request_id: None }
    }

    proptest! {
        #[test]
        fn a_token_continues_its_query_and_no_other(page: String, name: String, other: String) {
            let (page, prod) = (PageToken(page), sandbox("prod"));
            let token = encode(&page, &prod, &named(&name));
            prop_assert_eq!(decode(&token, &prod, &named(&name)), Ok(page));
            prop_assert!(decode(&token, &sandbox("dev"), &named(&name)).is_err());
            prop_assert!(other == name || decode(&token, &prod, &named(&other)).is_err());
        }

        #[test]
        fn any_other_text_is_malformed(token: String) {
            let invalid = decode(&token, &sandbox("prod"), &Filter::default()).unwrap_err();
            prop_assert_eq!(invalid.reason, InvalidReason::Malformed);
        }

        #[test]
        fn a_token_with_a_changed_character_is_refused(page: String, index: usize, c in "[A-Za-z0-9_-]") {
            let prod = sandbox("prod");
            let token = encode(&PageToken(page), &prod, &Filter::default());
            let index = index % token.len();
            let changed = format!("{}{c}{}", &token[..index], &token[index + 1..]);
            prop_assert!(changed == token || decode(&changed, &prod, &Filter::default()).is_err());
        }
    }
}
