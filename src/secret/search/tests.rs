//! Secrets in every encoding, and texts without any.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

fn shown(text: &str, secrets: &[&str]) -> String {
    let hidden = SecretSearch::new(secrets).hidden(text);
    text.chars().zip(hidden).filter(|(_, is_hidden)| !is_hidden).map(|(c, _)| c).collect()
}

fn each(secret: &str, encode: impl Fn(char) -> String) -> String {
    secret.chars().map(encode).collect()
}

fn bytes(secret: &str, separator: &str, encode: impl Fn(u8) -> String) -> String {
    secret.bytes().map(encode).collect::<Vec<_>>().join(separator)
}

fn percent(secret: &str) -> String {
    bytes(secret, "", |byte| format!("%{byte:02X}"))
}

fn json(secret: &str) -> String {
    serde_json::to_string(secret).unwrap()
}

/// Encodings of a text, and encodings of these.
fn encodings(secret: &str) -> (Vec<String>, Vec<String>) {
    let form = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let is_vowel = |c: char| "aeiouAEIOU0246%".contains(c);
    let partly = each(secret, |c| if is_vowel(c) { percent(&c.to_string()) } else { c.to_string() });
    let named = each(secret, |c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&apos;".to_owned(),
        '/' => "&sol;".to_owned(),
        '=' => "&equals;".to_owned(),
        other => other.to_string(),
    });
    let decimal = each(secret, |c| format!("&#{};", u32::from(c)));
    let plain = [
        secret.to_owned(),
        secret.to_ascii_uppercase(),
        secret.to_ascii_lowercase(),
        json(secret),
        json(&json(secret)),
        each(secret, |c| format!("\\u{:04x}", u32::from(c))),
        each(secret, |c| format!("\\u{:04X}", u32::from(c))),
        json(&each(secret, |c| format!("\\u{:04X}", u32::from(c)))),
        form.to_ascii_lowercase(),
        percent(&form),
        form,
        partly,
        percent(secret),
        percent(secret).to_ascii_lowercase(),
        percent(&percent(secret)),
        percent(secret).replace('%', "%25"),
        named.replace('&', "&amp;"),
        named,
        each(secret, |c| format!("&#x{:x};", u32::from(c))),
        each(secret, |c| format!("&#X{:04X};", u32::from(c))),
        each(secret, |c| format!("&#{:03}", u32::from(c))) + ";",
        percent(&decimal),
        decimal,
        bytes(secret, "", |byte| format!("{byte:02x}")),
        bytes(secret, "", |byte| format!("{byte:02X}")),
        bytes(secret, ":", |byte| format!("{byte:02X}")),
        bytes(secret, " ", |byte| format!("{byte:02x}")),
        bytes(secret, "-", |byte| format!("{byte:02X}")),
        bytes(secret, ", ", |byte| format!("0x{byte:02x}")),
        bytes(secret, "", |byte| format!("\\x{byte:02x}")),
        bytes(secret, " ", |byte| byte.to_string()),
        bytes(secret, ", ", |byte| byte.to_string()),
        bytes(secret, ",", |byte| format!("{byte:03}")),
        bytes(secret, "", |byte| format!("\\{byte:03o}")),
        each(secret, |c| format!("\\u{{{:x}}}", u32::from(c))),
        each(secret, |c| format!("\\U{:08x}", u32::from(c))),
        each(secret, |c| format!("U+{:04X}", u32::from(c))),
        bytes(secret, " ", |byte| format!("U+{byte:04X}")),
    ];
    let utf16: Vec<_> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let base64 = plain.iter().flat_map(|plain| {
        [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|engine| engine.encode(plain))
    });
    let again = [
        percent(&STANDARD.encode(secret)),
        json(&STANDARD.encode(secret)).replace('/', "\\/"),
        bytes(&STANDARD.encode(secret), "", |byte| format!("{byte:02x}")),
        STANDARD.encode(STANDARD.encode(secret)),
        STANDARD.encode(&utf16),
        URL_SAFE_NO_PAD.encode(&utf16),
    ];
    let again = base64.chain(again).collect();
    (plain.into(), again)
}

fn assert_all_hidden(secret: &str) {
    let (plain, again) = encodings(secret);
    plain.iter().for_each(|encoded| assert_hidden(secret, encoded, 0));
    // Base64 of the surrounding quotes.
    again.iter().for_each(|encoded| assert_hidden(secret, encoded, 16));
}

/// Fails if more is shown than what surrounds the encoding and so many other characters.
fn assert_hidden(secret: &str, encoded: &str, others: usize) {
    let text = format!("the value {encoded} is wrong");
    let shown = shown(&text, &[secret]);
    let rest = shown.strip_prefix("the value ").and_then(|rest| rest.strip_suffix(" is wrong"));
    let rest = rest.unwrap_or_else(|| panic!("{text}: {shown}"));
    let others_shown = rest.chars().filter(|c| !matches!(c, '"' | '\\' | '=' | ';')).count();
    assert!(others_shown <= others, "{secret} {text}: {shown}");
}

#[test]
fn a_secret_is_found_in_every_encoding() {
    for secret in [
        r#"pat-na1-a"b/c=d<e>&f'0123456789"#,
        "8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7",
        r"h%2Fk+L\u0041&lt;m\n",
        "CJTa9sKVMBIQAQMAAAAAAEg",
    ] {
        assert_all_hidden(secret);
        assert_hidden(secret, &secret.replace("%2F", "/"), 0);
    }
}

#[test]
fn a_secret_is_found_behind_others_in_base64() {
    let secret = "s3cr3t-and-more";
    for id in ["", "i", "id", "id1", "client-id"] {
        for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            for before in ["", "Basic ", "token/", "a", "ab", "abc"] {
                let pair = engine.encode(format!("{id}:{secret}:and so on"));
                let shown = shown(&format!("{before}{pair}"), &[secret]);
                let most = before.len() + (id.len() + 1) * 4 / 3 + ":and so on".len() * 4 / 3 + 2;
                assert!(shown.trim_end_matches('=').len() <= most, "{pair}: {shown}");
            }
        }
    }
}

#[test]
fn a_part_of_a_long_secret_matches_and_a_short_one_is_a_word() {
    assert_eq!(shown("it is 23456789", &["0123456789"]), "it is ");
    assert_eq!(shown("it is 3456789", &["0123456789"]), "it is 3456789");
    for secret in ["s3cr", "s3cr3t!"] {
        assert_eq!(shown(&format!("it is ({secret})"), &[secret]), "it is ()");
        assert_eq!(shown(&format!("it is ({})", secret.to_uppercase()), &[secret]), "it is ()");
        let pair = STANDARD.encode(format!("id:{secret}"));
        assert_eq!(shown(&pair, &[secret]).trim_end_matches('='), "aWQ6", "{pair}");
        assert_eq!(shown(&format!("it is x{secret}"), &[secret]), format!("it is x{secret}"));
    }
    for secret in ["", "a", "id", "abc", r"\a\b\c"] {
        let text = r"a b id abc \a\b\c";
        assert_eq!(shown(text, &[secret]), text);
    }
}

#[test]
fn ordinary_texts_stay_as_they_are() {
    let secrets =
        ["8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7", "CJTa9sKVMBIQAQMAAAAAAEg", "hs-client-id", "deadbeef"];
    for text in [
        "connections not found with id = [4890fc95-5a1f-4983-94bb-e060c08e3fde]",
        "One or more of the scopes crm.objects.contacts.read, crm.schemas.deals.read are required",
        "AT&T says: 100 % of the facades &c; \\u \\x %zz &#; &#x; &nothing;",
        "größe 語 🧡 \u{10ffff} 0x 0x4 41 4 2:",
    ] {
        assert_eq!(shown(text, &secrets), text);
    }
}

#[test]
fn a_long_text_is_searched_in_reasonable_time() {
    let secret = "0123456789abcdef".repeat(256);
    let nested = (0..6).fold("x".repeat(200), |text, _| STANDARD.encode(text));
    for text in ["%25".repeat(3000), "&amp;".repeat(2000), "4142".repeat(2000), "\\".repeat(8000), nested] {
        let started = tokio::time::Instant::now();
        shown(&text, &[&secret, &secret]);
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }
}

proptest! {
    // Each case is some 200 searches.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_secret_is_found_in_every_encoding(secret in "[!-~]{8,40}") {
        prop_assume!(secret.replace('\\', "").len() >= RUN);
        // Backslashes are ignored, so those at its ends may stay.
        prop_assume!(!secret.starts_with('\\') && !secret.ends_with('\\'));
        assert_all_hidden(&secret);
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text: String, secret: String) {
        SecretSearch::new(&[&secret]).hidden(&text);
    }

    #[test]
    fn no_escape_makes_it_panic(text in r"([%&#\\xXuU0-9a-fA-F;:=/+ -]|&amp;|ü){0,60}") {
        prop_assert_eq!(SecretSearch::new(&["0123456789"]).hidden(&text).len(), text.chars().count());
    }
}
