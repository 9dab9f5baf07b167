//! What the engine needs to know of one kind of creation.
//!
//! An operation knows what it sends, how that is compared with a retry, and how a resource that it may have
//! created is recognized. Everything else belongs to the engine: the record, the order of steps, searches,
//! retries and the callers that wait.

use std::{fmt, ops::ControlFlow, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    creation::{Creation, Finished},
    failure::{Error, Failure},
    recognition::{Match, Reference},
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
    /// The name of such a resource in the log.
    const RESOURCE: &'static str;

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

    /// What a retry has to repeat: the names of fields, as errors show them, with their values.
    ///
    /// Replicas of two versions compare each other's contents: the order never changes, and a field that is added
    /// later is left out where it has its default.
    fn content(&self) -> impl IntoIterator<Item = (&'static str, &str)> + Clone;

    /// The description of the resource, which carries the reference.
    fn description(&self) -> Option<&Description>;

    /// Finds or creates everything that the request refers to, and returns the context that the record keeps of
    /// the sending: what it takes to send it again identically. Breaks where the resource turns out to exist.
    ///
    /// Runs before each sending. `earlier` is the context of the last one, if there was one: then nothing but
    /// the context is prepared.
    ///
    /// # Errors
    /// Nothing can be sent.
    fn prepare(
        &self,
        request_id: RequestId,
        earlier: Option<&str>,
        deadline: Instant,
    ) -> impl Future<Output = Result<ControlFlow<Self::Item, String>, Self::Error>> + Send;

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

    /// Reads the list of such resources, newest first, to its end or until `is_enough`.
    ///
    /// # Errors
    /// It cannot be read to its end. The items so far are there.
    fn list(
        &self,
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

    /// Whether an item is what this creation has created: by its reference or, beyond that, by the context of
    /// the sending.
    fn recognize(&self, item: &Self::Item, reference: &Reference, context: &str) -> Match;

    /// Whether an item could be what this creation has created without a reference: by its name.
    fn resembles(&self, item: &Self::Item) -> bool;

    /// The fields in which an item differs from what this request asks for, as far as it shows them.
    fn differences(&self, item: &Self::Item) -> Vec<String>;

    /// The outcome of a creation whose resource was found; `None` where the item shows too little of it.
    fn found(&self, item: &Self::Item, context: &str, origin: Origin) -> Option<Self::Outcome>;

    /// Whether nothing remains to be done once the outcome is recorded.
    fn is_complete(&self, outcome: &Self::Outcome) -> bool;

    /// An error without the secrets of this request, which Adobe may repeat.
    fn redacted(&self, error: &CallError) -> CallError;

    /// What follows once there is an outcome.
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

/// What a record keeps of a creation that is done: a text that only the operation reads, with a version of its
/// own.
pub(crate) trait Outcome: Clone + Send + Sync + 'static {
    /// Identifies the resource.
    type Id;

    fn id(&self) -> &Self::Id;
    fn to_text(&self) -> String;
    /// `None` where this version cannot read it.
    fn parse(text: &str) -> Option<Self>;
}
