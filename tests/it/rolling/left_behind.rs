//! What a replica has not finished when its time is over is left to another one.

use std::time::Duration;

use hubspot_connection_service::{
    emulator::{Action, Fault, Options},
    proto::CreateHubSpotConnectionRequest,
};
use tokio::time::interval;
use uuid::Uuid;

use super::replica::{Ports, tell};
use crate::{
    chaos::redis::SharedRedis,
    support::{Failure, in_time, request, start_emulator, until},
};

/// What the upstream takes for the creation: longer than any drain.
const FOR_EVER: Duration = Duration::from_secs(600);
/// What Kubernetes gives a pod beyond the drain, with the delay that it has by default.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_creation_that_outlasts_the_drain_is_brought_to_its_end_by_another_replica() {
    let Some(redis) = SharedRedis::start().await else { return };
    let emulator = start_emulator(Options::default()).await;
    let (one, other) = (Ports::hold(), Ports::hold());
    let one = one.start(&emulator, &redis, &[("HCS_DRAIN_TIMEOUT", "500ms")]).await;
    let other = other.start(&emulator, &redis, &[]).await;
    emulator.inject(vec![Fault::once("POST /connections", Action::Delay(FOR_EVER))]);

    let request = CreateHubSpotConnectionRequest { request_id: Uuid::new_v4().to_string(), ..request() };
    let (mut client, sent) = (one.client().await, request.clone());
    let call = tokio::spawn(async move { client.create_hub_spot_connection(sent).await });
    until("the creation", || !emulator.connections().is_empty()).await;
    let told = tell(&one.process);
    let (status, output) = one.process.wait().await;
    assert!(told.elapsed() < GRACE, "{:?}", told.elapsed());
    assert_eq!(status.code(), Some(1), "{output:?}");
    call.await.unwrap().unwrap_err();

    // It is known to be under way until nobody can be at it any more, and then it is looked for.
    let mut client = other.client().await;
    let mut ticks = interval(Duration::from_millis(200));
    let answer = in_time("the connection", async {
        loop {
            ticks.tick().await;
            match client.create_hub_spot_connection(request.clone()).await {
                Ok(answer) => return answer.into_inner(),
                Err(status) => assert_eq!(Failure::from(status).reason, "REQUEST_IN_PROGRESS"),
            }
        }
    })
    .await;
    let connections = emulator.connections();
    assert_eq!((connections.len(), &connections[0].id), (1, &answer.id));
    assert_eq!(
        emulator
            .received()
            .iter()
            .filter(|sent| sent.method == http::Method::POST && sent.path.ends_with("/connections"))
            .count(),
        1
    );
}
