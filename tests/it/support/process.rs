//! The real binary, in a separate process.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use hubspot_connection_service::{
    emulator::{self, Emulator},
    proto::hub_spot_connection_service_client::HubSpotConnectionServiceClient,
};
pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::TcpSocket,
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};
use tonic::transport::Channel;

use super::service::listen;

/// Far longer than anything takes here: a longer wait is a hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that happens soon, or fails.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.unwrap_or_else(|_| panic!("timed out while waiting for {what}"))
}

/// Waits until a condition holds, or fails.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    in_time(what, async {
        while !holds() {
            ticks.tick().await;
        }
    })
    .await;
}

/// A port that refuses connections, and that no other process gets while the socket exists.
pub(crate) fn unused_port() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    (socket.local_addr().unwrap(), socket)
}

/// The output of a process.
#[derive(Clone, Default)]
pub(crate) struct Output {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    pub(crate) fn stdout(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    pub(crate) fn stderr(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stderr)
    }

    /// The complete output.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [&self.stdout[..], b"\n", &self.stderr].concat()
    }

    /// The lines of a log in JSON.
    pub(crate) fn log_lines(&self) -> Vec<Value> {
        let stdout = self.stdout();
        // The last line may be incomplete.
        let lines = stdout.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr())
    }
}

/// A process that is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    output: watch::Sender<Output>,
    readers: [JoinHandle<()>; 2],
}

impl Process {
    /// Starts the binary with these arguments and no environment but these variables.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hubspot-connection-service"))
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = watch::Sender::new(Output::default());
        let readers = [
            tokio::spawn(read(child.stdout.take().unwrap(), output.clone(), |output| &mut output.stdout)),
            tokio::spawn(read(child.stderr.take().unwrap(), output.clone(), |output| &mut output.stderr)),
        ];
        Self { child, output, readers }
    }

    /// Runs the binary until it exits by itself.
    pub(crate) async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (ExitStatus, Output) {
        Self::start(arguments, environment).wait().await
    }

    /// Waits until the output contains something.
    pub(crate) async fn prints<T>(&self, what: &str, find: impl Fn(&Output) -> Option<T>) -> T {
        let mut output = self.output.subscribe();
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = find(&output.borrow_and_update()) {
                    return found;
                }
                output.changed().await.expect("the sender lives as long as this process");
            }
        });
        found.await.unwrap_or_else(|_| panic!("no {what} in {:?}", self.output.borrow()))
    }

    /// Waits until the output contains this text.
    pub(crate) async fn prints_text(&self, text: &str) {
        self.prints(text, |output| {
            (output.stdout().contains(text) || output.stderr().contains(text)).then_some(())
        })
        .await;
    }

    /// The output up to now.
    pub(crate) fn output(&self) -> Output {
        self.output.borrow().clone()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it was not waited for")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits for its exit.
    pub(crate) async fn wait(mut self) -> (ExitStatus, Output) {
        let status = in_time("the end of the process", self.child.wait()).await.unwrap();
        for reader in self.readers {
            in_time("the end of the output", reader).await.unwrap();
        }
        (status, self.output.borrow().clone())
    }
}

async fn read(
    mut stream: impl AsyncRead + Unpin,
    output: watch::Sender<Output>,
    part: fn(&mut Output) -> &mut Vec<u8>,
) {
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let length = stream.read(&mut chunk).await.unwrap();
        if length == 0 {
            return;
        }
        output.send_modify(|output| part(output).extend_from_slice(&chunk[..length]));
    }
}

/// The service in a separate process, and its addresses.
pub(crate) struct ServiceProcess {
    pub(crate) process: Process,
    pub(crate) grpc: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl ServiceProcess {
    /// Starts `serve` with the settings of an emulator's client and these settings; an empty one takes
    /// its default.
    pub(crate) async fn start(emulator: &Emulator, settings: &[(&str, &str)]) -> Self {
        let (flow_service, ims) = (emulator.base_url(), emulator.ims_url());
        let upstream = [("HCS_FLOW_SERVICE_URL", &*flow_service), ("HCS_IMS_URL", &*ims)];
        Self::with(&[&upstream, settings].concat()).await
    }

    /// Starts `serve` with these settings, which override those of the emulator's client; the last one of
    /// a name counts.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        const DEFAULTS: [(&str, &str); 6] = [
            ("HCS_LISTEN", "127.0.0.1:0"),
            ("HCS_ADMIN_LISTEN", "127.0.0.1:0"),
            ("HCS_ORG_ID", emulator::ORG_ID),
            ("HCS_CLIENT_ID", emulator::CLIENT_ID),
            ("HCS_CLIENT_SECRET", emulator::CLIENT_SECRET),
            ("HCS_DRAIN_DELAY", "0s"),
        ];
        let process = Process::start(&["serve"], &[&DEFAULTS, settings].concat());
        let (grpc, admin) = process.prints("addresses", |output| addresses(&output.stdout())).await;
        Self { process, grpc, admin }
    }

    pub(crate) async fn client(&self) -> HubSpotConnectionServiceClient<Channel> {
        HubSpotConnectionServiceClient::new(self.channel().await)
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
    }

    /// Signals it to stop, and waits for its exit.
    pub(crate) async fn stop(self) -> (ExitStatus, Output) {
        self.process.signal(Signal::TERM);
        self.process.wait().await
    }
}

/// The addresses of gRPC and admin in the line `serving`, in either format of the log.
fn addresses(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (line, _) = log.split_once("serving")?.1.split_once('\n')?;
    let address = |name: &str| {
        let start = line.find(name)? + name.len();
        let value = line[start..].trim_start_matches(['"', ':', '=']);
        let end = value.find(['"', ' ']).unwrap_or(value.len());
        Some(value[..end].parse().unwrap_or_else(|_| panic!("no address in {value:?}")))
    };
    Some((address("grpc")?, address("admin")?))
}

/// An emulator that runs while the test has a handle to it.
pub(crate) async fn start_emulator(options: emulator::Options) -> Emulator {
    Emulator::start(listen().await, options)
}
