//! The use cases: pause and resume a dataflow.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Dataflows,
    error::{DataflowError, Part},
    read::failed,
};
use crate::{
    adobe::{Platform, Refusal},
    backoff::Backoff,
    domain::{
        CallProgress, Etag, Stage, UpstreamWait,
        dataflow::{DataflowRef, DataflowState},
    },
};

/// The pause between two reads of a flow that changes its state.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2), 0.0);
/// How long a flow is read that shows no change after a lost reply.
const UNCHANGED: Duration = Duration::from_secs(10);

/// The two states between which a caller can change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Paused,
    Running,
}

impl Wanted {
    fn state(self) -> DataflowState {
        match self {
            Self::Paused => DataflowState::Disabled,
            Self::Running => DataflowState::Enabled,
        }
    }

    /// The state on the way there.
    fn is_near(self, state: DataflowState) -> bool {
        match self {
            Self::Paused => state == DataflowState::Disabling,
            Self::Running => state == DataflowState::Enabling,
        }
    }
}

impl<P: Platform> Dataflows<P> {
    /// Disables a dataflow, unless it is disabled already, and returns its version.
    ///
    /// # Errors
    /// [`DataflowError`].
    pub async fn pause_hubspot_dataflow(
        &self,
        at: &DataflowRef,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Etag, DataflowError> {
        self.change(at, Wanted::Paused, deadline, call).await
    }

    /// Enables a dataflow, unless it is enabled already, and returns its version.
    ///
    /// # Errors
    /// [`DataflowError`].
    pub async fn resume_hubspot_dataflow(
        &self,
        at: &DataflowRef,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Etag, DataflowError> {
        self.change(at, Wanted::Running, deadline, call).await
    }

    async fn change(
        &self,
        at: &DataflowRef,
        wanted: Wanted,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Etag, DataflowError> {
        call.enter(Stage::Read);
        let read = self.read(at, deadline).await?.flow;
        match (read.state, read.etag) {
            (Some(state), Some(etag)) if state == wanted.state() => return Ok(etag),
            (Some(state), _) if wanted.is_near(state) => {
                return self.settled(at, wanted, None, deadline).await;
            }
            (state @ Some(DataflowState::Draft | DataflowState::Deleting), _) => {
                return Err(DataflowError::State { state });
            }
            _ => {}
        }
        call.enter(Stage::Update);
        let sent = self.platform.set_flow_enabled(at, wanted == Wanted::Running, deadline).await;
        match sent {
            Ok(_) => self.settled(at, wanted, None, deadline).await,
            Err(error) if error.may_have_arrived() => {
                let give_up = Instant::now() + UNCHANGED;
                match self.settled(at, wanted, Some(give_up), deadline).await {
                    Err(DataflowError::State { .. } | DataflowError::Call { .. }) => {
                        Err(DataflowError::OutcomeUnknown(error))
                    }
                    outcome => outcome,
                }
            }
            Err(error) if error.refusal() == Some(Refusal::NotFound) => Err(DataflowError::NotFound),
            // Another client may have been faster.
            Err(error) if error.refusal() == Some(Refusal::State) => {
                let flow = self.read_flow(at, deadline).await?;
                match (flow.state, flow.etag) {
                    (Some(state), Some(etag)) if state == wanted.state() => Ok(etag),
                    (Some(state), _) if wanted.is_near(state) => {
                        self.settled(at, wanted, None, deadline).await
                    }
                    (state, _) => Err(DataflowError::State { state }),
                }
            }
            Err(error) => Err(failed(Part::Flow)(error)),
        }
    }

    /// Reads the flow until its state is the wanted one, and returns its version. Without a change until `give_up` its
    /// state is the error.
    async fn settled(
        &self,
        at: &DataflowRef,
        wanted: Wanted,
        give_up: Option<Instant>,
        deadline: Instant,
    ) -> Result<Etag, DataflowError> {
        let mut reads = 0;
        loop {
            let flow = self.read_flow(at, deadline).await?;
            match (flow.state, flow.etag) {
                (Some(state), Some(etag)) if state == wanted.state() => return Ok(etag),
                (Some(state @ (DataflowState::Draft | DataflowState::Deleting)), _) => {
                    return Err(DataflowError::State { state: Some(state) });
                }
                (state, _) => {
                    let is_changing = state.is_some_and(|state| wanted.is_near(state));
                    if !is_changing && give_up.is_some_and(|give_up| Instant::now() >= give_up) {
                        return Err(DataflowError::State { state });
                    }
                }
            }
            reads += 1;
            UpstreamWait::pause(PAUSES.pause(reads)).await;
        }
    }
}
