//! The layers in front of the services. Each is a function from a request and the next layer to a response;
//! `grpc.rs` orders them. The compiler knows the next layer, so that a call is one future.

mod call_log;
mod caller;
mod codec_status;
mod deadline;
mod drain;
mod headers;
mod limits;

use tonic::body::Body;

pub(super) use self::{call_log::*, codec_status::*, deadline::*, drain::*, headers::*};
pub use self::{caller::*, limits::*};

/// In a box, because the future of each layer contains it and is moved while it is built.
pub(crate) type Request = Box<http::Request<Body>>;
pub(crate) type Response = http::Response<Body>;
