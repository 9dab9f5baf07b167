//! A Redis that keeps its data, and the network before it.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use super::replica::Ports;
use crate::{
    store::redis_server::{RedisServer, Setup},
    support::Signal,
};

/// How Redis goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Away {
    /// Its process is killed, and another one starts at the same port with its file.
    Killed,
    /// Its process is stopped, and continues.
    Frozen,
    /// The network drops every packet, as before a pod that has moved: connections are not closed, and new ones are not
    /// accepted.
    Unreachable,
}

pub(super) struct Store {
    server: RedisServer,
    ports: Ports,
    /// The address of the network before it.
    relayed: SocketAddr,
    is_reachable: watch::Sender<bool>,
    _relay: AbortOnDropHandle<()>,
}

impl Store {
    /// `None` where there is no Redis and none is required.
    pub(super) async fn start() -> Option<Self> {
        let ports = Ports::hold();
        let (port, bind) = (ports.grpc.port().to_string(), ports.grpc.ip().to_string());
        let arguments = ["--port", &port, "--bind", &bind, "--appendonly", "yes"].map(str::to_owned).into();
        let server = RedisServer::with(Setup { arguments, ..Setup::default() }).await?;
        let is_reachable = watch::Sender::new(true);
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        // Connections beyond this wait for an answer, as long as none is accepted.
        let listener = socket.listen(1).unwrap();
        let relayed = listener.local_addr().unwrap();
        let relay = tokio::spawn(relay(listener, ports.grpc, is_reachable.subscribe()));
        let relay = AbortOnDropHandle::new(relay);
        Some(Self { server, ports, relayed, is_reachable, _relay: relay })
    }

    /// Its URL for a service from which it will go away in this way.
    pub(super) fn url(&self, away: Away) -> String {
        let address = if away == Away::Unreachable { self.relayed } else { self.ports.grpc };
        format!("redis://{address}")
    }

    pub(super) async fn goes(&mut self, away: Away) {
        match away {
            Away::Killed => self.server.kill().await,
            Away::Frozen => self.server.signal(Signal::STOP),
            Away::Unreachable => drop(self.is_reachable.send_replace(false)),
        }
    }

    pub(super) async fn is_back(&mut self, away: Away) {
        match away {
            Away::Killed => self.server.run().await.unwrap(),
            Away::Frozen => self.server.signal(Signal::CONT),
            Away::Unreachable => drop(self.is_reachable.send_replace(true)),
        }
    }
}

async fn relay(listener: TcpListener, redis: SocketAddr, mut is_reachable: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    // Those that were open in an outage: nothing closes them.
    let dead = Arc::new(std::sync::Mutex::new(Vec::new()));
    while is_reachable.wait_for(|is| *is).await.is_ok() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = is_reachable.wait_for(|is| !*is) => continue,
        };
        let Ok((mut caller, _)) = accepted else { continue };
        let (mut is_reachable, dead) = (is_reachable.clone(), Arc::clone(&dead));
        connections.spawn(async move {
            // Without a server the caller sees a closed connection.
            let Ok(mut server) = TcpStream::connect(redis).await else { return };
            caller.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let is_dead = tokio::select! {
                _ = copy_bidirectional(&mut caller, &mut server) => false,
                _ = is_reachable.wait_for(|is| !*is) => true,
            };
            if is_dead {
                dead.lock().unwrap().push((caller, server));
            }
        });
    }
}
