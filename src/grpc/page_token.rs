//! Page tokens: opaque to callers, bound to the query that they continue, and the same on every
//! replica.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    domain::{Invalid, InvalidReason, SandboxName},
    flow_service::PageToken,
};

/// The first byte of every token: what follows it may change with the version.
const VERSION: u8 = 1;
/// As long as it takes to notice a mistake: nobody gains anything by a token that is made up, which
/// at most asks the Flow Service for a page that it has or has not.
const CHECKSUM: usize = 8;

/// Makes the token of a page.
pub(crate) fn encode(page: &PageToken, sandbox: &SandboxName, name: Option<&str>) -> String {
    let PageToken(token) = page;
    URL_SAFE_NO_PAD.encode([&[VERSION], &checksum(token, sandbox, name)[..], token.as_bytes()].concat())
}

/// Reads a token.
///
/// # Errors
/// [`Invalid`] where it is none, or that of another query.
pub(crate) fn decode(token: &str, sandbox: &SandboxName, name: Option<&str>) -> Result<PageToken, Invalid> {
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
    if check != checksum(page, sandbox, name) {
        return Err(invalid());
    }
    Ok(PageToken(page.to_owned()))
}

/// Covers the token and the query, each field with its length. The size of a page may change.
fn checksum(token: &str, sandbox: &SandboxName, name: Option<&str>) -> [u8; CHECKSUM] {
    let mut context = digest::Context::new(&digest::SHA256);
    for field in [token, sandbox.as_str(), name.unwrap_or_default()] {
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

    proptest! {
        #[test]
        fn a_token_continues_its_query_and_no_other(page: String, name: String, other: String) {
            let (page, prod) = (PageToken(page), sandbox("prod"));
            let token = encode(&page, &prod, Some(&name));
            prop_assert_eq!(decode(&token, &prod, Some(&name)), Ok(page));
            prop_assert!(decode(&token, &sandbox("dev"), Some(&name)).is_err());
            prop_assert!(other == name || decode(&token, &prod, Some(&other)).is_err());
        }

        #[test]
        fn any_other_text_is_malformed(token: String) {
            let invalid = decode(&token, &sandbox("prod"), None).unwrap_err();
            prop_assert_eq!(invalid.reason, InvalidReason::Malformed);
        }

        #[test]
        fn a_token_with_a_changed_character_is_refused(page: String, place: usize, c in "[A-Za-z0-9_-]") {
            let prod = sandbox("prod");
            let token = encode(&PageToken(page), &prod, None);
            let place = place % token.len();
            let changed = format!("{}{c}{}", &token[..place], &token[place + 1..]);
            prop_assert!(changed == token || decode(&changed, &prod, None).is_err());
        }
    }
}
