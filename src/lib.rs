//! A gRPC service that creates and keeps Adobe Experience Platform base connections to HubSpot, and the dataflows that
//! bring their tables into datasets.
//!
//! # The path of a creation
//!
//! 1. `server.rs`, `tls.rs`, `server/connection.rs`: accept, TLS, limits
//! 2. `grpc.rs`: the layers in `grpc/layer/`: log, audit, deadline, caller (`jwt`), limits
//! 3. `grpc/connections/service.rs`, `convert.rs`: the message becomes a command
//! 4. `service/connections/create.rs`: the use case; `operation.rs` defines what is sent, and asks HubSpot first
//!    (`hubspot.rs`) where the connection has to work
//! 5. `exactly_once/engine.rs`, `shared.rs`, `creation.rs`, `sending.rs`: claim, send, record; `search.rs` after a
//!    lost reply
//! 6. `adobe/flow_service.rs`, `adobe/flow_service/connections.rs`: the request and its body
//! 7. `adobe/resilience.rs`, `adobe/client/call.rs`: the POST is permitted, and sent once
//! 8. `adobe/answer/classify.rs`, `advice.rs`: what an error reply means, and what to do
//! 9. `grpc/connections/render.rs`, or `status/creation.rs`: the response, or the error
//!
//! The creation of a dataflow takes the same path, through `grpc/dataflows/` and `service/dataflows/`. After the claim
//! it finds or creates what the flow refers to: `service/dataflows/creation/prepare.rs`, with `adobe/schema_registry.rs`,
//! `adobe/catalog.rs` and `adobe/data_prep.rs`.
//!
//! # The modules
//!
//! In the order of imports: each imports only modules further down (`tests/it/architecture.rs`).
//!
//! - `cli`: the command line, with one file per subcommand; `serve` runs the service, `client` calls a running one
//! - `app`: builds the service from the configuration and runs it; the only module that knows every part
//! - `config`: the table of settings, their parsers, and the checks between them
//! - `admin`: the plaintext port of probes and metrics
//! - `readiness`: when the service is ready for calls
//! - `grpc`: the API: its layers, the conversion of messages, and the status of every error
//! - `service`: one use case per RPC
//! - `exactly_once`: the engine that creates exactly once, and its stores
//! - `adobe`: the client of Adobe: tokens, retries, and each API
//! - `hubspot`: asks HubSpot whether credentials work
//! - `upstream`: what both clients share: attempts, the circuit breaker, the throttle gate
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
//! - `backoff`: exponential backoff
//! - `secret`, `error`, `json`: the foundations: secret types, causes of errors, the reader of foreign JSON
//!
//! - `emulator`: an emulator of Adobe's APIs and HubSpot's introspection, for tests and demos
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
pub mod hubspot;
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
mod upstream;
mod version;
