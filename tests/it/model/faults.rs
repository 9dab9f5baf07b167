//! What can fail, and where.

use std::collections::BTreeMap;

/// What happens at which step.
pub(super) type Script = BTreeMap<usize, Fault>;

/// What can fail in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// The request is not sent.
    NotSent,
    /// There is no leave to send for so many milliseconds.
    SlowPass(u64),
    /// The request is refused for its rate.
    Throttled,
    /// The request is refused for its token.
    TokenRefused,
    /// The answer is lost, and so was the request.
    LostBeforeCommit,
    /// The answer is lost.
    LostAfterCommit,
    /// The answer is lost, and the request arrives so many seconds later.
    LateCommit(u64),
    /// The answer is lost so many seconds after it was carried out.
    LostSlowly(u64),
    /// It is carried out so many seconds later, and then the answer is lost.
    LostLate(u64),
    /// The answer takes so many milliseconds.
    SlowAnswer(u64),
    /// Nothing can be read.
    ReadFails,
    /// What is there is said not to be.
    NotFound,
    /// The store is down.
    StoreDown,
    /// The store does it, and its answer is lost.
    StoreAnswerLost,
    /// The store seems to be down, and does it so many milliseconds later.
    StoreLate(u64),
    /// The store does nothing for so many milliseconds, and then everything in turn.
    StoreStalls(u64),
    /// The store forgets everything, just before.
    Forgets,
    /// The store forgets the record, just before, and does not know that it forgets.
    Evicts,
    /// The store's clock steps by so many seconds, just before.
    ClockSteps(i64),
    /// Somebody else creates a connection of the same name, just before.
    Foreign(Foreigner),
    /// The process dies before the step.
    DeathBefore,
    /// The process dies after the step, before it has the answer.
    DeathAfter,
}

/// A connection of the same name that is somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Foreigner {
    /// It has no description, and its client ID is masked.
    WithoutDescription,
    /// It has the caller's description, and its client ID is masked.
    WithTheDescription,
    /// It has another description.
    WithAnotherDescription,
    /// It was created in Adobe's interface.
    OfTheInterface,
}

/// Which faults there are besides those that always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weather {
    pub(super) clocks: bool,
    pub(super) forgets: bool,
    pub(super) foreigners: bool,
    pub(super) not_found: bool,
}

impl Fault {
    pub(super) fn kills(self) -> bool {
        matches!(self, Self::DeathBefore | Self::DeathAfter)
    }

    /// Whether it happens around the step, which then goes on.
    pub(super) fn is_weather(self) -> bool {
        matches!(self, Self::Forgets | Self::Evicts | Self::ClockSteps(_) | Self::Foreign(_))
    }

    pub(super) fn forgets(self) -> bool {
        matches!(self, Self::Forgets | Self::Evicts)
    }

    /// Whether nobody can tell another's connection from the caller's: then nothing may be done.
    pub(super) fn is_misleading(self) -> bool {
        use Foreigner::{WithTheDescription, WithoutDescription};
        matches!(self, Self::Foreign(WithoutDescription | WithTheDescription))
    }
}

/// A call of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StepKind {
    Pass,
    Create,
    List,
    Get,
    Test,
    Delete,
    Store(&'static str),
}

impl StepKind {
    /// The faults that can strike it.
    pub(super) fn faults(self, weather: Weather) -> Vec<Fault> {
        use Fault::*;
        let mut faults = match self {
            Self::Pass => vec![NotSent, SlowPass(2000), DeathBefore],
            Self::Create => vec![
                NotSent,
                Throttled,
                TokenRefused,
                LostBeforeCommit,
                LostAfterCommit,
                LateCommit(1),
                LateCommit(30),
                LateCommit(84),
                LostSlowly(60),
                LostLate(60),
                SlowAnswer(3000),
                // Between a caller's deadline and its next call, and beyond both.
                SlowAnswer(20_400),
                SlowAnswer(30_000),
                DeathBefore,
                DeathAfter,
            ],
            Self::List | Self::Get | Self::Test => vec![ReadFails, DeathBefore, DeathAfter],
            Self::Delete => vec![NotSent, LostBeforeCommit, LostAfterCommit, DeathBefore, DeathAfter],
            Self::Store(_) => vec![
                StoreDown,
                StoreAnswerLost,
                StoreLate(550),
                StoreLate(1500),
                StoreStalls(400),
                StoreStalls(1400),
                DeathBefore,
                DeathAfter,
            ],
        };
        if weather.not_found && matches!(self, Self::Get | Self::Test | Self::Delete) {
            faults.push(NotFound);
        }
        if weather.forgets && matches!(self, Self::Store(_)) {
            faults.extend([Forgets, Evicts]);
        }
        if weather.clocks && matches!(self, Self::Store(_)) {
            faults.extend([ClockSteps(100), ClockSteps(-8), ClockSteps(-100)]);
        }
        if weather.foreigners && self == Self::List {
            use Foreigner::*;
            let foreigners = [WithoutDescription, WithTheDescription, WithAnotherDescription, OfTheInterface];
            faults.extend(foreigners.map(Foreign));
        }
        faults
    }
}
