//! The disturbances of the store and the lists.

use std::{future::pending, sync::Arc};

use hubspot_connection_service::emulator::Emulator;

use super::{
    clock::Clock,
    forgetting::{self, Forgotten},
    plan::{Plan, Trouble},
    redis::SharedRedis,
    replies::Replies,
    stalls,
};
use crate::{
    store::redis_server::Setup,
    support::{Alterations, AlteringProxy},
};

pub(super) struct Surroundings {
    trouble: Trouble,
    redis: Option<SharedRedis>,
    replies: Option<Arc<Replies>>,
    clock: Option<Clock>,
    proxy: Option<AlteringProxy>,
    random: fastrand::Rng,
    times: usize,
    forgotten: Forgotten,
}

impl Surroundings {
    /// `None` if something that it needs is missing.
    pub(super) async fn set(
        trouble: Trouble,
        emulator: &Emulator,
        mut random: fastrand::Rng,
    ) -> Option<Self> {
        let replies = (trouble == Trouble::Replies).then(|| Arc::new(Replies::new(random.fork())));
        let clock = if trouble == Trouble::Clock { Some(Clock::new()?) } else { None };
        let setup = match &clock {
            Some(clock) => clock.setup(),
            None if trouble == Trouble::Forgetting => forgetting::setup(),
            None => Setup::default(),
        };
        let redis =
            if trouble.has_redis() { Some(SharedRedis::with(setup, replies.clone()).await?) } else { None };
        let proxy = if trouble == Trouble::Lists {
            Some(AlteringProxy::start(emulator, random.fork(), Alterations::of_some()).await)
        } else {
            None
        };
        let (times, forgotten) = (0, Forgotten::default());
        Some(Self { trouble, redis, replies, clock, proxy, random, times, forgotten })
    }

    /// The settings of the service.
    pub(super) fn settings<'a>(&self, plan: &'a Plan) -> Vec<(&'a str, String)> {
        let mut settings = plan.settings(self.trouble);
        if let Some(redis) = &self.redis {
            settings.push(("HCS_REDIS_URL", redis.url().to_owned()));
            settings.push(("HCS_FINGERPRINT_KEY", super::FINGERPRINT_KEY.to_owned()));
        }
        if let Some(proxy) = &self.proxy {
            settings.push(("HCS_FLOW_SERVICE_URL", proxy.base_url()));
        }
        settings
    }

    /// Causes the disturbance for as long as this is polled.
    pub(super) async fn go_on(&mut self) {
        let Self { random, times, forgotten, .. } = self;
        match (&mut self.redis, &mut self.clock) {
            (Some(redis), _) if self.trouble == Trouble::Stalls => {
                stalls::go_on(redis.server(), random, times).await;
            }
            (Some(redis), _) if self.trouble == Trouble::Forgetting => {
                forgetting::go_on(redis.server(), random, forgotten).await;
            }
            (_, Some(clock)) => clock.go_on(random, times).await,
            // Replies and lists are disturbed in transit.
            _ => pending().await,
        }
    }

    /// Causes the rest of the disturbance before the final retries: a store that forgets has forgotten
    /// everything.
    pub(super) async fn end(&mut self) {
        if let (Some(redis), Trouble::Forgetting) = (&mut self.redis, self.trouble) {
            forgetting::restart(redis.server()).await;
        }
    }

    /// A summary.
    pub(super) fn counts(&self) -> String {
        let Self { times, forgotten: Forgotten { keys, restarts }, .. } = self;
        match self.trouble {
            Trouble::Stalls => format!("{times} stalls"),
            Trouble::Replies => self.replies.as_ref().map(|replies| replies.counts()).unwrap_or_default(),
            Trouble::Clock => format!("{times} steps of the clock"),
            Trouble::Forgetting => format!("{keys} keys forgotten, and all of them {restarts} times"),
            Trouble::None | Trouble::Lists | Trouble::Memory | Trouble::LateWithMemory => {
                "no trouble with a store".to_owned()
            }
        }
    }
}
