//! The emulator from a client's side.

mod aepp;
mod changes;
mod control;
mod dataflows;
mod exploring;
mod faults;
mod hubspot;
mod routes;
mod siblings;

use http::{StatusCode, header};
use hubspot_connection_service::emulator::{
    Action, CLIENT_ID, DEMO_ACCESS_TOKEN, Emulator, Fault, ORG_ID, Options,
};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A client of one emulator, in one sandbox of one organization.
struct Caller {
    emulator: Emulator,
    client: Client,
    sandbox: &'static str,
    org: &'static str,
}

impl Caller {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            emulator: Emulator::start(listener, Options::default()),
            client: Client::builder().no_proxy().build().unwrap(),
            sandbox: "prod",
            org: ORG_ID,
        }
    }

    fn for_tenant(&self, org: &'static str, sandbox: &'static str) -> Self {
        Self { emulator: self.emulator.clone(), client: self.client.clone(), sandbox, org }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.emulator.base_url()))
            .bearer_auth(DEMO_ACCESS_TOKEN)
            .header("x-api-key", CLIENT_ID)
            .header("x-gw-ims-org-id", self.org)
            .header("x-sandbox-name", self.sandbox)
    }

    async fn try_send(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::Result<Response> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        request.send().await
    }

    async fn get(&self, path: &str) -> Response {
        self.try_send(Method::GET, path, None).await.unwrap()
    }

    async fn create(&self, name: &str) -> reqwest::Result<Response> {
        self.try_send(Method::POST, "/connections", Some(connection(name))).await
    }

    async fn create_all(&self, names: &[&str]) {
        for name in names {
            assert_eq!(self.create(name).await.unwrap().status(), StatusCode::CREATED);
        }
    }

    async fn control(&self, method: Method, path: &str, body: &str) -> Response {
        let url = format!("http://{}/emulator{path}", self.emulator.addr());
        self.client.request(method, url).body(body.to_owned()).send().await.unwrap()
    }

    fn inject(&self, route: &str, action: Action) {
        self.emulator.inject(vec![Fault::once(route, action)]);
    }

    fn names(&self) -> Vec<String> {
        self.emulator.connections().into_iter().map(|entry| entry.name).collect()
    }
}

fn connection(name: &str) -> Value {
    json!({
        "name": name,
        "description": "made by a test",
        "auth": {"specName": "Basic Authentication", "params": {
            "clientId": "hubspot-client",
            "clientSecret": "canary-1", "accessToken": "canary-2", "refreshToken": "canary-3",
        }},
        "connectionSpec": {"id": "cc6a4487-9e91-433e-a3a3-9cf6626c1806", "version": "1.0"},
    })
}

async fn body_of(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn listed(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}
