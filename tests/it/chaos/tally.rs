//! The result of a run: the responses to the callers, and the connections that exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use hubspot_connection_service::{
    emulator::LedgerEntry,
    proto::{CreateHubSpotConnectionRequest, CreateHubSpotConnectionResponse},
};

/// The result of one caller.
#[derive(Default)]
pub(super) struct CallerResult {
    /// `None` where it gave up.
    pub(super) response: Option<CreateHubSpotConnectionResponse>,
    /// How often an error claimed that nothing was created while something was.
    pub(super) nothing: usize,
    /// Whether an outcome was ambiguous.
    pub(super) ambiguous: bool,
    /// The reason of each failed call.
    pub(super) reasons: Vec<String>,
}

/// The result of a run. The names of the requests are unique.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Connections beyond the first one of a request.
    duplicates: usize,
    /// Requests with a response and without a connection.
    lost: usize,
    /// Responses with the ID or the version of another connection.
    wrong: usize,
    /// Requests whose callers gave up.
    unanswered: usize,
    /// Errors that claimed that nothing was created while something was.
    denied: usize,
    /// Requests with an ambiguous outcome.
    ambiguous: usize,
    /// The reasons of the failed calls.
    reasons: BTreeMap<String, usize>,
}

impl Tally {
    pub(super) fn of(
        requests: &[CreateHubSpotConnectionRequest],
        results: &[CallerResult],
        ledger: &[LedgerEntry],
    ) -> Self {
        let mut tally = Self::default();
        let mut by_name = BTreeMap::<_, Vec<_>>::new();
        for entry in ledger {
            by_name.entry(&*entry.name).or_default().push(entry);
        }
        for (request, result) in requests.iter().zip(results) {
            let own = by_name.remove(&*request.name).unwrap_or_default();
            tally.duplicates += own.len().saturating_sub(1);
            match &result.response {
                None => tally.unanswered += 1,
                Some(_) if own.is_empty() => tally.lost += 1,
                Some(response) => {
                    let is_own = own.iter().any(|own| (&own.id, &own.etag) == (&response.id, &response.etag));
                    tally.wrong += usize::from(!is_own || response.request_id != request.request_id);
                }
            }
            tally.denied += result.nothing;
            tally.ambiguous += usize::from(result.ambiguous);
            for reason in &result.reasons {
                *tally.reasons.entry(reason.clone()).or_default() += 1;
            }
        }
        tally
    }

    /// The number of responses that name another connection than the first ones.
    pub(super) fn changed(before: &[CallerResult], after: &[CallerResult]) -> usize {
        let ids = |result: &CallerResult| result.response.as_ref().map(|response| response.id.clone());
        let both = before.iter().map(ids).zip(after.iter().map(ids));
        both.filter(|(before, after)| before.is_some() && after.is_some() && before != after).count()
    }

    /// Whether the promise was kept.
    pub(super) fn is_clean(&self) -> bool {
        let Self { duplicates, lost, wrong, unanswered, denied, ambiguous, reasons: _ } = self;
        [duplicates, lost, wrong, unanswered, denied, ambiguous].iter().all(|count| **count == 0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { duplicates, lost, wrong, unanswered, denied, ambiguous, reasons } = self;
        write!(
            f,
            "{duplicates} duplicates, {lost} lost, {wrong} wrong, {unanswered} unanswered, {denied} errors that \
             claim that nothing was created, {ambiguous} ambiguous; calls retried: {reasons:?}"
        )
    }
}

/// The names of some requests with more than one connection, for diagnosis.
pub(super) fn names_of_duplicates(ledger: &[LedgerEntry]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let duplicates = ledger.iter().map(|entry| &*entry.name).filter(|name| !seen.insert(*name));
    duplicates.take(5).collect()
}
