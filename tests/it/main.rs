//! Tests of the service from the outside: over real sockets, on ports chosen by the kernel.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod config;
#[cfg(feature = "emulator")]
mod create;
#[cfg(feature = "emulator")]
mod emulator;
#[cfg(feature = "emulator")]
mod errors;
#[cfg(feature = "emulator")]
mod server;
mod store;
#[cfg(feature = "emulator")]
mod support;
