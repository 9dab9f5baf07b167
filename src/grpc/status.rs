//! The one place where errors become answers: a code, a reason, details, and a sentence that says
//! what to do.

use std::{collections::HashMap, time::Duration};

use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::convert::{self, Violation};
use crate::{
    domain::{CallProgress, ConnectionId, Progress, SandboxName, SandboxNotAllowed, Stage},
    error_chain::error_chain,
    flow_service::{CreateError, Problem, Refusal, TokenError, TokenErrorKind},
    idempotency::StoreError,
    service::{self, Failure},
};

/// The domain of every `google.rpc.ErrorInfo`.
const DOMAIN: &str = "hubspot-connection-service";
/// Tells gRPC's own retries not to (gRFC A6).
const NO_RETRY: (&str, &str) = ("grpc-retry-pushback-ms", "-1");
/// When to try again where nobody says: long enough for a restart, short enough for a person.
const DEFAULT_RETRY: Duration = Duration::from_secs(2);
/// The most connections that an error lists.
const MAX_CANDIDATES: usize = 20;

/// The closed list of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    InvalidRequest,
    RequestTooLarge,
    SandboxNotAllowed,
    SandboxNotFound,
    UpstreamRejected,
    RequestIdReused,
    RequestInProgress,
    NameInProgress,
    PlatformCredentialsRejected,
    PlatformPermissionMissing,
    UpstreamThrottled,
    Overloaded,
    UpstreamUnavailable,
    BreakerOpen,
    StoreUnavailable,
    OutcomeUnknown,
    OutcomeAmbiguous,
    DeadlineExceeded,
    Internal,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::RequestTooLarge => "REQUEST_TOO_LARGE",
            Self::SandboxNotAllowed => "SANDBOX_NOT_ALLOWED",
            Self::SandboxNotFound => "SANDBOX_NOT_FOUND",
            Self::UpstreamRejected => "UPSTREAM_REJECTED",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::RequestInProgress => "REQUEST_IN_PROGRESS",
            Self::NameInProgress => "NAME_IN_PROGRESS",
            Self::PlatformCredentialsRejected => "PLATFORM_CREDENTIALS_REJECTED",
            Self::PlatformPermissionMissing => "PLATFORM_PERMISSION_MISSING",
            Self::UpstreamThrottled => "UPSTREAM_THROTTLED",
            Self::Overloaded => "OVERLOADED",
            Self::UpstreamUnavailable => "UPSTREAM_UNAVAILABLE",
            Self::BreakerOpen => "BREAKER_OPEN",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::OutcomeAmbiguous => "OUTCOME_AMBIGUOUS",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Internal => "INTERNAL",
        }
    }
}

/// An error answer while it is put together.
struct Answer {
    code: Code,
    reason: Reason,
    message: String,
    metadata: HashMap<String, String>,
    details: ErrorDetails,
    retry_after: Option<Duration>,
}

impl Answer {
    fn new(code: Code, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            details: ErrorDetails::new(),
            retry_after: None,
        }
    }

    fn metadata(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    fn problem(mut self, problem: &Problem) -> Self {
        self = self.metadata("upstream_status", problem.status);
        if let Some(code) = &problem.code {
            self = self.metadata("upstream_code", code);
        }
        if let Some(request_id) = &problem.request_id {
            self = self.metadata("upstream_request_id", request_id);
        }
        self
    }

    fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    fn bad_request(mut self, violations: Vec<Violation>) -> Self {
        let violations = violations.into_iter().map(|v| FieldViolation::new(v.field, v.description));
        self.details.set_bad_request(violations.collect::<Vec<_>>());
        self
    }

    fn resource(mut self, kind: &str, name: &str, description: &str) -> Self {
        self.details.set_resource_info(kind, name, "", description);
        self
    }

    fn build(mut self) -> Status {
        tracing::Span::current().record("reason", self.reason.name());
        self.details.set_error_info(self.reason.name(), DOMAIN, self.metadata);
        let mut trailers = MetadataMap::new();
        match self.retry_after {
            Some(delay) => {
                self.details.set_retry_info(Some(delay));
            }
            None => {
                let (name, value) = NO_RETRY;
                trailers.insert(name, MetadataValue::from_static(value));
            }
        }
        Status::with_error_details_and_metadata(self.code, self.message, self.details, trailers)
    }
}

/// A request that does not become a command.
pub(super) fn refused_request(error: convert::Error) -> Status {
    match error {
        convert::Error::Invalid(violations) => {
            let fields: Vec<_> =
                violations.iter().map(|v| format!("{} {}", v.field, v.description)).collect();
            Answer::new(Code::InvalidArgument, Reason::InvalidRequest, fields.join("; "))
                .bad_request(violations)
                .build()
        }
        convert::Error::SandboxNotAllowed(SandboxNotAllowed(sandbox)) => Answer::new(
            Code::PermissionDenied,
            Reason::SandboxNotAllowed,
            format!(
                "this service may not use the sandbox {sandbox}: name another one, or have it added to \
                 HCS_ALLOWED_SANDBOXES"
            ),
        )
        .build(),
        convert::Error::NotBuilt(fields) => not_built(&fields.join(", ")),
    }
}

/// A call or a field that is part of the API and does nothing yet.
pub(super) fn not_built(what: &str) -> Status {
    Status::unimplemented(format!("{what}: not available in this version of the service"))
}

/// A creation that did not succeed.
pub(super) fn creation_failed(error: &service::Error) -> Status {
    tracing::Span::current().record("cause", error_chain(error));
    let service::Error { request_id, generated, sandbox, failure } = error;
    match &**failure {
        Failure::NotCreated(error) => not_created(error, sandbox),
        Failure::OutcomeUnknown { problem, cause: _ } => {
            let answer = outcome_unknown(*generated);
            match problem {
                Some(problem) => answer.problem(problem),
                None => answer,
            }
        }
        Failure::Crashed => outcome_unknown(*generated),
        Failure::Ambiguous(candidates) => ambiguous(candidates),
        Failure::RequestIdReused => Answer::new(
            Code::InvalidArgument,
            Reason::RequestIdReused,
            "the request_id is that of an earlier creation with other content: use a new one for each \
             creation, and repeat a request unchanged",
        ),
        Failure::RequestInProgress { retry_after } => Answer::new(
            Code::Aborted,
            Reason::RequestInProgress,
            "the creation with this request_id is under way elsewhere: repeat the call to get its outcome",
        )
        .metadata("stage", Stage::Claim.name())
        .retry_after(*retry_after),
        Failure::NameInProgress { retry_after } => Answer::new(
            Code::Aborted,
            Reason::NameInProgress,
            "another creation of this name in this sandbox is under way, or its outcome is not known yet; \
             nothing was created: try again later, or use another name",
        )
        .metadata("stage", Stage::Claim.name())
        .retry_after(*retry_after),
        Failure::TooMany => {
            too_many("too many creations are under way; nothing was created: try again later")
        }
        Failure::Store(StoreError::Full) => {
            too_many("too many request ids are remembered; nothing was created: try again later")
        }
        Failure::Store(StoreError::Unavailable(_) | StoreError::LeaseLost) => Answer::new(
            Code::Unavailable,
            Reason::StoreUnavailable,
            "the store that keeps a creation from being repeated cannot be reached; nothing was created: \
             try again",
        )
        .metadata("stage", Stage::Claim.name())
        .retry_after(DEFAULT_RETRY),
        Failure::Abandoned => unavailable("nothing was created: try again"),
    }
    .metadata("request_id", request_id)
    .build()
}

fn not_created(error: &CreateError, sandbox: &SandboxName) -> Answer {
    let create = Stage::Create.name();
    match error {
        CreateError::Token(error) => token(error),
        CreateError::BreakerOpen { retry_after } => Answer::new(
            Code::Unavailable,
            Reason::BreakerOpen,
            "the Flow Service fails; nothing was created: try again later",
        )
        .metadata("stage", create)
        .retry_after(*retry_after),
        CreateError::Unreachable(_) | CreateError::TooLate => {
            unavailable("the Flow Service cannot be reached; nothing was created: try again")
                .metadata("stage", create)
        }
        CreateError::TokenRefused { problem } => {
            refused(Refusal::Credentials, problem, sandbox).metadata("stage", create)
        }
        CreateError::Refused { refusal, problem } => {
            refused(*refusal, problem, sandbox).metadata("stage", create)
        }
        CreateError::Throttled { retry_after, problem } => match problem {
            Some(problem) => throttled(*retry_after).problem(problem).metadata("stage", create),
            None => throttled(*retry_after),
        },
        // The use case looks for it and says so itself.
        CreateError::OutcomeUnknown { .. } => outcome_unknown(false),
    }
}

/// The caller who has named the creation may repeat it; the one who has not gets the name to do so.
fn outcome_unknown(generated: bool) -> Answer {
    let message = "the creation was sent to the Flow Service and its answer was lost: the connection may exist. \
                   Repeat the call with";
    if generated {
        let message = format!(
            "{message} the request_id in this error's metadata: that is safe, and repeating it without is not"
        );
        Answer::new(Code::Unknown, Reason::OutcomeUnknown, message)
    } else {
        let message = format!("{message} the same request_id: that is safe");
        Answer::new(Code::Unavailable, Reason::OutcomeUnknown, message).retry_after(DEFAULT_RETRY)
    }
    .metadata("stage", Stage::Reconcile.name())
}

fn ambiguous(candidates: &[ConnectionId]) -> Answer {
    // Details travel in a header, which clients limit to 8 KiB.
    let shown: Vec<_> = candidates.iter().take(MAX_CANDIDATES).map(ConnectionId::as_str).collect();
    Answer::new(
        Code::FailedPrecondition,
        Reason::OutcomeAmbiguous,
        "the creation's answer was lost, and several connections could be the one created: delete the extra \
         ones of those in this error's metadata, and repeat the call with the same request_id",
    )
    .metadata("candidates", shown.join(","))
}

fn token(error: &TokenError) -> Answer {
    let delay = error.retry_after.unwrap_or(DEFAULT_RETRY);
    let rejected =
        |message: &str| Answer::new(Code::FailedPrecondition, Reason::PlatformCredentialsRejected, message);
    let mut answer = match error.kind {
        TokenErrorKind::BadCredentials => rejected(
            "Adobe refuses the client credentials of this service; nothing was created: an operator has \
             to check HCS_CLIENT_ID and HCS_CLIENT_SECRET against the credential in Adobe's Developer Console",
        ),
        TokenErrorKind::BadScope => rejected(
            "Adobe refuses the scopes of this service; nothing was created: an operator has to set \
             HCS_SCOPES to those of the credential in Adobe's Developer Console",
        ),
        TokenErrorKind::TokenRefused => rejected(
            "Adobe refuses the access tokens of this service; nothing was created: an operator has to \
             check HCS_ACCESS_TOKEN where it is set, or else that HCS_CLIENT_ID belongs to HCS_ORG_ID",
        ),
        TokenErrorKind::SecretUnreadable => rejected(
            "the secret of this service cannot be read; nothing was created: an operator has to check \
             the file that HCS_CLIENT_SECRET_FILE or HCS_ACCESS_TOKEN_FILE names",
        ),
        TokenErrorKind::Throttled => throttled(Some(delay)),
        TokenErrorKind::Unavailable => {
            unavailable("Adobe gives no access token at the moment; nothing was created: try again")
                .retry_after(delay)
        }
    };
    if let Some(status) = error.status {
        answer = answer.metadata("upstream_status", status);
    }
    if let Some(code) = &error.code {
        answer = answer.metadata("upstream_code", code);
    }
    answer.metadata("stage", Stage::AdobeToken.name())
}

fn refused(refusal: Refusal, problem: &Problem, sandbox: &SandboxName) -> Answer {
    let said = match (&problem.code, &problem.message) {
        (Some(code), Some(message)) => format!(" ({code}: {message})"),
        (Some(text), None) | (None, Some(text)) => format!(" ({text})"),
        (None, None) => format!(" (HTTP {})", problem.status),
    };
    match refusal {
        // No answer of the Flow Service to a creation, so most likely of somebody else.
        Refusal::Request if problem.code.is_none() && matches!(problem.status, 404 | 405 | 407) => Answer::new(
            Code::InvalidArgument,
            Reason::UpstreamRejected,
            format!(
                "the request did not reach the Flow Service; nothing was created{said}: an operator has to \
                 check HCS_FLOW_SERVICE_URL and HCS_UPSTREAM_PROXY"
            ),
        ),
        Refusal::Request => Answer::new(
            Code::InvalidArgument,
            Reason::UpstreamRejected,
            format!("the Flow Service refuses the request; nothing was created{said}: change the request"),
        ),
        Refusal::SandboxNotFound => Answer::new(
            Code::NotFound,
            Reason::SandboxNotFound,
            format!(
                "the sandbox {sandbox} does not exist; nothing was created{said}: use the name, not the \
                 title, of one that does"
            ),
        )
        .resource("sandbox", sandbox.as_str(), "does not exist in the organization"),
        Refusal::Credentials => Answer::new(
            Code::FailedPrecondition,
            Reason::PlatformCredentialsRejected,
            format!(
                "Adobe refuses this service's own credentials; nothing was created{said}: an operator has to \
                 check HCS_ORG_ID, HCS_CLIENT_ID and the secret that goes with it"
            ),
        ),
        Refusal::Permission => Answer::new(
            Code::FailedPrecondition,
            Reason::PlatformPermissionMissing,
            format!(
                "Adobe does not permit this service to do it; nothing was created{said}: an operator has to \
                 give its credential the permissions Manage Sources and View Sources in the sandbox"
            ),
        ),
    }
    .problem(problem)
}

fn throttled(retry_after: Option<Duration>) -> Answer {
    Answer::new(
        Code::ResourceExhausted,
        Reason::UpstreamThrottled,
        "Adobe throttles this service; nothing was created: try again later",
    )
    .retry_after(retry_after.unwrap_or(DEFAULT_RETRY))
}

fn unavailable(message: &str) -> Answer {
    Answer::new(Code::Unavailable, Reason::UpstreamUnavailable, message).retry_after(DEFAULT_RETRY)
}

/// A call whose deadline is spent.
pub(super) fn deadline_exceeded(progress: &CallProgress) -> Status {
    let creation = progress.creation();
    let may_exist = creation.is_some_and(Progress::may_exist);
    let message = if may_exist {
        "the deadline was spent before the creation's outcome was known: the connection may exist. Repeat \
         the call with the request_id in this error's metadata: that is safe, and repeating it without is not"
    } else {
        "the deadline was spent and nothing was created: repeat the call with a longer one"
    };
    let stage = creation.map_or(Stage::Request, Progress::stage);
    let mut answer = Answer::new(Code::DeadlineExceeded, Reason::DeadlineExceeded, message)
        .metadata("stage", stage.name())
        .metadata("may_exist", may_exist);
    if let Some(creation) = creation {
        answer = answer.metadata("request_id", creation.request_id());
    }
    answer.build()
}

/// A `grpc-timeout` header that is not one.
pub(super) fn invalid_timeout() -> Status {
    let description = "must be 1 to 8 digits and one of the units H, M, S, m, u, n".to_owned();
    refused_request(convert::Error::Invalid(vec![Violation { field: "grpc-timeout", description }]))
}

/// A call beyond those that may be under way at once.
pub(super) fn overloaded() -> Status {
    too_many("too many calls are under way: try again later").build()
}

fn too_many(message: &str) -> Answer {
    Answer::new(Code::ResourceExhausted, Reason::Overloaded, message).retry_after(DEFAULT_RETRY)
}

/// A request message over the size limit.
pub(super) fn request_too_large(limit: usize) -> Status {
    Answer::new(
        Code::ResourceExhausted,
        Reason::RequestTooLarge,
        format!("the request is larger than {limit} bytes: no valid one is"),
    )
    .build()
}

/// A request message that is not of the expected type.
pub(super) fn undecodable_request() -> Status {
    Answer::new(
        Code::InvalidArgument,
        Reason::InvalidRequest,
        "the request is not a message of the type that the method takes: generate the client from this \
         service's proto files, or use its reflection",
    )
    .build()
}

/// A panic: a bug here.
pub(super) fn internal() -> Status {
    Answer::new(
        Code::Internal,
        Reason::Internal,
        "a bug in this service; its log has the details: report it with the time of the call",
    )
    .build()
}

/// The name of a code as gRPC's documentation has it.
pub(super) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
