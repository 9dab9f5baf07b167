//! Errors of calls: a code, a reason, details, and a message that says what to do. Only this module builds a
//! [`Status`] from them.

mod call;
mod creation;
mod size;
mod upstream;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    error::Error as _,
    sync::Arc,
    time::Duration,
};

use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt};

pub(super) use self::{call::*, creation::*, upstream::*};
use super::{
    layer::Response,
    violations::{Rejection, Violation},
};
pub(super) use crate::proto::ErrorReason as Reason;
use crate::{
    adobe::{Advice, AskedService, Problem},
    domain::{InvalidReason, SandboxName, SandboxNotAllowed, Stage},
    proto::ViolationReason,
    telemetry::spans,
};

/// The domain of every `google.rpc.ErrorInfo`.
const DOMAIN: &str = "hubspot-connection-service";
/// Tells the client library not to retry (gRFC A6).
const NO_RETRY: (&str, &str) = ("grpc-retry-pushback-ms", "-1");
/// When to retry if the failed service does not say: long enough for a restart, short enough for a person.
pub(super) const DEFAULT_RETRY: Duration = Duration::from_secs(2);

/// The error of a call. It is also the source of the [`Status`] that it becomes, so that the log and the audit
/// trail can read it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct RpcError {
    code: Code,
    pub(super) reason: Reason,
    message: String,
    metadata: HashMap<&'static str, String>,
    violations: Vec<Violation>,
    /// What has to change before the call can succeed: subjects and sentences.
    preconditions: Vec<(String, String)>,
    /// The kind, the name and a description.
    resource: Option<(&'static str, String, &'static str)>,
    retry_after: Option<Duration>,
    trailers: MetadataMap,
    /// The cause, for the log. It contains no value of the request.
    cause: Option<Cow<'static, str>>,
}

impl RpcError {
    pub(super) fn new(code: Code, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            violations: Vec::new(),
            preconditions: Vec::new(),
            resource: None,
            retry_after: None,
            trailers: MetadataMap::new(),
            cause: None,
        }
    }

    /// The error of a request with these violations.
    pub(super) fn invalid(violations: Vec<Violation>) -> Self {
        let sentences: Vec<_> = violations.iter().map(|v| format!("{} {}", v.field, v.invalid)).collect();
        let fields: Vec<_> = violations.iter().map(|v| &*v.field).collect();
        let cause = fields.join(", ");
        let error = Self::new(Code::InvalidArgument, Reason::InvalidRequest, sentences.join("; "));
        Self { violations, ..error.cause(cause) }
    }

    /// The error behind a response, if it has one.
    pub(super) fn of(response: &Response) -> Option<&Self> {
        response.extensions().get::<Status>()?.source()?.downcast_ref()
    }

    /// Whether the caller has to change something before the call can succeed, or is only too early.
    pub(super) fn is_callers(&self) -> bool {
        match self.reason {
            Reason::InvalidRequest
            | Reason::RequestTooLarge
            | Reason::RequestIdReused
            | Reason::CallerUnauthenticated
            | Reason::CallerNotAllowed
            | Reason::SandboxNotAllowed
            | Reason::ConnectionNotFound
            | Reason::TableNotFound
            | Reason::SandboxNotFound
            | Reason::DataflowNotFound
            | Reason::DatasetNotFound
            | Reason::SchemaNotFound
            | Reason::SchemaTitleTaken
            | Reason::DataflowState
            | Reason::EtagMismatch
            | Reason::ConnectionInUse
            | Reason::ConnectionState
            | Reason::VerificationFailed
            | Reason::RequestInProgress => true,
            // Otherwise Adobe rejects what this service itself writes.
            Reason::UpstreamRejected => self.code == Code::InvalidArgument,
            Reason::Unspecified
            | Reason::UpstreamUnrecognized
            | Reason::CallerKeysUnavailable
            | Reason::RecordUnreadable
            | Reason::PlatformCredentialsRejected
            | Reason::PlatformPermissionMissing
            | Reason::UpstreamThrottled
            | Reason::Overloaded
            | Reason::UpstreamUnavailable
            | Reason::BreakerOpen
            | Reason::StoreUnavailable
            | Reason::OutcomeUnknown
            | Reason::OutcomeAmbiguous
            | Reason::DeadlineExceeded
            | Reason::UpstreamUndecodable
            | Reason::Internal => false,
        }
    }

    /// Adds the reason and the cause to the span of the call.
    pub(super) fn note(&self) {
        spans::note("reason", self.reason.as_str_name());
        if let Some(cause) = &self.cause {
            tracing::Span::current().record("cause", &**cause);
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    pub(super) fn metadata(mut self, key: &'static str, value: impl ToString) -> Self {
        self.metadata.insert(key, value.to_string());
        self
    }

    pub(super) fn metadata_if(self, key: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.metadata(key, value),
            None => self,
        }
    }

    pub(super) fn problem<'a>(self, problem: impl Into<Option<&'a Problem>>) -> Self {
        let Some(Problem { status, code, request_id, .. }) = problem.into() else { return self };
        self.metadata("upstream_status", status)
            .metadata_if("upstream_code", code.as_ref())
            .metadata_if("upstream_request_id", request_id.as_ref())
    }

    /// Adds what arrived in place of a lost reply, which may be the reply of another server.
    pub(super) fn lost_reply(mut self, problem: Option<&Problem>) -> Self {
        if let Some(problem) = problem.filter(|problem| problem.is_unrecognized()) {
            let Advice { what, cure } = Problem::unrecognized(AskedService::FlowService);
            self.message += &format!("; {what} {}: {cure}", problem.said());
        }
        self.problem(problem)
    }

    /// Adds to what the message says.
    pub(super) fn also(mut self, sentence: &str) -> Self {
        self.message += "; ";
        self.message += sentence;
        self
    }

    /// The stage at which the call failed, unless it is set already.
    pub(super) fn at_stage(mut self, stage: Stage) -> Self {
        self.metadata.entry("stage").or_insert_with(|| stage.name().to_owned());
        self
    }

    /// `None` keeps the delay that is set.
    pub(super) fn retry_after(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.retry_after = delay.into().or(self.retry_after);
        self
    }

    pub(super) fn cause(mut self, cause: impl Into<Cow<'static, str>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(super) fn resource(mut self, kind: &'static str, name: &str, description: &'static str) -> Self {
        self.resource = Some((kind, name.to_owned(), description));
        self
    }

    pub(super) fn preconditions(mut self, violations: impl IntoIterator<Item = (String, String)>) -> Self {
        self.preconditions.extend(violations);
        self
    }

    pub(super) fn into_response(self) -> Response {
        Status::from(self).into_http()
    }

    /// The status with each text and list cut to about this many bytes.
    fn encode(&self, limit: usize) -> Status {
        let mut details = ErrorDetails::new();
        let metadata = self.metadata.iter().map(|(key, value)| (*key, size::cut_value(value, limit)));
        let metadata: HashMap<_, _> = metadata.map(|(key, value)| (key.to_owned(), value)).collect();
        details.set_error_info(self.reason.as_str_name(), DOMAIN, metadata);
        let items = (limit / 40).max(1);
        if !self.violations.is_empty() {
            let violations = self.violations.iter().take(items).map(|Violation { field, invalid }| {
                let description = size::cut(&invalid.sentence, limit);
                FieldViolation {
                    reason: violation_reason(invalid.reason).as_str_name().to_owned(),
                    ..FieldViolation::new(field.clone(), description)
                }
            });
            details.set_bad_request(violations.collect::<Vec<_>>());
        }
        if !self.preconditions.is_empty() {
            let kind = self.reason.as_str_name();
            let violations = self.preconditions.iter().take(items).map(|(subject, description)| {
                PreconditionViolation::new(kind, size::cut(subject, limit), size::cut(description, limit))
            });
            details.set_precondition_failure(violations.collect::<Vec<_>>());
        }
        if let Some((kind, name, description)) = &self.resource {
            details.set_resource_info(*kind, size::cut(name, limit), "", *description);
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        let message = size::cut(&self.message, limit.max(size::SHORTEST_MESSAGE));
        Status::with_error_details_and_metadata(self.code, message, details, self.trailers.clone())
    }
}

impl From<RpcError> for Status {
    fn from(mut error: RpcError) -> Self {
        if error.retry_after.is_none() {
            let (name, value) = NO_RETRY;
            error.trailers.insert(name, MetadataValue::from_static(value));
        }
        let mut status = size::fitting(|limit| error.encode(limit));
        status.set_source(Arc::new(error));
        status
    }
}

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Invalid(violations) => RpcError::invalid(violations),
            Rejection::SandboxNotAllowed(SandboxNotAllowed { named, allowed }) => RpcError::new(
                Code::PermissionDenied,
                Reason::SandboxNotAllowed,
                format!(
                    "this service may not use the sandbox {named}: name one of {}, or have it added to \
                     HCS_ALLOWED_SANDBOXES",
                    listed(&allowed)
                ),
            )
            .cause("sandbox_name is not in HCS_ALLOWED_SANDBOXES"),
        }
        .into()
    }
}

/// The first of the names.
fn listed(names: &BTreeSet<SandboxName>) -> String {
    const MOST: usize = 20;
    let shown: Vec<_> = names.iter().take(MOST).map(SandboxName::as_str).collect();
    let rest = names.len() - shown.len();
    let end = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{end}", shown.join(", "))
}

fn violation_reason(reason: InvalidReason) -> ViolationReason {
    match reason {
        InvalidReason::Required => ViolationReason::Required,
        InvalidReason::TooLong => ViolationReason::TooLong,
        InvalidReason::Malformed => ViolationReason::Malformed,
        InvalidReason::OutOfRange => ViolationReason::OutOfRange,
        InvalidReason::NotAllowed => ViolationReason::NotAllowed,
        InvalidReason::Conflicting => ViolationReason::Conflicting,
        InvalidReason::UnknownValue => ViolationReason::UnknownValue,
        InvalidReason::NotFoundUpstream => ViolationReason::NotFoundUpstream,
    }
}
