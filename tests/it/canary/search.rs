//! Finds secrets in the output, in any encoding.

use std::collections::HashSet;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// This many consecutive characters of a secret are a leak.
const RUN: usize = 12;

/// Knows the secrets that must not leak.
pub(crate) struct Search {
    runs: HashSet<Vec<u8>>,
    /// Whether a run starts with these two bytes: excludes most positions in a text.
    starts: Vec<bool>,
}

impl Search {
    pub(crate) fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut runs = HashSet::new();
        for secret in secrets {
            let secret = secret.as_ref().to_ascii_lowercase();
            assert!(secret.len() >= 2 * RUN, "too short to be distinguished from chance: {secret}");
            runs.extend(secret.as_bytes().windows(RUN).map(<[u8]>::to_vec));
        }
        let mut starts = vec![false; 1 << 16];
        for run in &runs {
            starts[start(run)] = true;
        }
        Self { runs, starts }
    }

    /// Fails if a text contains a part of a secret.
    pub(crate) fn assert_absent(&self, what: &str, text: &[u8]) {
        if let Some(run) = self.find(text) {
            panic!("{what} gives {run:?} away:\n{}", String::from_utf8_lossy(text));
        }
    }

    fn find(&self, text: &[u8]) -> Option<String> {
        let mut views = vec![text.to_vec(), percent_decoded(text, b' ')];
        for decoded in [unescaped, |text: &[u8]| percent_decoded(text, b'+'), without_entities] {
            let mut view = text.to_vec();
            for _ in 0..3 {
                view = decoded(&view);
                views.push(view.clone());
            }
        }
        views.extend(base64_decoded(text));
        views.extend(hex_decoded(text));
        views.iter_mut().for_each(|view| view.make_ascii_lowercase());
        let mut runs = views.iter().flat_map(|view| view.windows(RUN));
        runs.find(|run| self.starts[start(run)] && self.runs.contains(*run))
            .map(|run| String::from_utf8_lossy(run).into_owned())
    }
}

fn start(run: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([run[0], run[1]]))
}

/// Removes the percent-encoding of URLs and forms.
fn percent_decoded(text: &[u8], plus: u8) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        rest = match (byte, hex) {
            (b'%', Some(value)) => {
                decoded.push(value);
                &after[2..]
            }
            _ => {
                decoded.push(if byte == b'+' { plus } else { byte });
                after
            }
        };
    }
    decoded
}

/// Removes one layer of the escapes of JSON and of Rust's `Debug`.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let hex = after.strip_prefix(b"u00").and_then(|after| after.get(..2));
        if let Some(value) = hex.and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok()) {
            plain.push(value);
            rest = &after[5..];
        } else if let Some((&escaped, after)) = after.split_first() {
            plain.push(escaped);
            rest = after;
        }
    }
    plain
}

/// Removes one layer of HTML entities.
fn without_entities(text: &[u8]) -> Vec<u8> {
    htmlize::unescape(String::from_utf8_lossy(text)).into_owned().into_bytes()
}

/// Possible hexadecimal digits, with or without a separator between each pair.
fn hex_decoded(text: &[u8]) -> Vec<Vec<u8>> {
    let is_between = |byte: &u8| b" :,-".contains(byte);
    let decoded = |digits: &[u8]| {
        let pairs = digits.chunks_exact(2).filter_map(|pair| str::from_utf8(pair).ok());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap_or_default()).collect()
    };
    let digits = |text: &[u8]| text.iter().filter(|byte| !is_between(byte)).copied().collect::<Vec<_>>();
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || is_between(byte);
    let words = text.split(|byte| !is_part(byte)).map(digits).filter(|word| word.len() >= 2 * RUN);
    words.flat_map(|word| [decoded(&word), decoded(&word[1..])]).collect()
}

/// Possible base64, decoded at each of the four offsets at which a group can start.
fn base64_decoded(text: &[u8]) -> Vec<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&STANDARD, LENIENT);
    let standard: Vec<u8> = text
        .iter()
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let words = standard.split(|byte| !is_base64(byte)).filter(|word| word.len() * 3 / 4 >= RUN);
    words
        .flat_map(|word| (0..4).map(move |start| &word[start..]))
        .filter_map(|word| {
            // A single character is not a group.
            let length = if word.len() % 4 == 1 { word.len() - 1 } else { word.len() };
            engine.decode(&word[..length]).ok()
        })
        .collect()
}

#[test]
fn a_secret_is_found_in_every_encoding() {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    let secret = r#"a1"b2\c3/d4+e5=f6%g7-h8?i9&j0<k1>l2~m3"#;
    let search = Search::new([secret]);
    let json = |text: &str| serde_json::to_string(text).unwrap();
    let unicode: String = secret.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    for disguised in [
        secret.to_owned(),
        secret[7..7 + RUN].to_owned(),
        json(secret),
        json(&json(secret)),
        json(&json(&json(secret))),
        format!("{secret:?}"),
        unicode,
        form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        secret.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        STANDARD.encode(secret),
        STANDARD.encode(format!("x:{secret}")),
        URL_SAFE_NO_PAD.encode(format!("Basic xy:{secret}")),
        secret.to_uppercase(),
        secret.bytes().map(|byte| format!("%25{byte:02x}")).collect(),
        secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
        secret.bytes().map(|byte| format!("{byte:02X}:")).collect(),
        secret.bytes().map(|byte| format!("&#{byte};")).collect(),
        secret.bytes().map(|byte| format!("&#x{byte:x};")).collect(),
        htmlize::escape_text(secret).into_owned(),
    ] {
        let text = format!("before {disguised} after");
        assert!(search.find(text.as_bytes()).is_some(), "{text}");
    }
    assert_eq!(search.find(&secret.as_bytes()[..RUN - 1]), None);
    assert_eq!(search.find(b"nothing of it, and a trailing backslash \\"), None);
}
