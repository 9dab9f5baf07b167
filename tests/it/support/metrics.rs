//! Reads `/metrics`.

use std::{net::SocketAddr, time::Duration};

use super::in_time;

/// The text of `/metrics`.
pub(crate) async fn metrics(admin: SocketAddr) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("http://{admin}/metrics")).send().await.unwrap().text().await.unwrap()
}

/// The value of a counter, or 0 before it has counted anything.
pub(crate) async fn counted(admin: SocketAddr, counter: &str) -> u64 {
    let text = metrics(admin).await;
    let value = text.lines().find_map(|line| line.strip_prefix(counter)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().unwrap())
}

/// Waits until a counter has this value.
pub(crate) async fn until_counted(admin: SocketAddr, counter: &str, value: u64) {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let what = format!("{counter} {value}");
    in_time(&what, async {
        while counted(admin, counter).await != value {
            ticks.tick().await;
        }
    })
    .await;
}
