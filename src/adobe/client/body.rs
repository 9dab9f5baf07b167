//! Request bodies, which may hold credentials, in memory that is wiped.

use std::io;

use bytes::Bytes;
use serde::Serialize;
use zeroize::Zeroizing;

/// Serializes a body into memory that is wiped. The HTTP client copies it into buffers that are not.
pub(crate) fn json(body: &impl Serialize) -> Bytes {
    let mut wiped = Wiped(Zeroizing::new(Vec::with_capacity(Wiped::MOST_BODIES)));
    serde_json::to_writer(&mut wiped, body).expect("strings always serialize");
    Bytes::from_owner(wiped.0)
}

/// Memory that is wiped, also the memory that it leaves when it grows.
struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    /// As large as most bodies are.
    const MOST_BODIES: usize = 1024;

    fn reserve(&mut self, length: usize) {
        if length > self.0.capacity() - self.0.len() {
            let capacity = (self.0.len() + length).max(2 * self.0.capacity());
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
    }
}

impl io::Write for Wiped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    /// The serializer makes many short calls, which the default would pass on in a loop.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reserve(bytes.len());
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_larger_than_most_is_whole() {
        for length in [0, 1, 1000, 1023, 1024, 10_000] {
            let text = "\"".repeat(length);
            assert_eq!(json(&text), serde_json::to_vec(&text).unwrap(), "{length}");
        }
    }
}
