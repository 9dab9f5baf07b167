//! One call about a dataflow, with its fault.

use std::{sync::Arc, time::Duration};

use hubspot_connection_service::{
    adobe::{CallError, Problem, Refusal},
    domain::RequestId,
    service::dataflows::Part,
};
use tokio::time::sleep;

use super::{
    super::{
        faults::{Fault, StepKind},
        port::Port,
    },
    things::{Things, What},
};

fn lost() -> CallError {
    CallError::Unavailable { retry_after: None, problem: None, cause: "lost".into() }
}

fn refused(refusal: Refusal) -> CallError {
    let problem = Problem { status: 400, code: Some("nonsense".to_owned()), ..Problem::default() };
    CallError::Refused { refusal, problem }
}

impl Port {
    /// Creates something, unless something is missing that it `uses`. `commit` runs when the request arrives.
    pub(super) async fn make<T: Send + 'static>(
        &self,
        part: Part,
        uses: Vec<String>,
        commit: impl FnOnce(&mut Things, usize) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        let Self(process) = self;
        let fault = process.step(StepKind::Make(part.kind())).await;
        let world = Arc::clone(&process.world);
        let (sent, _) = world.moment();
        sleep(world.transit()).await;
        if world.variant().refused == Some(part.kind()) {
            return match fault {
                Some(Fault::NotSent) => Err(CallError::Unreachable("refused".into())),
                Some(Fault::LostBeforeCommit | Fault::LostAfterCommit | Fault::LateCommit(_)) => Err(lost()),
                Some(Fault::DeathAfter) => {
                    process.die().await;
                    Err(lost())
                }
                _ => Err(refused(Refusal::Request)),
            };
        }
        let is_missing = |things: &Things| uses.iter().any(|id| !things.has(id));
        if is_missing(&world.things.lock().unwrap()) {
            return Err(refused(Refusal::Request));
        }
        let arrives = move || commit(&mut world.things.lock().unwrap(), sent);
        match fault {
            Some(Fault::NotSent) => Err(CallError::Unreachable("refused".into())),
            Some(Fault::Throttled) => Err(CallError::Throttled { retry_after: None, problem: None }),
            Some(Fault::TokenRefused) => Err(CallError::TokenRefused { problem: Problem::default() }),
            Some(Fault::Refused) => Err(refused(Refusal::Request)),
            Some(Fault::LostBeforeCommit) => Err(lost()),
            Some(Fault::LateCommit(seconds)) => {
                tokio::spawn(async move {
                    sleep(Duration::from_secs(seconds)).await;
                    arrives();
                });
                Err(lost())
            }
            Some(Fault::LostAfterCommit) => {
                arrives();
                Err(lost())
            }
            Some(Fault::RefusedAfterCommit) => {
                arrives();
                Err(refused(Refusal::Request))
            }
            Some(Fault::SlowReply(milliseconds)) => {
                let made = arrives();
                sleep(Duration::from_millis(milliseconds)).await;
                Ok(made)
            }
            Some(Fault::DeathAfter) => {
                arrives();
                process.die().await;
                Err(lost())
            }
            _ => {
                let made = arrives();
                sleep(self.0.world.transit()).await;
                Ok(made)
            }
        }
    }

    pub(super) async fn remove(&self, part: Part, id: &str) -> Result<(), CallError> {
        let Self(process) = self;
        let fault = process.step(StepKind::Remove(part.kind())).await;
        let (world, id) = (Arc::clone(&process.world), id.to_owned());
        sleep(world.transit()).await;
        let is_found = part != Part::Flow || self.is_readable(&id);
        let arrives = move || {
            if is_found {
                world.things.lock().unwrap().remove(part, &id);
            }
        };
        match fault {
            None if !is_found => return Err(refused(Refusal::NotFound)),
            Some(Fault::NotSent) => return Err(CallError::Unreachable("refused".into())),
            Some(Fault::Refused) => return Err(refused(Refusal::Permission)),
            Some(Fault::LostBeforeCommit) => return Err(lost()),
            Some(Fault::LateCommit(seconds)) => {
                tokio::spawn(async move {
                    sleep(Duration::from_secs(seconds)).await;
                    arrives();
                });
                return Err(lost());
            }
            Some(Fault::LostAfterCommit) => {
                arrives();
                return Err(lost());
            }
            Some(Fault::DeathAfter) => {
                arrives();
                process.die().await;
            }
            _ => arrives(),
        }
        Ok(())
    }

    /// Reads something, and returns a fault that is not the call's.
    pub(in super::super) async fn reads(&self, what: &'static str) -> Result<Option<Fault>, CallError> {
        let Self(process) = self;
        let fault = process.step(StepKind::Read(what)).await;
        sleep(process.world.transit()).await;
        match fault {
            Some(Fault::ReadFails) => Err(lost()),
            Some(Fault::DeathAfter) => {
                process.die().await;
                Err(lost())
            }
            fault => Ok(fault),
        }
    }

    /// What a list shows.
    pub(super) async fn listed<T>(
        &self,
        what: &'static str,
        select: impl Fn(&What) -> Option<T>,
    ) -> Result<Vec<T>, CallError> {
        self.reads(what).await?;
        let world = &self.0.world;
        let things = world.things.lock().unwrap();
        let lag = world.setting.lists.lag;
        let stale = lag.max(Duration::from_secs(world.variant().stale));
        Ok(things.listed(lag, stale).filter_map(select).collect())
    }

    /// What exists with this ID.
    pub(super) async fn got<T>(
        &self,
        what: &'static str,
        select: impl Fn(&What) -> Option<T>,
    ) -> Result<Option<T>, CallError> {
        self.reads(what).await?;
        let world = &self.0.world;
        let things = world.things.lock().unwrap();
        let unread = Duration::from_secs(world.variant().unread);
        let seen = things.all().iter().filter(|thing| thing.is_readable(unread));
        let mut seen = seen.map(|thing| &thing.what);
        Ok(seen.find_map(select))
    }

    fn is_readable(&self, id: &str) -> bool {
        let world = &self.0.world;
        let unread = Duration::from_secs(world.variant().unread);
        let things = world.things.lock().unwrap();
        things.all().iter().any(|thing| thing.what.id() == id && thing.is_readable(unread))
    }

    /// The request that a text is about.
    pub(super) fn marked(&self, text: &str) -> Option<RequestId> {
        let id = self.0.world.dataflow_id();
        text.contains(&id.to_string()).then_some(id)
    }
}
