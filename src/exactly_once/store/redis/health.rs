//! Whether the store can be used, as far as is known, and what the log says about that.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::failure::Failure;
use crate::exactly_once::store::{Outage, PATIENCE};

pub(super) struct Health {
    began: Instant,
    known: Mutex<Known>,
}

/// How many causes of one outage are logged: each once, even if they alternate.
const MOST_CAUSES: usize = 20;

#[derive(Default)]
struct Known {
    /// Of the last check, or of a step that has failed since.
    failure: Option<Failure>,
    /// Whether a check has succeeded since the process started.
    has_been_up: bool,
    /// Whether the log says that the store is awaited.
    is_awaited: bool,
    /// The errors of this outage in the log.
    errors: BTreeSet<String>,
}

impl Health {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), known: Mutex::default() }
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    pub(super) fn outage(&self) -> Option<Outage> {
        self.lock().failure.as_ref().map(Failure::outage)
    }

    /// A step that fails reports an outage before the next check does. One that succeeds ends none: it may need less
    /// than a creation.
    pub(super) fn step_failed(&self, failure: &Failure) {
        let mut known = self.lock();
        // A check finds out more than a step, as which permission is missing.
        if known.failure.is_none() {
            self.log(&mut known, failure);
            known.failure = Some(failure.clone());
        }
    }

    pub(super) fn checked(&self, result: Result<(), Failure>) {
        let mut known = self.lock();
        match &result {
            Ok(()) => {
                if !known.errors.is_empty() {
                    tracing::info!("the idempotency store is back");
                } else if known.is_awaited {
                    tracing::info!("the idempotency store is available");
                }
                *known = Known { has_been_up: true, ..Known::default() };
            }
            Err(failure) => self.log(&mut known, failure),
        }
        known.failure = result.err();
    }

    /// Logs each cause once. Where everything is installed together the store may start after this process: that is an
    /// error only if it lasts.
    fn log(&self, known: &mut Known, failure: &Failure) {
        let (text, reason) = (failure.to_string(), failure.outage().name());
        let may_be_starting =
            !known.has_been_up && failure.outage().may_pass() && self.began.elapsed() < PATIENCE;
        if may_be_starting {
            if !known.is_awaited {
                tracing::warn!(
                    error = text,
                    reason,
                    "waiting for the idempotency store, which may start later: nothing can be created before"
                );
            }
            known.is_awaited = true;
        } else if known.errors.len() < MOST_CAUSES && !known.errors.contains(&text) {
            tracing::error!(error = text, reason, "the idempotency store is down: nothing can be created");
            known.errors.insert(text);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    fn failed(outage: Outage) -> Failure {
        Failure::Failed { outage, words: "no".to_owned() }
    }

    fn is_error(health: &Health) -> bool {
        !health.lock().errors.is_empty()
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_starts_after_the_process_is_an_error_only_if_that_lasts() {
        let health = Health::new();
        for _ in 0..3 {
            health.step_failed(&failed(Outage::Refused));
            health.checked(Err(failed(Outage::Unreachable)));
            assert!(!is_error(&health) && health.outage().is_some());
        }
        advance(PATIENCE + Duration::from_millis(1)).await;
        health.checked(Err(failed(Outage::Refused)));
        assert!(is_error(&health));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_was_there_and_what_cannot_pass_are_errors_at_once() {
        let health = Health::new();
        health.checked(Err(failed(Outage::WrongPassword)));
        assert!(is_error(&health));
        let health = Health::new();
        health.checked(Ok(()));
        health.step_failed(&failed(Outage::Refused));
        assert!(is_error(&health));
        health.checked(Ok(()));
        assert!(health.outage().is_none() && !is_error(&health));
    }
}
