//! The client secret of this service at Adobe.

use std::{
    collections::BTreeSet,
    future::IntoFuture as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use hubspot_connection_service::emulator::{self, Emulator, Options, Settings};
use tokio_util::task::AbortOnDropHandle;

use super::Load;
use crate::support::{Mount, TestService, listen, request, start_emulator, until};

/// An IMS that accepts several secrets, as it does while one is replaced.
struct Ims {
    url: String,
    known: Arc<Mutex<BTreeSet<&'static str>>>,
    used: Arc<Mutex<Vec<String>>>,
    _serving: AbortOnDropHandle<std::io::Result<()>>,
}

impl Ims {
    async fn start(before: &Emulator) -> Self {
        let known = Arc::new(Mutex::new(BTreeSet::from(["old-secret", "new-secret"])));
        let used = Arc::new(Mutex::new(Vec::new()));
        let (is_known, uses, ims_url) = (Arc::clone(&known), Arc::clone(&used), before.ims_url());
        let response = move |body: Bytes| async move {
            let mut form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
            let secret = form.iter_mut().find(|(name, _)| name == "client_secret").unwrap();
            uses.lock().unwrap().push(secret.1.clone());
            if !is_known.lock().unwrap().contains(&*secret.1) {
                return (StatusCode::BAD_REQUEST, r#"{"error":"invalid_client"}"#.to_owned());
            }
            secret.1 = emulator::CLIENT_SECRET.to_owned();
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let response = client.post(ims_url).form(&form).send().await.unwrap();
            (response.status(), response.text().await.unwrap())
        };
        let listener = listen().await;
        let url = format!("http://{}{}", listener.local_addr().unwrap(), emulator::IMS_PATH);
        let router = Router::new().route(emulator::IMS_PATH, post(response));
        let serving = AbortOnDropHandle::new(tokio::spawn(axum::serve(listener, router).into_future()));
        Self { url, known, used, _serving: serving }
    }

    fn last_used(&self) -> Option<String> {
        self.used.lock().unwrap().last().cloned()
    }
}

#[tokio::test]
async fn a_new_client_secret_is_taken_from_the_file_and_no_call_fails() {
    let emulator = start_emulator(Options::default()).await;
    emulator.settings(Settings { token_ttl: Duration::from_secs(2), ..Settings::default() });
    let ims = Ims::start(&emulator).await;
    let files = Mount::new(&[("secret", "old-secret")]);
    let settings = [
        ("HCS_IMS_URL", &*ims.url),
        ("HCS_CLIENT_SECRET", ""),
        ("HCS_CLIENT_SECRET_FILE", &files.path("secret")),
    ];
    let service = TestService::against(emulator, settings).await;
    let client = service.client().await;
    let load = Load::start(move || {
        let mut client = client.clone();
        async move { drop(client.create_hub_spot_connection(request()).await.unwrap()) }
    });
    load.goes_on().await;
    assert_eq!(ims.last_used().as_deref(), Some("old-secret"));
    files.replace(&[("secret", "new-secret")]);
    until("the new secret", || ims.last_used().as_deref() == Some("new-secret")).await;
    ims.known.lock().unwrap().remove("old-secret");
    load.goes_on().await;
    // The next token uses it, too.
    let uses = ims.used.lock().unwrap().len();
    until("another token", || ims.used.lock().unwrap().len() > uses).await;
    load.goes_on().await;
    load.end().await;
    assert!(
        ims.used
            .lock()
            .unwrap()
            .iter()
            .skip_while(|secret| *secret != "new-secret")
            .all(|s| s == "new-secret")
    );
}
