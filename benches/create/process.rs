//! The measured processes: their cores, their output, and their cost according to the operating system.

use std::{fs, io, net::SocketAddr, path::Path, process::Stdio, sync::OnceLock, time::Duration};

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// Far longer than any start takes.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest size that an unprivileged process may request. A busy reader must not block the writer.
const PIPE_SIZE: usize = 1 << 20;

/// The core of a process: the measured one does not share its core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Core {
    /// The core of the measured process.
    Measured,
    /// The core of all other processes.
    Rest,
}

/// The two cores; `None` where there is only one.
pub(crate) fn cores() -> Option<(usize, usize)> {
    static CORES: OnceLock<Option<(usize, usize)>> = OnceLock::new();
    *CORES.get_or_init(|| {
        let allowed = sched_getaffinity(None).unwrap();
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        cores.next().zip(cores.next())
    })
}

/// Moves this thread and the threads and processes that it starts later.
pub(crate) fn move_to(core: Core) {
    let Some((measured, rest)) = cores() else { return };
    let mut set = CpuSet::new();
    set.set(if core == Core::Measured { measured } else { rest });
    sched_setaffinity(None, &set).unwrap();
}

/// Raises the limit of open files as far as allowed: a slow upstream has many connections.
pub(crate) fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// A server in a separate process, which is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    _child: Child,
    pid: u32,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts a server with no environment but these variables, and waits until it prints its address.
    pub(crate) async fn start(
        program: &Path,
        arguments: &[&str],
        environment: &[(String, String)],
        core: Core,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        move_to(core);
        let child = command.spawn();
        move_to(Core::Rest);
        let mut child = child.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let pid = child.id().unwrap();
        let stdout = child.stdout.take().unwrap();
        // A smaller pipe also works.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE_SIZE);
        let mut stdout = BufReader::new(stdout);
        let address = timeout(START_TIMEOUT, address(&mut stdout)).await;
        let address =
            address.ok().flatten().unwrap_or_else(|| panic!("{} does not serve", program.display()));
        tokio::spawn(discard(stdout.into_inner()));
        Self { _child: child, pid, address }
    }

    /// The CPU time that the process has used.
    pub(crate) fn cpu(&self) -> Duration {
        self.scheduled().or_else(|_| self.ticks()).unwrap()
    }

    /// In nanoseconds, where the kernel keeps these figures.
    fn scheduled(&self) -> io::Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let figures = fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += number::<u64>(figures.split_ascii_whitespace().next())?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// In hundredths of a second.
    fn ticks(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The name in parentheses can have spaces.
        let mut fields = stat.rsplit(')').next().into_iter().flat_map(str::split_ascii_whitespace).skip(11);
        let (user, system): (u64, u64) = (number(fields.next())?, number(fields.next())?);
        Ok(Duration::from_millis(10 * (user + system)))
    }

    /// The memory of the process, in KiB.
    pub(crate) fn rss_kib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        number(line.and_then(|line| line.split_ascii_whitespace().next())).unwrap()
    }
}

fn number<T: std::str::FromStr>(text: Option<&str>) -> io::Result<T> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| io::Error::other("not a number"))
}

/// Reads until the line that contains the address.
async fn address(stdout: &mut (impl AsyncBufRead + Unpin)) -> Option<SocketAddr> {
    let mut line = String::new();
    loop {
        line.clear();
        if stdout.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if let Some(address) = line.strip_prefix("serving ") {
            return address.trim().parse().ok();
        }
        let log_line: Option<serde_json::Value> = serde_json::from_str(&line).ok();
        if let Some(log_line) = log_line.filter(|line| line["message"] == "serving") {
            return log_line["grpc"].as_str()?.parse().ok();
        }
    }
}

async fn discard(mut stdout: impl AsyncRead + Unpin) {
    let mut chunk = vec![0; 64 * 1024];
    while stdout.read(&mut chunk).await.is_ok_and(|length| length > 0) {}
}
