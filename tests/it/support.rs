//! What several tests need: the service under test, its client, and readable errors.

mod failure;
mod process;
mod service;

pub(crate) use failure::Failure;
pub(crate) use process::{Process, ServiceProcess, Signal, in_time, start_emulator, until, unused_port};
pub(crate) use service::{TestService, credentials, framed, listen, post, post_upstream, request};
