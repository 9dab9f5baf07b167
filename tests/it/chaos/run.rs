//! One request makes one connection, regardless of the store and the lists.

use std::{fmt::Write as _, time::Duration};

use futures_util::{StreamExt as _, future::join_all, stream};
use hubspot_connection_service::{
    emulator::{Emulator, Options, Settings},
    proto::CreateHubSpotConnectionRequest,
};
use tokio::time::{Instant, sleep};
use tonic_types::StatusExt as _;

use super::{
    callers::{self, LONGEST_PAUSE, PAUSE, RETRYABLE},
    faults::Faults,
    plan::{Plan, Trouble},
    print,
    replicas::Replicas,
    surroundings::Surroundings,
    tally::{CallerResult, Tally, names_of_duplicates},
};
use crate::support::{Failure, start_emulator};

/// The number of concurrent calls.
const CALLERS: usize = 12;
/// How often a caller retries after an ambiguous outcome.
const MOST_AMBIGUOUS: usize = 5;
/// Longer than the delay of any request that still has to arrive.
const ARRIVAL: Duration = Duration::from_secs(3);
/// The reasons after which nothing was sent: unless the error reports that something may exist, nothing
/// does.
const NOTHING_WAS_SENT: [&str; 5] = [
    "BREAKER_OPEN",
    "PLATFORM_CREDENTIALS_REJECTED",
    "STORE_UNAVAILABLE",
    "UPSTREAM_THROTTLED",
    "UPSTREAM_UNAVAILABLE",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_makes_one_connection_whatever_the_store_and_the_lists_do() {
    let _turn = super::LARGEST.lock().await;
    let plan = Plan::from_environment();
    let reports = join_all(plan.troubles.iter().map(|trouble| Box::pin(run(&plan, *trouble)))).await;
    let broken: Vec<_> = reports.into_iter().flatten().filter(|report| !report.is_kept).collect();
    let words: Vec<_> = broken.iter().map(|report| &*report.words).collect();
    assert!(broken.is_empty(), "seed {}:\n{}", plan.seed, words.join("\n"));
}

struct Report {
    is_kept: bool,
    words: String,
}

/// `None` if something that it needs is missing.
async fn run(plan: &Plan, trouble: Trouble) -> Option<Report> {
    let start = Instant::now();
    let mut random = fastrand::Rng::with_seed(plan.seed.wrapping_add(trouble as u64));
    let emulator = start_emulator(Options::default()).await;
    emulator.settings(Settings { index_lag: trouble.index_lag(), ..Settings::default() });
    let faults = if trouble.is_late() { Faults::slow } else { Faults::slow_and_never_late };
    faults(plan.requests, &mut random).inject(&emulator);
    let mut surroundings = Surroundings::set(trouble, &emulator, random).await?;
    let number = if trouble.has_redis() { 2 } else { 1 };
    let settings = surroundings.settings(plan);
    let replicas = Replicas::with(&emulator, settings, number, trouble.kills());
    let requests = requests(plan.requests);

    let give_up = start + plan.time_limit();
    let work = create_all(&replicas, &emulator, &requests, give_up);
    let (results, killed) = tokio::select! {
        done = replicas.killed_repeatedly(work) => done,
        () = surroundings.go_on() => unreachable!("it has no end"),
    };
    sleep(ARRIVAL).await;
    let ledger = emulator.connections();
    let tally = Tally::of(&requests, &results, &ledger);
    let mut words = format!(
        "{trouble:?}: {} requests, {} connections, {} kills, {:.0} s; {}\n  {tally}",
        requests.len(),
        ledger.len(),
        killed.times,
        start.elapsed().as_secs_f64(),
        surroundings.counts(),
    );

    // Callers with a response retry, as if they had lost it, at processes that know nothing but the
    // store.
    emulator.inject(Vec::new());
    surroundings.end().await;
    let created = requests.into_iter().zip(results).filter(|(_, result)| result.response.is_some());
    let (requests, results): (Vec<_>, Vec<_>) = created.unzip();
    let give_up = Instant::now() + plan.time_limit();
    let (again, ended) = replicas.alive(create_all(&replicas, &emulator, &requests, give_up)).await;
    let ledger = emulator.connections();
    let retried = Tally::of(&requests, &again, &ledger);
    let changed = Tally::changed(&results, &again);
    let forbidden_lines = [killed.forbidden_lines, ended.forbidden_lines].concat();
    let is_kept = tally.is_clean() && retried.is_clean() && changed == 0 && forbidden_lines.is_empty();
    let _ = write!(words, "\n  retried: {changed} with another ID; {retried}");
    let _ = write!(words, "\n  {:.0} s in all", start.elapsed().as_secs_f64());
    if !is_kept {
        let duplicates = names_of_duplicates(&ledger);
        let _ = write!(words, "\n  duplicates: {duplicates:?}; forbidden_lines: {forbidden_lines:?}");
    }
    print(&format!("{words}\n  seed {}", plan.seed));
    Some(Report { is_kept, words })
}

/// Requests, each with its own id and name, and with text that can be shown in many ways.
fn requests(count: usize) -> Vec<CreateHubSpotConnectionRequest> {
    let requests = callers::requests(count).into_iter().map(|request| CreateHubSpotConnectionRequest {
        name: format!("Zürich  & <Söhne> {}", request.name),
        description: " für\nMärkte & <Kunden>, 100 %  ".to_owned(),
        ..request
    });
    requests.collect()
}

/// Creates all of them, each by a caller that retries with its id until it has a connection, or gives up.
async fn create_all(
    replicas: &Replicas<'_>,
    emulator: &Emulator,
    requests: &[CreateHubSpotConnectionRequest],
    give_up: Instant,
) -> Vec<CallerResult> {
    let calls = requests
        .iter()
        .enumerate()
        .map(async |(index, request)| (index, create_one(replicas, emulator, request, give_up).await));
    let mut results: Vec<_> = stream::iter(calls).buffer_unordered(CALLERS).collect().await;
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

async fn create_one(
    replicas: &Replicas<'_>,
    emulator: &Emulator,
    request: &CreateHubSpotConnectionRequest,
    give_up: Instant,
) -> CallerResult {
    let mut result = CallerResult::default();
    let mut ambiguous = 0;
    while Instant::now() < give_up {
        let pause = match callers::call(replicas, request).await {
            None => PAUSE,
            Some(Ok(response)) => {
                result.response = Some(response);
                break;
            }
            // Every error of the service has a reason: this call did not reach it.
            Some(Err(status)) if status.get_error_details().error_info().is_none() => {
                result.reasons.push(format!("transport: {:?}", status.code()));
                PAUSE
            }
            Some(Err(status)) => {
                let failure = Failure::from(status);
                let exists = || emulator.connections().iter().any(|entry| entry.name == request.name);
                if claims_nothing_was_created(&failure) && exists() {
                    result.nothing += 1;
                    result.reasons.push(format!("{}, and there is one", failure.reason));
                } else {
                    result.reasons.push(failure.reason.clone());
                }
                ambiguous += usize::from(failure.reason == "OUTCOME_AMBIGUOUS");
                result.ambiguous = ambiguous > 0;
                let may_retry = failure.retry_after.is_some() || RETRYABLE.contains(&&*failure.reason);
                if ambiguous == MOST_AMBIGUOUS || (!result.ambiguous && !may_retry) {
                    break;
                }
                failure.retry_after.unwrap_or(PAUSE).clamp(PAUSE, LONGEST_PAUSE)
            }
        };
        sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
    result
}

/// Whether an error means that its request has created nothing: it reports that, or it has one of the
/// reasons after which nothing was sent and does not report otherwise.
fn claims_nothing_was_created(failure: &Failure) -> bool {
    match failure.metadata("may_exist") {
        "" => NOTHING_WAS_SENT.contains(&&*failure.reason) || failure.message.contains("nothing was created"),
        may_exist => may_exist == "false",
    }
}
