//! A gRPC service that creates and keeps Adobe Experience Platform base connections to HubSpot.

pub mod admin;
pub mod adobe;
pub mod app;
mod backoff;
pub mod cli;
pub mod config;
pub mod domain;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod error;
pub mod exactly_once;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
pub mod grpc;
mod hardening;
pub mod health;
pub mod http_client;
mod json;
pub mod jwt;
pub mod metrics;
pub mod proto;
pub mod readiness;
pub mod secret;
pub mod server;
pub mod service;
pub mod telemetry;
pub mod tls;
mod version;
