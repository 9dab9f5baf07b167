//! Errors in the log: the whole chain of causes in one line.

use std::error::Error;

/// The message of an error and those of its causes, outermost first. Many errors repeat the message of their cause
/// in their own; here each message appears once.
pub(crate) fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut chain = error.to_string();
    // The start of the last message.
    let mut last = 0;
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        let rest = message.strip_prefix(&chain[last..]);
        if rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric)) {
            chain.truncate(last);
            chain.push_str(&message);
        } else if !message.is_empty() && !repeats(&chain, &message) {
            chain.push_str(": ");
            last = chain.len();
            chain.push_str(&message);
        }
        cause = error.source();
    }
    chain
}

/// Whether a text contains another one, from the start of a word to the end of a word.
fn repeats(text: &str, other: &str) -> bool {
    text.match_indices(other).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + other.len()..].chars().next();
        [before, after].into_iter().flatten().all(|c| !c.is_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Link(&'static str, Option<Box<Link>>);

    impl fmt::Display for Link {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Link {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &(dyn Error + 'static))
        }
    }

    fn chain(messages: &[&'static str]) -> String {
        let link = messages.iter().rev().fold(None, |cause, message| Some(Box::new(Link(message, cause))));
        error_chain(&*link.unwrap())
    }

    #[test]
    fn each_message_appears_once() {
        for (messages, shown) in [
            (&["a", "b", "c"][..], "a: b: c"),
            (&["a", "a", "a"], "a"),
            (&["a: b", "b"], "a: b"),
            (&["a: b: c", "b: c", "c"], "a: b: c"),
            (&["a", "a: b", "b"], "a: b"),
            (&["x", "a", "a: b"], "x: a: b"),
            (&["a", "b", "a"], "a: b"),
            (&["a", "", "b"], "a: b"),
            // A part of a word does not count.
            (&["unreachable host", "reachable"], "unreachable host: reachable"),
            (&["error 111", "11"], "error 111: 11"),
            (&["time", "timeout"], "time: timeout"),
        ] {
            assert_eq!(chain(messages), shown, "{messages:?}");
        }
    }
}
