//! The keys in Redis, and their content.

use hubspot_connection_service::{
    exactly_once::store::{Lease, Origin, RedisStore, Store},
    service::Verdict,
};
use redis::AsyncTypedCommands as _;

use crate::store::{
    CANARY, KEYS, RedisServer, connection,
    expect::assert_fresh,
    lease,
    redis_server::ORG,
    report,
    step::{Keep, Recorded, Steps as _},
    subject::{BEGIN_MS, RETENTION},
};

/// A store with something in every state: one record for each lease, except the one that is forgotten.
async fn filled() -> Option<(RedisServer, RedisStore)> {
    let server = RedisServer::start().await?;
    let store = server.store(RETENTION);
    let leases: [Lease; 11] = std::array::from_fn(|_| lease());
    let [
        claimed,
        sending,
        unknown,
        distrusted,
        resent,
        abandoned,
        done,
        forgotten,
        verified,
        undoing,
        withdrawn,
    ] = &leases;
    for held in &leases {
        assert_fresh(store.claim(held, BEGIN_MS).await.unwrap());
        if held.request_id != claimed.request_id {
            store.begin_sending(held, BEGIN_MS).await.unwrap();
        }
    }
    for held in [unknown, distrusted, resent, undoing, withdrawn] {
        store.outcome_unknown(held).await.unwrap();
    }
    store.distrust_clocks(distrusted).await.unwrap();
    store.resend(resent, BEGIN_MS).await.unwrap();
    store.abandon(abandoned).await.unwrap();
    store.undo(undoing, "what is undone").await.unwrap();
    store.withdraw(withdrawn, BEGIN_MS).await.unwrap();
    for (held, keep) in
        [(done, Keep::Remember), (forgotten, Keep::Forget), (verified, Keep::RememberUnverified)]
    {
        let recorded = store.done(held, &connection("c-1"), Origin::Reply, keep, BEGIN_MS).await.unwrap();
        assert_eq!(recorded, Recorded::Done);
    }
    let verdict = Verdict::Passed(report("It works."));
    store.verified(&verified.request_id, &connection("c-1").id, &verdict).await.unwrap();
    store.renew(sending).await.unwrap();
    Some((server, store))
}

#[tokio::test]
async fn every_key_has_the_hash_tag_and_every_record_an_expiry() {
    let Some((server, _store)) = filled().await else { return };
    let keys = server.keys().await;
    assert_eq!(keys.len(), 11, "{keys:?}");
    assert!(keys.contains(&RedisServer::memory()), "{keys:?}");
    let mut connection = server.connection().await;
    for key in keys {
        let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).unwrap().0;
        assert_eq!(tag, ORG, "{key}");
        let expires =
            matches!(connection.pttl(&key).await.unwrap(), redis::IntegerReplyOrNoOp::IntegerReply(_));
        // The store's memory must not be evicted with the keys that expire.
        assert_eq!(expires, key != RedisServer::memory(), "{key}");
    }
}

#[tokio::test]
async fn no_credential_and_no_key_is_in_redis() {
    let Some((server, _store)) = filled().await else { return };
    let mut connection = server.connection().await;
    let mut dump = Vec::new();
    for key in server.keys().await {
        dump.push(key.clone());
        dump.extend(connection.hgetall(&key).await.unwrap().into_iter().flat_map(|(f, v)| [f, v]));
    }
    assert!(dump.iter().any(|text| text == "content"));
    let canaries = [CANARY.as_bytes(), &KEYS[0], &KEYS[1]];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for canary in canaries {
        let plain = String::from_utf8(canary.to_vec()).unwrap();
        let sha256 = hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, canary).as_ref());
        for form in [plain, hex(canary), sha256] {
            assert!(!dump.iter().any(|text| text.contains(&form)), "{form} in {dump:?}");
        }
    }
}

/// Later versions must be able to read them.
#[tokio::test]
async fn a_record_has_the_fields_that_it_always_had() {
    let Some(server) = RedisServer::start().await else { return };
    let store = server.store(RETENTION);
    let held = lease();
    let fields = async || {
        let fields = server.fields(&held.request_id).await;
        assert_eq!(fields.get("version").map(String::as_str), Some("1"));
        assert_eq!(fields.get("content"), Some(&held.fingerprints.current.as_str().to_owned()));
        fields.into_keys().filter(|field| !["version", "content"].contains(&&**field)).collect::<Vec<_>>()
    };
    let sent = ["first_sent", "first_wall", "holder", "last_sent", "last_wall", "lease_until", "state"];
    store.claim(&held, BEGIN_MS).await.unwrap();
    assert_eq!(fields().await, ["holder", "lease_until", "state"]);
    store.begin_sending(&held, BEGIN_MS).await.unwrap();
    assert_eq!(fields().await, sent);
    store.not_created(&held).await.unwrap();
    assert_eq!(fields().await, ["holder", "lease_until", "state"]);
    store.begin_sending(&held, BEGIN_MS).await.unwrap();
    store.outcome_unknown(&held).await.unwrap();
    assert_eq!(fields().await, sent);
    store.distrust_clocks(&held).await.unwrap();
    assert_eq!(fields().await, ["first_sent", "first_wall", "holder", "last_sent", "lease_until", "state"]);
    store.abandon(&held).await.unwrap();
    assert_eq!(fields().await, ["first_sent", "first_wall", "last_sent", "state"]);
    let undone = &lease();
    store.claim(undone, BEGIN_MS).await.unwrap();
    store.undo(undone, "what is undone").await.unwrap();
    let undoing = server.fields(&undone.request_id).await.into_keys().collect::<Vec<_>>();
    assert_eq!(undoing, ["content", "context", "holder", "lease_until", "state", "version"]);
    let held = &lease();
    store.done(held, &connection("c-1"), Origin::Reply, Keep::Remember, BEGIN_MS).await.unwrap();
    let fields = server.fields(&held.request_id).await.into_keys().collect::<Vec<_>>();
    let done = ["content", "done_at", "done_wall", "outcome", "state", "version"];
    assert_eq!(fields, done);
    store.withdraw(undone, BEGIN_MS).await.unwrap();
    assert_eq!(server.fields(&undone.request_id).await.into_keys().collect::<Vec<_>>(), done);
}
