//! One request makes one connection: every fault at every step.
//!
//! The use case runs over the emulator's core and the store in memory, on a paused clock and without
//! sockets. Each call of a port is a step. A run that went well tells its steps; each of them is then
//! struck by each fault that can strike it, and so are the steps of the runs that this makes. Replicas
//! share the store, as over Redis, and can die at every step; callers insist with their request id
//! until they have a connection.

mod port;
mod records;
mod waiting;
mod world;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hubspot_connection_service::domain::{ConnectionId, RequestId, Verification};
use tokio::time::{Instant, sleep, timeout};

use self::world::{Answer, Fault, StepKind, World};

/// Who calls, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callers {
    /// One, always at the same replica.
    One,
    /// One, at another replica each time.
    OneThatMoves,
    /// One that has no request id of its own.
    OneWithoutId,
    /// Two with the same request id at once, at the same replica.
    TwoTogether,
    /// Two with the same request id at once, at two replicas.
    TwoApart,
    /// Two with different request ids and the same name at once, at two replicas.
    TwoOfOneName,
}

impl Callers {
    const ALL: [Self; 6] = [
        Self::One,
        Self::OneThatMoves,
        Self::OneWithoutId,
        Self::TwoTogether,
        Self::TwoApart,
        Self::TwoOfOneName,
    ];
}

/// What happens at which step.
type Script = BTreeMap<usize, Fault>;

/// The longest that a caller has to insist: a lost creation settles within 90 seconds, and each fault
/// can cost that once.
const PATIENCE: Duration = Duration::from_secs(1800);

/// What surrounds the callers.
#[derive(Clone, Copy, Debug)]
struct Setting {
    callers: Callers,
    index_lag: Duration,
    verification: Verification,
    /// Whether connections work.
    works: bool,
}

/// What a request came to.
#[derive(Debug)]
enum Outcome {
    Created(ConnectionId),
    Rejected,
}

/// Runs one interleaving and checks the promise. Tells the steps that there were.
fn run(setting: Setting, script: &Script) -> Vec<StepKind> {
    let Setting { callers, index_lag, verification, works } = setting;
    fastrand::seed(7);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(script.clone(), index_lag, verification, works);
        let outcome = timeout(PATIENCE, call(callers, &world)).await;
        let context = || format!("{setting:?} {script:?}\n{}", world.trace());
        let outcomes = outcome.unwrap_or_else(|_| panic!("nobody got an answer: {}", context()));
        // What is still on its way arrives.
        sleep(Duration::from_secs(200)).await;

        let made = world.made();
        let ledger = world.ledger();
        for (request_id, outcome) in &outcomes {
            let own: Vec<_> = made.iter().filter(|(id, _)| id == request_id).collect();
            assert_eq!(own.len(), 1, "one request made {} connections: {}", own.len(), context());
            let (_, connection) = own[0];
            let is_there = ledger.iter().any(|id| *id == connection.as_str());
            match outcome {
                Outcome::Created(told) => {
                    assert_eq!(connection, told, "the caller got another connection: {}", context());
                    assert!(is_there, "the caller got a connection that is deleted: {}", context());
                    assert!(works || verification != Verification::Require, "{}", context());
                }
                Outcome::Rejected => {
                    assert!(!is_there, "a rejected connection is left behind: {}", context());
                    assert!(!works && verification == Verification::Require, "{}", context());
                }
            }
        }
        let requests = if callers == Callers::TwoOfOneName { 2 } else { 1 };
        assert_eq!(made.len(), requests, "{}", context());
        world.steps()
    })
}

async fn call(callers: Callers, world: &Arc<World>) -> Vec<(RequestId, Outcome)> {
    let (one, other) = (RequestId::generate(), RequestId::generate());
    match callers {
        Callers::One => vec![insist(world, Some(one), |_| 0).await],
        Callers::OneThatMoves => vec![insist(world, Some(one), |attempt| attempt % 2).await],
        Callers::OneWithoutId => vec![insist(world, None, |_| 0).await],
        Callers::TwoTogether => two(insist(world, Some(one), |_| 0), insist(world, Some(one), |_| 0)).await,
        Callers::TwoApart => {
            two(insist(world, Some(one), |n| n % 2), insist(world, Some(one), |n| (n + 1) % 2)).await
        }
        Callers::TwoOfOneName => {
            two(insist(world, Some(one), |_| 0), insist(world, Some(other), |_| 1)).await
        }
    }
}

async fn two<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> Vec<T> {
    let (one, other) = tokio::join!(one, other);
    vec![one, other]
}

/// Calls until there is a connection: with the request id that it has, or else the one that it was
/// told to repeat the call with.
async fn insist(
    world: &Arc<World>,
    mut request_id: Option<RequestId>,
    replica: impl Fn(usize) -> usize,
) -> (RequestId, Outcome) {
    for attempt in 0.. {
        let deadline = Instant::now() + Duration::from_secs(20);
        match world.replica(replica(attempt)).create(request_id, deadline).await {
            Answer::Created(request_id, connection) => return (request_id, Outcome::Created(connection)),
            Answer::Rejected(request_id) => return (request_id, Outcome::Rejected),
            Answer::RepeatWith(id) => request_id = Some(id),
            Answer::Repeat => {}
        }
        sleep(Duration::from_secs(1)).await;
    }
    unreachable!("attempts have no end")
}

/// How many of the steps after the last fault are struck: enough to get past a look or two, whose
/// steps repeat from then on.
const DEPTH: usize = 14;

/// Adds one more fault to a script, in every way.
fn extended(script: &Script, steps: &[StepKind], callers: Callers) -> Vec<Script> {
    let first = script.keys().last().map_or(0, |last| last + 1);
    let mut scripts = Vec::new();
    for (index, kind) in steps.iter().enumerate().skip(first).take(DEPTH) {
        for fault in kind.faults() {
            // Who dies cannot tell its caller under which name to ask again.
            if callers == Callers::OneWithoutId && fault.kills() {
                continue;
            }
            let mut script = script.clone();
            script.insert(index, *fault);
            scripts.push(script);
        }
    }
    scripts
}

/// Strikes every step of a run with every fault, and a sample of the steps of the runs that this makes:
/// one in so many. Tells the number of runs.
fn strike(setting: Setting, sample: usize) -> usize {
    let steps = run(setting, &Script::new());
    let mut runs = 1;
    for (number, script) in extended(&Script::new(), &steps, setting.callers).into_iter().enumerate() {
        let steps = run(setting, &script);
        runs += 1;
        for script in extended(&script, &steps, setting.callers).iter().skip(number % sample).step_by(sample)
        {
            run(setting, script);
            runs += 1;
        }
    }
    runs
}

#[test]
#[expect(clippy::print_stdout, reason = "the number of runs is a result of the test")]
fn one_request_makes_one_connection_whatever_fails_in_between() {
    let mut runs = 0;
    for callers in Callers::ALL {
        for index_lag in [Duration::ZERO, Duration::from_secs(5)] {
            let setting = Setting { callers, index_lag, verification: Verification::None, works: true };
            runs += strike(setting, 3);
        }
    }
    println!("ran {runs} interleavings of faults");
    assert!(runs > 4000, "only {runs}");
}

#[test]
#[expect(clippy::print_stdout, reason = "the number of runs is a result of the test")]
fn no_connection_is_left_unreported_whatever_fails_while_it_is_verified() {
    let mut runs = 0;
    let callers =
        [Callers::One, Callers::OneThatMoves, Callers::OneWithoutId, Callers::TwoTogether, Callers::TwoApart];
    for callers in callers {
        for (verification, works, lag) in [
            (Verification::Require, false, 0),
            (Verification::Require, false, 5),
            (Verification::Require, true, 0),
            (Verification::Report, false, 0),
        ] {
            let index_lag = Duration::from_secs(lag);
            runs += strike(Setting { callers, index_lag, verification, works }, 5);
        }
    }
    println!("ran {runs} interleavings of faults");
    assert!(runs > 2000, "only {runs}");
}
