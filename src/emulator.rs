//! The Flow Service emulator.
