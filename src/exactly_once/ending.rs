//! How claims and creations are counted.

use super::{
    operation::Operation,
    record::Recorded,
    store::{Claim, StoreError},
};
use crate::metrics::{ClaimOutcome, CreationMetrics, CreationOutcome};

/// Counts how a creation ends. One that panics, or is ended with the process, may have been sent.
pub(super) struct End<'a> {
    metrics: &'a CreationMetrics,
    outcome: CreationOutcome,
}

impl<'a> End<'a> {
    pub(super) fn begin(metrics: &'a CreationMetrics) -> Self {
        Self { metrics, outcome: CreationOutcome::Unknown }
    }

    pub(super) fn is(mut self, outcome: CreationOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.metrics.ended(self.outcome);
    }
}

pub(super) fn claim_outcome<O: Operation>(claim: &Result<Claim, StoreError>) -> ClaimOutcome {
    match claim {
        Ok(Claim::Done { outcome, .. } | Claim::OtherContent { outcome: Some(outcome), .. })
            if matches!(Recorded::<O>::parse(outcome), Recorded::Unreadable) =>
        {
            ClaimOutcome::Unreadable
        }
        Ok(Claim::Fresh { .. }) => ClaimOutcome::Fresh,
        Ok(Claim::Unknown { .. } | Claim::Undoing { .. }) => ClaimOutcome::Resumed,
        Ok(Claim::Done { .. }) => ClaimOutcome::Replayed,
        Ok(Claim::OtherContent { .. }) => ClaimOutcome::Reused,
        Ok(Claim::InProgress { .. }) => ClaimOutcome::InProgress,
        Err(StoreError::Full) => ClaimOutcome::Full,
        Err(StoreError::Unreadable(_)) => ClaimOutcome::Unreadable,
        Err(StoreError::Unavailable(_) | StoreError::LeaseLost) => ClaimOutcome::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creation_that_does_not_get_to_its_end_counts_as_unknown() {
        let metrics = CreationMetrics::default();
        drop(End::begin(&metrics));
        End::begin(&metrics).is(CreationOutcome::Created);
        let ends = [CreationOutcome::Unknown, CreationOutcome::Created].map(|outcome| metrics.ends(outcome));
        assert_eq!(ends, [1, 1]);
    }
}
