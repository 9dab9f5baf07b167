//! All output of the service.

use hubspot_connection_service::proto::{
    CreateHubSpotConnectionRequest, CreateHubSpotConnectionResponse, HubSpotCredentials,
    hub_spot_connection_service_client::HubSpotConnectionServiceClient,
    hub_spot_dataflow_service_client::HubSpotDataflowServiceClient,
};
use tonic::{
    Code, Request, Status,
    metadata::{KeyAndValueRef, MetadataMap},
    transport::Channel,
};
use tonic_types::StatusExt as _;

use super::search::Search;
use crate::server::health;
use crate::support::{ServiceProcess, collector::Collector, post, request};

/// Credentials with characters that every escaping changes.
pub(super) const CREDENTIALS: [&str; 4] = [
    r#"hsid-zk3"vT9\qW/7+x=L%2F-rB5mJ8cY1nD4gH6-uE0iO2aS"#,
    r#"hscs-Xw6\"pQ8/dN+2b=K%5C-tR1vG7jM3yC9hF4-lZ0eU5oA"#,
    r#"hsat-Jg2/"nV\5yT+8=h%22-wP4kD9xB1sL6rQ3-cM7iE0uO"#,
    r#"hsrt-Bn8+=fK%4"c\H2/6-jS9zW3dT5vX1pR7-qY0aI4gU"#,
];
/// The credentials that replace them in an update.
pub(super) const OTHER_CREDENTIALS: [&str; 4] = [
    r#"hsid-Mf4"yB\2/uK+9=s%2E-zN7tQ1gX6cV-3wL8eJ5rH"#,
    r#"hscs-Dp9\"eG3/xT+5z=U%7D-vY2kR8nB4qM1-jC6aW0lS"#,
    r#"hsat-Vh7/"cX\4rN+6=q%33-gZ1yF8uK5dT2-bP9mE3iL"#,
    r#"hsrt-Ks3+=wJ%6"a\Y9/5-oB4hM7pQ2nV8gD-xU1tC6eR"#,
];
pub(super) const ADOBE_SECRET: &str = r#"p8e-Rv5+"hD\2/k=J%2B&9-wN6tX1mC8bQ3yF7-sL4gZ0"#;
pub(super) const ADOBE_TOKEN: &str = r#"eyAt.Tq7"mS\4/z=P%2F+1-cK9vH3xW6nR8dJ5.bG2yF0"#;

pub(super) fn credentials(values: [&str; 4]) -> HubSpotCredentials {
    let [client_id, client_secret, access_token, refresh_token] = values.map(str::to_owned);
    HubSpotCredentials { client_id, client_secret, access_token, refresh_token }
}

pub(super) fn creation() -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest { credentials: Some(credentials(CREDENTIALS)), ..request() }
}

/// A service, and the responses that its callers received.
pub(super) struct Observed {
    service: ServiceProcess,
    client: HubSpotConnectionServiceClient<Channel>,
    responses: Vec<(String, Vec<u8>)>,
    /// The collector of its spans.
    collector: Option<Collector>,
}

impl Observed {
    pub(super) async fn new(service: ServiceProcess) -> Self {
        let client = service.client().await;
        // A call whose line is below `info`: it shows that the log contains everything. Where IMS rejects
        // the credential, the service is not ready.
        health(service.grpc, "").await.unwrap();
        Self { service, client, responses: Vec::new(), collector: None }
    }

    /// Also checks the spans, which the service sends to this collector.
    pub(super) fn exporting_to(self, collector: Collector) -> Self {
        Self { collector: Some(collector), ..self }
    }

    /// A client for calls whose responses are passed to [`Observed::note`].
    pub(super) fn client(&self) -> HubSpotConnectionServiceClient<Channel> {
        self.client.clone()
    }

    /// The same for calls about dataflows.
    pub(super) async fn dataflows(&self) -> HubSpotDataflowServiceClient<Channel> {
        HubSpotDataflowServiceClient::new(self.service.channel().await)
    }

    /// Creates a connection with the credentials above.
    pub(super) async fn create(&mut self, what: &str) -> Result<CreateHubSpotConnectionResponse, Status> {
        self.send(what, creation()).await
    }

    pub(super) async fn send(
        &mut self,
        what: &str,
        request: impl tonic::IntoRequest<CreateHubSpotConnectionRequest>,
    ) -> Result<CreateHubSpotConnectionResponse, Status> {
        let request: Request<_> = request.into_request();
        let response = self.client.create_hub_spot_connection(request).await;
        self.note(what, response)
    }

    /// Records the response to a call.
    pub(super) fn note<T: std::fmt::Debug>(
        &mut self,
        what: &str,
        response: Result<tonic::Response<T>, Status>,
    ) -> Result<T, Status> {
        let text = match &response {
            Ok(response) => [format!("{response:?}").into_bytes(), metadata(response.metadata())].concat(),
            Err(status) => [
                format!("{status:?} {:?} ", status.get_error_details()).as_bytes(),
                status.message().as_bytes(),
                status.details(),
                &metadata(status.metadata()),
            ]
            .concat(),
        };
        self.responses.push((what.to_owned(), text));
        response.map(tonic::Response::into_inner)
    }

    /// Posts a body that no generated client would send, and records the response.
    pub(super) async fn post(&mut self, what: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Option<Code> {
        let response = post(self.service.grpc, headers, body).await;
        let code = Status::from_header_map(response.headers()).map(|status| {
            let code = status.code();
            let _ = self.note::<()>(what, Err(status));
            code
        });
        let mut text = format!("{:?}", response.headers()).into_bytes();
        text.extend(response.bytes().await.unwrap_or_default());
        self.responses.push((what.to_owned(), text));
        code
    }

    /// Stops the service, and fails if its output or a response contains any of these secrets.
    pub(super) async fn end_without<S: AsRef<str>>(self, secrets: impl IntoIterator<Item = S>) {
        let Self { service, client, responses, collector } = self;
        drop(client);
        let metrics = reqwest::get(format!("http://{}/metrics", service.admin)).await.unwrap();
        let metrics = metrics.bytes().await.unwrap();
        let (status, output) = service.stop().await;
        assert_eq!(status.code(), Some(0), "{output:?}");
        let search = Search::new(secrets.into_iter().map(|secret| secret.as_ref().to_owned()));
        search.assert_absent("the metrics", &metrics);
        if let Some(collector) = collector {
            assert!(collector.spans().len() > responses.len(), "{:#?}", collector.spans());
            search.assert_absent("the spans", &collector.bytes());
        }
        for (what, text) in responses {
            search.assert_absent(&format!("the response to {what}"), &text);
        }
        for line in output.bytes().split(|byte| *byte == b'\n') {
            search.assert_absent("the output", line);
        }
        assert!(output.stdout().contains("DEBUG"), "{output:?}");
    }

    /// Waits until the output contains this text.
    pub(super) async fn prints_text(&self, text: &str) {
        self.service.process.prints_text(text).await;
    }
}

/// Names and values; binary values are decoded.
fn metadata(metadata: &MetadataMap) -> Vec<u8> {
    let mut text = Vec::new();
    for entry in metadata.iter() {
        match entry {
            KeyAndValueRef::Ascii(key, value) => {
                text.extend_from_slice(key.as_str().as_bytes());
                text.push(b' ');
                text.extend_from_slice(value.as_bytes());
            }
            KeyAndValueRef::Binary(key, value) => {
                text.extend_from_slice(key.as_str().as_bytes());
                text.push(b' ');
                text.extend_from_slice(&value.to_bytes().unwrap());
            }
        }
        text.push(b'\n');
    }
    text
}
