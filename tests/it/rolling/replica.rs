//! Replicas of the service, on ports that outlive their processes.

#[cfg(target_os = "linux")]
use std::net::Ipv4Addr;
use std::{io, net::SocketAddr, time::Duration};

use hubspot_connection_service::{emulator::Emulator, grpc::SERVICE_NAME};
use tokio::{net::TcpSocket, time::Instant};
use tonic::transport::Channel;
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
};

use crate::{
    chaos::redis::SharedRedis,
    support::{FINGERPRINT_KEY, Output, Process, ServiceProcess, Signal},
};

pub(super) const DRAIN_DELAY: Duration = Duration::from_secs(1);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The ports of a replica, which no other process gets between two of its processes.
pub(crate) struct Ports {
    pub(crate) grpc: SocketAddr,
    pub(crate) admin: SocketAddr,
    _held: [TcpSocket; 2],
}

impl Ports {
    pub(crate) fn hold() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let [(grpc, one), (admin, other)] = [hold(any), hold(any)];
        Self { grpc, admin, _held: [one, other] }
    }

    /// The same on several loopback addresses: the port for calls is the same on each.
    #[cfg(target_os = "linux")]
    pub(super) fn hold_on<const N: usize>(addresses: [Ipv4Addr; N]) -> [Self; N] {
        // Whether a port is free on the other addresses, too, only shows when it is taken there.
        let sockets = (0..100).find_map(|_| {
            let (first, one) = hold((addresses[0], 0).into());
            let mut sockets = vec![(first, one)];
            for address in &addresses[1..] {
                sockets.push(try_hold((*address, first.port()).into()).ok()?);
            }
            Some(sockets)
        });
        let mut sockets = sockets.unwrap().into_iter();
        addresses.map(|_| {
            let (grpc, one) = sockets.next().unwrap();
            let (admin, other) = hold(SocketAddr::from(([127, 0, 0, 1], 0)));
            Self { grpc, admin, _held: [one, other] }
        })
    }

    /// Starts a process on these ports.
    pub(crate) async fn start(
        &self,
        emulator: &Emulator,
        redis: &SharedRedis,
        settings: &[(&str, &str)],
    ) -> ServiceProcess {
        let (grpc, admin) = (self.grpc.to_string(), self.admin.to_string());
        let (delay, timeout) =
            (format!("{}s", DRAIN_DELAY.as_secs()), format!("{}s", DRAIN_TIMEOUT.as_secs()));
        let own = [
            ("HCS_LISTEN", &*grpc),
            ("HCS_ADMIN_LISTEN", &*admin),
            ("HCS_REDIS_URL", redis.url()),
            ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY),
            ("HCS_DRAIN_DELAY", &*delay),
            ("HCS_DRAIN_TIMEOUT", &*timeout),
            ("HCS_LOG_FORMAT", "json"),
        ];
        ServiceProcess::start(emulator, &[&own, settings].concat()).await
    }
}

/// A port that this process owns and does not listen on, so that another one can.
fn hold(address: SocketAddr) -> (SocketAddr, TcpSocket) {
    try_hold(address).unwrap()
}

fn try_hold(address: SocketAddr) -> io::Result<(SocketAddr, TcpSocket)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok((socket.local_addr()?, socket))
}

/// The result of the readiness probe.
pub(super) async fn is_serving(admin: SocketAddr) -> bool {
    let endpoint = Channel::from_shared(format!("http://{admin}")).unwrap();
    let Ok(channel) = endpoint.connect().await else { return false };
    let question = HealthCheckRequest { service: SERVICE_NAME.to_owned() };
    let response = HealthClient::new(channel).check(question).await;
    response.is_ok_and(|response| response.get_ref().status == ServingStatus::Serving as i32)
}

/// Waits for the exit of a stopped process, which must come before Kubernetes would kill it, with nothing
/// left undone.
pub(super) async fn end(process: Process, stopped_at: Instant) -> Output {
    let (status, output) = process.wait().await;
    assert!(stopped_at.elapsed() < DRAIN_DELAY + DRAIN_TIMEOUT, "{:?}", stopped_at.elapsed());
    assert_eq!(status.code(), Some(0), "{output:?}");
    assert_eq!(output.stderr(), "");
    output
}

/// The codes of the calls that a process has completed.
pub(super) fn completed(output: &Output) -> Vec<String> {
    let lines = output.log_lines().into_iter().filter(|line| line["message"] == "call");
    let own = lines.filter(|line| {
        line["span"]["method"].as_str().is_some_and(|method| method.starts_with(&format!("/{SERVICE_NAME}/")))
    });
    own.map(|line| line["code"].as_str().unwrap_or("none").to_owned()).collect()
}

/// Signals a process to stop.
pub(super) fn stop(process: &Process) -> Instant {
    process.signal(Signal::TERM);
    Instant::now()
}
