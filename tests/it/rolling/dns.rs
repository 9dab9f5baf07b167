//! A DNS server for one name, like that of a headless Service: the addresses of the pods that are ready and do not stop.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

const HEADER: usize = 12;
/// A response without an error, to a question that asks for recursion.
const FLAGS: [u8; 2] = [0x81, 0x80];
const TYPE_A: [u8; 2] = [0, 1];
const CLASS_IN: [u8; 2] = [0, 1];
/// The name of the question.
const SAME_NAME: [u8; 2] = [0xc0, HEADER as u8];

pub(super) struct Dns {
    address: SocketAddr,
    ready: Arc<Mutex<BTreeSet<Ipv4Addr>>>,
    _server: AbortOnDropHandle<()>,
}

impl Dns {
    pub(super) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let ready = Arc::<Mutex<BTreeSet<Ipv4Addr>>>::default();
        let known = Arc::clone(&ready);
        let server = tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let response = response(&buffer[..length], &known.lock().unwrap());
                socket.send_to(&response, from).await.unwrap();
            }
        });
        Self { address, ready, _server: AbortOnDropHandle::new(server) }
    }

    /// The target of a gRPC client for this port of every replica.
    pub(super) fn target(&self, port: u16) -> String {
        format!("dns://{}/replicas.test:{port}", self.address)
    }

    pub(super) fn add(&self, replica: SocketAddr) {
        self.ready.lock().unwrap().insert(ip(replica));
    }

    pub(super) fn remove(&self, replica: SocketAddr) {
        self.ready.lock().unwrap().remove(&ip(replica));
    }
}

fn ip(address: SocketAddr) -> Ipv4Addr {
    match address {
        SocketAddr::V4(address) => *address.ip(),
        SocketAddr::V6(address) => panic!("{address}"),
    }
}

/// The response to a query with one question: the addresses if it asks for them, nothing for anything else.
fn response(query: &[u8], addresses: &BTreeSet<Ipv4Addr>) -> Vec<u8> {
    let name = query[HEADER..].iter().position(|byte| *byte == 0).unwrap();
    let question = &query[HEADER..HEADER + name + 5];
    let asks_for_addresses = question[name + 1..name + 3] == TYPE_A;
    let addresses: Vec<_> = addresses.iter().filter(|_| asks_for_addresses).collect();
    let count = u8::try_from(addresses.len()).unwrap();
    let mut response = [&query[..2], &FLAGS, &[0, 1, 0, count, 0, 0, 0, 0], question].concat();
    for address in addresses {
        // May not be cached.
        let (seconds, length) = ([0; 4], [0, 4]);
        response.extend([&SAME_NAME[..], &TYPE_A, &CLASS_IN, &seconds, &length, &address.octets()].concat());
    }
    response
}
