//! Whatever is done to them, and in whatever order: the stores give the same answers.

use std::time::Duration;

use hubspot_connection_service::{
    domain::ConnectionId,
    idempotency::{Claim, Keep, Lease, MemoryStore, Recorded, Retention, Store, StoreError, Verdict},
};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Builder;

use super::{RedisServer, connection, lease, other_content, report, retry};

/// The times end in 3, 6, 7 and 9 seconds and pass in tens, so that no moment falls on a boundary, and
/// the real time that Redis spends does not move it across one.
const RETENTION: Retention = Retention {
    request_id: Duration::from_secs(1007),
    settle_window: Duration::from_secs(253),
    lease: Duration::from_secs(103),
};
const TOLERANCE: Duration = Duration::from_millis(2500);

/// A step of one of the leases, by their places.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    Claim(usize),
    Renew(usize),
    BeginSending(usize),
    NotCreated(usize),
    OutcomeUnknown(usize),
    Done { lease: usize, connection: usize, keep: Keep },
    Verified { lease: usize, connection: usize, verdict: usize },
    Release(usize),
    Abandon(usize),
    OutcomesOfOthers(usize),
}

const CONNECTIONS: [&str; 3] = ["c-1", "c-2", "c-3"];
const KEEPS: [Keep; 3] = [Keep::Forget, Keep::Remember, Keep::RememberUnverified];

fn verdicts() -> [Verdict; 5] {
    let deleted = |message| Verdict::Deleted(report(message));
    let (passed, failed) = (Verdict::Passed(report("passed")), Verdict::Failed(report("failed")));
    [Verdict::Pending, passed, failed, deleted("deleted"), deleted("deleted, too")]
}

/// Three ids over two names; of the first, three holders and another content.
fn leases() -> Vec<Lease> {
    let (one, same_name, another_name) = (lease("n"), lease("n"), lease("m"));
    vec![retry(&one), retry(&one), other_content(&one), one, retry(&same_name), same_name, another_name]
}

fn step() -> impl Strategy<Value = Step> {
    let lease = 0..leases().len();
    prop_oneof![
        3 => prop::sample::select(vec![10, 40, 110, 260, 1010]).prop_map(Step::Pass),
        6 => lease.clone().prop_map(Step::Claim),
        2 => lease.clone().prop_map(Step::Renew),
        5 => lease.clone().prop_map(Step::BeginSending),
        2 => lease.clone().prop_map(Step::NotCreated),
        3 => lease.clone().prop_map(Step::OutcomeUnknown),
        3 => (lease.clone(), 0..CONNECTIONS.len(), prop::sample::select(&KEEPS))
            .prop_map(|(lease, connection, keep)| Step::Done { lease, connection, keep }),
        5 => (lease.clone(), 0..CONNECTIONS.len(), 0..verdicts().len())
            .prop_map(|(lease, connection, verdict)| Step::Verified { lease, connection, verdict }),
        1 => lease.clone().prop_map(Step::Release),
        2 => lease.clone().prop_map(Step::Abandon),
        2 => lease.prop_map(Step::OutcomesOfOthers),
    ]
}

#[derive(Debug)]
enum Answer {
    Nothing,
    Lost,
    Claim(Claim),
    Recorded(Recorded),
    Verdict(Verdict),
    Connections(Vec<ConnectionId>),
}

impl Answer {
    fn agrees_with(&self, other: &Self) -> bool {
        let about = |a: &Duration, b: &Duration| a.abs_diff(*b) <= TOLERANCE;
        match (self, other) {
            (Self::Nothing, Self::Nothing) | (Self::Lost, Self::Lost) => true,
            (Self::Recorded(a), Self::Recorded(b)) => a == b,
            (Self::Verdict(a), Self::Verdict(b)) => a == b,
            (Self::Connections(a), Self::Connections(b)) => a == b,
            (
                Self::Claim(Claim::InProgress { retry_after: a }),
                Self::Claim(Claim::InProgress { retry_after: b }),
            )
            | (
                Self::Claim(Claim::NameInProgress { retry_after: a }),
                Self::Claim(Claim::NameInProgress { retry_after: b }),
            ) => about(a, b),
            (
                Self::Claim(Claim::Unknown { first_sent: a, last_sent: c }),
                Self::Claim(Claim::Unknown { first_sent: b, last_sent: d }),
            ) => about(a, b) && about(c, d),
            (Self::Claim(a), Self::Claim(b)) => a == b,
            _ => false,
        }
    }
}

async fn take(store: &dyn Store, leases: &[Lease], step: Step) -> Answer {
    let nothing = |()| Answer::Nothing;
    let answer = match step {
        Step::Pass(_) => Ok(Answer::Nothing),
        Step::Claim(lease) => store.claim(&leases[lease]).await.map(Answer::Claim),
        Step::Renew(lease) => store.renew(&leases[lease]).await.map(nothing),
        Step::BeginSending(lease) => store.begin_sending(&leases[lease]).await.map(nothing),
        Step::NotCreated(lease) => store.not_created(&leases[lease]).await.map(nothing),
        Step::OutcomeUnknown(lease) => store.outcome_unknown(&leases[lease]).await.map(nothing),
        Step::Done { lease, connection: id, keep } => {
            let created = connection(CONNECTIONS[id]);
            store.done(&leases[lease], &created, keep).await.map(Answer::Recorded)
        }
        Step::Verified { lease, connection: id, verdict } => {
            let (id, verdict) = (connection(CONNECTIONS[id]).id, &verdicts()[verdict]);
            store.verified(&leases[lease].key, &id, verdict).await.map(Answer::Verdict)
        }
        Step::Release(lease) => store.release(&leases[lease]).await.map(nothing),
        Step::Abandon(lease) => store.abandon(&leases[lease]).await.map(nothing),
        Step::OutcomesOfOthers(lease) => {
            let ids = CONNECTIONS.map(|id| connection(id).id);
            store.outcomes_of_others(&leases[lease].key, &ids).await.map(Answer::Connections)
        }
    };
    match answer {
        Ok(answer) => answer,
        Err(StoreError::LeaseLost) => Answer::Lost,
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn the_stores_agree() {
    // The store in memory lives on a clock of its own.
    let real = Builder::new_current_thread().enable_all().build().unwrap();
    let paused = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let Some(server) = real.block_on(RedisServer::start()) else { return };
    let in_redis = server.store(RETENTION);

    let config = ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() };
    let steps = prop::collection::vec(step(), 1..60);
    let run = |steps: Vec<Step>| {
        real.block_on(async {
            redis::cmd("FLUSHALL").exec_async(&mut server.connection().await).await.unwrap();
        });
        let in_memory = paused.block_on(async { MemoryStore::new(RETENTION, 1000) });
        let leases = leases();
        for (place, &step) in steps.iter().enumerate() {
            if let Step::Pass(seconds) = step {
                let time = Duration::from_secs(seconds);
                real.block_on(server.pass(time));
                paused.block_on(tokio::time::advance(time));
            }
            let memory = paused.block_on(take(&in_memory, &leases, step));
            let redis = real.block_on(take(&in_redis, &leases, step));
            prop_assert!(
                memory.agrees_with(&redis),
                "step {place}, {step:?}: in memory {memory:?}, in Redis {redis:?}"
            );
        }
        Ok(())
    };
    TestRunner::new(config).run(&steps, run).unwrap();
}
