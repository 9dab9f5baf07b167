//! Creates a connection, whatever fails in between, and then shows how to read an error.
//!
//! ```sh
//! cargo run -- ADDRESS
//! ```
//!
//! `CA_FILE` is an authority in PEM: with it the connection uses TLS. `TOKEN_FILE` has a bearer token; it is read for
//! each call, because it can be replaced. `REQUEST_ID` resumes an earlier creation.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program of the command line")]

use std::{env, error::Error, fs, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep};
use tonic::{
    Code, Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use hubspot_connection::{
    CreateHubSpotConnectionRequest, CreateHubSpotConnectionResponse, HubSpotCredentials,
    hub_spot_connection_service_client::HubSpotConnectionServiceClient,
};

#[allow(
    dead_code,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
mod hubspot_connection {
    tonic::include_proto!("hubspot_connection.v1");

    // The generated code ignores debug_redact: build.rs leaves Debug out, so that no log has a secret.
    impl std::fmt::Debug for HubSpotCredentials {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("HubSpotCredentials(..)")
        }
    }
}

/// How long a creation may take with all its retries, and how long one attempt.
const PATIENCE: Duration = Duration::from_secs(300);
const TIMEOUT: Duration = Duration::from_secs(75);

type Client = HubSpotConnectionServiceClient<InterceptedService<Channel, BearerToken>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).ok_or("usage: cargo run -- ADDRESS")?;
    let mut client = connect(&address)?;

    // Print it, or store it, before the first attempt: a caller that has it can finish the creation.
    let request_id = env::var("REQUEST_ID").unwrap_or_else(|_| Uuid::new_v4().to_string());
    println!("request_id {request_id}");
    let request = CreateHubSpotConnectionRequest {
        request_id: request_id.clone(),
        name: "connection for HubSpot".to_owned(),
        credentials: Some(HubSpotCredentials {
            client_id: "demo-hubspot-client".to_owned(),
            client_secret: "demo-hubspot-secret".to_owned(),
            access_token: "demo-hubspot-access-token".to_owned(),
            refresh_token: "demo-hubspot-refresh-token".to_owned(),
        }),
        ..CreateHubSpotConnectionRequest::default()
    };
    match create(&mut client, &request).await {
        Ok(created) => {
            println!("id {}", created.id);
            println!("etag {}", created.etag);
            println!("replayed {}", created.replayed);
        }
        Err(status) => {
            explain(&status);
            return Err(format!("to resume: REQUEST_ID={request_id}").into());
        }
    }

    // Two errors to look at: the same request id for something else, and invalid fields.
    for wrong in ["something else", ""] {
        let request = CreateHubSpotConnectionRequest { name: wrong.to_owned(), ..request.clone() };
        if let Err(status) = create(&mut client, &request).await {
            explain(&status);
        }
    }
    Ok(())
}

/// tonic reads no service config: the deadline and the retries are in [`create`]. It connects to one address, and looks
/// the name up again for each connection.
fn connect(address: &str) -> Result<Client, Box<dyn Error>> {
    let endpoint = if let Some(path) = env::var_os("CA_FILE") {
        let authority = Certificate::from_pem(fs::read(path)?);
        let tls = ClientTlsConfig::new().ca_certificate(authority);
        Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?
    } else {
        Endpoint::from_shared(format!("http://{address}"))?
    };
    let token = BearerToken(env::var_os("TOKEN_FILE").map(PathBuf::from));
    if token.0.is_some() && env::var_os("CA_FILE").is_none() {
        return Err("a token is only sent over TLS: set CA_FILE".into());
    }
    Ok(HubSpotConnectionServiceClient::with_interceptor(endpoint.connect_lazy(), token))
}

/// The path of a file with a token, if there is one.
#[derive(Clone, Debug)]
struct BearerToken(Option<PathBuf>);

impl Interceptor for BearerToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(path) = &self.0 {
            let token = fs::read_to_string(path)
                .map_err(|error| Status::unauthenticated(format!("{}: {error}", path.display())))?;
            let value = format!("Bearer {}", token.trim()).parse();
            let value =
                value.map_err(|_| Status::unauthenticated("the token has other characters than a header"))?;
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// Retries with the same request id. Without one, a retry could create a second connection.
async fn create(
    client: &mut Client,
    creation: &CreateHubSpotConnectionRequest,
) -> Result<CreateHubSpotConnectionResponse, Status> {
    if creation.request_id.is_empty() {
        return Err(Status::invalid_argument("a creation needs a request id"));
    }
    let give_up = Instant::now() + PATIENCE;
    loop {
        let mut request = Request::new(creation.clone());
        request.set_timeout(TIMEOUT);
        let status = match client.create_hub_spot_connection(request).await {
            Ok(response) => return Ok(response.into_inner()),
            Err(status) => status,
        };
        match retry_delay(&status) {
            Some(delay) if Instant::now() + delay < give_up => {
                eprintln!("in {delay:?} again: {:?}: {}", status.code(), status.message());
                sleep(delay).await;
            }
            _ => return Err(status),
        }
    }
}

/// When the same call can be made again; `None` if that is pointless.
fn retry_delay(status: &Status) -> Option<Duration> {
    if let Some(info) = status.get_details_retry_info() {
        return info.retry_delay;
    }
    // The service did not answer, or not in time. An error with a source is one of tonic itself.
    let silent = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled);
    (silent || status.source().is_some()).then_some(Duration::from_secs(1))
}

fn explain(status: &Status) {
    println!("{:?}: {}", status.code(), status.message());
    if let Some(info) = status.get_details_error_info() {
        println!("reason {}", info.reason);
        for (key, value) in info.metadata {
            println!("metadata {key} {value}");
        }
    }
    if let Some(invalid) = status.get_details_bad_request() {
        for violation in invalid.field_violations {
            println!("field {} {}", violation.field, violation.description);
        }
    }
}
