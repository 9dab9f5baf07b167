//! A store whose records are replaced by older ones while a creation waits for it, as by the replica of a Redis that lags
//! behind.

use super::{
    waiting::{LONG, Remote},
    *,
};
use crate::exactly_once::store::{Claim, Outage};

/// The lease ends on the old server, where another replica creates. The new server knows only the first claim.
#[tokio::test(start_paused = true)]
async fn a_creation_that_waited_for_another_server_searches_before_it_sends() {
    // It goes away before the step to `sending` is taken, and with or without anyone knowing.
    for is_known in [true, false] {
        let remote = Remote::new();
        let (old, id) = (remote.server(), Some(RequestId::generate()));
        let world = world(World { takes: Duration::from_secs(1), recognizes: true, ..World::default() });
        // The old server has forgotten nothing.
        sleep(RETENTION.request_id).await;
        let waiting = Replica::searching(Arc::new(remote.clone()), SearchFirst::Auto);
        let failover = async {
            sleep(Duration::from_millis(500)).await;
            let new = store();
            let claim = new.claim(&remote.last_claim(), 0).await.unwrap();
            assert!(matches!(claim, Claim::Fresh { .. }), "{claim:?}");
            remote.goes(Outage::Refused);
            if is_known {
                remote.check().await;
            }
            sleep(LEASE).await;
            let other = Replica::searching(Arc::clone(&old) as Arc<dyn Store>, SearchFirst::Auto);
            let created = other.create_within(LONG, id, &world).await.unwrap();
            world.lock().unwrap().listed.push(created.clone());
            remote.fails_over_to(new);
            remote.is_back();
            created
        };
        let (found, created) = tokio::join!(waiting.create_within(LONG, id, &world), failover);
        assert_eq!(world.lock().unwrap().sent.len(), 1);
        // A step that was lost is for a retry.
        if is_known {
            assert_eq!(found.unwrap().id, created.id);
        } else {
            assert!(matches!(*found.unwrap_err(), Failure::Store { .. }));
        }
        assert_eq!(waiting.create_within(LONG, id, &world).await.unwrap().id, created.id);
        assert_eq!(world.lock().unwrap().sent.len(), 1);
    }
}

/// A lease that ended and was renewed again may have been another's in between, on a server that is gone.
#[tokio::test(start_paused = true)]
async fn a_creation_whose_lease_has_lapsed_searches_before_it_sends() {
    let remote = Remote::new();
    let (old, id) = (remote.server(), Some(RequestId::generate()));
    // Longer than the outage, so that the lease is renewed when it is over.
    let world = world(World { takes: 2 * LEASE, recognizes: true, ..World::default() });
    sleep(RETENTION.request_id).await;
    let lapsed = Replica::searching(Arc::new(remote.clone()), SearchFirst::Auto);
    let failover = async {
        sleep(Duration::from_millis(500)).await;
        let new = store();
        new.claim(&remote.last_claim(), 0).await.unwrap();
        remote.goes(Outage::Refused);
        sleep(LEASE).await;
        world.lock().unwrap().takes = Duration::ZERO;
        let other = Replica::searching(Arc::clone(&old) as Arc<dyn Store>, SearchFirst::Auto);
        let created = other.create_within(LONG, id, &world).await.unwrap();
        world.lock().unwrap().listed.push(created.clone());
        remote.fails_over_to(new);
        remote.is_back();
        remote.check().await;
        created
    };
    let (found, created) = tokio::join!(lapsed.create_within(LONG, id, &world), failover);
    assert_eq!(found.unwrap().id, created.id);
    assert_eq!(world.lock().unwrap().sent.len(), 1);
}
