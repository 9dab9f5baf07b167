//! What the engine needs to know of one kind of creation.
//!
//! An operation knows what it sends, how that is compared with a retry, and how a resource that it may have
//! created is recognized. Everything else belongs to the engine: the record, the order of steps, searches,
//! retries and the callers that wait.
//!
//! # Two phases
//!
//! Only one request can create the resource: [`Operation::send`]. What it refers to is *prepared* before
//! ([`Operation::prepare`]), with as many requests as it takes. Whatever is prepared must be inert: a duplicate of it
//! harms nobody. It carries a marker, so that a later preparation finds it. There is no record of the steps of a
//! preparation: to run it again is to resume it.
//!
//! # The context
//!
//! The preparation returns a *context*, a text that only the operation reads. It names everything that was prepared
//! and everything that is sent. The record keeps it from the sending on, so that the same can be sent again, searched
//! for, or undone. An empty context has nothing to undo.

use std::{fmt, ops::ControlFlow, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    creation::{Creation, Finished},
    failure::{Error, Failure},
    made::Kind,
    recognition::{Match, Reference},
    scope::Scope,
    store::Origin,
};
use crate::{
    adobe::CallError,
    domain::{Description, Progress, RequestId, SandboxName},
};

pub(crate) type FailureOf<O> = Failure<<O as Operation>::Id, <O as Operation>::Error>;
pub(crate) type ErrorOf<O> = Error<<O as Operation>::Id, <O as Operation>::Error>;

/// The creation of one resource.
pub(crate) trait Operation: Sized + Send + Sync + 'static {
    /// What is created.
    const KIND: Kind;
    /// Whether the context, or the markers of what was prepared, identify the resource even if it has lost its
    /// reference. Then each list is read for one creation alone, and creations do not share it.
    const IS_RECOGNIZED_BY_CONTEXT: bool;

    /// The ID of a connection for the field `connection_id`, which every other line of the log uses. `None` where
    /// the resource is another one.
    fn connection_id(id: &Self::Id) -> Option<&str>;

    /// Identifies such a resource.
    type Id: Clone + PartialEq + fmt::Debug + fmt::Display + Send + Sync + 'static;
    /// What a list shows of such a resource.
    type Item: Item<Id = Self::Id>;
    /// The permission to send one request.
    type Permission: Send + Sync;
    /// What a record keeps of a creation that is done.
    type Outcome: Outcome<Id = Self::Id>;
    /// What the caller gets.
    type Created: Clone + Send + Sync + 'static;
    /// Why such a creation can fail in a way of its own.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Where the resource is created.
    fn sandbox(&self) -> &SandboxName;

    /// What a retry has to repeat: the names of fields, as errors show them, with their values. One of them is
    /// `sandbox_name`. The engine adds `method`: one request id names one creation, whatever the method.
    ///
    /// Replicas of two versions compare each other's contents: the order never changes, and a field that is added
    /// later is left out where it has its default.
    fn content(&self) -> impl Iterator<Item = (&'static str, &str)> + Clone;

    /// The description of the resource, which carries the reference.
    fn description(&self) -> Option<&Description>;

    /// Finds or creates everything that the request refers to, and returns the context of the sending. Breaks where
    /// the resource turns out to exist: it is taken over if it is what this request asks for.
    ///
    /// Runs before each sending, after the search for a forgotten creation. The operation
    /// - checks [`Scope::still_ours`] before each request that creates something;
    /// - uses nothing that was deleted ([`Scope::undone`]), even if lists still show it;
    /// - retries by itself what may be retried, until [`Scope::deadline`];
    /// - reports its stages ([`Scope::enter`]).
    ///
    /// The future is dropped at any await when the process drains: what has been sent by then is found by the next
    /// preparation. If every caller leaves, it runs to its end: what it makes is inert, and serves a retry. Then
    /// nothing is sent.
    ///
    /// # Errors
    /// Nothing can be sent. [`Unprepared`] says whether what was prepared is undone.
    fn prepare(
        &self,
        scope: &Scope,
        earlier: Earlier<'_>,
    ) -> impl Future<Output = Result<ControlFlow<Self::Item, String>, Unprepared<Self::Error>>> + Send;

    /// Waits until the request may be sent, at most until `deadline`.
    ///
    /// # Errors
    /// Nothing can be sent.
    fn permission(
        &self,
        deadline: Instant,
    ) -> impl Future<Output = Result<Self::Permission, CallError>> + Send;

    /// Sends the one request that can create the resource, once, and only if its first byte leaves before
    /// `send_by`. The resource carries the `reference`. `progress` reports from when on it may exist.
    ///
    /// # Errors
    /// What is known of the outcome: see [`CallError::next_step`].
    fn send(
        &self,
        permission: &Self::Permission,
        context: &str,
        reference: Option<RequestId>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> impl Future<Output = Result<Self::Outcome, CallError>> + Send;

    /// How long to wait before the next attempt; `None` where there should be none.
    fn retry_in(&self, attempt: u32, asked: Option<Duration>, deadline: Instant) -> Option<Duration>;

    /// Deletes what was prepared, as a context names it, after the request was certainly refused. Runs under a
    /// record that has this context and lasts until nothing remains, so that a process that dies meanwhile is
    /// followed by another one, with the same context. It may find any part of it done.
    ///
    /// The operation first looks for the resource itself: if it exists it wins, and nothing is deleted; if that
    /// cannot be found out nothing is deleted either. It checks [`Scope::still_ours`] before each deletion. What is
    /// not found is deleted. What may hold data, or is in use elsewhere, is kept.
    ///
    /// Only called with contexts of [`Operation::prepare`] that are not empty.
    fn undo(&self, _scope: &Scope, _context: &str) -> impl Future<Output = Undone<Self::Item>> + Send {
        std::future::ready(Undone::Deleted { deleted: Vec::new(), kept: Vec::new() })
    }

    /// What a context names, each as `KIND/ID`: what is left behind where it cannot be undone.
    fn leftovers(&self, _context: &str) -> Vec<String> {
        Vec::new()
    }

    /// Reads the list of such resources, newest first, to its end or until `is_enough`. Where
    /// [`Self::IS_RECOGNIZED_BY_CONTEXT`] only those that could be this creation's: by the `context` of its sending
    /// or, where there is none because the store may have forgotten it, by the markers of what was prepared.
    ///
    /// # Errors
    /// It cannot be read to its end. The items so far are there.
    fn list(
        &self,
        request_id: RequestId,
        context: Option<&str>,
        items: &mut Vec<Self::Item>,
        is_enough: impl Fn(&[Self::Item]) -> bool + Send + Sync,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Reads one resource; `None` where there is none of this ID.
    ///
    /// # Errors
    /// It cannot be read, or is of another kind ([`CallError::OtherSource`]).
    fn read(
        &self,
        id: &Self::Id,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<Self::Item>, CallError>> + Send;

    /// Whether an item is what this creation has created: by its reference or, where
    /// [`Self::IS_RECOGNIZED_BY_CONTEXT`], by the context of the sending, even if the item has another's reference.
    /// The context is empty where it is not known.
    fn recognize(&self, item: &Self::Item, reference: &Reference, context: &str) -> Match;

    /// Whether an item could be what this creation has created without a reference: by its name.
    fn resembles(&self, item: &Self::Item) -> bool;

    /// The fields in which an item differs from what this request asks for, as far as it shows them.
    fn differences(&self, item: &Self::Item) -> Vec<String>;

    /// The outcome of a creation whose resource was found; `None` where the item shows too little of it.
    fn found(&self, item: &Self::Item, context: &str, origin: Origin) -> Option<Self::Outcome>;

    /// Whether nothing remains to be done once the outcome is recorded. What remains is done by
    /// [`Operation::complete`], in this call or in a later one with the same request id.
    fn is_complete(&self, outcome: &Self::Outcome) -> bool;

    /// An error without the secrets of this request, which Adobe may repeat.
    fn redacted(&self, error: &CallError) -> CallError;

    /// What follows once there is an outcome: at each call with the request id. It runs without a lease, and
    /// concurrently with itself. It changes the outcome with [`super::store::Store::replace`], and may delete
    /// nothing that any outcome of this request id names.
    ///
    /// # Errors
    /// The creation fails all the same.
    fn complete(
        creation: &Creation<Self>,
        finished: Finished<Self::Outcome>,
    ) -> impl Future<Output = Result<Self::Created, FailureOf<Self>>> + Send;

    /// Reports an outcome that no caller receives.
    fn report_abandoned(&self, outcome: Result<&Self::Created, ErrorOf<Self>>, may_exist: bool);
}

/// What is known of an earlier attempt when a sending is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Earlier<'a> {
    /// Nothing: everything is found by its marker, or created.
    Unknown,
    /// The context of the last sending, or of one that was prepared and did not happen. It is proven that it created
    /// nothing. Nothing else is prepared: the context is returned unchanged, except for what has to be new.
    Prepared(&'a str),
}

/// Why a preparation failed.
#[derive(Debug)]
pub(crate) struct Unprepared<E> {
    /// What the caller gets.
    pub(crate) error: E,
    /// Where the request was certainly refused, so that nothing of it should stay: the context of what was prepared
    /// so far. `None` where a retry may succeed, and resumes the preparation.
    pub(crate) undo: Option<String>,
}

/// The result of an undo.
#[derive(Debug)]
pub(crate) enum Undone<T> {
    /// The resource exists: nothing was deleted.
    Exists(T),
    /// Nothing remains to be done: no deletion of this creation can arrive any more.
    Deleted {
        /// What was deleted, each as `KIND/ID`. A retry must not use it, even if lists still show it.
        deleted: Vec<String>,
        /// What stays all the same, likewise. A retry may use it.
        kept: Vec<String>,
    },
    /// This context remains to be undone, before anything else is done under the request id.
    Remains(String),
}

/// What a list shows of a resource. Some of it may be unreadable.
pub(crate) trait Item: Clone + fmt::Debug + Send + Sync + 'static {
    /// Identifies the resource.
    type Id;

    fn id(&self) -> Option<&Self::Id>;
    fn description(&self) -> Option<&str>;
    /// When it was created, in milliseconds since the Unix epoch.
    fn created_at_ms(&self) -> Option<i64>;
    /// When it was last changed, likewise.
    fn updated_at_ms(&self) -> Option<i64>;
    /// Whether it certainly is of another kind.
    fn is_of_another_kind(&self) -> bool;
}

/// What a record keeps of a creation that is done: a JSON object with a version of its own. Other kinds of creations
/// read two of its fields: `id`, and `kind`, which is the name of the [`Kind`] (a connection's needs none).
pub(crate) trait Outcome: Clone + Send + Sync + 'static {
    /// Identifies the resource.
    type Id;

    fn id(&self) -> &Self::Id;
    fn to_text(&self) -> String;
    /// `None` where this version cannot read it, or it is no outcome of such a creation.
    fn parse(text: &str) -> Option<Self>;
}
