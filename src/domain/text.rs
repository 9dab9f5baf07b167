//! What the parsers of text values share.

use super::{Invalid, InvalidReason};

/// Gives a tuple struct around a text the two ways out: as it is sent, and in messages.
macro_rules! text {
    ($type:ident) => {
        impl $type {
            /// The value as it is sent.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// Declares an enum whose values have names.
macro_rules! names {
    (
        $(#[$attribute:meta])*
        pub enum $type:ident { $($(#[$of_variant:meta])* $variant:ident = $name:literal,)+ }
    ) => {
        $(#[$attribute])*
        pub enum $type { $($(#[$of_variant])* $variant,)+ }

        impl $type {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

/// Declares an identifier that the Flow Service or one of its siblings issues: 1 to 64 letters, digits and hyphens,
/// so that it cannot leave its place in a path.
macro_rules! id {
    ($(#[$attribute:meta])* $type:ident) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        $crate::domain::text::text!($type);

        impl $type {
            /// # Errors
            /// [`Invalid`](crate::domain::Invalid) when it is empty, too long or contains another character.
            pub fn parse(id: &str) -> Result<Self, crate::domain::Invalid> {
                let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
                let form = "must be 1 to 64 letters, digits and hyphens";
                $crate::domain::text::check_id(id, 64, |id| id.bytes().all(is_allowed), form)?;
                Ok(Self(id.to_owned()))
            }
        }
    };
}

pub(super) use {id, names, text};

/// Checks a text for people: one line, not blank, and at most so many characters.
pub(super) fn check_line(text: &str, most: usize, required: &str) -> Result<(), Invalid> {
    if text.trim().is_empty() {
        Err(Invalid::new(InvalidReason::Required, required))
    } else if text.chars().count() > most {
        Err(Invalid::new(InvalidReason::TooLong, format!("must not be longer than {most} characters")))
    } else if text.contains(char::is_control) {
        Err("must not contain control characters such as line breaks".into())
    } else {
        Ok(())
    }
}

/// Checks an identifier: not empty, at most so many bytes, and well-formed.
pub(super) fn check_id(
    id: &str,
    most: usize,
    is_well_formed: impl FnOnce(&str) -> bool,
    form: &str,
) -> Result<(), Invalid> {
    let reason = match id.len() {
        0 => InvalidReason::Required,
        length if length > most => InvalidReason::TooLong,
        _ if is_well_formed(id) => return Ok(()),
        _ => InvalidReason::Malformed,
    };
    Err(Invalid::new(reason, form))
}
