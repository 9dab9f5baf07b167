//! Makes texts from the other side fit to be shown: no credential, no control character, no novel.

use super::{Problem, error_body::ErrorBody};

const MAX_CHARS: usize = 300;
const MAX_ID_CHARS: usize = 100;

/// Makes an error answer fit to be shown to a caller and logged. `secrets` are those that went out
/// with the request: a peer that repeats one does not get it any further.
pub(super) fn presentable(
    status: u16,
    body: ErrorBody,
    request_id: Option<&str>,
    secrets: &[&str],
) -> Problem {
    let clean = |text: &str, max_chars| cleaned(&without(text, secrets), max_chars);
    Problem {
        status,
        code: body.code.map(|code| code.to_string()),
        message: body.message.and_then(|message| clean(&message, MAX_CHARS)),
        request_id: request_id.or(body.request_id.as_deref()).and_then(|id| clean(id, MAX_ID_CHARS)),
    }
}

fn without(text: &str, secrets: &[&str]) -> String {
    let mut secrets = secrets.to_vec();
    // Longest first, so that a secret that holds another one disappears whole.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
        .into_iter()
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]"))
}

fn cleaned(text: &str, max_chars: usize) -> Option<String> {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let folded = printable.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut cut: String = folded.chars().take(max_chars).collect();
    if cut.len() < folded.len() {
        cut.push('…');
    }
    (!cut.is_empty()).then_some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, secrets: &[&str]) -> Option<String> {
        let body = ErrorBody { message: Some(text.to_owned()), ..ErrorBody::default() };
        presentable(400, body, None, secrets).message
    }

    #[test]
    fn a_repeated_credential_does_not_pass() {
        assert_eq!(
            message("secret s3cr3t-and-more of client s3cr3t is wrong", &["s3cr3t", "s3cr3t-and-more"])
                .as_deref(),
            Some("secret [redacted] of client [redacted] is wrong")
        );
    }

    #[test]
    fn control_characters_and_length_are_tamed() {
        assert_eq!(message("a\r\n\u{1b}[31mb\0  c", &[]).as_deref(), Some("a [31mb c"));
        assert_eq!(message(" \n ", &[]), None);
        let cut = message(&"ü".repeat(1000), &[]).unwrap();
        assert_eq!(cut.chars().count(), MAX_CHARS + 1);
        assert!(cut.ends_with('…'));
    }
}
