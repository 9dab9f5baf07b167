//! The tables that a connection can read.

use super::{Invalid, InvalidReason};

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name, for people.
    pub name: String,
    /// Its path, which names it.
    pub path: String,
    /// Whether rows of it can be shown.
    pub can_preview: bool,
    /// Whether its columns can be told.
    pub can_fetch_schema: bool,
}

/// A column of a table. What is not told is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type in the source.
    pub kind: String,
    /// Its type in Adobe's Experience Data Model.
    pub xdm_type: String,
    /// The format that belongs to that type.
    pub xdm_format: String,
}

/// The path of a table: 1 to 1,024 characters without control characters.
///
/// The Flow Service documents no form; the limit is the service's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePath(String);

impl TablePath {
    const MAX_CHARS: usize = 1024;

    /// Parses a path, which is taken as it is.
    ///
    /// # Errors
    /// [`Invalid`] when it is empty, too long or holds a control character.
    pub fn parse(path: &str) -> Result<Self, Invalid> {
        if path.trim().is_empty() {
            return Err(Invalid::new(
                InvalidReason::Required,
                "is required: the path of a table, such as Hubspot.Contacts",
            ));
        }
        if path.chars().count() > Self::MAX_CHARS {
            return Err(Invalid::new(InvalidReason::TooLong, "must not be longer than 1,024 characters"));
        }
        if path.contains(char::is_control) {
            return Err(Invalid::new(
                InvalidReason::Malformed,
                "must not hold control characters such as line breaks",
            ));
        }
        Ok(Self(path.to_owned()))
    }

    /// The path as it goes over the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_any_text_on_one_line() {
        for path in ["Hubspot.Contacts", " a b ", "acmeSpringCampaign", "größe/\u{1f680}"] {
            assert_eq!(TablePath::parse(path).unwrap().as_str(), path);
        }
        for (path, reason) in [
            ("", InvalidReason::Required),
            ("  ", InvalidReason::Required),
            ("a\nb", InvalidReason::Malformed),
            (&"a".repeat(1025), InvalidReason::TooLong),
        ] {
            assert_eq!(TablePath::parse(path).unwrap_err().reason, reason, "{path:?}");
        }
    }
}
