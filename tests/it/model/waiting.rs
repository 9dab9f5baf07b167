//! Who waits how long for a connection to be established and tested, on a paused clock.

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

/// Calls a replica; `None` where the deadline was spent before there was an answer.
async fn call(world: &Arc<World>, id: RequestId, within: Duration) -> Option<Result<Created, Error>> {
    let deadline = Instant::now() + within;
    world.replica(0).send(Request::of(Some(id)), deadline, &CallProgress::default()).await.ok()
}

#[track_caller]
fn assert_tested(answer: Option<Result<Created, Error>>, world: &World) {
    let test = answer.unwrap().unwrap().test;
    assert!(test.as_ref().is_some_and(TestReport::passed), "{test:?}\n{}", world.trace());
}

/// Checks that nobody can tell yet whether the connection works.
#[track_caller]
fn assert_pending(answer: Option<Result<Created, Error>>, world: &World) {
    let error = answer.unwrap().unwrap_err();
    let Failure::Operation(VerificationError::Pending { connection, .. }) = &*error.failure else {
        panic!("{error:?}\n{}", world.trace())
    };
    assert_eq!(*connection, world.made()[0].1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_lost_connection_that_is_found_waits_for_its_test_as_long_as_for_any() {
    for (lag, established_after) in [(0, 15), (0, 28), (3, 25)] {
        for verification in [Verification::Report, Verification::Require] {
            let world = world(Some((CREATE, Fault::LostAfterCommit)), seconds(lag), verification);
            world.begin_in("initializing");
            let began = Instant::now();
            let (answer, ()) = tokio::join!(call(&world, RequestId::generate(), seconds(60)), async {
                sleep(seconds(established_after)).await;
                world.set_state("enabled");
            });
            assert_tested(answer, &world);
            assert!(began.elapsed() >= seconds(established_after));
            let steps = world.steps();
            assert!(steps[CREATE] == StepKind::Create && steps.contains(&StepKind::List));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_creation_whose_first_caller_has_left_gets_a_tested_connection() {
    let world = world(Some((CREATE, Fault::SlowAnswer(20_400))), NO_LAG, Verification::Require);
    world.begin_in("initializing");
    let id = RequestId::generate();
    assert!(call(&world, id, seconds(20)).await.is_none());
    // Longer than a connection is tested for nobody.
    let (answer, ()) = tokio::join!(call(&world, id, seconds(60)), async {
        sleep(seconds(28)).await;
        world.set_state("enabled");
    });
    assert_tested(answer, &world);
    assert_eq!(world.made().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_joins_while_a_connection_is_tested_is_not_cut_short_by_an_earlier_deadline() {
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
async fn who_waits_alone_is_told_in_time_that_nobody_can_tell() {
    let world = world(None, NO_LAG, Verification::Require);
    world.begin_in("initializing");
    let (id, began) = (RequestId::generate(), Instant::now());
    assert_pending(call(&world, id, seconds(5)).await, &world);
    assert!(began.elapsed() < seconds(5));
    // Nor does anybody wait for ever.
    let began = Instant::now();
    assert_pending(call(&world, id, seconds(120)).await, &world);
    assert!((seconds(28)..=seconds(30)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_an_earlier_call_that_is_gone_does_not_work_once_it_was_waited_for() {
    let world = world(Some((FIRST_GET, Fault::ReadFails)), NO_LAG, Verification::Require);
    let id = RequestId::generate();
    assert_pending(call(&world, id, seconds(60)).await, &world);
    assert_eq!(world.steps()[FIRST_GET], StepKind::Get);
    world.clear();

    // It may only not be seen at the moment.
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
async fn a_connection_that_was_just_made_and_is_not_seen_is_not_taken_for_one_that_is_gone() {
    let world = world(None, seconds(100), Verification::Require);
    let (id, began) = (RequestId::generate(), Instant::now());
    assert_pending(call(&world, id, seconds(60)).await, &world);
    assert!((seconds(28)..=seconds(31)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert!(!world.steps().contains(&StepKind::Delete));

    sleep(seconds(100)).await;
    assert_tested(call(&world, id, seconds(60)).await, &world);
    assert_eq!(world.made().len(), 1);
}
