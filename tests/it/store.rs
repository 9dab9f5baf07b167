//! The idempotency stores: one suite of behaviours that holds for each of them, and what is special
//! to one.

mod expect;
mod memory;
mod model;
mod outcomes;
mod redis;
pub(crate) mod redis_server;
mod subject;
mod suite;
mod verdicts;

use hubspot_connection_service::{
    domain::{
        Check, CheckName, CheckState, ConnectionId, ConnectionName, CreatedConnection, Credential,
        Description, Etag, HubSpotCredentials, NewConnection, RequestId, SandboxName, TestReport,
        Verification,
    },
    idempotency::{FingerprintKeys, Fingerprints, Holder, Key, Lease, Outcome},
};

use self::{redis_server::RedisServer, subject::Subject};

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
        an_id_is_of_one_sandbox
        other_content_is_refused_in_every_state
        content_is_recognized_under_the_previous_key
        a_claim_that_nobody_renews_is_taken_over
        a_renewed_lease_lasts
        an_expired_lease_can_be_renewed_while_nobody_has_taken_the_name
        nothing_is_sent_under_an_expired_lease
        an_interrupted_sending_is_unknown
        a_later_sending_does_not_move_the_first
        sending_locks_the_name_for_the_settle_window
        what_was_not_created_leaves_no_trace_but_the_lease
        an_unknown_outcome_stays_held
        an_abandoned_record_is_free_and_its_name_is_not
        an_abandoned_claim_is_fresh_to_the_next
        a_released_record_and_its_name_are_free
        the_name_of_another_is_left_alone
        steps_can_be_repeated
        strangers_change_nothing
        steps_that_make_no_sense_are_refused
    }
    outcomes {
        a_done_record_answers_everybody
        the_first_outcome_stays
        a_late_outcome_is_recorded_whoever_holds_the_record
        an_outcome_belongs_to_one_id
        the_outcome_of_a_forgotten_id_is_known_as_long_as_an_id
        an_id_is_forgotten_in_the_end
    }
    verdicts {
        a_created_connection_waits_for_its_verdict
        no_verdict_is_recorded_where_none_was_asked_for
        the_first_definite_verdict_stays
        what_failed_may_be_deleted
        pending_is_no_news
        of_many_verdicts_at_once_one_is_everybodys
        a_repeated_outcome_keeps_the_verdict
        a_verdict_about_something_else_is_not_recorded
        a_verdict_is_a_change_and_prolongs_what_is_remembered
        a_verdict_that_is_no_news_prolongs_nothing
        a_report_comes_back_as_it_was
    }
}

/// What the credentials of a request hold: it must not turn up in any store.
const CANARY: &str = "canary-of-a-credential";
/// The keys of the fingerprints.
const KEYS: [[u8; 32]; 2] = [*b"canary-of-the-first-fingerprint!", *b"canary-of-the-other-fingerprint!"];

fn sandbox(name: &str) -> SandboxName {
    SandboxName::parse(name).unwrap()
}

/// The fingerprints of a connection of this name and description.
fn fingerprints(keys: &FingerprintKeys, name: &ConnectionName, description: &str) -> Fingerprints {
    let credential = || Credential::parse(CANARY).unwrap();
    let connection = NewConnection {
        sandbox: sandbox("prod"),
        name: name.clone(),
        description: Description::parse(description).unwrap(),
        credentials: HubSpotCredentials {
            client_id: credential(),
            client_secret: credential(),
            access_token: credential(),
            refresh_token: credential(),
        },
    };
    keys.fingerprints(&connection, Verification::None)
}

/// A first claim of a new id.
fn lease(name: &str) -> Lease {
    let name = ConnectionName::parse(name).unwrap();
    Lease {
        key: Key { sandbox: sandbox("prod"), request_id: RequestId::generate() },
        fingerprints: fingerprints(&FingerprintKeys::new(&KEYS[0], None), &name, ""),
        name,
        holder: Holder::generate(),
    }
}

/// Another attempt at the same creation.
fn retry(lease: &Lease) -> Lease {
    Lease { holder: Holder::generate(), ..lease.clone() }
}

/// The same id with another content.
fn other_content(lease: &Lease) -> Lease {
    let keys = FingerprintKeys::new(&KEYS[0], None);
    Lease { fingerprints: fingerprints(&keys, &lease.name, "another"), ..retry(lease) }
}

fn connection(id: &str) -> CreatedConnection {
    CreatedConnection {
        id: ConnectionId::parse(id).unwrap(),
        etag: Etag::parse("\"d403848a-0000-0200-0000-5e978f7b0000\"").unwrap(),
    }
}

/// The outcome of a creation without verification.
fn outcome(id: &str) -> Outcome {
    Outcome { connection: connection(id), verdict: None }
}

/// A report that says this, and is told from others by it.
fn report(message: &str) -> TestReport {
    let check = |name, state| Check { name, state, message: message.to_owned() };
    let tables = check(CheckName::Tables, CheckState::Skipped);
    TestReport { checks: vec![check(CheckName::ConnectionTest, CheckState::Failed), tables] }
}
