//! The idempotency stores: one suite of behaviours for all of them, and the special behaviours of each.

mod expect;
mod memory;
mod model;
mod moments;
mod outages;
mod outcomes;
mod permissions;
mod redis;
pub(crate) mod redis_server;
mod step;
pub(crate) mod subject;
mod suite;
mod table;
#[cfg(feature = "emulator")]
mod tls;
mod undo;
mod verdicts;
pub(crate) mod weaknesses;

use hubspot_connection_service::{
    domain::{Check, CheckName, CheckState, ConnectionId, CreatedConnection, Etag, RequestId, TestReport},
    exactly_once::{
        FingerprintKeys, Fingerprints,
        store::{Holder, Lease, Origin},
    },
    service::Outcome,
};

pub(crate) use self::redis_server::RedisServer;
use self::subject::Subject;

/// Runs each behaviour against each store.
macro_rules! suite {
    ($($module:ident { $($behaviour:ident)* })*) => {
        mod in_memory {
            $($(
                #[tokio::test(start_paused = true)]
                async fn $behaviour() {
                    super::$module::$behaviour(super::Subject::in_memory()).await;
                }
            )*)*
        }

        mod in_redis {
            $($(
                #[tokio::test]
                async fn $behaviour() {
                    let Some(subject) = super::Subject::in_redis().await else { return };
                    super::$module::$behaviour(subject).await;
                }
            )*)*
        }
    };
}

suite! {
    suite {
        a_new_id_is_held_by_its_first_holder
        many_claims_of_one_id_give_one_holder
        other_content_names_the_stored_fingerprint_and_the_connection
        the_same_id_in_another_sandbox_is_other_content
        content_is_recognized_under_the_previous_key
        content_under_a_removed_key_cannot_be_compared
        a_claim_that_nobody_renews_is_taken_over
        a_renewed_lease_lasts
        every_step_of_a_holder_renews_its_lease
        an_expired_lease_can_be_renewed_until_another_claims
        nothing_is_sent_under_an_expired_lease
        nothing_is_resent_under_an_expired_lease
        an_interrupted_sending_is_unknown
        not_created_after_a_resend_is_unknown
        a_record_that_created_nothing_is_fresh_to_the_next_holder
        a_late_release_changes_nothing_that_was_sent
        an_abandoned_record_keeps_its_state
        an_abandoned_claim_is_fresh_to_the_next
        a_claim_that_arrives_late_takes_nothing_back
        a_claim_whose_reply_was_lost_is_repeated
        the_context_of_the_last_sending_comes_back
        a_released_id_is_free_for_other_content
        a_record_is_forgotten_a_full_time_after_its_last_change
    }
    table {
        every_step_expects_a_state_and_a_holder
    }
    moments {
        a_claim_reports_for_how_long_the_store_remembers
        times_are_returned_by_both_clocks
        a_resend_keeps_the_first_sending_time
        an_attempt_after_not_created_is_a_first_sending
        distrusted_clocks_keep_only_the_store_time_of_the_last_sending
        the_store_knows_the_age_of_a_sending_whatever_the_wall_clock_shows
    }
    outcomes {
        a_done_record_is_returned_to_every_caller
        the_first_outcome_stays
        an_outcome_is_recorded_in_every_state_by_any_holder
        an_outcome_is_recorded_without_a_record
        an_outcome_records_the_content_that_was_sent
        a_forgotten_outcome_leaves_no_record
        one_connection_may_be_the_outcome_of_two_ids
        an_outcome_is_forgotten_in_the_end
    }
    undo {
        an_undo_is_continued_by_the_next_holder
        nothing_is_sent_or_released_while_something_has_to_be_undone
        nothing_is_undone_or_withdrawn_under_an_expired_lease
        nothing_that_was_sent_is_undone_or_withdrawn
        an_attempt_after_an_undo_is_a_first_sending
        an_undo_is_remembered_a_full_time_after_its_last_change
        a_withdrawn_id_creates_nothing_more
    }
    verdicts {
        a_created_connection_waits_for_its_verdict
        no_verdict_is_recorded_where_none_was_asked_for
        the_first_definite_verdict_stays
        a_failed_connection_may_be_deleted
        a_pending_verdict_changes_nothing
        of_many_concurrent_verdicts_one_is_kept
        a_repeated_outcome_keeps_the_verdict
        a_verdict_about_something_else_is_not_recorded
        a_verdict_is_a_change_and_prolongs_what_is_remembered
        an_unchanged_verdict_prolongs_nothing
        a_report_is_returned_unchanged
    }
}

/// The credentials of a request: they must not appear in any store.
const CANARY: &str = "canary-of-a-credential";
/// The fingerprint keys.
const KEYS: [[u8; 32]; 2] = [*b"canary-of-the-first-fingerprint!", *b"canary-of-the-other-fingerprint!"];

/// The fingerprints of a connection in this sandbox and with this description.
fn fingerprints(keys: &FingerprintKeys, sandbox: &str, description: &str) -> Fingerprints {
    keys.fingerprints([
        ("sandbox_name", sandbox),
        ("description", description),
        ("credentials.client_secret", CANARY),
    ])
}

fn first_key() -> FingerprintKeys {
    FingerprintKeys::new(&KEYS[0], None)
}

/// A first claim of a new id.
fn lease() -> Lease {
    let fingerprints = fingerprints(&first_key(), "prod", "");
    Lease { request_id: RequestId::generate(), fingerprints, holder: Holder::generate() }
}

/// Another attempt of the same creation.
fn retry(lease: &Lease) -> Lease {
    Lease { holder: Holder::generate(), ..lease.clone() }
}

/// The same id with another description.
fn other_content(lease: &Lease) -> Lease {
    Lease { fingerprints: fingerprints(&first_key(), "prod", "another"), ..retry(lease) }
}

fn connection(id: &str) -> CreatedConnection {
    CreatedConnection {
        id: ConnectionId::parse(id).unwrap(),
        etag: Etag::parse("\"d403848a-0000-0200-0000-5e978f7b0000\"").unwrap(),
    }
}

/// The outcome of a creation without verification.
fn outcome(id: &str) -> Outcome {
    Outcome::new(connection(id), Origin::Reply, None)
}

/// A report with this message, which distinguishes it from others.
fn report(message: &str) -> TestReport {
    let check = |name, state| Check { name, state, message: message.to_owned() };
    let tables = check(CheckName::Tables, CheckState::Skipped);
    TestReport { checks: vec![check(CheckName::ConnectionTest, CheckState::Failed), tables] }
}
