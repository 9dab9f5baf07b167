//! A Redis server, if one is installed.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

/// A server that keeps nothing on disk and is killed when this is dropped.
pub(crate) struct Redis {
    _child: Child,
    address: SocketAddr,
}

impl Redis {
    /// `None` without a `redis-server`.
    pub(crate) async fn start(directory: &Path) -> Option<Self> {
        // Redis cannot choose a port itself: this one is free at the moment.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(directory);
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().ok()?;
        let listens = async {
            while TcpStream::connect(address).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), listens).await.expect("redis-server starts");
        Some(Self { _child: child, address })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}
