//! A TCP balancer that treats replicas as Kubernetes does: each new connection goes to the next replica
//! that was ready a moment ago, and a connection stays there until one of its ends closes it.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{interval, sleep},
};

use super::replica::{self, Ports};
use crate::support::{listen, until};

/// The interval of the readiness probes.
const PROBE: Duration = Duration::from_millis(50);
/// The delay until the balancer uses a probe's result: most of the delay of a drain.
const LAG: Duration = Duration::from_millis(300);

pub(super) struct Balancer {
    address: SocketAddr,
    rotation: Arc<Rotation>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Rotation {
    ready: Mutex<BTreeSet<SocketAddr>>,
    next: AtomicUsize,
}

impl Balancer {
    pub(super) async fn before(replicas: &[Ports]) -> Self {
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let rotation = Arc::new(Rotation::default());
        let mut tasks = JoinSet::new();
        for replica in replicas {
            tasks.spawn(follow(replica.grpc, replica.admin, Arc::clone(&rotation)));
        }
        tasks.spawn(balance(listener, Arc::clone(&rotation)));
        Self { address, rotation, _tasks: tasks }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a replica gets connections.
    pub(super) async fn until_in_rotation(&self, replica: SocketAddr) {
        until("the replica in rotation", || self.rotation.ready().contains(&replica)).await;
    }
}

impl Rotation {
    fn ready(&self) -> MutexGuard<'_, BTreeSet<SocketAddr>> {
        self.ready.lock().unwrap()
    }

    fn next(&self) -> Option<SocketAddr> {
        let ready = self.ready();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        ready.iter().nth(turn.checked_rem(ready.len())?).copied()
    }
}

/// Adds a replica to the rotation and removes it, with a delay.
async fn follow(grpc: SocketAddr, admin: SocketAddr, rotation: Arc<Rotation>) {
    let mut ticks = interval(PROBE);
    loop {
        ticks.tick().await;
        let is_ready = replica::is_serving(admin).await;
        if is_ready != rotation.ready().contains(&grpc) {
            sleep(LAG).await;
            if is_ready {
                rotation.ready().insert(grpc);
            } else {
                rotation.ready().remove(&grpc);
            }
        }
    }
}

async fn balance(listener: TcpListener, rotation: Arc<Rotation>) {
    let mut connections = JoinSet::new();
    while let Ok((caller, _)) = listener.accept().await {
        let replica = rotation.next();
        connections.spawn(async move {
            // Without a replica, and with one that refuses, the caller's connection breaks.
            let Some(replica) = replica else { return };
            let Ok(replica) = TcpStream::connect(replica).await else { return };
            for end in [&caller, &replica] {
                end.set_nodelay(true).unwrap();
            }
            let (from_caller, to_caller) = caller.into_split();
            let (from_replica, to_replica) = replica.into_split();
            tokio::join!(pass(from_caller, to_replica), pass(from_replica, to_caller));
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Forwards data until its end. An error ends only this direction: data in the other direction still
/// arrives.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let _ = copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}
