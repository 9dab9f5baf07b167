//! The socket options of the connections to Adobe.

use std::{fs, net::SocketAddr, os::fd::OwnedFd};

use rustix::{
    net::{getpeername, sockopt::tcp_user_timeout},
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
};

use super::SECOND;
use crate::support::{TestService, request};

/// The sockets of this process that are connected to an address.
fn connected_to(address: SocketAddr) -> Vec<OwnedFd> {
    let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let numbers = fs::read_dir("/proc/self/fd").unwrap();
    let numbers = numbers.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    // Other tests close some in the meantime.
    let files = numbers.filter_map(|number| pidfd_getfd(&this, number, PidfdGetfdFlags::empty()).ok());
    let peer = |file: &OwnedFd| SocketAddr::try_from(getpeername(file).ok()??).ok();
    files.filter(|file| peer(file) == Some(address)).collect()
}

#[tokio::test]
async fn the_kernel_gives_up_a_request_no_later_than_the_service() {
    for (create_timeout, http, expected) in
        [("7s", "", 7 * SECOND), ("7s", "http2", 7 * SECOND), ("31s", "", 30 * SECOND), ("", "", 30 * SECOND)]
    {
        let service =
            TestService::with([("HCS_CREATE_TIMEOUT", create_timeout), ("HCS_UPSTREAM_HTTP", http)]).await;
        service.send(request()).await.unwrap();
        let sockets = connected_to(service.emulator.addr());
        assert!(!sockets.is_empty());
        for socket in sockets {
            let timeout = u128::from(tcp_user_timeout(socket).unwrap());
            assert_eq!(timeout, expected.as_millis(), "{create_timeout} {http}");
        }
    }
}
