//! The endpoint where the token issuer publishes its keys: it changes, and it is down.

use std::{future::IntoFuture as _, time::Duration};

use futures_util::future::join_all;
use hubspot_connection_service::proto::hub_spot_connection_service_client::HubSpotConnectionServiceClient;
use tokio::{io::copy_bidirectional, net::TcpStream};
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Channel;

use super::{UNAUTHENTICATED, list, tokens::with_keys_at};
use crate::support::{
    Mount, TestService,
    certificates::Authority,
    counted, in_time, listen,
    tokens::{self, KeyEndpoint, TokenKey, claims},
    until, unused_port,
};

const READER: &str = "system:serviceaccount:crm:reader";

async fn start(url: &str) -> TestService {
    TestService::with(with_keys_at(url)).await
}

/// Calls until a call succeeds.
async fn until_accepted(client: &mut HubSpotConnectionServiceClient<Channel>, token: &str) {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    in_time("a successful call", async {
        while list(client, Some(token)).await.is_err() {
            ticks.tick().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_new_key_is_accepted_at_once() {
    let (old, new) = (TokenKey::rs256("old"), TokenKey::es256("new"));
    let keys = KeyEndpoint::start(listen().await, &[&old]);
    let service = start(&keys.url).await;
    let mut client = service.client().await;
    list(&mut client, Some(&old.sign(&claims(READER)))).await.unwrap();
    let before = keys.requests();
    keys.publish(Some(&[&old, &new]));
    list(&mut client, Some(&new.sign(&claims(READER)))).await.unwrap();
    list(&mut client, Some(&old.sign(&claims(READER)))).await.unwrap();
    assert_eq!(keys.requests(), before + 1);
}

/// As the API server of a cluster, whose certificate is of no public authority. No token is needed to read the keys.
#[tokio::test]
async fn the_keys_of_a_server_with_a_private_authority_are_read_if_that_is_trusted() {
    let key = TokenKey::rs256("cluster");
    let (listener, inner) = (listen().await, listen().await);
    let (port, address) = (listener.local_addr().unwrap().port(), inner.local_addr().unwrap());
    let _keys = KeyEndpoint::start(inner, &[&key]);
    let authority = Authority::new("cluster");
    let acceptor = authority.server(1).acceptor();
    let _relay = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut endpoint = TcpStream::connect(address).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut endpoint).await;
            });
        }
    }));
    let url = format!("https://localhost:{port}/openid/v1/jwks");
    let files = Mount::new(&[("ca.crt", &authority.pem)]);
    let [issuer, audience, keys, callers] = with_keys_at(&url);
    let trusted = ("HCS_UPSTREAM_CA_FILE", &*files.path("ca.crt"));
    let service = TestService::with([issuer, audience, keys, callers, trusted]).await;
    list(&mut service.client().await, Some(&key.sign(&claims(READER)))).await.unwrap();

    let service = start(&url).await;
    let mut client = service.client().await;
    service.assert_cannot_check(list(&mut client, Some(&key.sign(&claims(READER))))).await;
}

#[tokio::test]
async fn tokens_with_an_unknown_key_do_not_each_fetch_the_keys() {
    let key = TokenKey::es256("known");
    let keys = KeyEndpoint::start(listen().await, &[&key]);
    let service = start(&keys.url).await;
    let client = service.client().await;
    list(&mut client.clone(), Some(&key.sign(&claims(READER)))).await.unwrap();
    let before = keys.requests();
    let strangers: Vec<_> = ["a", "b", "c", "d"]
        .map(|id| TokenKey::es256(id).sign(&claims(READER)))
        .into_iter()
        .cycle()
        .take(200)
        .collect();
    let calls = strangers.iter().map(|token| {
        let mut client = client.clone();
        async move { list(&mut client, Some(token)).await.unwrap_err().code() }
    });
    for code in join_all(calls).await {
        assert_eq!(code, UNAUTHENTICATED.0);
    }
    assert!(keys.requests() <= before + 2, "{before} {}", keys.requests());
    assert_eq!(counted(service.admin, &super::refused("unknown_key")).await, 200);
}

#[tokio::test]
async fn cancelled_calls_do_not_each_fetch_the_keys() {
    let key = TokenKey::es256("known");
    let keys = KeyEndpoint::start(listen().await, &[&key]);
    let service = start(&keys.url).await;
    let client = service.client().await;
    list(&mut client.clone(), Some(&key.sign(&claims(READER)))).await.unwrap();
    let before = keys.requests();
    let stranger = TokenKey::es256("unknown").sign(&claims(READER));
    for _ in 0..50 {
        let mut client = client.clone();
        // It does not matter how far each of these calls gets.
        let _ = tokio::time::timeout(Duration::from_millis(1), list(&mut client, Some(&stranger))).await;
    }
    // A call that waits is handled after the calls before it.
    list(&mut client.clone(), Some(&stranger)).await.unwrap_err();
    assert!(keys.requests() <= before + 2, "{before} {}", keys.requests());
}

#[tokio::test]
async fn known_keys_stay_valid_while_the_endpoint_is_down() {
    let (known, unknown) = (TokenKey::rs256("known"), TokenKey::es256("unknown"));
    let keys = KeyEndpoint::start(listen().await, &[&known]);
    let service = start(&keys.url).await;
    let mut client = service.client().await;
    let valid = known.sign(&claims(READER));
    list(&mut client, Some(&valid)).await.unwrap();
    keys.publish(None);
    let stranger = unknown.sign(&claims(READER));
    // Its key may be new: that the service cannot check this is not the caller's fault.
    service.assert_cannot_check(list(&mut client, Some(&stranger))).await;
    list(&mut client, Some(&valid)).await.unwrap();
    assert_eq!(counted(service.admin, "hubspot_connection_jwks_failures_total").await, 1);
    // The same where the endpoint publishes something that is not a key set.
    keys.publish(Some(&[]));
    service.assert_cannot_check(list(&mut client, Some(&stranger))).await;
    list(&mut client, Some(&valid)).await.unwrap();
    // An invalid token is still the caller's fault.
    let forged = TokenKey::rs256("known").sign(&claims(READER));
    service.assert_refuses(UNAUTHENTICATED, "token_signature", list(&mut client, Some(&forged))).await;
    service.assert_refuses(UNAUTHENTICATED, "malformed_token", list(&mut client, Some("a.b.c"))).await;
}

#[tokio::test]
async fn a_service_that_starts_before_the_endpoint_refuses_every_caller_until_then() {
    let (address, socket) = unused_port();
    let key = TokenKey::es256("key");
    let service = start(&tokens::url(address)).await;
    let mut client = service.client().await;
    let token = key.sign(&claims(READER));
    service.assert_cannot_check(list(&mut client, Some(&token))).await;
    let _keys = KeyEndpoint::start(socket.listen(16).unwrap(), &[&key]);
    until_accepted(&mut client, &token).await;
}

/// So that the first call after an outage need not wait.
#[tokio::test(start_paused = true)]
async fn the_keys_are_also_fetched_without_a_call() {
    let key = TokenKey::es256("key");
    let keys = KeyEndpoint::start(listen().await, &[&key]);
    keys.publish(None);
    let _service = start(&keys.url).await;
    until("the first attempt", || keys.requests() == 1).await;
    keys.publish(Some(&[&key]));
    until("another attempt", || keys.requests() > 1).await;
}

/// A redirect could lead to the keys of another issuer.
#[tokio::test]
async fn a_redirect_to_other_keys_is_not_followed() {
    let key = TokenKey::es256("key");
    let keys = KeyEndpoint::start(listen().await, &[&key]);
    let listener = listen().await;
    let url = tokens::url(listener.local_addr().unwrap());
    let elsewhere = axum::response::Redirect::temporary(&keys.url);
    let redirect = axum::routing::get(move || async move { elsewhere });
    let router = axum::Router::new().route("/openid/v1/jwks", redirect);
    let _serving = AbortOnDropHandle::new(tokio::spawn(axum::serve(listener, router).into_future()));
    let service = start(&url).await;
    let mut client = service.client().await;
    let token = key.sign(&claims(READER));
    service.assert_cannot_check(list(&mut client, Some(&token))).await;
    assert_eq!(keys.requests(), 0);
}
