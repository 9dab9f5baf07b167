//! Replies of Redis that are lost or late: the command was executed.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpStream, UnixStream},
    time::sleep,
};

/// The number of lost and of late replies per hundred.
const LOST: u32 = 3;
const LATE: u32 = 5;

/// The possible effects on replies.
pub(super) struct Replies {
    random: Mutex<fastrand::Rng>,
    lost: AtomicUsize,
    late: AtomicUsize,
}

enum Effect {
    Arrives,
    ArrivesAfter(Duration),
    IsLost,
}

impl Replies {
    pub(super) fn new(random: fastrand::Rng) -> Self {
        Self { random: Mutex::new(random), lost: AtomicUsize::new(0), late: AtomicUsize::new(0) }
    }

    /// A summary.
    pub(super) fn counts(&self) -> String {
        let [lost, late] = [&self.lost, &self.late].map(|count| count.load(Ordering::Relaxed));
        format!("{lost} replies of Redis lost and {late} late")
    }

    /// Connects the two until one of them disconnects or a reply is lost.
    pub(super) async fn relay(&self, caller: TcpStream, server: UnixStream) {
        let (mut from_caller, mut to_caller) = caller.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let replies = async {
            let mut chunk = vec![0; 64 * 1024];
            loop {
                let length = from_server.read(&mut chunk).await?;
                match self.next() {
                    _ if length == 0 => return Ok(()),
                    Effect::Arrives => {}
                    Effect::ArrivesAfter(delay) => sleep(delay).await,
                    Effect::IsLost => return Ok(()),
                }
                to_caller.write_all(&chunk[..length]).await?;
            }
        };
        let _: io::Result<()> = tokio::select! {
            ended = replies => ended,
            ended = copy(&mut from_caller, &mut to_server) => ended.map(drop),
        };
    }

    fn next(&self) -> Effect {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        match random.u32(..100) {
            number if number < LOST => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                Effect::IsLost
            }
            number if number < LOST + LATE => {
                self.late.fetch_add(1, Ordering::Relaxed);
                Effect::ArrivesAfter(Duration::from_millis(random.u64(300..1500)))
            }
            _ => Effect::Arrives,
        }
    }
}
