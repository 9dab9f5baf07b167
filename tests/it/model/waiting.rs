//! How long callers wait for a connection to be established and tested, on a paused clock.

use std::{sync::Arc, time::Duration};

use hubspot_connection_service::{
    domain::{CallProgress, RequestId, TestReport, Verification},
    service::{Created, Error, Failure, VerificationError},
};
use tokio::time::{Instant, sleep};

use super::{
    faults::{Fault, StepKind},
    replica::Request,
    setting::{Callers, Setting},
    world::{Faults, World},
};

/// The steps of a creation that goes well up to here.
const CREATE: usize = 3;
const FIRST_GET: usize = 5;

const NO_LAG: Duration = Duration::ZERO;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn world(fault: Option<(usize, Fault)>, index_lag: Duration, verification: Verification) -> Arc<World> {
    let setting = Setting::of(Callers::One).lagging(index_lag.as_secs()).verified(verification, true);
    World::new(setting, Faults::Script(fault.into_iter().collect()))
}

/// Calls a replica; `None` if the deadline was exceeded before the response.
async fn call(world: &Arc<World>, id: RequestId, within: Duration) -> Option<Result<Created, Error>> {
    let deadline = Instant::now() + within;
    world.replica(0).send(Request::of(Some(id)), deadline, &CallProgress::default()).await.ok()
}

#[track_caller]
fn assert_tested(response: Option<Result<Created, Error>>, world: &World) {
    let test = response.unwrap().unwrap().test;
    assert!(test.as_ref().is_some_and(TestReport::passed), "{test:?}\n{}", world.trace());
}

/// Checks that it is still undecided whether the connection works.
#[track_caller]
fn assert_pending(response: Option<Result<Created, Error>>, world: &World) {
    let error = response.unwrap().unwrap_err();
    let Failure::Operation(VerificationError::Pending { connection, .. }) = &*error.failure else {
        panic!("{error:?}\n{}", world.trace())
    };
    assert_eq!(*connection, world.made()[0].1);
}

#[tokio::test(start_paused = true)]
async fn the_test_of_a_found_connection_may_take_as_long_as_any_other() {
    for (lag, established_after) in [(0, 15), (0, 28), (3, 25)] {
        for verification in [Verification::Report, Verification::Require] {
            let world = world(Some((CREATE, Fault::LostAfterCommit)), seconds(lag), verification);
            world.begin_in("initializing");
            let began = Instant::now();
            let (response, ()) = tokio::join!(call(&world, RequestId::generate(), seconds(60)), async {
                sleep(seconds(established_after)).await;
                world.set_state("enabled");
            });
            assert_tested(response, &world);
            assert!(began.elapsed() >= seconds(established_after));
            let steps = world.steps();
            assert!(steps[CREATE] == StepKind::Create && steps.contains(&StepKind::List));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_joins_an_abandoned_creation_gets_a_tested_connection() {
    let world = world(Some((CREATE, Fault::SlowReply(20_400))), NO_LAG, Verification::Require);
    world.begin_in("initializing");
    let id = RequestId::generate();
    assert!(call(&world, id, seconds(20)).await.is_none());
    // Longer than a connection is tested without a caller.
    let (response, ()) = tokio::join!(call(&world, id, seconds(60)), async {
        sleep(seconds(28)).await;
        world.set_state("enabled");
    });
    assert_tested(response, &world);
    assert_eq!(world.made().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_joins_during_a_test_is_not_cut_short_by_an_earlier_deadline() {
    for left_at in [5, 20] {
        let world = world(None, NO_LAG, Verification::Require);
        world.begin_in("initializing");
        let id = RequestId::generate();
        let (first, second, ()) = tokio::join!(
            call(&world, id, seconds(left_at)),
            async {
                sleep(seconds(2)).await;
                call(&world, id, seconds(60)).await
            },
            async {
                sleep(seconds(25)).await;
                world.set_state("enabled");
            }
        );
        assert!(first.is_none(), "the deadline that counts is the latest");
        assert_tested(second, &world);
        assert_eq!(world.made().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_caller_gets_an_undecided_report_in_time() {
    let world = world(None, NO_LAG, Verification::Require);
    world.begin_in("initializing");
    let (id, began) = (RequestId::generate(), Instant::now());
    assert_pending(call(&world, id, seconds(5)).await, &world);
    assert!(began.elapsed() < seconds(5));
    // The wait is bounded.
    let began = Instant::now();
    assert_pending(call(&world, id, seconds(120)).await, &world);
    assert!((seconds(28)..=seconds(30)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_still_missing_after_the_wait_does_not_work() {
    let world = world(Some((FIRST_GET, Fault::ReadFails)), NO_LAG, Verification::Require);
    let id = RequestId::generate();
    assert_pending(call(&world, id, seconds(60)).await, &world);
    assert_eq!(world.steps()[FIRST_GET], StepKind::Get);
    world.clear();

    // It may only be invisible at the moment.
    assert_pending(call(&world, id, seconds(20)).await, &world);
    assert_pending(call(&world, id, seconds(60)).await, &world);
    // From here on it is certainly visible, if it exists.
    sleep(seconds(160)).await;
    for at_least in [28, 0] {
        let began = Instant::now();
        let error = call(&world, id, seconds(60)).await.unwrap().unwrap_err();
        let Failure::Operation(VerificationError::Failed { report, left_behind: None }) = &*error.failure
        else {
            panic!("{error:?}\n{}", world.trace())
        };
        assert!(report.checks[2].message.contains("does not exist any more"), "{report:?}");
        assert!((seconds(at_least)..=seconds(at_least + 2)).contains(&began.elapsed()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_that_is_not_visible_is_not_considered_deleted() {
    let world = world(None, seconds(100), Verification::Require);
    let (id, began) = (RequestId::generate(), Instant::now());
    assert_pending(call(&world, id, seconds(60)).await, &world);
    assert!((seconds(28)..=seconds(31)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert!(!world.steps().contains(&StepKind::Delete));

    sleep(seconds(100)).await;
    assert_tested(call(&world, id, seconds(60)).await, &world);
    assert_eq!(world.made().len(), 1);
}
