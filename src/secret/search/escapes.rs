//! Decodes one escape at the start of a text: its characters, and the length of the escape.

/// The longest name of an HTML entity is shorter.
const LONGEST_ENTITY: usize = 40;

pub(super) fn hex(digits: &[char]) -> Option<u32> {
    digits.iter().try_fold(0, |value: u32, digit| Some(value.checked_mul(16)? + digit.to_digit(16)?))
}

/// `\u0041`, `\u{41}`, `\U00000041`, `\x41` and `\101`, after any number of backslashes.
pub(super) fn backslash_escape(text: &[char]) -> Option<(String, usize)> {
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

pub(super) fn percent_escape(text: &[char]) -> Option<(String, usize)> {
    Some((char::from_u32(hex(text.get(1..3)?)?)?.to_string(), 3))
}

/// An HTML entity, by its number or its name.
pub(super) fn entity(text: &[char]) -> Option<(String, usize)> {
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
