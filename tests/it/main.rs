//! The tests of the whole, over real sockets.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[cfg(feature = "emulator")]
mod emulator;
