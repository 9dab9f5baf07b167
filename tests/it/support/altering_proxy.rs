//! A proxy in front of the emulator that forwards everything, and alters the content of lists.

use std::{
    error::Error,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hubspot_connection_service::emulator::{BASE_PATH, Emulator};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

use super::{
    alteration::{alter, alter_description},
    service::listen,
};

/// The alterations, per hundred each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alterations {
    /// Listed connections, each in a different way whenever it is listed.
    items: u32,
    /// Descriptions of connections that are read by their ID.
    descriptions: u32,
    /// Unreadable pages, …
    cut: u32,
    /// … pages that link to themselves, …
    linked: u32,
    /// … and pages in another order.
    shuffled: u32,
}

impl Alterations {
    /// Some of all alterations of lists.
    pub(crate) const fn of_some() -> Self {
        Self { items: 50, descriptions: 0, cut: 8, linked: 5, shuffled: 30 }
    }

    /// Every connection in every list.
    pub(crate) const fn of_lists() -> Self {
        Self { items: 100, ..Self::of_some() }
    }

    /// The same, and every description elsewhere.
    pub(crate) const fn of_lists_and_descriptions() -> Self {
        Self { descriptions: 100, ..Self::of_lists() }
    }
}

/// The token of the page that links to itself.
const AGAIN: &str = "continuationToken=again";

/// The proxy, which ends when it is dropped.
pub(crate) struct AlteringProxy {
    address: SocketAddr,
    running: JoinHandle<()>,
}

struct Shared {
    client: reqwest::Client,
    upstream: String,
    seed: u64,
    random: Mutex<fastrand::Rng>,
    alterations: Alterations,
}

impl AlteringProxy {
    pub(crate) async fn start(
        emulator: &Emulator,
        mut random: fastrand::Rng,
        alterations: Alterations,
    ) -> Self {
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        // A new connection for each request: a client itself retries requests over an old one.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build().unwrap();
        let upstream = format!("http://{}", emulator.addr());
        let seed = random.u64(..);
        let shared = Arc::new(Shared { client, upstream, seed, random: Mutex::new(random), alterations });
        let running = tokio::spawn(serve(listener, shared));
        Self { address, running }
    }

    /// The base URL of the Flow Service.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}{BASE_PATH}", self.address)
    }
}

impl Drop for AlteringProxy {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let handler = service_fn(|request| Arc::clone(&shared).respond(request));
            let builder = auto::Builder::new(TokioExecutor::new());
            // Forwarding ends with an error if the other side has closed its connection.
            let _ = builder.serve_connection(TokioIo::new(stream), handler).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

impl Shared {
    /// Forwards a request. Without a complete response from upstream there is none here either, and the
    /// connection is closed.
    async fn respond(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Box<dyn Error + Send + Sync>> {
        let (parts, body) = request.into_parts();
        let is_list = parts.method == Method::GET && parts.uri.path().ends_with("/connections");
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let is_read = parts.method == Method::GET && parts.uri.path().contains("/connections/");
        let is_again = is_list && target.contains(AGAIN);
        let target = target.replace(&format!("&{AGAIN}"), "").replace(AGAIN, "");
        let upstream = self
            .client
            .request(parts.method, format!("{}{target}", self.upstream))
            .headers(end_to_end(parts.headers))
            .body(body.collect().await?.to_bytes())
            .send()
            .await?;
        let mut response = Response::builder().status(upstream.status());
        if let Some(headers) = response.headers_mut() {
            *headers = end_to_end(upstream.headers().clone());
        }
        let body = upstream.bytes().await?;
        let body = match () {
            () if is_list => self.altered(body, is_again),
            () if is_read => self.described(body),
            () => body,
        };
        Ok(response.body(Full::new(body))?)
    }

    /// A list as the proxy shows it.
    fn altered(&self, body: Bytes, is_again: bool) -> Bytes {
        let Ok(mut page) = serde_json::from_slice::<Value>(&body) else { return body };
        let Some(items) = page.get_mut("items").and_then(Value::as_array_mut) else { return body };
        for item in items.iter_mut() {
            let mut random = self.random_of(item);
            if random.u32(..100) < self.alterations.items {
                alter(item, &mut random);
            }
        }
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let mut happens = |share| random.u32(..100) < share;
        let Alterations { cut, linked, shuffled, .. } = self.alterations;
        let [is_cut, is_linked, is_shuffled] = [cut, linked, shuffled].map(&mut happens);
        if is_shuffled {
            random.shuffle(items);
        }
        if is_linked || is_again {
            page["_links"]["next"] = json!({"href": format!("/connections?{AGAIN}")});
        }
        let mut text = page.to_string();
        if is_cut {
            let half = (0..=text.len() / 2).rfind(|&at| text.is_char_boundary(at));
            text.truncate(half.unwrap_or_default());
        }
        Bytes::from(text)
    }

    /// A connection that is read by its ID, with an altered description.
    fn described(&self, body: Bytes) -> Bytes {
        let Ok(mut document) = serde_json::from_slice::<Value>(&body) else { return body };
        let Some([item]) = document.get_mut("items").and_then(Value::as_array_mut).map(Vec::as_mut_slice)
        else {
            return body;
        };
        let mut random = self.random_of(item);
        if random.u32(..100) < self.alterations.descriptions {
            alter_description(item, &mut random);
        }
        Bytes::from(document.to_string())
    }

    /// A random source for the alterations of a connection, the same each time.
    fn random_of(&self, item: &Value) -> fastrand::Rng {
        let mut hasher = DefaultHasher::new();
        (self.seed, item["id"].as_str()).hash(&mut hasher);
        fastrand::Rng::with_seed(hasher.finish())
    }
}

/// The headers except those about a connection.
pub(super) fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::CONNECTION, header::CONTENT_LENGTH, header::HOST, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hubspot_connection_service::emulator::{CLIENT_ID, DEMO_ACCESS_TOKEN, ORG_ID, Options};

    use super::*;
    use crate::support::{post_upstream, request, start_emulator};

    async fn get(client: &reqwest::Client, url: String) -> reqwest::Result<String> {
        let request = client.get(url).bearer_auth(DEMO_ACCESS_TOKEN).header("x-api-key", CLIENT_ID);
        let request = request.header("x-gw-ims-org-id", ORG_ID).header("x-sandbox-name", "prod");
        request.send().await?.text().await
    }

    #[tokio::test]
    async fn lists_are_altered_and_nothing_else() {
        let emulator = start_emulator(Options::default()).await;
        let proxy =
            AlteringProxy::start(&emulator, fastrand::Rng::with_seed(7), Alterations::of_some()).await;
        let client = &reqwest::Client::builder().no_proxy().build().unwrap();
        for _ in 0..20 {
            post_upstream(client, &emulator, &request()).await.unwrap();
        }
        let ids: BTreeSet<_> = emulator.connections().into_iter().map(|entry| entry.id).collect();
        for id in &ids {
            let [shown, own] =
                [proxy.base_url(), emulator.base_url()].map(|base| format!("{base}/connections/{id}"));
            assert_eq!(get(client, shown).await.unwrap(), get(client, own).await.unwrap());
        }

        let own = get(client, format!("{}/connections?limit=100", emulator.base_url())).await.unwrap();
        let mut kinds = BTreeSet::new();
        for _ in 0..100 {
            let shown = get(client, format!("{}/connections?limit=100", proxy.base_url())).await.unwrap();
            assert_ne!(shown, own);
            let Ok(page) = serde_json::from_str::<Value>(&shown) else {
                kinds.insert("cut");
                continue;
            };
            let items = page["items"].as_array().unwrap().iter();
            let listed: BTreeSet<_> = items.map(|item| item["id"].as_str().unwrap().to_owned()).collect();
            assert_eq!(listed, ids);
            if let Some(next) = page["_links"]["next"]["href"].as_str() {
                let (_, query) = next.split_once('?').unwrap();
                let again =
                    get(client, format!("{}/connections?{query}&limit=100", proxy.base_url())).await.unwrap();
                let again: Option<Value> = serde_json::from_str(&again).ok();
                assert!(again.is_none_or(|again| again["_links"]["next"]["href"] == next));
                kinds.insert("linked");
            }
        }
        assert_eq!(kinds, BTreeSet::from(["cut", "linked"]));
    }
}
