//! A text and what it decodes to.

use std::ops::Range;

use super::{
    SHORTEST,
    escapes::{backslash_escape, entity, hex, percent_escape},
};

/// How often a layer is decoded: percent-encoding and entities may be encoded again.
const MOST_LAYERS: usize = 4;
/// Separates words of a decoded layer. No credential holds it.
const GAP: char = '\0';

/// The text after some decoding.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) chars: Vec<char>,
    /// The characters of the text that each of these was decoded from.
    origins: Vec<Range<usize>>,
}

impl Layer {
    pub(super) fn of(text: &str) -> Self {
        let chars: Vec<_> = text.chars().collect();
        let origins = (0..chars.len()).map(|start| start..start + 1).collect();
        Self { chars, origins }
    }

    fn push(&mut self, c: char, origin: Range<usize>) {
        self.chars.push(c);
        self.origins.push(origin);
    }

    /// The origin of the characters from `start` to before `end`.
    pub(super) fn origin(&self, start: usize, end: usize) -> Range<usize> {
        self.origins[start].start..self.origins[end - 1].end
    }

    /// This layer, and each layer that it decodes to, until nothing is left to decode.
    pub(super) fn layers(&self) -> impl Iterator<Item = Self> {
        let decode = |layer: &Self| Some(layer.decoded()).filter(|decoded| decoded != layer);
        std::iter::successors(Some(self.clone()), decode).take(1 + MOST_LAYERS)
    }

    pub(super) fn without(&self, unwanted: char) -> Self {
        let mut rest = Self::default();
        for (c, origin) in self.chars.iter().zip(&self.origins).filter(|(c, _)| **c != unwanted) {
            rest.push(*c, origin.clone());
        }
        rest
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

    /// Its words as base64, in either alphabet, each read from its character `start` on.
    pub(super) fn base64_decoded(&self, start: usize) -> Self {
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

    /// Its words as hexadecimal digits, each read from its character `start` on.
    pub(super) fn hex_decoded(&self, start: usize) -> Self {
        self.digits_decoded(start, 4, |c| c.to_digit(16))
    }

    /// Its words as digits of `bits` bits.
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

    /// Its separate pairs of hexadecimal digits: `41 42`, `41:42`, `0x41, 0x42`, `x41x42`, and `U+0041 U+0042`.
    pub(super) fn separate_hex_decoded(&self) -> Self {
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

    /// Its separate numbers, as bytes: `65 66`, `[65, 66]`.
    pub(super) fn separate_decimal_decoded(&self) -> Self {
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

    /// Without the zeros, if every other byte is zero, as in UTF-16.
    pub(super) fn of_utf16(&self) -> Option<Self> {
        let zeros = self.chars.iter().filter(|c| **c == GAP).count();
        (zeros >= SHORTEST && zeros * 3 >= self.chars.len()).then(|| self.without(GAP))
    }

    /// Its separate items: `read` returns the value of an item at its start, and its end.
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
                decoded.push(GAP, self.origins[at].clone());
            }
            at += 1;
        }
        decoded
    }
}
