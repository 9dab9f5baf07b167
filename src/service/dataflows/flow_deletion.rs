//! Deleting a flow, and waiting until it is gone.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    adobe::{CallError, Platform, Refusal},
    backoff::Backoff,
    domain::{
        UpstreamWait,
        dataflow::{DataflowRef, DataflowState},
    },
};

/// The pause between two reads of a flow.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2), 0.0);
/// How long a flow is read that shows no change after a lost reply, or does not show yet.
const UNCHANGED: Duration = Duration::from_secs(10);

/// Why a flow is not known to be gone.
#[derive(Debug)]
pub(super) enum NotGone {
    /// It is there: its state does not allow the deletion.
    State { state: Option<DataflowState>, error: CallError },
    /// It is there.
    NotDeleted(CallError),
    /// It may be deleted, and may also be there.
    Unknown(CallError),
}

/// Whether Adobe finds a flow that exists.
#[derive(Clone, Copy, Debug)]
pub(super) enum Visible {
    /// In this state, if it is known.
    Certainly(Option<DataflowState>),
    /// It may be too new: that it is not found does not mean that it is gone.
    Perhaps,
}

/// Deletes a flow, and waits until it is gone.
///
/// # Errors
/// [`NotGone`].
pub(super) async fn delete_flow<P: Platform>(
    platform: &P,
    at: &DataflowRef,
    visible: Visible,
    deadline: Instant,
) -> Result<(), NotGone> {
    let state = match visible {
        Visible::Perhaps => await_visible(platform, at, deadline).await?,
        Visible::Certainly(state) => state,
    };
    let lost = match state {
        Some(DataflowState::Deleting) => None,
        Some(_) | None => begin(platform, at, deadline).await?,
    };
    await_end(platform, at, lost, deadline).await
}

/// Waits until a flow is found, and returns its state.
async fn await_visible<P: Platform>(
    platform: &P,
    at: &DataflowRef,
    deadline: Instant,
) -> Result<Option<DataflowState>, NotGone> {
    let give_up = deadline.min(Instant::now() + UNCHANGED);
    let mut reads = 0;
    loop {
        if let Some(state) = state_of(platform, at, deadline).await.map_err(NotGone::NotDeleted)? {
            return Ok(state);
        }
        reads += 1;
        let pause = PAUSES.pause(reads);
        if Instant::now() + pause >= give_up {
            return Err(NotGone::Unknown(unavailable(format!("the flow {} is not found yet", at.id))));
        }
        UpstreamWait::pause(pause).await;
    }
}

/// Begins the deletion, and returns the error if the reply was lost.
async fn begin<P: Platform>(
    platform: &P,
    at: &DataflowRef,
    deadline: Instant,
) -> Result<Option<CallError>, NotGone> {
    let Err(error) = platform.delete_flow(at, deadline).await else { return Ok(None) };
    match error.refusal() {
        Some(Refusal::NotFound) => Ok(None),
        // It may be the state of being deleted.
        Some(Refusal::State) => match state_of(platform, at, deadline).await {
            Ok(None | Some(Some(DataflowState::Deleting))) => Ok(None),
            Ok(Some(state)) => Err(NotGone::State { state, error }),
            Err(error) => Err(NotGone::NotDeleted(error)),
        },
        Some(_) | None if error.may_have_arrived() => Ok(Some(error)),
        Some(_) | None => Err(NotGone::NotDeleted(error)),
    }
}

/// Waits until the flow is gone. After a lost reply it has to show some change.
async fn await_end<P: Platform>(
    platform: &P,
    at: &DataflowRef,
    mut lost: Option<CallError>,
    deadline: Instant,
) -> Result<(), NotGone> {
    let give_up = Instant::now() + UNCHANGED;
    let mut reads = 0;
    loop {
        match state_of(platform, at, deadline).await {
            Ok(None) => return Ok(()),
            Ok(Some(Some(DataflowState::Deleting))) => lost = None,
            Ok(Some(_)) => {}
            Err(error) => return Err(NotGone::Unknown(lost.unwrap_or(error))),
        }
        reads += 1;
        let pause = PAUSES.pause(reads);
        match lost {
            Some(error) if Instant::now() >= give_up => return Err(NotGone::Unknown(error)),
            _ if Instant::now() + pause >= deadline => {
                let still_there = || unavailable(format!("the flow {} is still being deleted", at.id));
                return Err(NotGone::Unknown(lost.unwrap_or_else(still_there)));
            }
            _ => UpstreamWait::pause(pause).await,
        }
    }
}

/// The state of a flow; `None` where there is no such flow.
async fn state_of<P: Platform>(
    platform: &P,
    at: &DataflowRef,
    deadline: Instant,
) -> Result<Option<Option<DataflowState>>, CallError> {
    Ok(platform.get_flow(at, deadline).await?.map(|flow| flow.state))
}

fn unavailable(cause: String) -> CallError {
    CallError::Unavailable { retry_after: None, problem: None, cause: cause.into() }
}
