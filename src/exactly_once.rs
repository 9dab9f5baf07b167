//! One request creates one connection, or one dataflow, whatever fails in between.
//!
//! The Flow Service has no idempotency key and accepts duplicate names: a client that repeats a POST whose
//! response was lost leaves a second connection with live credentials behind
//! (`callers_that_retry_the_post_create_duplicates_under_the_same_faults`), or a second dataflow that ingests everything
//! twice. So nothing is resent without proof that nothing was created. Two things make this possible: a *reference* in
//! each resource, and a *record* in the store of request ids.
//!
//! This page speaks of connections. What it says holds for the flow of a dataflow too, unless
//! [another section](#creations-that-prepare-something) says otherwise; `proto/dataflows.md` explains dataflows to callers.
//!
//! # The modules
//!
//! An operation (`operation`) defines what is sent and how a lost resource is recognized. The engine (`engine`)
//! lets calls with one request id share a creation. A creation (`creation`) claims the request id in the [`store`],
//! for which it waits (`waiting`), sends the request once and records the outcome (`sending`). After a lost reply it
//! searches for the resource (`search`) and resends only what is proven to be absent. After a refusal it deletes what had
//! been prepared (`undo`), and remembers that (`undone`). A creation that nobody will retry is withdrawn (`withdrawal`).
//!
//! # The reference
//!
//! Each connection carries its request id at the end of its description in the Flow Service:
//!
//! ```text
//! connection for HubSpot [request 8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7]
//! ```
//!
//! A lost creation is recognized by its reference alone, even if somebody has changed the name, the times, or the
//! case, white space, Unicode form or escaping of the text. The API hides the reference: it returns the description
//! without it, and the id as `request_id`.
//!
//! `HCS_DESCRIPTION_REFERENCE=false` stores the description as given. Then a lost creation is never recognized,
//! taken over or resent. It stays `OUTCOME_UNKNOWN` and, after the settle window, becomes `OUTCOME_AMBIGUOUS` with
//! the connections of the same name as candidates, or with none: somebody has to decide. A forgotten id cannot be
//! found either.
//!
//! # What happens when
//!
//! | when … | the caller gets | and does | test |
//! | --- | --- | --- | --- |
//! | the same request is repeated | the first response, `replayed`, even if the connection was deleted since | nothing | `a_retry_gets_the_first_response_even_when_the_connection_is_gone` |
//! | … with another access token | the same | nothing | `a_retry_may_have_a_fresh_access_token` |
//! | … with another method | `REQUEST_ID_REUSED`, where `differs` is `method` | uses a new id | `the_id_of_a_connection_creates_nothing_else` |
//! | … with other content, or for another sandbox | `REQUEST_ID_REUSED`, with `differs` and the `connection_id` | calls `UpdateHubSpotConnection`, or uses a new id for a new creation | `a_request_id_with_other_content_is_refused` |
//! | … while `HCS_FINGERPRINT_KEY` is rotated | the same response | nothing | `a_new_key_of_fingerprints_takes_over_and_every_replay_works` |
//! | … after its key was removed, or its record is damaged or of a newer version | `RECORD_UNREADABLE`; nothing is sent | waits for an operator, uses no other id | `a_record_of_a_newer_version_is_an_error_for_operators_and_nothing_is_sent`, `a_retry_under_a_removed_key_is_not_reported_as_other_content` |
//! | … twice at once | one response for both, each within its own deadline | nothing | `concurrent_calls_with_one_request_id_create_one_connection`, `callers_that_share_a_creation_have_their_own_deadlines` |
//! | … twice at once at two replicas | one gets the response, the other `REQUEST_IN_PROGRESS` | retries | `of_two_replicas_with_the_same_request_id_at_once_one_creates_and_the_other_reports_it` |
//! | the Flow Service refuses the request | the refusal, which is not remembered | corrects the request, with the same id or a new one | `a_refusal_is_not_remembered` |
//! | the request cannot have arrived: no connection, no token, a throttle | no error: it is retried within the deadline | at most retries | `a_request_that_cannot_have_arrived_is_retried_at_once` |
//! | the response is lost: a time-out, a reset, a 5xx, an unreadable success | the connection: the search finds its reference | nothing | `a_connection_whose_reply_was_lost_is_found_and_not_recreated` |
//! | … and it is not found within ten seconds | `OUTCOME_UNKNOWN` | retries with the `request_id` in the error | `an_unknown_outcome_is_safe_to_retry_with_the_callers_id_and_with_the_generated_one` |
//! | … and the request never arrived | `OUTCOME_UNKNOWN` until that is proven (see below); then it is resent, and the caller gets the connection | retries meanwhile | `a_creation_that_never_arrived_is_retried_after_the_settle_window` |
//! | … and an item could be the connection, without showing whether it is | `OUTCOME_UNKNOWN`; after the settle window `OUTCOME_AMBIGUOUS` with the `candidates`. Each call searches again | if one is its own, uses it and deletes surplus ones of its own; if none is, uses a new id | `the_candidates_of_an_ambiguous_outcome_are_named` |
//! | several connections carry its reference | the oldest. The others are an error in the log and an alert; none is deleted | nothing | `of_several_connections_with_its_reference_a_creation_returns_the_oldest_and_deletes_none` |
//! | the store has forgotten the id | the connection, if searching first (see below) finds it with the same name and description; `REQUEST_ID_REUSED` if those differ | nothing | `a_creation_that_the_store_forgot_is_found_before_it_is_retried` |
//! | … and its connection may not be visible yet | the result of sending the request; errors have `may_exist` | retries | `if_the_store_may_have_forgotten_an_attempt_no_error_claims_that_nothing_was_created` |
//! | … and an item could be the connection, without showing whether it is | `OUTCOME_UNKNOWN`, or `OUTCOME_AMBIGUOUS` with the `candidates`; nothing is sent | retries; if one of the candidates is its own, uses it | `a_partial_reference_blocks_the_retry_of_a_forgotten_creation` |
//! | … and the search fails | Adobe's error, with `may_exist`; nothing is sent | retries | `a_creation_that_cannot_be_searched_for_is_not_sent` |
//! | the deadline is exceeded | `DEADLINE_EXCEEDED` with `may_exist` | retries with the `request_id` in the error | `a_deadline_exceeded_while_searching_reports_that_the_connection_may_exist` |
//! | … before anything was sent | the same, and nothing is sent afterwards | retries | `a_call_that_is_cancelled_before_anything_is_sent_creates_nothing` |
//! | the process dies while the new connection is verified | a lost call | retries: the verification continues, with the same connection | `no_connection_is_left_unreported_whatever_fails_while_it_is_verified` |
//! | the verification that it requires stays undecided | `OUTCOME_UNKNOWN` with `connection_id` | retries with the `request_id` in the error: the verification continues | `no_connection_is_left_unreported_whatever_fails_while_it_is_verified` |
//! | … or finds that the connection does not work | `VERIFICATION_FAILED`, also in every retry; the connection is deleted | corrects what the checks report, uses a new id | `no_connection_is_left_unreported_whatever_fails_while_it_is_verified` |
//! | … and the connection cannot be deleted | `VERIFICATION_FAILED` with `connection_id` | deletes it, or retries, which tries to delete it while it still does not work | `no_connection_is_left_unreported_whatever_fails_while_it_is_verified` |
//! | HubSpot refuses the credentials before anything was sent (`HCS_HUBSPOT_URL`) | `VERIFICATION_FAILED`; nothing is sent by this call (see `may_exist`), and the id is free | corrects what the checks report; uses a new id unless `may_exist` | `credentials_that_hubspot_refuses_create_nothing`, `the_request_id_of_a_refused_creation_is_free_again` |
//! | … or would refuse them after it was sent | its outcome as without HubSpot, which is not asked again | nothing | `a_creation_that_is_done_stays_done_whatever_hubspot_says_later`, `a_lost_creation_is_found_whatever_hubspot_says_later`, `a_creation_that_is_resent_is_not_refused` |
//! | a replica is killed at any moment | a lost call | retries, at any replica | `callers_that_retry_with_their_request_id_get_one_connection_each` |
//! | the store is away for a short time | no error: the call waits for it, for 20 seconds or half of the time until its deadline | nothing | `redis_that_is_away_for_twelve_seconds_costs_no_call` |
//! | … or longer, or until somebody corrects something | `STORE_UNAVAILABLE`, with `may_exist`; nothing is sent | retries | `without_the_store_nothing_is_sent_and_the_service_stays_ready` |
//! | … and another server takes its place, which knows less, or the lease ended meanwhile | the resource of another replica, found by a search before anything is sent | nothing | `a_creation_that_waited_for_another_server_searches_before_it_sends`, `a_creation_whose_lease_has_lapsed_searches_before_it_sends` |
//! | the Flow Service keeps failing | `BREAKER_OPEN`; nothing is sent | retries after the delay in `RetryInfo` | `a_flow_service_that_keeps_failing_opens_the_circuit_breaker` |
//!
//! `one_request_makes_one_connection_whatever_fails_in_between` injects every fault at every step of a creation,
//! including the death of the process, and checks thousands of combinations.
//!
//! A creation that was sent is finished even if its caller has left. A service that stops waits for it, at most
//! `HCS_DRAIN_TIMEOUT`; the replica that gets the retry does the rest.
//!
//! # What proves that nothing was created
//!
//! A lost creation is resent only after two complete lists of the sandbox's connections, at least 5 seconds apart,
//! both started after the settle window, in which no item is the connection or could be it.
//!
//! - *The settle window* (`HCS_SETTLE_WINDOW`) starts 5 seconds and `HCS_CREATE_TIMEOUT` after the sending began,
//!   because a POST that has arrived is executed even if its connection is closed. With the defaults it ends 160
//!   seconds after the sending began.
//! - *A list is complete* at its last page, or at an item that was neither created nor changed since 25 hours before
//!   the first sending, if the list has shown 50 items or more and all their times are plausible and in order. An
//!   unreadable page, pages that repeat or form a loop, or more than 100 pages make a list incomplete. An incomplete
//!   list proves nothing.
//! - *Adobe's list must show* every connection within the settle window, with its description. An item without a
//!   readable description, or with one that could be a part of this creation's, is read by its ID (at most 50 items in
//!   one search). If that does not show whose it is either, it could be the connection, and nothing is sent. An item is
//!   another's in each of these cases: the last reference in its description is another's; it has no reference and its
//!   description cannot be a part of this creation's; it was created in Adobe's user interface; it is older than those
//!   25 hours.
//! - *Clocks:* each sending is recorded by two clocks, the store's and the sender's, and the smaller of the two ages
//!   counts. If they differ by more than 30 seconds, or one is negative, neither is trusted: this is logged and
//!   counted, and the creation counts as sent at this moment, by the store's clock alone.
//!
//! # A store that forgot
//!
//! The store keeps concurrent calls and replicas apart, replays outcomes and compares content. It is not the only
//! evidence. In memory it remembers since the process started. In Redis it remembers since the server last started,
//! changed its role or was flushed; it never remembers for certain if the eviction policy is not `noeviction`, or if
//! Redis hides its run id or its replication id. Until the store has remembered for a full `HCS_REQUEST_ID_TTL`, a
//! caller's id without a record may have been forgotten. `HCS_SEARCH_FIRST` selects what happens then:
//!
//! | value | such a creation | cost |
//! | --- | --- | --- |
//! | `auto` | searches Adobe's list for its reference before it is sent. An item that has no description, or only the caller's without a reference, both in the list and by its ID, counts as another's. An item that shows a part of what was sent could be the connection: nothing is sent | At first each creation waits for a list that starts after its call; creations that wait together share one. When the store has remembered for 160 seconds (with the defaults): one more list per sandbox and replica. With an evicting Redis it stays as at first |
//! | `strict` | counts as sent when the store began to remember, and needs the proof above | two lists and at least 5 seconds; up to 165 seconds right after the store began to remember |
//! | `never` | is sent | nothing, but a forgotten id creates a second connection |
//!
//! Ids that the service generates cannot have been forgotten; they are never searched for first. At each call an
//! evicting Redis counts as having just begun to remember, so with `strict` every creation would wait 165 seconds.
//! `strict` needs `HCS_DESCRIPTION_REFERENCE=true`.
//!
//! # Creations that prepare something
//!
//! Some requests refer to other resources, which have to exist before. A creation finds or creates those first, each
//! with a marker that has the request id. They are inert: a duplicate harms nobody, and a preparation that was
//! interrupted is run again. Only then does the one request that matters follow, with the proof above. Nothing is
//! prepared for a connection. A dataflow has a field group, a schema, a dataset, a mapping set, a source connection and a
//! target connection; its flow is recognized by its source connection as well, also with
//! `HCS_DESCRIPTION_REFERENCE=false`.
//!
//! | when … | the creation | test |
//! | --- | --- | --- |
//! | the lease is lost, or the process ends, during the preparation | stops, sends nothing, and is resumed by a retry | `a_preparation_sees_that_its_lease_has_ended_and_another_replica_creates`, `a_drain_ends_a_preparation_and_its_id_is_free` |
//! | the outcome is unknown | undoes nothing; what is resent is what was sent | `a_lost_creation_is_resent_with_the_context_of_its_record` |
//! | the resource has lost its reference | recognizes it by what it refers to | `a_lost_resource_is_recognized_by_the_context_whatever_its_reference_is` |
//! | the request is certainly refused | deletes what was prepared for it, and leaves the id free | `what_a_refused_creation_prepared_is_undone_and_its_id_is_free` |
//! | … and the resource exists all the same | returns it, and deletes nothing | `a_resource_that_exists_although_it_was_refused_wins` |
//! | … and something cannot be deleted now | names it; a retry deletes it before anything else, and uses none of it | `what_remains_is_undone_before_anything_else_and_not_used_again` |
//! | … and the process dies meanwhile | the next holder finishes the deletions, likewise | `an_undo_that_dies_is_finished_by_the_next_holder` |
//! | … and lists still show what was deleted | uses none of it, also after the id was free | `nothing_is_used_again_that_was_undone_though_lists_still_show_it` |
//! | a part exists twice, because a reply was lost | uses the oldest; a later call with the request id deletes the others, once nothing of it can arrive any more | `whatever_reply_is_lost_there_is_one_flow_and_a_later_call_sweeps` |
//! | the request does not fit what is at Adobe | is refused before anything is created, with everything that is wrong | `everything_that_is_wrong_is_reported_at_once_and_nothing_is_created` |
//! | it is withdrawn | creates nothing any more, with whatever content; everything that it made is deleted, once nothing of it can arrive any more | `a_lost_creation_is_withdrawn_once_nothing_of_it_can_arrive` |
//! | … without a record | creates nothing any more from the first call on; a repetition after the settle window proves that there is no resource, and deletes the rest | `an_id_without_a_record_is_withdrawn_once_nothing_of_it_can_arrive` |
//! | … while its resource cannot be found yet | does not take it for gone, and deletes nothing that it uses | `an_abandoned_flow_that_is_not_visible_yet_is_not_taken_for_gone` |
//!
//! Before the first deletion of an undo the record says what is deleted. Each deletion needs a lease that certainly
//! lasts, and the next holder deletes the same before it creates anything: so no late deletion meets a resource that
//! is in use.
//!
//! # What the promise does not cover
//!
//! - A caller that sends no request id and loses the service's own response.
//! - Two replicas without a shared store that get the same id at the same time.
//! - A store that forgot (a crash in memory, a failover of Redis that lost writes) and a retry that comes before
//!   Adobe's list shows the lost connection, unless `HCS_SEARCH_FIRST=strict`. A forgotten id that is retried in
//!   another sandbox. An id that is retried after `HCS_REQUEST_ID_TTL`. A forgotten connection that was deleted since:
//!   it is created again.
//! - Somebody removes the reference by hand while the creation is lost, or a gateway or intercepting proxy repeats a
//!   POST by itself.
//! - A process is frozen for longer than the settle window between its last check and the first byte it sends.

mod background;
pub(crate) mod creation;
mod ending;
pub(crate) mod engine;
mod failure;
mod fingerprint;
mod listing;
mod made;
pub(crate) mod operation;
pub(crate) mod recognition;
mod record;
pub(crate) mod scope;
mod search;
mod sending;
mod sent;
mod shared;
pub mod store;
#[cfg(test)]
mod tests;
mod tombstone;
mod undo;
mod undone;
mod waiting;
pub(crate) mod withdrawal;

use std::time::Duration;

pub use self::{
    background::Background,
    engine::Engine,
    failure::{Error, Failure, RecordProblem},
    fingerprint::{Comparison, Fingerprint, FingerprintKeys, Fingerprints, FollowedKeys},
    made::{Kind, Made},
    sent::{WallClock, wall_clock},
    store::RedisTlsFiles,
    waiting::Waiting,
};
use crate::secret::Secret;

/// How retried requests are recognized.
#[derive(Clone, Debug)]
pub struct IdempotencyConfig {
    /// The URL of the shared store; without one, memory is used.
    pub redis_url: Option<Secret>,
    /// How TLS is spoken with it.
    pub redis_tls: RedisTlsFiles,
    /// The keys that compare retried requests; without them, a key of this process alone.
    pub fingerprint_keys: Option<Secret>,
    /// How long a request id is remembered, from its last change.
    pub request_id_ttl: Duration,
    /// How long a resource may stay invisible after the last moment at which it may have been created.
    pub settle_window: Duration,
    /// How lost creations are recovered.
    pub recovery: Recovery,
}

/// How lost creations are recovered.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    /// Whether resources carry the request id, so that lost ones are recognized.
    pub references: bool,
    /// When to search for one before it is sent.
    pub search_first: SearchFirst,
}

/// When to search for a request id of a caller that has no record, before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchFirst {
    /// Where the store may have forgotten it.
    Auto,
    /// The same, and waits until what may have been forgotten is certainly visible.
    Strict,
    /// Never.
    Never,
}
