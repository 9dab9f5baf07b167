//! The reference in a description, which names the request that created the resource.
//!
//! The Flow Service has no idempotency key, so the description ends with the request id:
//! `for marketing [request 8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7]`. Proxies and clients may change the text,
//! so the reference is read leniently.

use std::{borrow::Cow, ops::Range};

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use percent_encoding::percent_decode_str;

use super::{Description, RequestId};

const KEYWORD: &str = "request";
/// How often escapes are decoded: several proxies may each have escaped the text.
const MOST_ESCAPES: usize = 4;
/// Longer than `&amp;quot;`.
const LONGEST_ESCAPE: usize = 12;

/// The description to store: the caller's, then the reference.
pub fn stored_description(description: Option<&Description>, reference: Option<RequestId>) -> Option<String> {
    match (description.map(Description::as_str), reference) {
        (None, None) => None,
        (Some(description), None) => Some(description.to_owned()),
        (None, Some(id)) => Some(format!("[{KEYWORD} {id}]")),
        (Some(description), Some(id)) => Some(format!("{description} [{KEYWORD} {id}]")),
    }
}

/// Splits a stored description into the caller's part and the last reference.
pub fn split(stored: &str) -> (Option<String>, Option<RequestId>) {
    let last = last_reference(stored);
    // The caller's part stays as it is stored if the reference is readable without decoding.
    for text in [Cow::Borrowed(stored), unescaped(stored)] {
        if let Some((range, id)) = references(&text).pop().filter(|(_, id)| Some(*id) == last) {
            let (before, after) = (&text[..range.start], &text[range.end..]);
            let description = format!("{}{after}", before.strip_suffix(' ').unwrap_or(before));
            return (Some(description).filter(|description| !description.is_empty()), Some(id));
        }
    }
    (Some(stored.to_owned()).filter(|stored| !stored.is_empty()), None)
}

/// The last reference in a text.
pub fn last_reference(text: &str) -> Option<RequestId> {
    references(&unescaped(text)).pop().map(|(_, id)| id)
}

/// A text without the differences that transport may cause: case, Unicode form, white space and escapes.
pub fn fold(text: &str) -> String {
    let text = unescaped(text);
    // Upper case first: only there are `ß` and `SS` the same.
    let lower = text.to_uppercase().to_lowercase();
    let lower = nfkc(&lower);
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The letters and digits of a folded text, without accents: also ignores differences of punctuation.
pub fn skeleton(text: &str) -> String {
    let folded = fold(text);
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(&folded);
    decomposed.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// A text without an escape at its end. Truncation may have cut the escape, and then it stands for another
/// letter or for the letters of its name.
pub fn before_last_escape(text: &str) -> &str {
    let is_of_escape = |c: char| c.is_ascii_alphanumeric() || matches!(c, '#' | ';');
    let start = text.rfind(['&', '%']).filter(|start| {
        let rest = &text[start + 1..];
        rest.len() <= LONGEST_ESCAPE && rest.chars().all(is_of_escape)
    });
    &text[..start.unwrap_or(text.len())]
}

/// Every reference in a text, with its range.
fn references(text: &str) -> Vec<(Range<usize>, RequestId)> {
    let brackets = text.match_indices('[');
    brackets.filter_map(|(start, _)| reference_at(text, start)).collect()
}

fn reference_at(text: &str, start: usize) -> Option<(Range<usize>, RequestId)> {
    let rest = text.get(start + 1..)?.trim_start();
    let (keyword, rest) = rest.split_at_checked(KEYWORD.len())?;
    let (id, rest) = rest.trim_start().split_at_checked(RequestId::LENGTH)?;
    let rest = rest.trim_start().strip_prefix(']')?;
    let id = RequestId::parse(id).ok().filter(|_| keyword.eq_ignore_ascii_case(KEYWORD))?;
    Some((start..text.len() - rest.len(), id))
}

/// Decodes the escapes of HTML and URLs, and brings everything into one Unicode form.
fn unescaped(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.contains(['&', '%']) {
        return Cow::Borrowed(text);
    }
    let mut text = text.to_owned();
    for _ in 0..MOST_ESCAPES {
        let decoded = percent_decode_str(&text).decode_utf8_lossy();
        let decoded = nfkc(&htmlize::unescape(decoded));
        if decoded == text {
            break;
        }
        text = decoded;
    }
    Cow::Owned(text)
}

/// Unicode's compatibility form, with one kind of hyphen and without invisible characters.
fn nfkc(text: &str) -> String {
    let is_visible = |c: &char| !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    let plain = |c| if matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}') { '-' } else { c };
    let normal = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
    normal.chars().filter(is_visible).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7";

    fn id() -> RequestId {
        RequestId::parse(ID).unwrap()
    }

    fn stored(description: &str) -> String {
        let description = Description::parse(description).unwrap();
        stored_description(description.as_ref(), Some(id())).unwrap()
    }

    #[test]
    fn the_reference_is_at_the_end_and_comes_off_again() {
        assert_eq!(stored("for marketing"), format!("for marketing [request {ID}]"));
        assert_eq!(stored(""), format!("[request {ID}]"));
        for description in ["for marketing", " two\nlines ", "[", "ends with a bracket ["] {
            assert_eq!(split(&stored(description)), (Some(description.to_owned()), Some(id())));
        }
        assert_eq!(split(&stored("")), (None, Some(id())));
        assert_eq!(split("made by hand"), (Some("made by hand".to_owned()), None));
        assert_eq!(split(""), (None, None));
    }

    #[test]
    fn what_people_add_behind_the_reference_is_part_of_the_description() {
        let text = format!("for marketing [request {ID}] until May");
        assert_eq!(split(&text), (Some("for marketing until May".to_owned()), Some(id())));
    }

    #[test]
    fn the_last_reference_counts() {
        let other = "1f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7";
        assert_eq!(last_reference(&format!("copy of [request {other}] [request {ID}]")), Some(id()));
    }

    #[test]
    fn both_ways_of_reading_find_the_same_last_reference() {
        let other = "1f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7";
        let text = format!("copy of [request {other}] &#91;request {ID}&#93;");
        assert_eq!((last_reference(&text), split(&text).1), (Some(id()), Some(id())));
    }

    #[test]
    fn a_reference_is_read_however_the_text_was_changed() {
        let text = stored("für alle");
        for changed in [
            text.to_uppercase(),
            text.replace(' ', "\r\n"),
            text.replace(' ', "  \t "),
            text.replace('[', "&#91;").replace(']', "&#x5d;"),
            text.replace('[', "&lbrack;").replace(']', "&rsqb;").replace(' ', "&nbsp;"),
            text.replace('[', "&amp;#91;"),
            text.replace('[', "%5B").replace(']', "%5d").replace(' ', "%20"),
            text.replace('[', "%255B"),
            text.replace('[', "\u{ff3b}").replace(']', "\u{ff3d}"),
            text.replace('-', "\u{2011}"),
            text.replace("8f", "8\u{200b}f"),
            format!("  {text}\n"),
            text.replace('ü', "u\u{308}"),
        ] {
            assert_eq!(last_reference(&changed), Some(id()), "{changed:?}");
            assert_eq!(split(&changed).1, Some(id()), "{changed:?}");
        }
    }

    #[test]
    fn nothing_else_is_a_reference() {
        for text in [
            ID,
            &format!("request {ID}"),
            &format!("[{ID}]"),
            &format!("[requests {ID}]"),
            &format!("[request {}]", &ID[1..]),
            &format!("[request {ID}"),
            "[request ü]",
            "[",
        ] {
            assert_eq!(last_reference(text), None, "{text}");
        }
    }

    #[test]
    fn folded_texts_are_the_same_whatever_their_form() {
        for (one, other) in [
            ("Straße  Süd", "STRASSE su\u{308}d"),
            ("a &amp; b", "A %26 B"),
            ("ﬁne", "FINE"),
            (" two\r\nlines ", "two lines"),
        ] {
            assert_eq!(fold(one), fold(other));
        }
        assert_eq!(skeleton("Café – “Süd”…"), skeleton("cafe sud"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = (last_reference(&text), split(&text), skeleton(before_last_escape(&text)));
        }

        #[test]
        fn whatever_the_caller_writes_its_reference_is_found(text in "\\PC{0,40}") {
            prop_assume!(last_reference(&text).is_none());
            prop_assert_eq!(last_reference(&stored(&text)), Some(id()));
            prop_assert_eq!(split(&stored(&text)).1, Some(id()));
        }
    }
}
