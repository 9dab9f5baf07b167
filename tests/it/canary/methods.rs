//! Every method, over a Flow Service that returns the credentials of a connection in full.

use hubspot_connection_service::{
    emulator::Emulator,
    proto::{self, CreateHubSpotConnectionRequest, Verification},
};
use serde_json::{Value, json};
use tonic::{Code, Response, Status};
use uuid::Uuid;

use super::{
    FORMATS, assert_sent,
    evidence::{ADOBE_SECRET, CREDENTIALS, OTHER_CREDENTIALS, Observed, creation, credentials},
    malformed, start_canary_emulator, tokens, verbose,
};
use crate::support::{ServiceProcess, inject};

/// Removes the one credential that is shown on purpose.
fn shown(connection: &mut proto::HubSpotConnection) {
    let client_id = std::mem::take(&mut connection.client_id);
    assert!([CREDENTIALS[0], OTHER_CREDENTIALS[0]].contains(&&*client_id), "{client_id}");
    assert!(connection.client_secret_set && connection.access_token_set && connection.refresh_token_set);
}

/// The code of a result.
fn code<T>(response: &Result<T, Status>) -> Code {
    response.as_ref().map_or_else(Status::code, |_| Code::Ok)
}

/// A client that calls every method and records the responses.
struct Caller {
    observed: Observed,
    what: String,
}

impl Caller {
    /// A client of a new service.
    async fn start(emulator: &Emulator, format: &str, settings: &[(&str, &str)]) -> Self {
        let service = ServiceProcess::start(emulator, &verbose(format, settings)).await;
        Self { observed: Observed::new(service).await, what: String::new() }
    }

    fn note<T: std::fmt::Debug>(&mut self, method: &str, response: Result<Response<T>, Status>) -> Code {
        let what = format!("{method} with {}", self.what);
        code(&self.observed.note(&what, response))
    }

    async fn get(&mut self, id: &str) -> Code {
        let request = proto::GetHubSpotConnectionRequest { id: id.to_owned(), sandbox_name: String::new() };
        let mut response = self.observed.client().get_hub_spot_connection(request).await;
        if let Ok(response) = &mut response {
            response.get_mut().connection.iter_mut().for_each(shown);
        }
        self.note("get", response)
    }

    async fn list(&mut self, request: proto::ListHubSpotConnectionsRequest) -> Code {
        let mut response = self.observed.client().list_hub_spot_connections(request).await;
        if let Ok(response) = &mut response {
            response.get_mut().connections.iter_mut().for_each(shown);
        }
        self.note("list", response)
    }

    async fn list_all(&mut self) -> Code {
        self.list(proto::ListHubSpotConnectionsRequest::default()).await
    }

    async fn update(&mut self, request: proto::UpdateHubSpotConnectionRequest) -> Code {
        let response = self.observed.client().update_hub_spot_connection(request).await;
        self.note("update", response)
    }

    async fn delete(&mut self, id: &str) -> Code {
        let request = proto::DeleteHubSpotConnectionRequest { id: id.to_owned(), ..Default::default() };
        let response = self.observed.client().delete_hub_spot_connection(request).await;
        self.note("delete", response)
    }

    async fn test(&mut self, id: &str) -> Code {
        let request = proto::TestHubSpotConnectionRequest { id: id.to_owned(), sandbox_name: String::new() };
        let response = self.observed.client().test_hub_spot_connection(request).await;
        self.note("test", response)
    }

    async fn tables(&mut self, id: &str) -> Code {
        let request = proto::ListHubSpotTablesRequest { id: id.to_owned(), sandbox_name: String::new() };
        let response = self.observed.client().list_hub_spot_tables(request).await;
        self.note("tables", response)
    }

    async fn table(&mut self, id: &str, table: &str) -> Code {
        let request = proto::GetHubSpotTableRequest {
            id: id.to_owned(),
            table: table.to_owned(),
            sandbox_name: String::new(),
        };
        let response = self.observed.client().get_hub_spot_table(request).await;
        self.note("table", response)
    }

    async fn create(&mut self, request: CreateHubSpotConnectionRequest) -> Code {
        let response = self.observed.client().create_hub_spot_connection(request).await;
        self.note("create", response)
    }

    /// The code of each method that needs only a connection and does not change it.
    async fn reads(&mut self, id: &str) -> [Code; 7] {
        let count = proto::ListHubSpotConnectionsRequest { count_only: true, ..Default::default() };
        [
            self.get(id).await,
            self.list_all().await,
            self.list(count).await,
            self.test(id).await,
            self.tables(id).await,
            self.table(id, "Hubspot.Contacts").await,
            self.create(CreateHubSpotConnectionRequest { validate_only: true, ..creation() }).await,
        ]
    }

    fn now(&mut self, what: impl Into<String>) -> &mut Self {
        self.what = what.into();
        self
    }
}

/// Replaces the credentials of a connection.
fn rotation(id: &str) -> proto::UpdateHubSpotConnectionRequest {
    proto::UpdateHubSpotConnectionRequest {
        id: id.to_owned(),
        credentials: Some(credentials(OTHER_CREDENTIALS)),
        ..proto::UpdateHubSpotConnectionRequest::default()
    }
}

fn verified(verification: Verification) -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest { verification: verification.into(), ..creation() }
}

fn set(emulator: &Emulator, settings: Value) {
    emulator.settings(serde_json::from_value(settings).unwrap());
}

/// Fails unless the Flow Service has returned credentials and received the other ones.
fn assert_returned(emulator: &Emulator, id: &str) {
    let received = emulator.received();
    assert_sent(received.iter().map(|request| &request.body));
    let path = format!("/connections/{id}");
    assert!(received.iter().any(|r| r.method == "GET" && r.path.ends_with(&path)), "it was never read");
    let other = serde_json::to_string(OTHER_CREDENTIALS[3]).unwrap();
    let is_rotation = |body: &[u8]| body.windows(other.len()).any(|part| part == other.as_bytes());
    assert!(received.iter().any(|r| r.method == "PATCH" && is_rotation(&r.body)), "they were never replaced");
}

fn all_secrets(emulator: &Emulator) -> Vec<String> {
    let known = CREDENTIALS.into_iter().chain(OTHER_CREDENTIALS).chain([ADOBE_SECRET]);
    known.map(str::to_owned).chain(tokens(&emulator.received())).collect()
}

#[tokio::test]
async fn no_method_leaks_credentials_that_the_flow_service_returns() {
    for format in FORMATS {
        let emulator = start_canary_emulator().await;
        let mut caller = Caller::start(&emulator, format, &[]).await;
        let id = caller.observed.create("a success").await.unwrap().id;

        assert_eq!(caller.now("success").reads(&id).await, [Code::Ok; 7]);
        assert_eq!(caller.update(rotation(&id)).await, Code::Ok);
        assert_eq!(caller.now("new credentials").reads(&id).await, [Code::Ok; 7]);

        caller.now("an old etag");
        let outdated = proto::UpdateHubSpotConnectionRequest { etag: "\"old\"".to_owned(), ..rotation(&id) };
        assert_eq!(caller.update(outdated).await, Code::Aborted);
        caller.now("an unknown table");
        assert_eq!(caller.table(&id, "Hubspot.Tickets").await, Code::NotFound);

        caller.now("an unknown connection");
        assert_eq!(caller.get("unknown").await, Code::NotFound);
        assert_eq!(caller.update(rotation("unknown")).await, Code::NotFound);
        assert_eq!(caller.test("unknown").await, Code::NotFound);
        assert_eq!(caller.tables("unknown").await, Code::NotFound);
        assert_eq!(caller.delete("unknown").await, Code::NotFound);

        caller.now("a flow that uses it");
        set(&emulator, json!({"flows": {id.as_str(): ["84224def-1e2a-4d95-9ea2-132d697ed2aa"]}}));
        assert_eq!(caller.delete(&id).await, Code::FailedPrecondition);

        caller.now("a state that does not allow it");
        assert!(emulator.set_state(&id, "delete-finalizing"));
        assert_eq!(caller.update(rotation(&id)).await, Code::FailedPrecondition);
        assert_eq!(caller.test(&id).await, Code::Ok);
        assert!(emulator.set_state(&id, "enabled"));

        caller.now("drift");
        set(&emulator, json!({"auth_spec": []}));
        // The cached specification is still fresh.
        assert_eq!(caller.reads(&id).await, [Code::Ok; 7]);
        set(&emulator, json!({}));
        assert_eq!(caller.now("success").delete(&id).await, Code::Ok);

        assert_returned(&emulator, &id);
        caller.observed.end_without(all_secrets(&emulator)).await;
    }
}

#[tokio::test]
async fn no_verification_leaks_credentials() {
    for format in FORMATS {
        let emulator = start_canary_emulator().await;
        let mut caller = Caller::start(&emulator, format, &[]).await;

        let with_id = |verification| CreateHubSpotConnectionRequest {
            request_id: Uuid::new_v4().to_string(),
            ..verified(verification)
        };
        for verification in [Verification::Report, Verification::Require] {
            let request = with_id(verification);
            for what in ["success", "a replay"] {
                assert_eq!(caller.now(what).create(request.clone()).await, Code::Ok);
            }
            let other = CreateHubSpotConnectionRequest {
                credentials: Some(credentials(OTHER_CREDENTIALS)),
                ..request
            };
            assert_eq!(caller.now("other credentials").create(other).await, Code::InvalidArgument);
        }

        set(&emulator, json!({"test_result": false}));
        caller.now("a test that fails");
        assert_eq!(caller.create(with_id(Verification::Report)).await, Code::Ok);
        let request = with_id(Verification::Require);
        for what in ["a test that fails", "a replay of it"] {
            assert_eq!(caller.now(what).create(request.clone()).await, Code::FailedPrecondition);
        }
        caller.now("a deletion that fails");
        let failing = json!([{"route": "DELETE /connections/{id}", "count": 4, "action": {"status": 500}}]);
        inject(&emulator, failing);
        assert_eq!(caller.create(with_id(Verification::Require)).await, Code::FailedPrecondition);

        caller.now("a test that cannot be made");
        for action in [json!({"status": 503}), json!({"status": 200, "shape": "cut", "commit": true})] {
            for route in ["GET /connections/{id}/test", "GET /connections/{id}"] {
                inject(&emulator, json!([{"route": route, "count": 0, "action": action}]));
                assert_eq!(caller.create(verified(Verification::Require)).await, Code::Unknown, "{route}");
                assert_eq!(caller.create(verified(Verification::Report)).await, Code::Ok, "{route}");
            }
        }
        let received = emulator.received();
        assert_sent(received.iter().map(|request| &request.body));
        caller.observed.end_without(all_secrets(&emulator)).await;
    }
}

#[tokio::test]
async fn no_failure_of_the_flow_service_makes_a_method_leak_credentials() {
    for format in FORMATS {
        let emulator = start_canary_emulator().await;
        let mut caller = Caller::start(&emulator, format, &[]).await;
        let id = caller.observed.create("a success").await.unwrap().id;

        for action in [
            json!({"status": 400, "shape": "A"}),
            json!({"status": 403, "shape": "D"}),
            json!({"status": 404, "shape": "B"}),
            json!({"status": 500, "shape": "html"}),
            json!({"status": 200, "shape": "html"}),
            // The first half of the route's own response, with credentials.
            json!({"status": 200, "shape": "cut", "commit": true}),
            json!({"status": 500, "shape": "cut", "commit": true}),
            json!({"close": "after_commit"}),
        ] {
            for route in [
                "GET /connections",
                "GET /connections/{id}",
                "PATCH /connections/{id}",
                "GET /connections/{id}/test",
                "GET /connections/{id}/explore",
                "GET /connectionSpecs/{id}",
            ] {
                caller.now(format!("{action} of {route}"));
                inject(&emulator, json!([{"route": route, "action": action}]));
                caller.reads(&id).await;
                caller.update(rotation(&id)).await;
            }
            caller.now(format!("{action} of a deletion"));
            let another = caller.observed.create("another one").await.unwrap().id;
            inject(&emulator, json!([{"route": "DELETE /connections/{id}", "action": action}]));
            caller.delete(&another).await;
        }
        assert_returned(&emulator, &id);
        caller.observed.end_without(all_secrets(&emulator)).await;
    }
}

#[tokio::test]
async fn no_exceeded_deadline_leaks_credentials() {
    for format in FORMATS {
        let emulator = start_canary_emulator().await;
        let mut other = Caller::start(&emulator, format, &[]).await.observed;
        let id = other.create("a success").await.unwrap().id;
        let mut caller = Caller::start(&emulator, format, &[("HCS_REQUEST_TIMEOUT", "700ms")]).await;
        caller.now("a deadline");
        let slow = ["POST /connections", "GET /connections", "GET /connections/{id}"]
            .map(|route| json!({"route": route, "count": 0, "action": {"delay": "2s"}}));
        inject(&emulator, json!(slow));
        let late = Code::DeadlineExceeded;
        // The last one is a dry run, which reports it as a check.
        assert_eq!(caller.reads(&id).await, [late, late, late, late, late, late, Code::Ok]);
        assert_eq!(caller.update(rotation(&id)).await, Code::DeadlineExceeded);
        assert_eq!(caller.delete(&id).await, Code::DeadlineExceeded);
        assert_eq!(caller.create(verified(Verification::Require)).await, Code::DeadlineExceeded);

        let slow = ["PATCH /connections/{id}", "GET /connections/{id}/test"]
            .map(|route| json!({"route": route, "count": 0, "action": {"delay": "2s"}}));
        inject(&emulator, json!(slow));
        assert_eq!(caller.update(rotation(&id)).await, Code::DeadlineExceeded);
        assert_eq!(caller.test(&id).await, Code::DeadlineExceeded);

        let secrets = all_secrets(&emulator);
        caller.observed.end_without(&secrets).await;
        other.end_without(&secrets).await;
    }
}

#[tokio::test]
async fn credentials_in_the_wrong_field_are_not_echoed() {
    for format in FORMATS {
        let emulator = start_canary_emulator().await;
        let mut caller = Caller::start(&emulator, format, &[]).await;
        let id = caller.observed.create("a success").await.unwrap().id;
        caller.now("credentials as something else");
        let secret = || CREDENTIALS[1].to_owned();

        assert_eq!(caller.get(CREDENTIALS[1]).await, Code::InvalidArgument);
        assert_eq!(caller.test(CREDENTIALS[1]).await, Code::InvalidArgument);
        assert_eq!(caller.delete(CREDENTIALS[1]).await, Code::InvalidArgument);
        assert_eq!(caller.table(&id, &format!("{}\n", secret())).await, Code::InvalidArgument);
        let base = proto::ListHubSpotConnectionsRequest::default;
        for request in [
            proto::ListHubSpotConnectionsRequest { page_token: secret(), ..base() },
            proto::ListHubSpotConnectionsRequest { sandbox_name: secret(), ..base() },
        ] {
            assert_eq!(caller.list(request).await, Code::InvalidArgument);
        }
        assert_eq!(
            caller.list(proto::ListHubSpotConnectionsRequest { name: secret(), ..base() }).await,
            Code::Ok
        );
        caller.update(proto::UpdateHubSpotConnectionRequest { etag: secret(), ..rotation(&id) }).await;
        for variant in 0..9 {
            caller.now("malformed credentials");
            let values = CREDENTIALS.map(|secret| malformed(secret)[variant].clone());
            let request = proto::UpdateHubSpotConnectionRequest {
                credentials: Some(credentials(values.each_ref().map(|value| &**value))),
                ..rotation(&id)
            };
            assert_eq!(caller.update(request).await, Code::InvalidArgument, "variant {variant}");
        }
        caller.observed.end_without(all_secrets(&emulator)).await;
    }
}
