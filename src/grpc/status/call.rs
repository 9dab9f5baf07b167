//! Calls that fail in a layer, whatever their method.

use tonic::{Code, Status, metadata::MetadataValue};

use super::{DEFAULT_RETRY, Reason, RpcError};
use crate::{
    domain::{CallProgress, Identity, Progress, Stage},
    exactly_once::Kind,
    grpc::{layer::Refused, methods::Method},
    jwt::{JwtConfig, NotAccepted},
};

/// The most identities of a caller that an error lists.
const MOST_IDENTITIES: usize = 5;
const MAX_IDENTITY_CHARS: usize = 200;

pub(crate) fn deadline_exceeded(kind: Kind, progress: &CallProgress) -> RpcError {
    let creation = progress.creation();
    let may_exist = creation.is_some_and(Progress::may_exist);
    let stage = progress.stage();
    let changed = match kind {
        Kind::Connection => "Read it, and repeat the call with its current etag or without one",
        Kind::Dataflow => "Repeat the call",
    };
    let message = if may_exist {
        format!(
            "the deadline was exceeded before the creation's outcome was known: the {kind} may exist. Repeat the \
             call with the request_id in this error's metadata: that is safe, and repeating it without is not"
        )
    } else if creation.is_some() && kind == Kind::Dataflow {
        "the deadline was exceeded and no dataflow was created: repeat the call with a longer deadline and with the \
         request_id in this error's metadata, which continues with what is prepared"
            .to_owned()
    } else if creation.is_some() {
        "the deadline was exceeded and nothing was created: repeat the call with a longer deadline".to_owned()
    } else if stage == Stage::Update {
        format!(
            "the deadline was exceeded before the outcome was known: the {kind} may have been changed. {changed}"
        )
    } else if stage == Stage::Delete {
        format!(
            "the deadline was exceeded before the outcome was known: the {kind} may have been deleted. Repeat the \
             call with allow_missing"
        )
    } else {
        "the deadline was exceeded and nothing was done: repeat the call with a longer deadline".to_owned()
    };
    RpcError::new(Code::DeadlineExceeded, Reason::DeadlineExceeded, message)
        .metadata("stage", stage.name())
        .metadata("may_exist", may_exist)
        .metadata_if("request_id", creation.map(Progress::request_id))
        .cause(format!("the deadline was exceeded at the stage {}", stage.name()))
}

/// A rejected caller. `tokens`: how tokens are checked, where callers must send one.
pub(crate) fn caller_refused(refused: &Refused, tokens: Option<&JwtConfig>) -> RpcError {
    let unauthenticated =
        |message: String| RpcError::new(Code::Unauthenticated, Reason::CallerUnauthenticated, message);
    let needs_token = |problem: String| match tokens {
        Some(JwtConfig { issuer, audience, .. }) => unauthenticated(format!(
            "{problem}. It takes tokens of the issuer {issuer} for the audience {audience}"
        ))
        .metadata("issuer", issuer)
        .metadata("audience", audience),
        None => unauthenticated(problem),
    };
    let not_allowed =
        |message: String| RpcError::new(Code::PermissionDenied, Reason::CallerNotAllowed, message);
    match refused {
        Refused::NoToken => needs_token(
            "this service needs a token: one authorization header with \"Bearer \" and the token".to_owned(),
        ),
        Refused::NoCertificate => unauthenticated("callers must show a certificate".to_owned()),
        Refused::Token(NotAccepted::Bad(error)) => needs_token(format!("this service refused the token: {error}")),
        Refused::Token(NotAccepted::KeysUnavailable) => RpcError::new(
            Code::Unavailable,
            Reason::CallerKeysUnavailable,
            "this service cannot read the keys of HCS_JWT_ISSUER, and so cannot check the token: try again later. \
             For the operator: the log says why",
        )
        .retry_after(DEFAULT_RETRY),
        Refused::Unknown(names) => not_allowed(format!(
            "the caller {} may not call this service: an operator has to add it to HCS_CALLERS",
            identities(names)
        )),
        Refused::ReadOnly(identity) => not_allowed(format!(
            "the caller {identity} may read but not write: an operator has to change that in HCS_CALLERS"
        )),
    }
    .cause(refused.name())
}

/// The identities of a caller, for people.
pub(crate) fn identities(names: &[Identity]) -> String {
    let cut = |identity: &Identity| identity.to_string().chars().take(MAX_IDENTITY_CHARS).collect::<String>();
    let shown: Vec<_> = names.iter().take(MOST_IDENTITIES).map(cut).collect();
    if shown.is_empty() { "without a name".to_owned() } else { shown.join(", ") }
}

/// More calls than may wait at once.
pub(crate) fn overloaded() -> RpcError {
    too_many("too many calls are in progress: try again later").cause("HCS_MAX_IN_FLIGHT is reached")
}

pub(crate) fn too_many(message: &str) -> RpcError {
    RpcError::new(Code::ResourceExhausted, Reason::Overloaded, message).retry_after(DEFAULT_RETRY)
}

pub(crate) fn too_many_streams() -> RpcError {
    too_many(
        "too many health checks, watches or reflection streams are open: use one watch for each connection, \
         and end streams that are not needed",
    )
    .cause("the limit of health checks, watches or reflection streams is reached")
}

/// A stream that this service ends.
pub(crate) fn stream_ended(message: &str) -> RpcError {
    RpcError::new(Code::Unavailable, Reason::Overloaded, message).retry_after(DEFAULT_RETRY)
}

pub(crate) fn unknown_method(path: &str) -> RpcError {
    let (message, cause) = if path.starts_with("/grpc.reflection.") {
        let message = "reflection is switched off (HCS_REFLECTION): use the proto files".to_owned();
        (message, "HCS_REFLECTION is false")
    } else {
        let message = format!(
            "there is no method {}: this server has the services {}. Check the package, the service and \
             the method in the client, and its version",
            start(path),
            Method::services().join(", ")
        );
        (message, "unknown method")
    };
    RpcError::new(Code::Unimplemented, Reason::InvalidRequest, message).cause(cause)
}

pub(crate) fn unknown_encoding(encoding: &[u8]) -> RpcError {
    let message = format!(
        "messages with the grpc-encoding {} cannot be read: send them with gzip or without compression",
        start(&String::from_utf8_lossy(encoding))
    );
    let supported = MetadataValue::from_static("gzip,identity");
    let mut error = RpcError::new(Code::Unimplemented, Reason::InvalidRequest, message)
        .cause("the grpc-encoding is not supported");
    error.trailers.insert("grpc-accept-encoding", supported);
    error
}

pub(crate) fn metadata_too_large(limit: usize) -> RpcError {
    let message = format!(
        "the metadata of the call is larger than {limit} bytes: a token or a header that a proxy has added is too \
         large"
    );
    too_large(message).cause("the metadata is too large")
}

fn too_large(message: String) -> RpcError {
    RpcError::new(Code::ResourceExhausted, Reason::RequestTooLarge, message)
}

/// The start of a text from a caller, for a message.
pub(crate) fn start(text: &str) -> String {
    const MOST_CHARACTERS: usize = 128;
    text.chars().filter(|c| !c.is_control()).take(MOST_CHARACTERS).collect()
}

/// The codec's error for a message that it cannot read, as an error of this service. Other errors stay as they
/// are.
pub(crate) fn codec_failed(error: Status, limit: usize) -> Status {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the codec has no other codes, and a stream may")]
    match error.code() {
        // The size as sent, and the size after decompression.
        Code::OutOfRange | Code::ResourceExhausted => {
            too_large(format!("the request is larger than {limit} bytes: no valid request is"))
                .cause("the request is too large")
        }
        // The code that gRPC's compression document asks for.
        Code::Internal if error.message().contains("compressed-flag") => RpcError::new(
            Code::Internal,
            Reason::InvalidRequest,
            "the message is marked as compressed, but the call has no grpc-encoding",
        )
        .cause("a compressed message without grpc-encoding"),
        Code::Internal => RpcError::new(
            Code::InvalidArgument,
            Reason::InvalidRequest,
            "the request is not a message of the type that the method takes: generate the client from this \
             service's proto files, or use its reflection",
        )
        .cause("the request cannot be decoded"),
        _ => return error,
    }
    .into()
}

/// A panic.
pub(crate) fn internal() -> RpcError {
    RpcError::new(
        Code::Internal,
        Reason::Internal,
        "a bug in this service; its log has the details: report it with the time of the call",
    )
    .cause("a panic")
}

/// The name of a code in gRPC's documentation.
pub(crate) fn code_name(code: Code) -> &'static str {
    /// Each at the index of its number.
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    NAMES[code as usize]
}
