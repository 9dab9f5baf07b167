//! Tests of the service from the outside: over real sockets, on ports chosen by the kernel.

#![allow(clippy::unwrap_used, reason = "a test panics on an unexpected error")]

#[cfg(feature = "emulator")]
mod altered_lists;
mod architecture;
#[cfg(feature = "emulator")]
mod audit;
#[cfg(feature = "emulator")]
mod callers;
#[cfg(feature = "emulator")]
mod canary;
#[cfg(feature = "emulator")]
mod chaos;
#[cfg(feature = "emulator")]
mod client;
mod config;
#[cfg(feature = "emulator")]
mod connections;
#[cfg(feature = "emulator")]
mod create;
#[cfg(feature = "emulator")]
mod dataflow_calls;
#[cfg(feature = "emulator")]
mod dataflows;
#[cfg(feature = "emulator")]
mod deploy;
#[cfg(feature = "emulator")]
mod diagnosis;
#[cfg(feature = "emulator")]
mod dry_run;
#[cfg(feature = "emulator")]
mod emulator;
#[cfg(feature = "emulator")]
mod errors;
#[cfg(feature = "emulator")]
mod examples;
#[cfg(feature = "emulator")]
mod explore;
#[cfg(feature = "emulator")]
mod hubspot;
#[cfg(feature = "emulator")]
mod limits;
#[cfg(feature = "emulator")]
mod metrics;
#[cfg(feature = "emulator")]
mod model;
mod optional;
#[cfg(feature = "emulator")]
mod process;
#[cfg(feature = "emulator")]
mod promise;
#[cfg(feature = "emulator")]
mod proxy;
mod readme;
#[cfg(feature = "emulator")]
mod replies;
#[cfg(feature = "emulator")]
mod reverse_proxies;
#[cfg(feature = "emulator")]
mod rolling;
#[cfg(feature = "emulator")]
mod rotation;
#[cfg(feature = "emulator")]
mod server;
mod store;
#[cfg(feature = "emulator")]
mod support;
#[cfg(feature = "emulator")]
mod telemetry;
#[cfg(feature = "emulator")]
mod tls;
#[cfg(feature = "emulator")]
mod token;
#[cfg(feature = "emulator")]
mod upstream;
#[cfg(feature = "emulator")]
mod verification;
#[cfg(feature = "emulator")]
mod weak_store;
