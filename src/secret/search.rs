//! Finds secrets in the text of another server, in every encoding in which it may repeat them.
//!
//! The text is decoded layer by layer, and each layer is searched: backslashes, `\u` and octal escapes,
//! percent-encoding and HTML entities, then base64, hexadecimal digits and lists of numbers, up to two of these
//! nested, also of UTF-16. Each character of a layer knows which characters of the text it was decoded from: those
//! are hidden.
//!
//! A match is, ignoring case:
//! - any eight characters in a row of a secret of eight or more; fewer may be a coincidence;
//! - a secret of four to seven characters as a word of its own; within another word it may be a coincidence.
//!
//! A shorter secret is not searched for: every sentence contains it.

mod escapes;
mod layer;

use std::collections::HashSet;

use self::layer::Layer;

/// The number of characters in a row that match a secret.
const RUN: usize = 8;
/// A shorter secret is not searched for.
const SHORTEST: usize = 4;
/// How often base64 or hexadecimal digits are decoded.
const MOST_DEPTH: usize = 2;

/// The secrets to search for.
#[derive(Default)]
pub(crate) struct SecretSearch {
    /// Every run of eight characters of the long ones.
    runs: HashSet<u64>,
    /// The short ones.
    words: Vec<Vec<char>>,
    /// Whether to search for words that look like a secret.
    tokens: bool,
}

impl SecretSearch {
    pub(crate) fn new(secrets: &[&str]) -> Self {
        let mut search = Self::default();
        for secret in secrets {
            // The server may decode it before it repeats it. Each quotation of a text adds backslashes.
            for layer in Layer::of(secret).layers() {
                let chars = lower_case(&layer.without('\\'));
                if chars.len() >= RUN {
                    search.runs.extend(runs(&chars));
                } else if chars.len() >= SHORTEST {
                    search.words.push(chars);
                }
            }
        }
        search
    }

    /// Searches for words that look like a secret, if the secret itself is not known.
    pub(crate) fn of_tokens() -> Self {
        Self { tokens: true, ..Self::default() }
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
            let layer = layer.without('\\');
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
        let chars = lower_case(layer);
        let mut hide = |start: usize, length: usize| {
            hidden[layer.origin(start, start + length)].fill(true);
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

/// Whether a character may be part of a credential.
pub(crate) fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '+' | '=' | '%')
}

/// Whether a word looks like a credential: unlike other words it is long and mixes letters and digits. The only
/// digits in names of scopes and in links to documentation are those of a version.
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

fn lower_case(layer: &Layer) -> Vec<char> {
    layer.chars.iter().map(char::to_ascii_lowercase).collect()
}

/// Every run of eight characters, as one number. No credential holds a character other than ASCII.
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

#[cfg(test)]
mod tests;
