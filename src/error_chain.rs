//! Errors in the log: the whole chain of causes in one line.

use std::error::Error;

/// The message of an error and those of its causes, outermost first. One that is in those before it already is
/// left out: many errors repeat their cause.
pub(crate) fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !says(&chain, &message) {
            chain.push_str(": ");
            chain.push_str(&message);
        }
        cause = error.source();
    }
    chain
}

/// Whether a chain has a message in it, as whole words.
fn says(chain: &str, message: &str) -> bool {
    let is_part_of_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    message.is_empty()
        || chain.match_indices(message).any(|(start, _)| {
            let (before, after) = (&chain[..start], &chain[start + message.len()..]);
            !is_part_of_word(before.chars().next_back()) && !is_part_of_word(after.chars().next())
        })
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    /// Messages, each the cause of the one before.
    #[derive(Debug)]
    struct Chain(&'static str, Option<Box<Chain>>);

    impl fmt::Display for Chain {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Chain {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    fn chain(messages: &[&'static str]) -> String {
        let chain = messages.iter().rev().fold(None, |cause, message| Some(Box::new(Chain(message, cause))));
        error_chain(&*chain.unwrap())
    }

    #[test]
    fn the_causes_follow_the_error() {
        assert_eq!(chain(&["a"]), "a");
        assert_eq!(chain(&["no reply", "connect", "refused"]), "no reply: connect: refused");
    }

    #[test]
    fn no_message_is_there_twice() {
        assert_eq!(chain(&["cannot connect", "cannot connect", "refused"]), "cannot connect: refused");
        assert_eq!(chain(&["failed: tcp: refused", "tcp: refused", "refused"]), "failed: tcp: refused");
        assert_eq!(chain(&["a", "", "b"]), "a: b");
        // A part of a word is no message.
        assert_eq!(chain(&["unreadable", "read", "b"]), "unreadable: read: b");
        assert_eq!(chain(&["timeout (os error 110)", "os error 11"]), "timeout (os error 110): os error 11");
    }
}
