//! A secret from the configuration: its value, or the path of a file with it.

use std::{io, path::PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use crate::secret::small_file::{self, ReadError};

/// A secret, or the path of a file that is read whenever the secret is needed.
#[derive(Clone, Debug)]
pub enum Secret {
    Value(SecretString),
    /// White space around the content of the file is no part of the secret.
    File(PathBuf),
}

/// Why a secret cannot be used. Neither the secret nor the path is repeated: the path could be a secret that was set
/// in the wrong variable.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the file cannot be read: {0}; it must exist and be readable by this process")]
    Unreadable(io::Error),
    #[error("the file is larger than {} KiB: it must hold the secret and nothing else", Secret::MAX_BYTES >> 10)]
    TooLarge,
    #[error("the secret is empty: it must be one word of visible ASCII characters")]
    Empty,
    #[error("the secret must be one word of visible ASCII characters, with nothing before or after it")]
    NotOneWord,
}

impl Secret {
    pub(crate) const MAX_BYTES: u64 = 64 << 10;

    /// The current secret. A file is read again each time, so that a rotated secret works without a restart.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Value(value) => one_word(value.expose_secret()),
            Self::File(path) => {
                let content = small_file::read(path, Self::MAX_BYTES).map_err(|error| match error {
                    ReadError::Unreadable(error) => SecretError::Unreadable(error),
                    ReadError::TooLarge => SecretError::TooLarge,
                })?;
                one_word(str::from_utf8(&content).map_err(|_| SecretError::NotOneWord)?)
            }
        }
    }
}

impl From<SecretString> for Secret {
    fn from(value: SecretString) -> Self {
        Self::Value(value)
    }
}

/// Checks the text of a secret, which is sent in headers and forms. A space or line break inside it is a copying
/// mistake.
fn one_word(text: &str) -> Result<SecretString, SecretError> {
    let word = text.trim();
    if word.is_empty() {
        return Err(SecretError::Empty);
    }
    if !word.chars().all(|c| c.is_ascii_graphic()) {
        return Err(SecretError::NotOneWord);
    }
    Ok(SecretString::from(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_secret_does_not_count() {
        let secret = Secret::Value(SecretString::from(" p8e-1\n"));
        assert_eq!(secret.read().unwrap().expose_secret(), "p8e-1");
    }

    #[test]
    fn a_secret_is_one_visible_word() {
        for text in ["Bearer ey", "a\nb", "a\u{7f}", "ä", "a\0b"] {
            let secret = Secret::Value(SecretString::from(text));
            assert!(matches!(secret.read(), Err(SecretError::NotOneWord)), "{text:?}");
        }
        let blank = Secret::Value(SecretString::from(" \n"));
        assert!(matches!(blank.read(), Err(SecretError::Empty)));
    }

    #[test]
    fn a_secret_is_not_in_its_debug_form() {
        let secret = Secret::Value(SecretString::from("canary"));
        assert!(!format!("{secret:?}").contains("canary"));
    }
}
