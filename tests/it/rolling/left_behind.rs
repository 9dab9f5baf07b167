//! A creation that a replica has not finished at the end of its drain is left to another replica.

use std::time::Duration;

use hubspot_connection_service::emulator::{Action, Fault, Options};
use tokio::time::interval;

use super::replica::{Ports, stop};
use crate::{
    chaos::redis::SharedRedis,
    support::{Failure, in_time, request_with_id, start_emulator, until},
};

/// The duration of the creation upstream: longer than any drain.
const FOR_EVER: Duration = Duration::from_secs(600);
/// The time that Kubernetes gives a pod beyond the drain, with the default delay.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_creation_that_outlasts_the_drain_is_finished_by_another_replica() {
    let Some(redis) = SharedRedis::start().await else { return };
    let emulator = start_emulator(Options::default()).await;
    let (one, other) = (Ports::hold(), Ports::hold());
    let one = one.start(&emulator, &redis, &[("HCS_DRAIN_TIMEOUT", "500ms")]).await;
    let other = other.start(&emulator, &redis, &[]).await;
    emulator.inject(vec![Fault::once("POST /connections", Action::Delay(FOR_EVER))]);

    let request = request_with_id();
    let (mut client, sent) = (one.client().await, request.clone());
    let call = tokio::spawn(async move { client.create_hub_spot_connection(sent).await });
    until("the creation", || !emulator.connections().is_empty()).await;
    let stopped_at = stop(&one.process);
    let (status, output) = one.process.wait().await;
    assert!(stopped_at.elapsed() < GRACE, "{:?}", stopped_at.elapsed());
    assert_eq!(status.code(), Some(1), "{output:?}");
    call.await.unwrap().unwrap_err();

    // The creation counts as running until its lease has ended, and then it is searched for.
    let mut client = other.client().await;
    let mut ticks = interval(Duration::from_millis(200));
    let response = in_time("the connection", async {
        loop {
            ticks.tick().await;
            match client.create_hub_spot_connection(request.clone()).await {
                Ok(response) => return response.into_inner(),
                Err(status) => assert_eq!(Failure::from(status).reason, "REQUEST_IN_PROGRESS"),
            }
        }
    })
    .await;
    let connections = emulator.connections();
    assert_eq!((connections.len(), &connections[0].id), (1, &response.id));
    assert_eq!(
        emulator
            .received()
            .iter()
            .filter(|sent| sent.method == http::Method::POST && sent.path.ends_with("/connections"))
            .count(),
        1
    );
}
