//! Files that a setting names: small ones, read whole.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use secrecy::zeroize::Zeroizing;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system does not give it.
    #[error("{0}")]
    Unreadable(io::Error),
    /// It is larger than it can be.
    #[error("it is too large")]
    TooLarge,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a regular file of at most so many bytes. The memory is wiped after use: it may be a secret.
pub(crate) fn read(path: &Path, most_bytes: u64) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    // Looked at before it is opened: opening a named pipe waits for whoever writes to it.
    if !fs::metadata(path).map_err(ReadError::Unreadable)?.is_file() {
        return Err(ReadError::Unreadable(io::Error::other("it is not a regular file")));
    }
    let file = File::open(path).map_err(ReadError::Unreadable)?;
    // Room for all of it: a buffer that grows leaves copies behind, which nobody wipes.
    let length = file.metadata().map_or(0, |metadata| metadata.len()).min(most_bytes);
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 64));
    // One byte more than allowed tells a file that is too large, however large it is.
    file.take(most_bytes + 1).read_to_end(&mut content).map_err(ReadError::Unreadable)?;
    if content.len() as u64 > most_bytes {
        return Err(ReadError::TooLarge);
    }
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err(ReadError::Unreadable(io::Error::other(
            "it is UTF-16, as PowerShell writes it: save it as UTF-8",
        )));
    }
    // Some editors begin a text with it, and no reader of what follows expects it.
    if content.starts_with(BYTE_ORDER_MARK) {
        content.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(content)
}
