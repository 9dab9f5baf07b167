//! One request makes one dataflow, and nothing that belongs to no dataflow remains: the same processes, faults
//! and kills, while Redis stalls and lists lag.

mod callers;
mod remains;
mod requests;

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use hubspot_connection_service::{
    emulator::{Emulator, Ledger, Options, Settings},
    proto::hub_spot_dataflow_service_client::HubSpotDataflowServiceClient as Client,
};
use tokio::time::{Instant, sleep};

use self::{
    callers::{Caller, Done},
    remains::Remains,
    requests::{Aim, Basis, Wish},
};
use super::{
    faults::Faults,
    plan::{Plan, Trouble},
    print,
    replicas::{Kills, Replicas},
    surroundings::Surroundings,
};
use crate::support::{post_upstream, request, start_emulator};

/// The number of concurrent calls.
const CALLERS: usize = 12;
/// When everything of a call that has ended has arrived and is listed: the settle window of the replicas, which is 5
/// seconds, the time-out of a creation and `HCS_SETTLE_WINDOW`.
const SETTLED: Duration = Duration::from_secs(9);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_makes_one_dataflow_and_leaves_nothing_else_behind() {
    let _turn = super::LARGEST.lock().await;
    let plan = Plan::from_environment();
    let start = Instant::now();
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let emulator = start_emulator(Options::default()).await;
    let faults = Faults::of_dataflows(plan.dataflows, &mut random);
    let Some(mut surroundings) = Surroundings::set(Trouble::Stalls, &emulator, random).await else { return };
    let replicas = Replicas::with(&emulator, surroundings.settings(&plan), 2, Kills::Every(6000..14_000));
    let basis = basis(&emulator, &replicas).await;
    let before = emulator.ledger();
    let wishes = requests::wishes(plan.dataflows, &basis);
    emulator.settings(Settings { index_lag: Trouble::Stalls.index_lag(), ..Settings::default() });
    faults.inject(&emulator);

    let work = each(&replicas, &wishes, Caller::fulfil, start + plan.time_limit() * 2);
    let (done, killed) = tokio::select! {
        done = replicas.killed_repeatedly(work) => done,
        () = surroundings.go_on() => unreachable!("it has no end"),
    };
    let mut words = format!(
        "dataflows: {} requests, {} kills, {}, {:?}, {:.0} s",
        wishes.len(),
        killed.times,
        surroundings.counts(),
        faults.counts(&emulator),
        start.elapsed().as_secs_f64(),
    );
    emulator.inject(Vec::new());
    sleep(SETTLED).await;

    // Each request is repeated at processes that know nothing but the store.
    let again = each(&replicas, &wishes, Caller::repeat, Instant::now() + plan.time_limit() * 2);
    let (again, ended) = replicas.alive(again).await;
    let mut broken = [killed.forbidden_lines, ended.forbidden_lines].concat();
    for ((wish, first), repeated) in wishes.iter().zip(&done).zip(&again) {
        let remains = Remains::of(&emulator, wish).await;
        let mistakes = mistakes(wish, first, repeated, &remains);
        broken.extend(mistakes.into_iter().map(|mistake| format!("{wish}: {mistake}; {remains}")));
    }
    let ledger = emulator.ledger();
    if ledger != expected(&before, &wishes) {
        broken.push(format!("there is {ledger:?}, and before the requests {before:?}"));
    }
    words += &format!("\n  {:.0} s in all; seed {}", start.elapsed().as_secs_f64(), plan.seed);
    let reasons = callers::reasons(done.iter().chain(&again));
    print(&format!("{words}\n  calls retried: {reasons:?}"));
    assert!(broken.is_empty(), "{words}\n{}", broken.join("\n"));
    assert!(faults.counts(&emulator).faulty > 0, "there was no chaos");
}

/// A connection, and a first dataflow that leaves a dataset and a schema for the others.
async fn basis(emulator: &Emulator, replicas: &Replicas<'_>) -> Basis {
    let connection = post_upstream(&reqwest::Client::new(), emulator, &request()).await.unwrap();
    assert_eq!(connection.status(), 201);
    let connection = emulator.connections()[0].id.clone();
    let process = replicas.start().await;
    let mut client = Client::new(process.channel().await);
    let first = client.create_hub_spot_dataflow(requests::first(&connection)).await.unwrap().into_inner();
    process.stop().await;
    let resources = first.resources.unwrap();
    Basis { connection, dataset: resources.dataset_id, schema: resources.schema_id }
}

/// One caller for each request.
async fn each<'a>(
    replicas: &'a Replicas<'_>,
    wishes: &'a [Wish],
    call: impl AsyncFn(&mut Caller<'a>) -> Result<Option<String>, String>,
    give_up: Instant,
) -> Vec<Done> {
    let call = &call;
    let calls = wishes.iter().enumerate().map(async |(index, wish)| {
        let mut caller = Caller::new(replicas, wish, give_up);
        let outcome = call(&mut caller).await;
        (index, Done { outcome, reasons: caller.reasons })
    });
    let mut done: Vec<_> = stream::iter(calls).buffer_unordered(CALLERS).collect().await;
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, done)| done).collect()
}

/// What exists after these requests.
fn expected(before: &Ledger, wishes: &[Wish]) -> Ledger {
    let count = |is: &dyn Fn(&Wish) -> bool| wishes.iter().filter(|wish| is(wish)).count();
    let flows = count(&|wish| wish.aim == Aim::Created);
    // A dataset that a dataflow has written to is never deleted, even if the dataflow is.
    let is_kept = |wish: &Wish| matches!(wish.aim, Aim::Created | Aim::Deleted);
    let schemas = count(&|wish| is_kept(wish) && wish.makes_schema());
    Ledger {
        source_connections: before.source_connections + flows,
        target_connections: before.target_connections + flows,
        flows: before.flows + flows,
        mapping_sets: before.mapping_sets + flows,
        datasets: before.datasets + count(&|wish| is_kept(wish) && wish.makes_dataset()),
        schemas: before.schemas + schemas,
        field_groups: before.field_groups + schemas,
        ..*before
    }
}

/// What is wrong with the outcome of a request.
fn mistakes(wish: &Wish, first: &Done, repeated: &Done, remains: &Remains) -> Vec<String> {
    let mut mistakes = Vec::new();
    if first.outcome.is_err() || first.outcome != repeated.outcome {
        mistakes.push(format!("first {:?}, then {:?}", first.outcome, repeated.outcome));
    }
    let expected = Remains::expected(wish);
    if remains.counts() != expected {
        mistakes.push(format!("there should be {expected:?}"));
    }
    let (id, found) = (first.outcome.as_ref().ok().and_then(Option::as_deref), &remains.flow);
    if wish.aim == Aim::Created && id != found.as_deref() {
        mistakes.push(format!("its flow is {found:?} and not {id:?}"));
    }
    mistakes
}
