//! The expected replies of a store, if they contain times.

use std::time::Duration;

use hubspot_connection_service::exactly_once::{
    Fingerprint,
    store::{Claim, Moment, StoreError},
};

use super::step::read;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
/// The tolerance for a slow machine where the clock is a real one.
const TOLERANCE_MS: u128 = 5000;

#[track_caller]
pub(super) fn assert_about(actual: Duration, expected: Duration) {
    assert!(
        actual.abs_diff(expected).as_millis() <= TOLERANCE_MS,
        "{actual:?} instead of about {expected:?}"
    );
}

#[track_caller]
pub(super) fn assert_ago(moment: Moment, expected: Duration) {
    let ago = u64::try_from(moment.store_ago_ms).map(Duration::from_millis);
    assert_about(ago.unwrap_or_else(|_| panic!("{moment:?}")), expected);
}

#[track_caller]
pub(super) fn assert_lost<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::LeaseLost)), "{result:?}");
}

#[track_caller]
pub(super) fn assert_unreadable<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Unreadable(_))), "{result:?}");
}

#[track_caller]
pub(super) fn assert_fresh(claim: Claim) {
    assert!(matches!(claim, Claim::Fresh { .. }), "{claim:?}");
}

#[track_caller]
pub(super) fn assert_remembers(claim: Claim, expected: Duration) {
    let Claim::Fresh { remembers_for } = claim else { panic!("{claim:?}") };
    assert_about(remembers_for, expected);
}

#[track_caller]
pub(super) fn assert_in_progress(claim: Claim, remaining: Duration) {
    let Claim::InProgress { retry_after } = claim else { panic!("{claim:?}") };
    assert_about(retry_after, remaining);
}

#[track_caller]
pub(super) fn assert_unknown(claim: Claim, first: Duration, last: Duration) {
    let Claim::Unknown { first_sent, last_sent, .. } = claim else { panic!("{claim:?}") };
    assert_ago(first_sent, first);
    assert_ago(last_sent, last);
}

#[track_caller]
pub(super) fn assert_other_content(claim: Claim, expected: &Fingerprint, created: Option<&str>) {
    let Claim::OtherContent { stored, outcome } = claim else { panic!("{claim:?}") };
    assert_eq!(stored, *expected);
    let id = outcome.map(|text| read(&text).unwrap().connection.id.to_string());
    assert_eq!(id.as_deref(), created);
}
