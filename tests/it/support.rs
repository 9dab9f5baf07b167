//! Code that several tests use: the service under test, its client, and readable errors.

pub(crate) mod alteration;
mod altering_proxy;
pub(crate) mod certificates;
pub(crate) mod collector;
pub(crate) mod dataflows;
mod failure;
mod metrics;
mod mount;
pub(crate) mod peer;
mod process;
pub(crate) mod replacing_proxy;
mod service;
pub(crate) mod tokens;

pub(crate) use altering_proxy::{Alterations, AlteringProxy};
pub(crate) use failure::Failure;
pub(crate) use metrics::{counted, metrics, until_counted};
pub(crate) use mount::Mount;
pub(crate) use process::{
    Output, Process, ServiceProcess, Signal, in_time, start_emulator, until, unused_port,
};
pub(crate) use service::{
    FINGERPRINT_KEY, SETTLES_FAST, TestService, credentials, framed, inject, listen, post, post_upstream,
    request, request_upstream, request_with_id, salesforce, send_upstream,
};
