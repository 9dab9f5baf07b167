//! The layers in front of the services. Each is a function from a request and the next layer to a response;
//! `grpc.rs` orders them. The compiler knows the next layer, so that a call is one future.

pub(super) mod admission;
pub(super) mod call_log;
pub(super) mod caller;
pub(super) mod codec_status;
pub(super) mod deadline;
pub(super) mod drain;
pub(super) mod headers;
pub(super) mod streams;

use tonic::body::Body;

/// In a box, because the future of each layer contains it and is moved while it is built.
pub(crate) type Request = Box<http::Request<Body>>;
pub(crate) type Response = http::Response<Body>;
