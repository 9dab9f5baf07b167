//! A gRPC service that creates and keeps Adobe Experience Platform base connections to HubSpot.
//!
//! The modules in the order of the path of a request. Each imports only modules further down
//! (`tests/it/architecture.rs`).
//!
//! - `cli`: the command line, with one file per subcommand; `serve` runs the service
//! - `app`: builds the service from the configuration and runs it; the only module that knows every part
//! - `config`: the table of settings, their parsers, and the checks between them
//! - `admin`: the plaintext port of probes and metrics
//! - `readiness`: when the service is ready for calls
//! - `grpc`: the API: its layers, the conversion of messages, and the status of every error
//! - `service`: one use case per RPC
//! - `exactly_once`: the engine that creates exactly once, and its stores
//! - `adobe`: the client of Adobe: tokens, retries, and each API
//! - `proto`: the messages of the API, generated from `proto/`
//! - `server`: the listener of the gRPC port, its connections and their limits
//! - `health`: `grpc.health.v1`
//! - `jwt`: the bearer tokens of callers
//! - `tls`: TLS on the gRPC port, with reload
//! - `metrics`: the metrics
//! - `telemetry`: logs and traces
//! - `hardening`: limits and protections that the operating system provides
//! - `http_client`: the HTTP client for requests to other servers
//! - `version`: the version and the revision of this build
//! - `domain`: values that cannot be invalid
//! - `secret`, `error`, `json`: the foundations: secret types, causes of errors, the reader of foreign JSON
//!
//! - `emulator`: an emulator of Adobe's APIs, for tests and demos
//! - `fuzz`: the entry points of `fuzz/`

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
