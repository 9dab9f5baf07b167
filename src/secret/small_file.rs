//! Small files that a setting names, read as a whole.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use secrecy::zeroize::Zeroizing;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{0}")]
    Unreadable(io::Error),
    #[error("it is too large")]
    TooLarge,
}

/// Reads the file of a setting, of at most 1 MiB. The error says what to correct.
pub(crate) fn read_for_setting(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    read(path, 1 << 20).map_err(|error| match error {
        ReadError::Unreadable(error) => {
            format!("the file cannot be read: {error}; it must exist and be readable")
        }
        ReadError::TooLarge => {
            "the file is larger than 1 MiB: it must hold what it is for and nothing else".to_owned()
        }
    })
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a regular file of at most `most_bytes`. The memory is wiped after use: it may hold a secret.
pub(crate) fn read(path: &Path, most_bytes: u64) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    // Checked before it is opened, because opening a named pipe waits for a writer.
    if !fs::metadata(path).map_err(ReadError::Unreadable)?.is_file() {
        return Err(ReadError::Unreadable(io::Error::other("it is not a regular file")));
    }
    let file = File::open(path).map_err(ReadError::Unreadable)?;
    // Large enough for the whole file: a growing buffer would leave copies behind that are not wiped.
    let length = file.metadata().map_or(0, |metadata| metadata.len()).min(most_bytes);
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 64));
    // One byte more than allowed shows that a file is too large.
    file.take(most_bytes + 1).read_to_end(&mut content).map_err(ReadError::Unreadable)?;
    if content.len() as u64 > most_bytes {
        return Err(ReadError::TooLarge);
    }
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err(ReadError::Unreadable(io::Error::other(
            "it is UTF-16, as PowerShell writes it: save it as UTF-8",
        )));
    }
    // Some editors write it, and no parser of the content expects it.
    if content.starts_with(BYTE_ORDER_MARK) {
        content.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(content)
}
