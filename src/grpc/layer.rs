//! What stands before the services. Each layer is a function from a request and what comes next to
//! a response; `grpc.rs` orders them. What comes next is known to the compiler: the layers and what they
//! stand before are one future.

pub(super) mod admission;
pub(super) mod call_log;
pub(super) mod caller;
pub(super) mod codec_status;
pub(super) mod content_type;
pub(super) mod deadline;
pub(super) mod drain;
pub(super) mod encoding;
pub(super) mod metadata;
pub(super) mod streams;

use tonic::body::Body;

/// What layers get. In a box: the future of each layer has room for it, and is copied as it is built.
pub(crate) type Request = Box<http::Request<Body>>;
/// What layers answer.
pub(crate) type Response = http::Response<Body>;
