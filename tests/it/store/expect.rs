//! What is expected of the answers of a store, where they hold times.

use std::time::Duration;

use hubspot_connection_service::idempotency::{Claim, StoreError};

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// What may be lost to a slow machine where the clock is a real one.
const TOLERANCE: Duration = Duration::from_secs(5);

#[track_caller]
fn assert_about(actual: Duration, expected: Duration) {
    assert!(actual.abs_diff(expected) <= TOLERANCE, "{actual:?} instead of {expected:?}");
}

#[track_caller]
pub(super) fn assert_lost<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::LeaseLost)), "{result:?}");
}

#[track_caller]
pub(super) fn assert_in_progress(claim: Claim, left: Duration) {
    let Claim::InProgress { retry_after } = claim else { panic!("{claim:?}") };
    assert_about(retry_after, left);
}

#[track_caller]
pub(super) fn assert_name_in_progress(claim: Claim, left: Duration) {
    let Claim::NameInProgress { retry_after } = claim else { panic!("{claim:?}") };
    assert_about(retry_after, left);
}

#[track_caller]
pub(super) fn assert_unknown(claim: Claim, first: Duration, last: Duration) {
    let Claim::Unknown { first_sent, last_sent } = claim else { panic!("{claim:?}") };
    assert_about(first_sent, first);
    assert_about(last_sent, last);
}
