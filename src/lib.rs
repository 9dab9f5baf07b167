//! A gRPC service that creates and keeps Adobe Experience Platform base connections to HubSpot.

pub mod cli;
pub mod config;
pub mod domain;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod proto;
