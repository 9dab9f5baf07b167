//! The link from a page of a list to the next one.

use percent_encoding::percent_decode_str;

use crate::{adobe::PageToken, error::Cause, json::Object};

/// A token is sent back in a URL: servers and proxies refuse longer ones.
const LONGEST_TOKEN: usize = 16 * 1024;

/// The next page; `None` on the last one, which has no link or an empty one.
///
/// # Errors
/// The link to the next page cannot be requested.
pub(crate) fn next_page(page: &Object<'_>) -> Result<Option<PageToken>, Cause> {
    const UNUSABLE: &str = "the next page cannot be asked for";
    if !page.has("_links") {
        return Ok(None);
    }
    let links = page.object("_links").ok_or(UNUSABLE)?;
    if !links.has("next") {
        return Ok(None);
    }
    let href = links.text("next").or_else(|| links.object("next")?.text("href")).ok_or(UNUSABLE)?;
    if href.is_empty() { Ok(None) } else { Ok(Some(page_token(&href).ok_or(UNUSABLE)?)) }
}

/// Reads the token of a link. The other parts are ignored: the link may name any server.
fn page_token(href: &str) -> Option<PageToken> {
    let (_, rest) = href.split_once("continuationToken=")?;
    // Up to the next parameter: the token itself may hold `=`, as the padding of Base64.
    let token = rest.split(['&', '#']).next()?;
    let token = percent_decode_str(token).decode_utf8().ok()?;
    (1..=LONGEST_TOKEN).contains(&token.len()).then(|| PageToken(token.into_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::adobe::flow_service::connections::page::read_page;

    fn next(page: &Value) -> Option<PageToken> {
        read_page(page.to_string().as_bytes()).unwrap().next
    }

    fn token(href: &Value) -> Result<Option<String>, String> {
        let page = json!({"items": [], "_links": {"next": {"href": href}}});
        let page = read_page(page.to_string().as_bytes()).map_err(|error| error.to_string())?;
        Ok(page.next.map(|PageToken(token)| token))
    }

    #[test]
    fn the_token_of_the_next_page_is_read_from_its_link() {
        for (href, expected) in [
            ("/connections?continuationToken=abc", "abc"),
            ("/connections?continuationToken=YWJjZA==", "YWJjZA=="),
            ("/connections?continuationToken=YWJjZA%3D%3D&limit=5", "YWJjZA=="),
            ("/connections?limit=5&continuationToken=a+b%2Fc%20d#x", "a+b/c d"),
            ("https://evil.example/steal?continuationToken=abc", "abc"),
        ] {
            assert_eq!(token(&json!(href)), Ok(Some(expected.to_owned())), "{href}");
        }
    }

    #[test]
    fn a_page_without_a_link_is_the_last() {
        for links in [
            json!({}),
            json!(null),
            json!({"self": {"href": "/connections"}}),
            json!({"next": null}),
            json!({"next": ""}),
            json!({"next": {"href": ""}}),
        ] {
            assert_eq!(next(&json!({"items": [], "_links": links})), None, "{links}");
        }
        assert_eq!(next(&json!({"items": []})), None);
    }

    #[test]
    fn a_link_may_be_a_text() {
        let page = json!({"items": [], "_links": {"next": "/connections?continuationToken=YWI%3D"}});
        assert_eq!(next(&page), Some(PageToken("YWI=".to_owned())));
    }

    #[test]
    fn a_link_that_cannot_be_followed_is_an_error() {
        let long = format!("?continuationToken={}", "a".repeat(LONGEST_TOKEN + 1));
        let token = "?continuationToken=a";
        let hrefs = ["/connections", "?continuationToken=", "?continuationToken=%FF", " ", "x", &long];
        let nexts = hrefs.iter().flat_map(|href| [json!(href), json!({"href": href})]);
        let nexts = nexts.chain([
            json!({}),
            json!([]),
            json!([token]),
            json!([{"href": token}]),
            json!([["href", token]]),
            json!(5),
            json!(true),
            json!(false),
            json!({"href": null}),
            json!({"href": 5}),
            json!({"href": []}),
            json!({"href": [token]}),
            json!({"href": {"href": token}}),
            json!({"url": token}),
        ]);
        let links = nexts.map(|next| json!({"next": next}).to_string()).chain([
            json!([]).to_string(),
            json!([{"next": token}]).to_string(),
            json!([["next", token]]).to_string(),
            json!(token).to_string(),
            json!("").to_string(),
            json!(5).to_string(),
            json!(false).to_string(),
            format!(r#"{{"next": "{token}", "next": null}}"#),
            format!(r#"{{"next": {{"href": "{token}", "href": ""}}}}"#),
            r#"{"next": "?continuationToken=\ud800"}"#.to_owned(),
        ]);
        let pages = links.map(|links| format!(r#"{{"items": [], "_links": {links}}}"#));
        let twice = format!(r#"{{"items": [], "_links": {{"next": "{token}"}}, "_links": {{}}}}"#);
        for page in pages.chain([twice]) {
            let error = read_page(page.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("the next page cannot be asked for"), "{page}: {error}");
        }
    }
}
