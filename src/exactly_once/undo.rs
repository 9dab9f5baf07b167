//! Deletes what a refused creation had prepared.
//!
//! Before the first deletion the record becomes `undoing`, with the context of what is deleted. If this process dies
//! or loses its lease, the next holder finds that, and finishes it before it does anything else.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    creation::{Creation, Next},
    failure::Failure,
    operation::{FailureOf, Operation, Undone},
    store::{Origin, Step, StoreError},
};
use crate::{domain::Stage, metrics::UndoOutcome};

/// How long the deletions are tried that an undo consists of.
const UNDO_TIMEOUT: Duration = Duration::from_secs(20);

impl<O: Operation> Creation<O> {
    /// Undoes a preparation. `refused` is why; `None` where an earlier holder has begun it.
    pub(super) async fn undo(&self, context: String, refused: Option<FailureOf<O>>) -> Next<O> {
        let progress = &self.shared.progress;
        progress.set_may_exist(false);
        progress.enter(Stage::Undo);
        if refused.is_some()
            && let Err(error) = self.record_undo(&context).await
        {
            // Nothing is deleted, so that a retry may use what was prepared.
            if matches!(error, StoreError::LeaseLost) {
                self.give_back(false).await;
            } else {
                self.abandon_in_background();
            }
            self.note(Err(error), "record what has to be undone");
            self.engine.metrics.undid(UndoOutcome::Remains);
            return self.not_undone(&context, refused);
        }
        let deadline = self.shared.deadline().max(Instant::now() + UNDO_TIMEOUT);
        let undone = self.operation.undo(&self.scope(deadline), &context).await;
        self.engine.metrics.undid(match &undone {
            Undone::Exists(_) => UndoOutcome::Found,
            Undone::Deleted { kept, .. } if kept.is_empty() => UndoOutcome::Deleted,
            Undone::Deleted { .. } => UndoOutcome::Kept,
            Undone::Remains(_) => UndoOutcome::Remains,
        });
        match undone {
            Undone::Exists(item) => self.win(item, context, refused).await,
            Undone::Deleted { deleted, kept } => self.undone(&deleted, kept, refused).await,
            Undone::Remains(context) => {
                self.note(self.record_undo(&context).await, "record what remains to be undone");
                self.give_back(true).await;
                self.not_undone(&context, refused)
            }
        }
    }

    async fn record_undo(&self, context: &str) -> Result<(), StoreError> {
        self.engine.store.step(self.lease(), Step::Undo, context, self.now_ms()).await
    }

    /// The resource exists after all.
    async fn win(&self, item: O::Item, context: String, refused: Option<FailureOf<O>>) -> Next<O> {
        if let Some(outcome) = self.operation.found(&item, &context, Origin::Search)
            && let Some(next) = self.record_found(&[item], outcome, false).await
        {
            return next;
        }
        self.shared.progress.set_may_exist(true);
        self.give_back(true).await;
        self.not_undone(&context, refused)
    }

    async fn undone(&self, deleted: &[String], kept: Vec<String>, refused: Option<FailureOf<O>>) -> Next<O> {
        // In this order: the process that claims the id next has to know it.
        let undone = match self.engine.add_undone(self.request_id(), deleted).await {
            Ok(()) => self.step(Step::Undone).await,
            Err(error) => Err(error),
        };
        match (refused, undone) {
            (Some(refused), Ok(())) => {
                self.give_back(false).await;
                Next::End(Err(refused.leaving(kept)))
            }
            (Some(refused), Err(error)) => {
                self.note(Err(error), "record that everything is undone");
                self.abandon_in_background();
                Next::End(Err(refused.leaving(kept)))
            }
            (None, Err(error)) => self.ended(error),
            (None, Ok(())) if self.shared.is_awaited() => self.begin_anew().await,
            (None, Ok(())) => {
                self.give_back(false).await;
                Next::End(Err(Failure::Abandoned { may_exist: self.shared.progress.may_exist() }))
            }
        }
    }

    /// Goes on as after a first claim: before the attempt that is undone there may have been another one, which the
    /// store has forgotten.
    async fn begin_anew(&self) -> Next<O> {
        self.held(self.claim().await).await
    }

    pub(super) fn ended(&self, error: StoreError) -> Next<O> {
        let is_taken_over = matches!(error, StoreError::LeaseLost);
        Next::End(Err(if is_taken_over { self.taken_over() } else { self.step_lost(error) }))
    }

    /// Reports what remains.
    fn not_undone(&self, context: &str, refused: Option<FailureOf<O>>) -> Next<O> {
        let leftovers = self.operation.leftovers(context);
        Next::End(Err(match refused {
            Some(refused) => refused.leaving(leftovers),
            None => Failure::Undoing { leftovers },
        }))
    }
}
