//! What is done for a caller that does not hear of it, for the audit trail.

use crate::domain::{ConnectionRef, Identity, RequestId, SandboxName};
use crate::service::{Created, Error};

/// Something that no response reports.
#[derive(Debug)]
pub enum Unheard<'a> {
    /// A creation whose callers have all left.
    Created {
        /// Who began it, where callers are checked.
        caller: Option<&'a Identity>,
        /// Where the connection is.
        sandbox: &'a SandboxName,
        /// The connection.
        created: &'a Created,
    },
    /// The same, and it failed.
    Failed {
        /// Who began it, where callers are checked.
        caller: Option<&'a Identity>,
        /// Why.
        error: &'a Error,
        /// Whether something may have been created.
        may_exist: bool,
    },
    /// A new connection that did not work was deleted.
    Deleted {
        /// Who began its creation, where callers are checked.
        caller: Option<&'a Identity>,
        /// The connection.
        at: &'a ConnectionRef,
        /// The name of its creation.
        request_id: RequestId,
    },
}

/// What is called with it.
pub(crate) type Listener = fn(&Unheard<'_>);

impl Unheard<'_> {
    /// Who asked for it.
    pub fn caller(&self) -> Option<&Identity> {
        match self {
            Self::Created { caller, .. } | Self::Failed { caller, .. } | Self::Deleted { caller, .. } => {
                *caller
            }
        }
    }
}
