//! Records that this version cannot read: damaged, or written by a newer version.

use hubspot_connection_service::{
    exactly_once::store::{Claim, Lease, Origin, RedisStore, Store},
    service::{Outcome, Verdict},
};
use redis::aio::MultiplexedConnection;

use crate::store::{
    RedisServer, connection,
    expect::assert_unreadable,
    lease, retry,
    step::{Keep, Reply, Step, Steps as _, Word},
    subject::{BEGIN_MS, RETENTION},
};

/// A complete record: its type, its fields and their order.
async fn bytes(redis: &mut MultiplexedConnection, lease: &Lease) -> Vec<u8> {
    redis::cmd("DUMP").arg(RedisServer::record(&lease.request_id)).query_async(redis).await.unwrap()
}

/// Changes a record without the store.
async fn edit(redis: &mut MultiplexedConnection, lease: &Lease, edit: &[&str]) {
    let mut command = redis::cmd(edit[0]);
    command.arg(RedisServer::record(&lease.request_id)).arg(&edit[1..]);
    command.exec_async(redis).await.unwrap();
}

/// Records in every state except done, each with its holder.
async fn records(store: &RedisStore) -> [Lease; 5] {
    let leases = [lease(), lease(), lease(), lease(), lease()];
    let [_, undoing, sending, unknown, resent] = &leases;
    for held in &leases {
        store.claim(held, BEGIN_MS).await.unwrap();
    }
    for held in [sending, unknown, resent] {
        store.begin_sending(held, BEGIN_MS).await.unwrap();
    }
    for held in [unknown, resent] {
        store.outcome_unknown(held).await.unwrap();
    }
    store.resend(resent, BEGIN_MS).await.unwrap();
    store.undo(undoing, "").await.unwrap();
    leases
}

/// A done record that waits for its verdict.
async fn done(store: &RedisStore) -> Lease {
    let done = lease();
    let (created, keep) = (connection("c-1"), Keep::RememberUnverified);
    store.done(&done, &created, Origin::Reply, keep, BEGIN_MS).await.unwrap();
    done
}

/// Every step, by the holder and by another replica, finds the record unreadable and leaves it unchanged.
async fn assert_stays(store: &RedisStore, redis: &mut MultiplexedConnection, lease: &Lease, case: &str) {
    let before = bytes(redis, lease).await;
    for step in Step::ALL {
        for caller in [lease, &retry(lease)] {
            let reply = step.take(store, caller, BEGIN_MS).await;
            assert_eq!(reply, Reply::Unreadable, "{case}: {step:?}");
            assert_eq!(bytes(redis, lease).await, before, "{case}: {step:?}");
        }
    }
}

#[tokio::test]
async fn a_record_of_the_next_version_is_unreadable_to_every_step_and_stays() {
    let Some(server) = RedisServer::start().await else { return };
    let (store, mut redis) = (server.store(RETENTION), server.connection().await);
    for record in records(&store).await.into_iter().chain([done(&store).await]) {
        edit(&mut redis, &record, &["HSET", "version", "2"]).await;
        assert_stays(&store, &mut redis, &record, "version 2").await;
    }
    // A version that has nothing else in common with this one.
    let future = lease();
    edit(&mut redis, &future, &["HSET", "version", "2", "phase", "sent"]).await;
    assert_stays(&store, &mut redis, &future, "a record of the future").await;
}

#[tokio::test]
async fn a_damaged_record_is_unreadable_to_every_step_and_stays() {
    let Some(server) = RedisServer::start().await else { return };
    let (store, mut redis) = (server.store(RETENTION), server.connection().await);
    let edits: [&[&str]; 17] = [
        &["HDEL", "version"],
        &["HSET", "version", ""],
        &["HSET", "version", "1.0"],
        &["HDEL", "state"],
        &["HSET", "state", ""],
        &["HSET", "state", "nonsense"],
        &["HSET", "state", "done"],
        &["HDEL", "content"],
        &["HDEL", "lease_until"],
        &["HSET", "lease_until", "soon"],
        &["HSET", "lease_until", ""],
        &["HSET", "lease_until", "1e3"],
        &["HSET", "lease_until", "0x10"],
        &["HSET", "lease_until", "9999999999999999"],
        &["HSET", "first_sent", "nan"],
        &["HSET", "last_wall", "1.5"],
        &["HSET", "done_at", " 1"],
    ];
    for change in edits {
        for record in records(&store).await {
            edit(&mut redis, &record, change).await;
            assert_stays(&store, &mut redis, &record, &format!("{change:?}")).await;
        }
    }
    // Something was sent at an unknown time.
    for field in ["first_sent", "last_sent"] {
        let [_, _, sent @ ..] = records(&store).await;
        for record in sent {
            edit(&mut redis, &record, &["HDEL", field]).await;
            assert_stays(&store, &mut redis, &record, &format!("without {field}")).await;
        }
    }
    // Something has to be undone, and nothing shows what.
    let [_, undoing, ..] = records(&store).await;
    edit(&mut redis, &undoing, &["HDEL", "context"]).await;
    assert_stays(&store, &mut redis, &undoing, "without a context").await;
}

#[tokio::test]
async fn a_value_of_another_type_is_unreadable_to_every_step_and_stays() {
    let Some(server) = RedisServer::start().await else { return };
    let (store, mut redis) = (server.store(RETENTION), server.connection().await);
    for write in [["SET", "x"].as_slice(), &["SET", ""], &["RPUSH", "x"], &["SADD", "x"], &["ZADD", "1", "x"]]
    {
        let record = lease();
        edit(&mut redis, &record, write).await;
        assert_stays(&store, &mut redis, &record, &format!("{write:?}")).await;
    }
}

#[tokio::test]
async fn a_damaged_outcome_is_unreadable_to_every_step_and_stays() {
    let Some(server) = RedisServer::start().await else { return };
    let (store, mut redis) = (server.store(RETENTION), server.connection().await);
    let edits: [&[&str]; 4] = [
        &["HDEL", "outcome"],
        &["HDEL", "done_at"],
        &["HSET", "done_at", "now"],
        &["HSET", "done_wall", "now"],
    ];
    for change in edits {
        let record = done(&store).await;
        edit(&mut redis, &record, change).await;
        assert_stays(&store, &mut redis, &record, &format!("{change:?}")).await;
    }
}

/// The script leaves these values to the service.
#[tokio::test]
async fn a_value_that_the_service_cannot_read_makes_the_record_unreadable() {
    let Some(server) = RedisServer::start().await else { return };
    let (store, mut redis) = (server.store(RETENTION), server.connection().await);
    let good = Outcome::new(connection("c-1"), Origin::Reply, Some(Verdict::Pending)).to_text();
    for (part, damaged) in [
        ("c-1", "../.."),
        ("\"c-1\"", "\"\""),
        ("reply", "nonsense"),
        ("pending", "passed"),
        ("pending", "\u{0}"),
        ("\"version\":1", "\"version\":2"),
        ("{", ""),
        (good.as_str(), ""),
    ] {
        let record = done(&store).await;
        edit(&mut redis, &record, &["HSET", "outcome", &good.replacen(part, damaged, 1)]).await;
        let before = bytes(&mut redis, &record).await;
        for step in [Step::Done("c-1", Origin::Reply, Keep::Remember), Step::Verified("c-1", Word::Passed)] {
            for caller in [&record, &retry(&record)] {
                let reply = step.take(&store, caller, BEGIN_MS).await;
                assert_eq!(reply, Reply::Unreadable, "{damaged:?}: {step:?}");
            }
        }
        let claim = store.claim(&retry(&record), BEGIN_MS).await.unwrap();
        let Claim::Done { outcome, .. } = claim else { panic!("{damaged:?}: {claim:?}") };
        assert_eq!(Outcome::parse(&outcome), None, "{damaged:?}");
        assert_eq!(bytes(&mut redis, &record).await, before, "{damaged:?}");
    }
    for content in ["x", "", "00:00", "zz"] {
        for record in records(&store).await {
            edit(&mut redis, &record, &["HSET", "content", content]).await;
            let before = bytes(&mut redis, &record).await;
            assert_unreadable(store.claim(&retry(&record), BEGIN_MS).await);
            assert_eq!(bytes(&mut redis, &record).await, before, "{content:?}");
        }
    }
}

/// Fields that a newer replica of the same version wrote are not lost.
#[tokio::test]
async fn every_step_preserves_the_fields_that_it_does_not_know() {
    let Some(server) = RedisServer::start().await else { return };
    let (store, mut redis) = (server.store(RETENTION), server.connection().await);
    for step in Step::ALL {
        let mut taken = 0;
        for record in records(&store).await.into_iter().chain([done(&store).await]) {
            edit(&mut redis, &record, &["HSET", "future", "kept"]).await;
            for caller in [&record, &retry(&record)] {
                let reply = step.take(&store, caller, BEGIN_MS).await;
                assert_ne!(reply, Reply::Unreadable, "{step:?}");
                let fields = server.fields(&record.request_id).await;
                taken += usize::from(reply != Reply::Lost);
                if fields.is_empty() {
                    let removes = matches!(step, Step::Release | Step::Done(_, _, Keep::Forget));
                    assert!(removes, "{step:?} removed the record");
                    break;
                }
                assert_eq!(fields.get("future").map(String::as_str), Some("kept"), "{step:?}");
            }
        }
        assert!(taken > 0, "{step:?} was never taken");
    }
    let record = done(&store).await;
    edit(&mut redis, &record, &["HSET", "future", "kept"]).await;
    for word in [Word::Failed, Word::Deleted] {
        Step::Verified("c-1", word).take(&store, &record, BEGIN_MS).await;
        let fields = server.fields(&record.request_id).await;
        assert_eq!(fields.get("future").map(String::as_str), Some("kept"));
    }
}
