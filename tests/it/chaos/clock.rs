//! A Redis whose clock is changed, like that of another server after a failover.

use std::{
    env,
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use tokio::time::sleep;

use crate::{
    optional::skip,
    store::redis_server::{RedisServer, Setup},
};

const SOURCE: &str = include_str!("clock.c");

/// The steps, in seconds.
const FORWARD: i64 = 100;
const BACK: i64 = -100;
const A_LITTLE_BACK: i64 = -8;

/// The clock of a server.
pub(super) struct Clock {
    directory: PathBuf,
    file: File,
    offset: i64,
}

impl Clock {
    /// `None`, after a message, if there is no C compiler and none is required.
    pub(super) fn new() -> Option<Self> {
        let directory = env::temp_dir().join(format!("hcs-clock-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&directory).unwrap();
        let file = File::create(directory.join("offset")).unwrap();
        let clock = Self { directory, file, offset: 0 };
        clock.set(0);
        clock.build().then_some(clock)
    }

    fn build(&self) -> bool {
        let source = self.directory.join("clock.c");
        fs::write(&source, SOURCE).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o"]).arg(self.library()).arg(source);
        match compiler.output() {
            Ok(output) => {
                assert!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::NotFound, "cc: {error}");
                skip("HCS_TEST_TOOLS", "the tests with a changed clock", "there is no cc");
                false
            }
        }
    }

    fn library(&self) -> PathBuf {
        self.directory.join("clock.so")
    }

    /// The environment that makes a server take its time from here.
    pub(super) fn setup(&self) -> Setup {
        Setup {
            arguments: Vec::new(),
            environment: vec![
                ("LD_PRELOAD", self.library()),
                ("CLOCK_OFFSET_FILE", self.directory.join("offset")),
            ],
        }
    }

    fn set(&self, offset: i64) {
        let milliseconds = offset * 1000;
        self.file.write_all_at(&milliseconds.to_ne_bytes(), 0).unwrap();
    }

    fn step(&mut self, seconds: i64) {
        self.offset += seconds;
        self.set(self.offset);
    }

    /// Changes the clock repeatedly, and counts the steps. Every step is reversed, so that a lease from
    /// that time does not last for ever.
    pub(super) async fn go_on(&mut self, random: &mut fastrand::Rng, steps: &mut usize) {
        loop {
            sleep(Duration::from_millis(random.u64(300..3000))).await;
            let step = random.choice([FORWARD, A_LITTLE_BACK, BACK]).unwrap();
            self.step(if self.offset == 0 { step } else { -self.offset });
            *steps += 1;
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test]
async fn a_step_of_the_clock_shows_in_the_time_of_redis() {
    let Some(mut clock) = Clock::new() else { return };
    let Some(server) = RedisServer::with(clock.setup()).await else { return };
    let mut connection = server.connection().await;
    let mut before: Option<i64> = None;
    for step in [0, FORWARD, A_LITTLE_BACK, BACK] {
        clock.step(step);
        let (seconds, _): (i64, i64) = redis::cmd("TIME").query_async(&mut connection).await.unwrap();
        let script = redis::Script::new("return redis.call('TIME')[1]");
        let in_a_script: i64 = script.invoke_async(&mut connection).await.unwrap();
        let stepped = before.map_or(0, |before| seconds - before);
        assert!((step..step + 30).contains(&stepped), "{stepped} after {step}");
        assert!((0..30).contains(&(in_a_script - seconds)));
        before = Some(seconds);
    }
}
