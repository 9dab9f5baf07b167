//! Secrets: types that cannot be printed, the sources that they are read from, and their removal from texts of other
//! servers.

pub(crate) mod redaction;
pub(crate) mod search;
pub(crate) mod small_file;
mod source;

pub(crate) use self::small_file::{read as read_small_file, read_for_setting};
pub use self::{
    small_file::ReadError as SmallFileError,
    source::{Secret, SecretError},
};
