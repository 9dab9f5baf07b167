//! The media type of a reply, all that is shown of one that anybody may have written.

use http::HeaderValue;

use crate::secret::redaction::repeats;

/// The longest media type that is shown.
const MOST_CHARS: usize = 60;

/// A media type without its parameters, unless it repeats a secret.
pub(crate) fn media_type(value: &HeaderValue, secrets: &[&str]) -> Option<String> {
    let value = value.to_str().ok()?;
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '+' | '-' | '.');
    let is_shown = (1..=MOST_CHARS).contains(&media_type.len())
        && media_type.chars().all(is_part)
        && !secrets.iter().any(|secret| repeats(value, secret));
    is_shown.then_some(media_type)
}
