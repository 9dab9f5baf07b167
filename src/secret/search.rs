//! Finds secrets in a text of the other side, in whatever encoding it repeats them.
//!
//! The text is decoded layer by layer, and each layer is searched: backslashes, `\u` and octal escapes,
//! percent-encoding and HTML entities, then base64, hexadecimal digits and lists of numbers, up to two of these
//! in one another, of UTF-16 as well. Each character of a layer knows what it was decoded from, so that exactly
//! that is hidden.
//!
//! What counts as a repetition:
//! - Of a secret of eight characters or more, any eight in a row: less may be there by chance.
//! - A secret of four to seven characters only as a word of its own: within another word it is there by
//!   chance.
//! - A shorter one is not looked for: it hides nothing, and is part of every sentence.
//!
//! Upper and lower case count as the same.

use std::collections::HashSet;

/// So many characters in a row give a secret away.
const RUN: usize = 8;
/// A shorter secret is not looked for.
const SHORTEST: usize = 4;
/// How often a layer is decoded: percent-encoding and entities may be encoded again.
const MOST_LAYERS: usize = 4;
/// How often base64 or hexadecimal digits are decoded.
const MOST_DEPTH: usize = 2;
/// The longest name of an HTML entity is shorter.
const LONGEST_ENTITY: usize = 40;
/// Separates in a decoded layer what was apart before. No credential has it.
const GAP: char = '\0';

/// The secrets to look for.
pub(crate) struct SecretSearch {
    /// Every run of eight characters of the long ones.
    runs: HashSet<u64>,
    /// The short ones.
    words: Vec<Vec<char>>,
    /// Whether to look for what looks like one, too.
    tokens: bool,
}

impl SecretSearch {
    pub(crate) fn new(secrets: &[&str]) -> Self {
        let mut search = Self { runs: HashSet::new(), words: Vec::new(), tokens: false };
        for secret in secrets {
            // The other side may have decoded it before it repeats it.
            for layer in Layer::of(secret).layers() {
                search.add(&layer.without_backslashes());
            }
        }
        search
    }

    /// Looks for what looks like a secret, where none is at hand.
    pub(crate) fn of_tokens() -> Self {
        Self { runs: HashSet::new(), words: Vec::new(), tokens: true }
    }

    fn add(&mut self, secret: &Layer) {
        let chars: Vec<_> = secret.chars.iter().map(char::to_ascii_lowercase).collect();
        if chars.len() >= RUN {
            self.runs.extend(runs(&chars));
        } else if chars.len() >= SHORTEST {
            self.words.push(chars);
        }
    }

    /// Whether each character of the text is a part of a secret.
    pub(crate) fn hidden(&self, text: &str) -> Vec<bool> {
        let text = Layer::of(text);
        let mut hidden = vec![false; text.chars.len()];
        if !self.runs.is_empty() || !self.words.is_empty() || self.tokens {
            self.hide(&text, 0, &mut hidden);
        }
        hidden
    }

    fn hide(&self, text: &Layer, depth: usize, hidden: &mut [bool]) {
        for layer in text.layers() {
            let layer = layer.without_backslashes();
            self.hide_plain(&layer, hidden);
            if depth < MOST_DEPTH {
                let decoded = (0..4).map(|start| layer.base64_decoded(start));
                let decoded = decoded.chain((0..2).map(|start| layer.hex_decoded(start)));
                let lists = [layer.separate_hex_decoded(), layer.separate_decimal_decoded()];
                for decoded in decoded.chain(lists) {
                    if decoded.chars.len() >= SHORTEST {
                        self.hide(&decoded, depth + 1, hidden);
                    }
                    if let Some(text) = decoded.of_utf16() {
                        self.hide(&text, depth + 1, hidden);
                    }
                }
            }
        }
    }

    fn hide_plain(&self, layer: &Layer, hidden: &mut [bool]) {
        let chars: Vec<_> = layer.chars.iter().map(char::to_ascii_lowercase).collect();
        let mut hide = |start: usize, length: usize| {
            let origin = layer.origin(start, start + length);
            hidden[origin.start..origin.end].fill(true);
        };
        for (start, run) in runs(&chars).enumerate() {
            if self.runs.contains(&run) {
                hide(start, RUN);
            }
        }
        if self.tokens {
            let mut start = 0;
            for word in layer.chars.split(|c| !is_of_token(*c)) {
                if is_token(&word.iter().collect::<String>()) {
                    hide(start, word.len());
                }
                start += word.len() + 1;
            }
        }
        let is_in_word =
            |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(char::is_ascii_alphanumeric);
        for word in &self.words {
            for (start, part) in chars.windows(word.len()).enumerate() {
                if part == word && !is_in_word(start.checked_sub(1)) && !is_in_word(Some(start + word.len()))
                {
                    hide(start, word.len());
                }
            }
        }
    }
}

/// Whether a character may be a part of what looks like a credential.
pub(crate) fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '+' | '=' | '%')
}

/// Whether a word looks like a credential: it is long and mixes letters and digits, as no word of a sentence
/// does. The names of scopes and the links to documentation have no digit but that of a version.
pub(crate) fn is_token(word: &str) -> bool {
    const SHORTEST: usize = 16;
    let has = |kind: fn(&u8) -> bool| word.bytes().any(|byte| kind(&byte));
    word.len() >= SHORTEST && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic) && !is_dotted_name(word)
}

fn is_dotted_name(word: &str) -> bool {
    let is_name = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'-'));
    let is_version = |part: &str| {
        let digits = part.strip_prefix('v').unwrap_or_default();
        (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    };
    let name = word.trim_matches(['/', '.']);
    name.contains('.') && name.split(['.', '/']).all(|part| is_name(part) || is_version(part))
}

/// Every run of eight characters, in one number. What is not ASCII is in no credential.
fn runs(chars: &[char]) -> impl Iterator<Item = u64> {
    let mut run = 0_u64;
    chars
        .iter()
        .map(move |c| {
            run = run << 8 | u64::from(u8::try_from(*c).unwrap_or(u8::MAX));
            run
        })
        .skip(RUN - 1)
}

/// Which characters of the text something was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    start: usize,
    end: usize,
}

/// The text, decoded to a certain degree.
#[derive(Clone, Default, PartialEq, Eq)]
struct Layer {
    chars: Vec<char>,
    origins: Vec<Origin>,
}

impl Layer {
    fn of(text: &str) -> Self {
        let chars: Vec<_> = text.chars().collect();
        let origins = (0..chars.len()).map(|start| Origin { start, end: start + 1 }).collect();
        Self { chars, origins }
    }

    fn push(&mut self, c: char, origin: Origin) {
        self.chars.push(c);
        self.origins.push(origin);
    }

    /// Where the characters from one to before another one come from.
    fn origin(&self, start: usize, end: usize) -> Origin {
        Origin { start: self.origins[start].start, end: self.origins[end - 1].end }
    }

    /// This one, and what it decodes to, until there is nothing left to decode.
    fn layers(&self) -> impl Iterator<Item = Self> {
        let decode = |layer: &Self| Some(layer.decoded()).filter(|decoded| decoded != layer);
        std::iter::successors(Some(self.clone()), decode).take(1 + MOST_LAYERS)
    }

    /// A text that quotes another one escapes it, and each quotation adds backslashes.
    fn without_backslashes(&self) -> Self {
        let mut plain = Self::default();
        for (c, origin) in self.chars.iter().zip(&self.origins).filter(|(c, _)| **c != '\\') {
            plain.push(*c, *origin);
        }
        plain
    }

    /// Without one layer of `\u` and `\x` escapes, percent-encoding and HTML entities.
    fn decoded(&self) -> Self {
        let mut decoded = Self::default();
        let mut at = 0;
        while let Some(&c) = self.chars.get(at) {
            let rest = &self.chars[at..];
            let escape = match c {
                '\\' => backslash_escape(rest),
                '%' => percent_escape(rest),
                '&' => entity(rest),
                _ => None,
            };
            let (text, length) = escape.unwrap_or_else(|| (c.to_string(), 1));
            for c in text.chars() {
                decoded.push(c, self.origin(at, at + length));
            }
            at += length;
        }
        decoded
    }

    /// What its words are in base64, in either alphabet, each read from so many characters on.
    fn base64_decoded(&self, start: usize) -> Self {
        let digit = |c: char| match c {
            'A'..='Z' => Some(u32::from(c) - u32::from('A')),
            'a'..='z' => Some(u32::from(c) - u32::from('a') + 26),
            '0'..='9' => Some(u32::from(c) - u32::from('0') + 52),
            '+' | '-' => Some(62),
            '/' | '_' => Some(63),
            _ => None,
        };
        self.digits_decoded(start, 6, digit)
    }

    /// What its words are in hexadecimal digits, each read from so many characters on.
    fn hex_decoded(&self, start: usize) -> Self {
        self.digits_decoded(start, 4, |c| c.to_digit(16))
    }

    /// What its words are in digits of so many bits.
    fn digits_decoded(&self, start: usize, bits: u32, digit: impl Fn(char) -> Option<u32>) -> Self {
        let mut decoded = Self::default();
        let mut at = 0;
        while at < self.chars.len() {
            let length = self.chars[at..].iter().take_while(|c| digit(**c).is_some()).count();
            let word = at + start.min(length)..at + length;
            at += length.max(1);
            let (mut buffer, mut filled) = (0_u32, 0);
            let mut first = word.start;
            for place in word {
                buffer = buffer << bits | digit(self.chars[place]).unwrap_or_default();
                filled += bits;
                if filled >= 8 {
                    filled -= 8;
                    let byte = buffer >> filled & 0xff;
                    decoded.push(char::from_u32(byte).unwrap_or(GAP), self.origin(first, place + 1));
                    // The next byte begins within this digit, unless the two end together.
                    first = if filled > 0 { place } else { place + 1 };
                }
            }
            if decoded.chars.last().is_some_and(|last| *last != GAP) {
                decoded.push(GAP, self.origin(at - 1, at));
            }
        }
        decoded
    }

    /// What its pairs of hexadecimal digits are that stand apart: `41 42`, `41:42`, `0x41, 0x42`, `x41x42`,
    /// and `U+0041 U+0042`.
    fn separate_hex_decoded(&self) -> Self {
        self.separate_decoded(|at: usize| {
            if let ['U' | 'u', '+', rest @ ..] = self.chars.get(at..)? {
                let digits = rest.iter().take(6).take_while(|c| c.is_ascii_hexdigit()).count();
                return hex(&rest[..digits]).filter(|_| digits >= 4).map(|value| (value, at + 2 + digits));
            }
            let prefix = match self.chars.get(at..)? {
                ['0', 'x' | 'X', ..] => 2,
                ['x' | 'X', ..] => 1,
                _ => 0,
            };
            let start = at + prefix;
            let digits = self.chars.get(start..start + 2)?;
            let is_longer = prefix == 0 && self.chars.get(start + 2).is_some_and(char::is_ascii_alphanumeric);
            hex(digits).filter(|_| !is_longer).map(|byte| (byte, start + 2))
        })
    }

    /// What its numbers are that stand apart, as bytes: `65 66`, `[65, 66]`.
    fn separate_decimal_decoded(&self) -> Self {
        self.separate_decoded(|at: usize| {
            let is_of_word = |at: usize| self.chars.get(at).is_some_and(char::is_ascii_alphanumeric);
            let digits = self.chars[at..].iter().take(4).take_while(|c| c.is_ascii_digit()).count();
            let end = at + digits;
            if !(1..=3).contains(&digits) || is_of_word(end) || at.checked_sub(1).is_some_and(is_of_word) {
                return None;
            }
            let number = self.chars[at..end].iter().try_fold(0, |n, c| Some(n * 10 + c.to_digit(10)?))?;
            (number <= 0xff).then_some((number, end))
        })
    }

    /// What it is where every other byte is zero, as in UTF-16.
    fn of_utf16(&self) -> Option<Self> {
        let zeros = self.chars.iter().filter(|c| **c == GAP).count();
        if zeros < SHORTEST || zeros * 3 < self.chars.len() {
            return None;
        }
        let mut text = Self::default();
        for (c, origin) in self.chars.iter().zip(&self.origins).filter(|(c, _)| **c != GAP) {
            text.push(*c, *origin);
        }
        Some(text)
    }

    /// What stands apart and is read at its start, with where it ends.
    fn separate_decoded(&self, read: impl Fn(usize) -> Option<(u32, usize)>) -> Self {
        const MOST_BETWEEN: usize = 2;
        let mut decoded = Self::default();
        let mut at = 0;
        let mut gap = 0;
        while at < self.chars.len() {
            if let Some((c, end)) = read(at).and_then(|(c, end)| Some((char::from_u32(c)?, end))) {
                decoded.push(c, self.origin(at, end));
                (at, gap) = (end, 0);
                continue;
            }
            gap = if self.chars[at].is_ascii_alphanumeric() { MOST_BETWEEN + 1 } else { gap + 1 };
            if gap > MOST_BETWEEN && decoded.chars.last().is_some_and(|last| *last != GAP) {
                decoded.push(GAP, self.origins[at]);
            }
            at += 1;
        }
        decoded
    }
}

fn hex(digits: &[char]) -> Option<u32> {
    digits.iter().try_fold(0, |value: u32, digit| Some(value.checked_mul(16)? + digit.to_digit(16)?))
}

/// `\u0041`, `\u{41}`, `\U00000041`, `\x41` and `\101`, after any number of backslashes. The others are taken out
/// before a search.
fn backslash_escape(text: &[char]) -> Option<(String, usize)> {
    let start = text.iter().take_while(|c| **c == '\\').count();
    let (value, length) = match text.get(start..)? {
        ['u' | 'U' | 'x' | 'X', '{', rest @ ..] => {
            let digits = rest.iter().take(7).position(|c| *c == '}').filter(|digits| *digits > 0)?;
            (hex(&rest[..digits])?, digits + 3)
        }
        ['U', rest @ ..] if rest.get(..8).and_then(hex).is_some_and(|value| value <= 0x0010_ffff) => {
            (hex(&rest[..8])?, 9)
        }
        ['u' | 'U', rest @ ..] => (hex(rest.get(..4)?)?, 5),
        ['x' | 'X', rest @ ..] => (hex(rest.get(..2)?)?, 3),
        [first @ '0'..='3', rest @ ..] => {
            let digits = rest.get(..2)?;
            let octal = |value: u32, digit: &char| Some(value * 8 + digit.to_digit(8)?);
            (digits.iter().try_fold(first.to_digit(8)?, octal)?, 3)
        }
        _ => return None,
    };
    Some((char::from_u32(value)?.to_string(), start + length))
}

fn percent_escape(text: &[char]) -> Option<(String, usize)> {
    Some((char::from_u32(hex(text.get(1..3)?)?)?.to_string(), 3))
}

/// An HTML entity, by its number or its name.
fn entity(text: &[char]) -> Option<(String, usize)> {
    if let Some('#') = text.get(1) {
        let is_hex = matches!(text.get(2), Some('x' | 'X'));
        let (start, radix) = if is_hex { (3, 16) } else { (2, 10) };
        let digits = text[start.min(text.len())..].iter().take_while(|c| c.is_digit(radix)).count();
        let digits = digits.min(LONGEST_ENTITY);
        let number: String = text[start.min(text.len())..][..digits].iter().collect();
        let value = u32::from_str_radix(&number, radix).ok()?;
        let end = start + digits;
        let semicolon = usize::from(text.get(end) == Some(&';'));
        return Some((char::from_u32(value)?.to_string(), end + semicolon));
    }
    let end = text.iter().take(LONGEST_ENTITY).position(|c| *c == ';')? + 1;
    let name: String = text[..end].iter().collect();
    [name.to_ascii_lowercase(), name.clone()].into_iter().find_map(|name| {
        let decoded = htmlize::unescape(&*name).into_owned();
        (decoded != name).then_some((decoded, end))
    })
}

#[cfg(test)]
mod tests {
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

    /// Encodings that leave nothing of a text, and those that are encoded once more.
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
        // Base64 of what encloses it.
        again.iter().for_each(|encoded| assert_hidden(secret, encoded, 16));
    }

    /// Fails if more of an encoding is shown than what encloses it, and so many other characters.
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
    fn a_part_gives_a_long_secret_away_and_a_short_one_is_a_word() {
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
    fn ordinary_texts_are_left_alone() {
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
        for text in ["%25".repeat(3000), "&amp;".repeat(2000), "4142".repeat(2000), "\\".repeat(8000), nested]
        {
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
            // Backslashes are not looked at, so those at its ends may stay.
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
}
