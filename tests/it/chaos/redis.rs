//! A Redis server that services can reach, and its content.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use redis::{FromRedisValue, aio::MultiplexedConnection};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
    task::{JoinHandle, JoinSet},
};

use super::replies::Replies;
use crate::{
    store::redis_server::{RedisServer, Setup},
    support::listen,
};

/// A real server. Services accept no URL of a Unix socket, and Redis cannot let the kernel choose its
/// port: each connection to a port of this process is forwarded to the server's socket.
pub(crate) struct SharedRedis {
    server: RedisServer,
    url: String,
    relay: JoinHandle<()>,
}

impl SharedRedis {
    /// `None` where there is no Redis and none is required.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// The same with these arguments of the server.
    pub(crate) async fn start_with(arguments: &[&str]) -> Option<Self> {
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        Self::with(Setup { arguments, ..Setup::default() }, None).await
    }

    /// The same with a server that is run in this way, some of whose replies are lost or late.
    pub(super) async fn with(setup: Setup, replies: Option<Arc<Replies>>) -> Option<Self> {
        let server = RedisServer::with(setup).await?;
        let listener = listen().await;
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let socket = server.socket();
        let relay = tokio::spawn(async move { relay(&listener, &socket, replies).await });
        Some(Self { server, url, relay })
    }

    /// The server, to be killed and started again.
    pub(crate) fn server(&mut self) -> &mut RedisServer {
        &mut self.server
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn run(&self, words: &[&str]) {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).exec_async(&mut self.server.connection().await).await.unwrap();
    }

    /// Every key with its value: the fields of a hash one after the other.
    pub(crate) async fn dump(&self) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
        let mut connection = self.server.connection().await;
        let connection = &mut connection;
        let mut dump = BTreeMap::new();
        let mut cursor = 0;
        loop {
            let (next, keys): (u64, Vec<Vec<u8>>) =
                ask(connection, "SCAN", &cursor.to_string().into_bytes()).await;
            for key in keys {
                let kind: String = ask(connection, "TYPE", &key).await;
                let values = match &*kind {
                    "hash" => ask(connection, "HGETALL", &key).await,
                    "string" => ask::<Option<Vec<u8>>>(connection, "GET", &key).await.into_iter().collect(),
                    // It has expired since the scan.
                    "none" => continue,
                    other => panic!("{} is a {other}", key.escape_ascii()),
                };
                dump.insert(key, values);
            }
            cursor = next;
            if cursor == 0 {
                return dump;
            }
        }
    }
}

impl Drop for SharedRedis {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

async fn ask<T: FromRedisValue>(connection: &mut MultiplexedConnection, command: &str, argument: &[u8]) -> T {
    redis::cmd(command).arg(argument).query_async(connection).await.unwrap()
}

async fn relay(listener: &TcpListener, socket: &Path, replies: Option<Arc<Replies>>) {
    let mut connections = JoinSet::new();
    while let Ok((mut caller, _)) = listener.accept().await {
        caller.set_nodelay(true).unwrap();
        // Without a server the caller sees a closed connection.
        let Ok(mut server) = UnixStream::connect(socket).await else { continue };
        match replies.clone() {
            Some(replies) => connections.spawn(async move { replies.relay(caller, server).await }),
            // Forwarding ends with an error if one of the two processes was killed.
            None => connections.spawn(async move {
                let _ = copy_bidirectional(&mut caller, &mut server).await;
            }),
        };
    }
}
