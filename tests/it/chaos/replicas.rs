//! Two replicas of the service, of which one is killed over and over.

use std::{
    future::Future,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use hubspot_connection_service::{
    emulator::Emulator, proto::hub_spot_connection_service_client::HubSpotConnectionServiceClient,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::redis::SharedRedis;
use crate::support::{Process, ServiceProcess, Signal};

/// How long a process has until the next one is killed: long enough at times to finish with a lost
/// creation, since each one that is cut off holds its record for a lease.
fn next_kill() -> Duration {
    Duration::from_millis(fastrand::u64(1000..4000))
}

pub(super) type Client = HubSpotConnectionServiceClient<Channel>;

/// What the replicas share.
pub(super) struct Replicas<'a> {
    emulator: &'a Emulator,
    redis: &'a SharedRedis,
    /// The way to each replica, while there is a process.
    clients: Mutex<[Option<Client>; 2]>,
}

impl<'a> Replicas<'a> {
    pub(super) fn over(emulator: &'a Emulator, redis: &'a SharedRedis) -> Self {
        Self { emulator, redis, clients: Mutex::default() }
    }

    /// Starts one more process.
    pub(super) async fn start(&self) -> ServiceProcess {
        let settings = [
            ("HCS_REDIS_URL", self.redis.url()),
            ("HCS_FINGERPRINT_KEY", super::FINGERPRINT_KEY),
            ("HCS_SETTLE_WINDOW", "2s"),
            ("HCS_LOG_FORMAT", "json"),
        ];
        ServiceProcess::start(self.emulator, &settings).await
    }

    /// The way to one of the replicas that run.
    pub(super) fn any(&self) -> Option<Client> {
        let clients = self.clients();
        let first = fastrand::usize(..2);
        clients[first].clone().or_else(|| clients[1 - first].clone())
    }

    /// Runs both replicas until the work is done, and kills one of them again and again. Tells how
    /// often that was.
    pub(super) async fn killed_over_and_over<T>(&self, work: impl Future<Output = T>) -> (T, usize) {
        let mut processes = [self.run(0).await, self.run(1).await];
        let is_done = CancellationToken::new();
        let work = async {
            let outcome = work.await;
            is_done.cancel();
            outcome
        };
        let kill = async {
            let mut kills = 0;
            while is_done.run_until_cancelled(sleep(next_kill())).await.is_some() {
                let index = kills % 2;
                kills += 1;
                self.clients()[index] = None;
                processes[index].process.signal(Signal::KILL);
                let killed = std::mem::replace(&mut processes[index], self.run(index).await);
                end(killed.process).await;
            }
            for ServiceProcess { process, .. } in processes {
                process.signal(Signal::TERM);
                end(process).await;
            }
            kills
        };
        tokio::join!(work, kill)
    }

    async fn run(&self, index: usize) -> ServiceProcess {
        let process = self.start().await;
        self.clients()[index] = Some(process.client().await);
        process
    }

    fn clients(&self) -> MutexGuard<'_, [Option<Client>; 2]> {
        self.clients.lock().unwrap()
    }
}

/// Waits for the end of a process that was killed or told to stop, and reads what it has to confess.
async fn end(process: Process) {
    let (_, output) = process.wait().await;
    assert_eq!(output.stderr(), "");
    for line in output.log_lines() {
        let message = line["message"].as_str().unwrap_or_default();
        let broken = ["made two connections", "is recorded for another request", "panic"];
        assert!(!broken.iter().any(|broken| message.contains(broken)), "{line}");
    }
}
