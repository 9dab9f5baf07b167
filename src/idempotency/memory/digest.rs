//! Keys of one size for names of any length.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

use crate::domain::{ConnectionId, ConnectionName, SandboxName};
use crate::idempotency::Key;

/// Stands for a name: as short as a UUID, and as unlikely to meet another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Digest([u8; 16]);

impl Digest {
    /// Its place in a hash table: the bits are as good as random.
    pub(super) fn place(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Makes the digests of one store. Its seed keeps callers from choosing names that fall into one
/// place of a hash table.
pub(super) struct Digests {
    seeded: Context,
}

impl Digests {
    pub(super) fn new() -> Self {
        let mut seeded = Context::new(&SHA256);
        seeded.update(uuid::Uuid::new_v4().as_bytes());
        Self { seeded }
    }

    pub(super) fn record(&self, key: &Key) -> Digest {
        self.of(b'r', &key.sandbox, key.request_id.as_bytes())
    }

    pub(super) fn name(&self, sandbox: &SandboxName, name: &ConnectionName) -> Digest {
        self.of(b'n', sandbox, name.as_str().as_bytes())
    }

    pub(super) fn outcome(&self, sandbox: &SandboxName, connection: &ConnectionId) -> Digest {
        self.of(b'o', sandbox, connection.as_str().as_bytes())
    }

    fn of(&self, kind: u8, sandbox: &SandboxName, name: &[u8]) -> Digest {
        let mut context = self.seeded.clone();
        context.update(&[kind]);
        context.update(sandbox.as_str().as_bytes());
        // No sandbox holds it, so it ends the one before it.
        context.update(&[0]);
        context.update(name);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&context.finish().as_ref()[..16]);
        Digest(bytes)
    }
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digests").finish_non_exhaustive()
    }
}
