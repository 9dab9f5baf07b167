//! Why a creation did not succeed.

use std::{sync::Arc, time::Duration};

use super::{made::Made, store::StoreError};
use crate::{
    adobe::{CallError, Problem},
    domain::{RequestId, SandboxName},
    error::Cause,
    metrics::CreationOutcome,
};

/// A creation that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("the creation failed")]
pub struct Error<I: 'static, E: 'static> {
    /// The name of the creation.
    pub request_id: RequestId,
    /// Whether the caller had no name for it, so that it was generated.
    pub generated: bool,
    /// The sandbox that the resource was meant for.
    pub sandbox: SandboxName,
    /// Whether the store may have forgotten an earlier attempt, whose resource may still appear.
    pub may_be_forgotten: bool,
    /// Why it did not succeed.
    #[source]
    pub failure: Arc<Failure<I, E>>,
}

/// Why a creation did not succeed. `I` identifies a resource, and `E` is what can fail in this kind of creation
/// alone.
#[derive(Debug, thiserror::Error)]
pub enum Failure<I: 'static, E: 'static> {
    /// Nothing was created.
    #[error("nothing was created")]
    NotCreated {
        /// Why.
        #[source]
        error: CallError,
        /// Whether an earlier attempt may have created something that the store has forgotten.
        may_exist: bool,
    },
    /// The store may have forgotten the creation, and Adobe cannot be asked for it. This call sent nothing.
    #[error("the search for an earlier creation failed")]
    NotSearched(#[source] CallError),
    /// The resource may exist. The same request id is safe to retry.
    #[error("the resource may exist")]
    OutcomeUnknown {
        /// The reply, where there was one.
        problem: Option<Problem>,
        /// What went wrong.
        #[source]
        cause: Option<Cause>,
    },
    /// The resource may exist, and each of these could be it. Without references there may be none.
    #[error("each of {} candidates could be the one created", .0.len())]
    Ambiguous(Vec<I>),
    /// The request id names a creation with other content.
    #[error("the request id is that of other content: {differs:?} differ")]
    RequestIdReused {
        /// The fields that differ.
        differs: Vec<String>,
        /// What was created, where that is known. It may be of another kind.
        created: Option<Made>,
    },
    /// The record of the request id cannot be used.
    #[error("the record of the request id cannot be used: {problem}")]
    RecordUnreadable {
        /// Why.
        problem: RecordProblem,
        /// What was created, where that is known. It may be of another kind.
        created: Option<Made>,
    },
    /// The creation was withdrawn: its request id creates nothing any more.
    #[error("the creation was withdrawn")]
    Withdrawn,
    /// An earlier attempt was refused, and what it had prepared is not deleted yet. This call sent nothing.
    #[error("an earlier attempt is not undone yet")]
    Undoing {
        /// What remains to be deleted, each as `KIND/ID`.
        leftovers: Vec<String>,
    },
    /// The request was refused, and not everything that it had prepared was deleted again.
    #[error("{} is left behind", leftovers.join(", "))]
    LeftBehind {
        /// The refusal.
        #[source]
        failure: Box<Self>,
        /// What is left behind, each as `KIND/ID`.
        leftovers: Vec<String>,
    },
    /// The creation is in progress elsewhere.
    #[error("the creation is in progress elsewhere")]
    RequestInProgress {
        /// When to retry.
        retry_after: Duration,
    },
    /// The concurrency limit is reached. This call sent nothing.
    #[error("too many creations are in progress")]
    TooMany {
        /// Whether an earlier attempt may have created something.
        may_exist: bool,
    },
    /// The store failed. This call sent nothing.
    #[error("nothing was sent")]
    Store {
        /// Why.
        #[source]
        error: StoreError,
        /// Whether an earlier attempt may have created something.
        may_exist: bool,
    },
    /// No caller was waiting before anything was sent.
    #[error("no caller was waiting for it")]
    Abandoned {
        /// Whether an earlier attempt may have created something.
        may_exist: bool,
    },
    /// A bug here, or the end of the process: how far it had come is not known.
    #[error("the creation ended without a result")]
    Crashed,
    /// What can fail in this kind of creation alone.
    #[error(transparent)]
    Operation(E),
}

/// Why a record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordProblem {
    /// It is damaged, or a newer version wrote it.
    #[error("{0}")]
    Damaged(String),
    /// Its content was fingerprinted with a key that was removed.
    #[error("the fingerprint key that it was written with was removed")]
    KeyRemoved,
}

impl<I: 'static, E: 'static> Failure<I, E> {
    /// The outcome is unknown, and nothing more is known.
    pub(super) const UNKNOWN: Self = Self::OutcomeUnknown { problem: None, cause: None };

    /// The same with what is left behind, if there is anything.
    pub(super) fn leaving(self, leftovers: Vec<String>) -> Self {
        if leftovers.is_empty() { self } else { Self::LeftBehind { failure: Box::new(self), leftovers } }
    }

    /// How it is counted, unless a resource was created before.
    pub(super) fn outcome(&self) -> CreationOutcome {
        match self {
            Self::NotCreated {
                error: CallError::Refused { .. } | CallError::TokenRefused { .. }, ..
            } => CreationOutcome::Refused,
            Self::OutcomeUnknown { .. } | Self::Crashed => CreationOutcome::Unknown,
            Self::Ambiguous(_) => CreationOutcome::Ambiguous,
            Self::LeftBehind { failure, .. } => failure.outcome(),
            Self::NotCreated { .. }
            | Self::NotSearched(_)
            | Self::Withdrawn
            | Self::Undoing { .. }
            | Self::RequestIdReused { .. }
            | Self::RecordUnreadable { .. }
            | Self::RequestInProgress { .. }
            | Self::TooMany { .. }
            | Self::Store { .. }
            | Self::Abandoned { .. }
            | Self::Operation(_) => CreationOutcome::NotSent,
        }
    }
}
