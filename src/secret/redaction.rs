//! Makes texts of other servers fit to be shown: without credentials and control characters, and not too long.

use super::search::{SecretSearch, is_of_token, is_token};

/// The length of a message that is shown. HubSpot's own text with its advice has some 600 characters. An error
/// holds it twice, in headers, and must stay below 4 KiB.
pub(crate) const MAX_CHARS: usize = 1000;
/// The length of a text that is searched: one member of a body may have 64 KiB.
const MAX_READ: usize = 8 * 1024;

/// A text of another server, on one line, without the secrets, cut; `None` if nothing is left.
pub(crate) fn shown(text: &str, max_chars: usize, secrets: &SecretSearch) -> Option<String> {
    let text = hide(&cut(&folded(text), MAX_READ), secrets);
    Some(cut(&text, max_chars)).filter(|text| !text.is_empty())
}

/// Removes words that look like a credential, in every encoding, and cuts the text. For texts about credentials
/// that are not known.
pub(crate) fn without_tokens(text: &str) -> String {
    let text = folded(text);
    let mut shown = String::with_capacity(text.len());
    // Before the cut, which would leave parts of them.
    for piece in text.split_inclusive(|c| !is_of_token(c)) {
        let word = piece.trim_end_matches(|c| !is_of_token(c));
        shown.push_str(if is_token(word) { "[redacted]" } else { word });
        shown.push_str(&piece[word.len()..]);
    }
    hide(&cut(&shown, MAX_READ), &SecretSearch::of_tokens())
}

/// Whether a text repeats a secret, or enough of it.
pub(crate) fn repeats(text: &str, secret: &str) -> bool {
    without(text, &[secret]) != text
}

/// Replaces each secret, and each sufficient part of one, in every encoding.
pub(crate) fn without(text: &str, secrets: &[&str]) -> String {
    hide(text, &SecretSearch::new(secrets))
}

pub(crate) fn hide(text: &str, secrets: &SecretSearch) -> String {
    let is_hidden = secrets.hidden(text);
    let mut shown = String::with_capacity(text.len());
    let mut was_hidden = false;
    for (c, is_hidden) in text.chars().zip(is_hidden) {
        if !is_hidden {
            shown.push(c);
        } else if !was_hidden {
            shown.push_str("[redacted]");
        }
        was_hidden = is_hidden;
    }
    shown
}

/// On one line, without control characters.
fn folded(text: &str) -> String {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    printable.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The beginning and the end of a text that is too long: the end says what to do about it. The size of a character
/// is that in a header.
fn cut(text: &str, max: usize) -> String {
    const MARK: &str = " … ";
    let size = |c: char| match c {
        '%' => 3,
        c if c.is_ascii() => 1,
        c => 2 * c.len_utf8(),
    };
    if text.chars().map(size).sum::<usize>() <= max {
        return text.to_owned();
    }
    let rest = max - MARK.chars().map(size).sum::<usize>();
    let fits = |most: usize| {
        let mut used = 0;
        move |c: &char| {
            used += size(*c);
            used <= most
        }
    };
    let head: String = text.chars().take_while(fits(rest * 2 / 3)).collect();
    let tail: String = text.chars().rev().take_while(fits(rest / 3)).collect();
    let tail: String = tail.chars().rev().collect();
    format!("{}{MARK}{}", head.trim_end(), tail.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, secrets: &[&str]) -> Option<String> {
        shown(text, MAX_CHARS, &SecretSearch::new(secrets))
    }

    #[test]
    fn a_repeated_credential_is_removed() {
        assert_eq!(
            message("secret s3cr3t-and-more of client s3cr3t is wrong", &["s3cr3t", "s3cr3t-and-more"])
                .as_deref(),
            Some("secret [redacted] of client [redacted] is wrong")
        );
    }

    #[test]
    fn a_word_that_looks_like_a_credential_is_removed_and_others_stay() {
        for (text, shown) in [
            ("the token pat-na1-0123456789abcdef has expired", "the token [redacted] has expired"),
            ("secret: 8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7.", "secret: [redacted]"),
            ("\"CJTa9sKVMBIQAQMAAAAAAEg\", 401", "\"[redacted]\", 401"),
            (
                "Hubspot.Contacts cannot be read: unauthorized_client",
                "Hubspot.Contacts cannot be read: unauthorized_client",
            ),
            (
                "add crm.objects.contacts.sensitive.read.v2. See https://developers.hubspot.com/docs/api/v3/x",
                "add crm.objects.contacts.sensitive.read.v2. See https://developers.hubspot.com/docs/api/v3/x",
            ),
            ("crm.objects.0123456789abcdef", "[redacted]"),
            ("a.v2b3c4d5e6f7g8h9i0", "[redacted]"),
            ("error 0123456789012345 in größe", "error 0123456789012345 in größe"),
            ("", ""),
        ] {
            assert_eq!(without_tokens(text), shown, "{text}");
        }
    }

    #[test]
    fn a_word_that_looks_like_a_credential_is_removed_in_every_encoding_and_before_a_cut() {
        let token = "CJTa9sKVMBIQAQMAAAAAAEg";
        let each = |separator: &str, encode: fn(u32) -> String| {
            token.chars().map(|c| encode(u32::from(c))).collect::<Vec<_>>().join(separator)
        };
        for encoded in [
            each("", |c| format!("&#{c};")),
            each(" ", |c| format!("{c:x}")),
            each("", |c| format!("\\u{c:04x}")),
            each(", ", |c| c.to_string()),
        ] {
            let shown = without_tokens(&format!("the token {encoded} is wrong"));
            assert_eq!(shown.replace(';', ""), "the token [redacted] is wrong", "{encoded}");
        }
        for length in (0..1200).chain(5300..5500) {
            let text = format!("{} {token} {}", "x".repeat(length), "y ".repeat(5000));
            let shown = message(&without_tokens(&text), &[]).unwrap();
            assert!(!shown.contains("CJT") && !shown.contains("AEg"), "{shown}");
        }
    }

    #[test]
    fn parts_of_a_credential_and_escaped_ones_are_removed() {
        let secret = r#"pat-na1-a"b\c/d"e-0123456789"#;
        let json = |text: &str| serde_json::to_string(text).unwrap();
        for repeated in [json(secret), json(&json(secret)), secret[4..].to_owned(), secret[..12].to_owned()] {
            let message = message(&format!("the token {repeated} is wrong"), &[secret]).unwrap();
            let rest = message.replace("[redacted]", "").replace(['"', '\\'], "");
            assert_eq!(rest, "the token  is wrong", "{message}");
        }
        assert_eq!(message("the token pat-na1 is wrong", &[secret]).unwrap(), "the token pat-na1 is wrong");
        assert_eq!(message("a", &["", r"\"]).as_deref(), Some("a"));
    }

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(message("a\r\n\u{1b}[31mb\0  c", &[]).as_deref(), Some("a [31mb c"));
        assert_eq!(message(" \n ", &[]), None);
    }

    #[test]
    fn of_a_long_message_the_beginning_and_the_end_are_shown() {
        let scopes = r#"requiredScopes: ["crm.objects.contacts.read"]"#;
        let text = |length: usize| format!("HubSpot says no. {}{scopes}", "why ".repeat(length));
        assert_eq!(message(&text(200), &[]).unwrap(), text(200), "as it is");
        for length in [250, 1000, 16_000] {
            let shown = message(&text(length), &[]).unwrap();
            assert!(shown.starts_with("HubSpot says no. why") && shown.ends_with(scopes), "{shown}");
            assert!(shown.contains(" … ") && (980..=MAX_CHARS).contains(&shown.len()), "{shown}");
        }
        // A character other than ASCII is larger in a header.
        for (c, fewest) in [('ü', 240), ('語', 160), ('🧡', 120)] {
            let shown = message(&c.to_string().repeat(30_000), &[]).unwrap();
            let encoded: usize = shown.chars().map(|c| if c.is_ascii() { 1 } else { 3 * c.len_utf8() }).sum();
            assert!(encoded <= 3 * MAX_CHARS / 2 && shown.chars().count() > fewest, "{shown}");
        }
    }

    #[test]
    fn a_part_of_a_credential_that_a_cut_leaves_is_hidden() {
        let secret = "pat-na1-0123456789-abcdefghij";
        for length in (0..1200).step_by(23) {
            let text = format!("{} {secret} {}", "x".repeat(length), "y".repeat(1500));
            let shown = message(&text, &[secret]).unwrap();
            assert!(!secret.as_bytes().windows(8).any(|part| shown.as_bytes().windows(8).any(|x| x == part)));
        }
    }

    #[test]
    fn a_short_credential_hides_no_other_words() {
        let text = "The auth of a connection is bad: client id 17, key a, code 400 in id_token";
        assert_eq!(message(text, &["a", "id", "17", "400", "key"]).as_deref(), Some(text));
        assert_eq!(
            message("connection conn, CONN/connect (conn): econn conn1", &["conn"]).as_deref(),
            Some("connection [redacted], [redacted]/connect ([redacted]): econn conn1")
        );
    }
}
