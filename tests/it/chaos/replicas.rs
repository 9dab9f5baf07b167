//! Replicas of the service, one of which is killed repeatedly.

use std::{
    future::Future,
    ops::Range,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use hubspot_connection_service::emulator::Emulator;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::redis::SharedRedis;
use crate::support::{Process, ServiceProcess, Signal};

/// The time of the next kill.
#[derive(Clone)]
pub(super) enum Kills {
    /// After this many milliseconds: sometimes long enough to finish a lost creation, since each killed
    /// creation holds its record for a lease.
    Every(Range<u64>),
    /// While connections are being created: right after this many more, or else after this many
    /// milliseconds.
    Amidst { connections: Range<usize>, or_after: Range<u64> },
}

/// The result of the kills.
pub(super) struct Killed {
    pub(super) times: usize,
    /// Forbidden lines in their logs.
    pub(super) forbidden_lines: Vec<String>,
}

/// The settings that the replicas share.
pub(super) struct Replicas<'a> {
    emulator: &'a Emulator,
    settings: Vec<(&'a str, String)>,
    kills: Kills,
    /// The way to each replica, while a process is running.
    channels: Mutex<Vec<Option<Channel>>>,
}

impl<'a> Replicas<'a> {
    pub(super) fn over(emulator: &'a Emulator, redis: &SharedRedis) -> Self {
        let settings = [
            ("HCS_REDIS_URL", redis.url()),
            ("HCS_FINGERPRINT_KEY", super::FINGERPRINT_KEY),
            ("HCS_CREATE_TIMEOUT", "1s"),
            ("HCS_SETTLE_WINDOW", "1s"),
            ("HCS_LOG_FORMAT", "json"),
        ];
        let settings = settings.map(|(name, value)| (name, value.to_owned())).to_vec();
        Self::with(emulator, settings, 2, Kills::Every(3000..12_000))
    }

    /// Starts this many replicas with these settings.
    pub(super) fn with(
        emulator: &'a Emulator,
        settings: Vec<(&'a str, String)>,
        number: usize,
        kills: Kills,
    ) -> Self {
        Self { emulator, settings, kills, channels: Mutex::new(vec![None; number]) }
    }

    /// Starts one more process.
    pub(super) async fn start(&self) -> ServiceProcess {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| (*name, &**value)).collect();
        ServiceProcess::start(self.emulator, &settings).await
    }

    /// The way to one of the running replicas.
    pub(super) fn any(&self) -> Option<Channel> {
        let channels = self.channels();
        let first = fastrand::usize(..channels.len());
        let in_turn = channels[first..].iter().chain(&channels[..first]);
        in_turn.flatten().next().cloned()
    }

    /// Runs the replicas until the work is done.
    pub(super) async fn alive<T>(&self, work: impl Future<Output = T>) -> (T, Killed) {
        self.run_during(work, None).await
    }

    /// Runs the replicas until the work is done, and kills one of them repeatedly.
    pub(super) async fn killed_repeatedly<T>(&self, work: impl Future<Output = T>) -> (T, Killed) {
        self.run_during(work, Some(&self.kills)).await
    }

    async fn run_during<T>(&self, work: impl Future<Output = T>, kills: Option<&Kills>) -> (T, Killed) {
        let number = self.channels().len();
        let mut processes = Vec::new();
        for index in 0..number {
            processes.push(self.run(index).await);
        }
        let is_done = CancellationToken::new();
        let work = async {
            let outcome = work.await;
            is_done.cancel();
            outcome
        };
        let kill = async {
            let mut killed = Killed { times: 0, forbidden_lines: Vec::new() };
            while is_done.run_until_cancelled(self.next_kill(kills)).await.is_some() {
                let index = killed.times % number;
                killed.times += 1;
                self.channels()[index] = None;
                processes[index].process.signal(Signal::KILL);
                let ended = std::mem::replace(&mut processes[index], self.run(index).await);
                killed.forbidden_lines.extend(end(ended.process).await);
            }
            self.channels().fill(None);
            for ServiceProcess { process, .. } in processes {
                process.signal(Signal::TERM);
                killed.forbidden_lines.extend(end(process).await);
            }
            killed
        };
        tokio::join!(work, kill)
    }

    async fn run(&self, index: usize) -> ServiceProcess {
        let process = self.start().await;
        self.channels()[index] = Some(process.channel().await);
        process
    }

    async fn next_kill(&self, kills: Option<&Kills>) {
        let pause = |range: &Range<u64>| Duration::from_millis(fastrand::u64(range.clone()));
        match kills {
            None => std::future::pending().await,
            Some(Kills::Every(range)) => sleep(pause(range)).await,
            Some(Kills::Amidst { connections, or_after }) => {
                let number = self.emulator.connections().len() + fastrand::usize(connections.clone());
                let latest = Instant::now() + pause(or_after);
                while Instant::now() < latest {
                    if self.emulator.connections().len() >= number {
                        return sleep(pause(&(0..200))).await;
                    }
                    sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    fn channels(&self) -> MutexGuard<'_, Vec<Option<Channel>>> {
        self.channels.lock().unwrap()
    }
}

/// Waits for the exit of a process that was killed or stopped, and searches its log for forbidden lines.
async fn end(process: Process) -> Vec<String> {
    let (_, output) = process.wait().await;
    assert_eq!(output.stderr(), "");
    let broken = [
        "a request made two connections",
        "several connections refer to one request",
        "one request created several dataflows",
        "panic",
    ];
    let is_forbidden = |line: &serde_json::Value| {
        let message = line["message"].as_str().unwrap_or_default();
        broken.iter().any(|broken| message.contains(broken))
    };
    output.log_lines().iter().filter(|line| is_forbidden(line)).map(ToString::to_string).collect()
}
