//! Tests of the service from the outside.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod config;
