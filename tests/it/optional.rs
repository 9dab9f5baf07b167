//! Tests that need a program that may be missing.

use std::{
    collections::BTreeSet,
    env,
    io::{self, Write as _},
    sync::Mutex,
};

/// Skips tests with one message, or fails if this variable requires them.
pub(crate) fn skip(variable: &str, tests: &'static str, cause: &str) {
    let is_required = env::var_os(variable).is_some_and(|value| value == "required");
    assert!(!is_required, "{variable}=required, and {cause}");
    static SKIPPED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    if SKIPPED.lock().unwrap().insert(tests) {
        // Bypasses the capture of the test harness, which hides the output of passing tests.
        let _ = writeln!(io::stderr(), "SKIPPED: {tests}; {cause}");
    }
}
