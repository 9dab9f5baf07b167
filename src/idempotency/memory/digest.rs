//! Keys of one size for names of any length.

use std::{fmt, hash::Hasher as _};

use siphasher::sip128::{Hasher128 as _, SipHasher24};

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

/// Makes the digests of one store, which never leave it: SipHash-2-4 with 128 bits. Without its key
/// nobody can choose names that have the same digest, or that fall into one place of a hash table.
pub(super) struct Digests {
    keyed: SipHasher24,
}

impl Digests {
    pub(super) fn new() -> Self {
        Self { keyed: SipHasher24::new_with_key(uuid::Uuid::new_v4().as_bytes()) }
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
        let mut hasher = self.keyed;
        hasher.write(&[kind]);
        hasher.write(sandbox.as_str().as_bytes());
        // No sandbox holds it, so it ends the one before it.
        hasher.write(&[0]);
        hasher.write(name);
        Digest(hasher.finish128().as_bytes())
    }
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digests").finish_non_exhaustive()
    }
}
