//! What stands before the services. Each layer is a function from a request and what comes next to
//! a response; `grpc.rs` orders them.

pub(super) mod admission;
pub(super) mod call_log;
pub(super) mod caller;
pub(super) mod codec_status;
pub(super) mod content_type;
pub(super) mod deadline;
pub(super) mod drain;
