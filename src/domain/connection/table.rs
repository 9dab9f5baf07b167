//! The tables that a connection can read.

use crate::domain::{
    Invalid,
    text::{check_line, text},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// For people.
    pub name: String,
    /// Identifies it.
    pub path: String,
    pub can_preview: bool,
    /// Whether its columns can be read.
    pub can_fetch_schema: bool,
}

/// A column of a table. A text that the Flow Service leaves out is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// Its type in HubSpot.
    pub kind: String,
    /// Its type in Adobe's Experience Data Model.
    pub xdm_type: String,
    pub xdm_format: String,
}

/// The path of a table: 1 to 1,024 characters without control characters.
///
/// The Flow Service documents no form; the limit is the service's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePath(String);

text!(TablePath);

impl TablePath {
    /// Keeps white space around the path.
    ///
    /// # Errors
    /// [`Invalid`] when it is blank, too long or contains a control character.
    pub fn parse(path: &str) -> Result<Self, Invalid> {
        check_line(path, 1024, "is required: the path of a table, such as Hubspot.Contacts")?;
        Ok(Self(path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::InvalidReason;

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
