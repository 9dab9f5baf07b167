//! The one place where errors become answers: a code, a reason, details, and a sentence that says
//! what to do.

mod connection;
mod creation;
mod size;
mod upstream;

use std::{borrow::Cow, collections::HashMap, time::Duration};

use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt};

/// `error_reason.proto` has the one list of them.
pub(super) use crate::proto::ErrorReason as Reason;

pub(super) use self::{
    connection::{Subject, connection_failed, dry_run_failed},
    creation::creation_failed,
};
use super::{
    SERVICE_NAME,
    convert::{self, Violation},
    layer::caller::Refused,
};
use crate::{
    adobe::{Advice, Problem},
    domain::{CallProgress, Identity, Invalid, InvalidReason, Progress, SandboxNotAllowed, Stage},
    proto::ViolationReason,
    telemetry::spans,
};

/// The domain of every `google.rpc.ErrorInfo`.
const DOMAIN: &str = "hubspot-connection-service";
/// Tells gRPC's own retries not to (gRFC A6).
const NO_RETRY: (&str, &str) = ("grpc-retry-pushback-ms", "-1");
/// When to try again where nobody says: long enough for a restart, short enough for a person.
const DEFAULT_RETRY: Duration = Duration::from_secs(2);

/// The most names of a caller that an error repeats.
const MOST_IDENTITIES: usize = 5;
const MAX_IDENTITY_CHARS: usize = 200;

/// An error answer while it is put together.
struct Answer {
    code: Code,
    reason: Reason,
    message: String,
    metadata: HashMap<String, String>,
    details: ErrorDetails,
    retry_after: Option<Duration>,
    /// The cause, for the log.
    cause: Option<Cow<'static, str>>,
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
            cause: None,
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

    /// The reply that came in the place of the one that was lost.
    fn in_place_of(mut self, problem: &Problem) -> Self {
        let Advice { what, cure } = Problem::UNRECOGNIZED;
        self.message += &format!("; {what} {}: {cure}", problem.said());
        self.problem(problem)
    }

    /// Where the time of the call went, unless something closer to the failure has said so.
    fn at_stage(mut self, stage: Stage) -> Self {
        self.metadata.entry("stage".to_owned()).or_insert_with(|| stage.name().to_owned());
        self
    }

    fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// For the operator: nothing of a caller's values may be in it.
    fn cause(mut self, cause: impl Into<Cow<'static, str>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// One that may pass by itself within this time is unavailable until then.
    fn passing(mut self, delay: Option<Duration>) -> Self {
        if let Some(delay) = delay {
            self.code = Code::Unavailable;
            self.retry_after = Some(delay);
        }
        self
    }

    fn bad_request(mut self, violations: Vec<Violation>) -> Self {
        let violations = violations.into_iter().map(|Violation { field, invalid }| FieldViolation {
            reason: violation_reason(invalid.reason).as_str_name().to_owned(),
            ..FieldViolation::new(field, invalid.sentence)
        });
        self.details.set_bad_request(violations.collect::<Vec<_>>());
        self
    }

    fn resource(mut self, kind: &str, name: &str, description: &str) -> Self {
        self.details.set_resource_info(kind, name, "", description);
        self
    }

    /// What has to be different before the call can succeed: the kind, the subject and the sentence
    /// of each.
    fn preconditions(mut self, violations: impl IntoIterator<Item = (String, String, String)>) -> Self {
        let violations = violations
            .into_iter()
            .map(|(kind, subject, description)| PreconditionViolation::new(kind, subject, description));
        self.details.set_precondition_failure(violations.collect::<Vec<_>>());
        self
    }

    fn build(mut self) -> Status {
        spans::note("reason", self.reason.as_str_name());
        if let Some(cause) = &self.cause {
            tracing::Span::current().record("cause", &**cause);
        }
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
        loop {
            self.details.set_error_info(self.reason.as_str_name(), DOMAIN, self.metadata.clone());
            let (message, details) = (self.message.clone(), self.details.clone());
            let status =
                Status::with_error_details_and_metadata(self.code, message, details, trailers.clone());
            if size::fits(&status) || !size::shorten(&mut self.message, &mut self.metadata, &mut self.details)
            {
                return status;
            }
        }
    }
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
    }
}

/// A request that does not become a command.
pub(super) fn refused_request(error: convert::Error) -> Status {
    match error {
        convert::Error::Invalid(violations) => {
            let fields: Vec<_> = violations.iter().map(|v| format!("{} {}", v.field, v.invalid)).collect();
            let cause = violations.iter().map(|v| v.field).collect::<Vec<_>>().join(", ");
            Answer::new(Code::InvalidArgument, Reason::InvalidRequest, fields.join("; "))
                .bad_request(violations)
                .cause(cause)
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
        .cause("sandbox_name is not in HCS_ALLOWED_SANDBOXES")
        .build(),
    }
}

/// A call whose deadline is spent.
pub(super) fn deadline_exceeded(progress: &CallProgress) -> Status {
    let creation = progress.creation();
    let may_exist = creation.is_some_and(Progress::may_exist);
    let stage = progress.stage();
    let message = match stage {
        _ if may_exist => {
            "the deadline was spent before the creation's outcome was known: the connection may exist. Repeat \
             the call with the request_id in this error's metadata: that is safe, and repeating it without is \
             not"
        }
        _ if creation.is_some() => {
            "the deadline was spent and nothing was created: repeat the call with a longer one"
        }
        Stage::Update => {
            "the deadline was spent before the outcome was known: the connection may have been changed. Read \
             it, and repeat the call with its current etag or without one"
        }
        Stage::Delete => {
            "the deadline was spent before the outcome was known: the connection may have been deleted. \
             Repeat the call with allow_missing"
        }
        Stage::Request
        | Stage::Claim
        | Stage::AdobeToken
        | Stage::Create
        | Stage::Reconcile
        | Stage::BackOff
        | Stage::Verify
        | Stage::Read => "the deadline was spent and nothing was done: repeat the call with a longer one",
    };
    let mut answer = Answer::new(Code::DeadlineExceeded, Reason::DeadlineExceeded, message)
        .metadata("stage", stage.name())
        .metadata("may_exist", may_exist)
        .cause(format!("the deadline was exceeded at the stage {}", stage.name()));
    if let Some(creation) = creation {
        answer = answer.metadata("request_id", creation.request_id());
    }
    answer.build()
}

/// A call whose caller may not make it.
pub(super) fn caller_refused(refused: &Refused) -> Status {
    let unauthenticated =
        |message: String| Answer::new(Code::Unauthenticated, Reason::CallerUnauthenticated, message);
    let not_allowed =
        |message: String| Answer::new(Code::PermissionDenied, Reason::CallerNotAllowed, message);
    match refused {
        Refused::NoToken => unauthenticated(
            "callers must send a token: one authorization header with \"Bearer \" and a token of \
             HCS_JWT_ISSUER for HCS_JWT_AUDIENCE"
                .to_owned(),
        ),
        Refused::NoCertificate => unauthenticated("callers must show a certificate".to_owned()),
        Refused::BadToken(error) => unauthenticated(error.to_string()),
        Refused::KeysUnavailable => Answer::new(
            Code::Unavailable,
            Reason::CallerKeysUnavailable,
            "this service cannot read the keys of HCS_JWT_ISSUER, and so cannot check the token: try again later. \
             For the operator: the log says why",
        )
        .retry_after(DEFAULT_RETRY),
        Refused::Unknown(identities) => not_allowed(format!(
            "the caller {} may not call this service: an operator has to add it to HCS_CALLERS",
            names(identities)
        )),
        Refused::ReadOnly(identity) => not_allowed(format!(
            "the caller {identity} may read and not write: an operator has to change that in HCS_CALLERS"
        )),
    }
    .cause(refused.name())
    .build()
}

/// The identities of a caller, for people.
pub(super) fn names(identities: &[Identity]) -> String {
    // Errors travel in headers, which clients limit to 8 KiB.
    let cut = |identity: &Identity| identity.to_string().chars().take(MAX_IDENTITY_CHARS).collect::<String>();
    let shown: Vec<_> = identities.iter().take(MOST_IDENTITIES).map(cut).collect();
    if shown.is_empty() { "without a name".to_owned() } else { shown.join(", ") }
}

/// A `grpc-timeout` header that is not one.
pub(super) fn invalid_timeout() -> Status {
    let invalid =
        Invalid::new(InvalidReason::Malformed, "must be 1 to 8 digits and one of the units H, M, S, m, u, n");
    refused_request(convert::Error::Invalid(vec![Violation { field: "grpc-timeout", invalid }]))
}

/// A call beyond those that may be under way at once.
pub(super) fn overloaded() -> Status {
    too_many("too many calls are under way: try again later").cause("HCS_MAX_IN_FLIGHT is reached").build()
}

fn too_many(message: &str) -> Answer {
    Answer::new(Code::ResourceExhausted, Reason::Overloaded, message).retry_after(DEFAULT_RETRY)
}

/// A check, a watch or a reflection stream beyond those that there may be.
pub(super) fn too_many_streams() -> Status {
    too_many(
        "too many health checks, watches or reflection streams are open: use one watch for each connection, \
         and end what is not needed",
    )
    .cause("the limit of health checks, watches or reflection streams is reached")
    .build()
}

/// A stream whose connection or service ends.
pub(super) fn stream_ended(is_stopping: bool) -> Status {
    ended_stream(if is_stopping {
        "the service is stopping: open the stream again"
    } else {
        "the connection has reached its maximum age: open the stream again"
    })
}

/// A stream on which nothing was asked for too long.
pub(super) fn idle_stream() -> Status {
    ended_stream("nothing was asked for a while: open the stream again")
}

/// The service needs its place for others, and the caller finds one elsewhere.
fn ended_stream(message: &str) -> Status {
    Answer::new(Code::Unavailable, Reason::Overloaded, message).retry_after(DEFAULT_RETRY).build()
}

/// A method that there is not.
pub(super) fn unknown_method(path: &str) -> Status {
    let (message, cause) = if path.starts_with("/grpc.reflection.") {
        let message = "reflection is switched off (HCS_REFLECTION): use the proto files".to_owned();
        (message, "HCS_REFLECTION is false")
    } else {
        let services = [SERVICE_NAME, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"];
        let message = format!(
            "there is no method {}: this server has the services {}. Check the package, the service and \
             the method in the client, and its version",
            cut(path),
            services.join(", ")
        );
        (message, "there is no such method")
    };
    Answer::new(Code::Unimplemented, Reason::InvalidRequest, message).cause(cause).build()
}

/// A compression that is not supported.
pub(super) fn unknown_encoding(encoding: &[u8]) -> Status {
    let message = format!(
        "messages with the grpc-encoding {} cannot be read: send them with gzip or without compression",
        cut(&String::from_utf8_lossy(encoding))
    );
    let mut status = Answer::new(Code::Unimplemented, Reason::InvalidRequest, message)
        .cause("the grpc-encoding is not supported")
        .build();
    let supported = MetadataValue::from_static("gzip,identity");
    status.metadata_mut().insert("grpc-accept-encoding", supported);
    status
}

/// More metadata than any call has.
pub(super) fn metadata_too_large(limit: usize) -> Status {
    Answer::new(
        Code::ResourceExhausted,
        Reason::RequestTooLarge,
        format!(
            "the metadata of the call is larger than {limit} bytes: a token or a header that a proxy has added \
             is too large"
        ),
    )
    .cause("the metadata is too large")
    .build()
}

/// The start of what a caller has sent, for a message.
pub(super) fn cut(text: &str) -> String {
    const MOST_CHARACTERS: usize = 128;
    text.chars().filter(|c| !c.is_control()).take(MOST_CHARACTERS).collect()
}

/// What the codec makes of a message that it cannot read. Other failures stay what they are.
pub(super) fn codec_failed(error: Status, limit: usize) -> Status {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the codec has no others, and a stream may")]
    match error.code() {
        // The size as it is sent, and the size after it was decompressed.
        Code::OutOfRange | Code::ResourceExhausted => request_too_large(limit),
        // The code that gRPC asks for.
        Code::Internal if error.message().contains("compressed-flag") => Answer::new(
            Code::Internal,
            Reason::InvalidRequest,
            "the message says that it is compressed, and the call has no grpc-encoding that says how",
        )
        .cause("a compressed message without grpc-encoding")
        .build(),
        Code::Internal => undecodable_request(),
        _ => error,
    }
}

/// A request message over the size limit.
pub(super) fn request_too_large(limit: usize) -> Status {
    Answer::new(
        Code::ResourceExhausted,
        Reason::RequestTooLarge,
        format!("the request is larger than {limit} bytes: no valid one is"),
    )
    .cause("the request is too large")
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
    .cause("the request cannot be decoded")
    .build()
}

/// A panic: a bug here.
pub(super) fn internal() -> Status {
    Answer::new(
        Code::Internal,
        Reason::Internal,
        "a bug in this service; its log has the details: report it with the time of the call",
    )
    .cause("a panic")
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
