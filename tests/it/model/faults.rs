//! The faults, and the steps that they affect.

use std::collections::BTreeMap;

/// The faults by step.
pub(super) type Script = BTreeMap<usize, Fault>;

/// A fault of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// The request is not sent.
    NotSent,
    /// The permission to send takes this many milliseconds.
    SlowPass(u64),
    /// The request is refused because of its rate.
    Throttled,
    /// The request is refused because of its token.
    TokenRefused,
    /// The reply and the request are lost.
    LostBeforeCommit,
    /// The reply is lost.
    LostAfterCommit,
    /// The reply is lost, and the request arrives this many seconds later.
    LateCommit(u64),
    /// The reply is lost this many seconds after the request was executed.
    LostSlowly(u64),
    /// The request is executed this many seconds later, and then the reply is lost.
    LostLate(u64),
    /// The reply takes this many milliseconds.
    SlowReply(u64),
    /// The reply is unreadable.
    ReadFails,
    /// An existing item is reported missing.
    NotFound,
    /// The request is refused because of its content.
    Refused,
    /// The request is executed, and refused all the same.
    RefusedAfterCommit,
    /// Somebody ingests data into the dataset that is asked about, just before the step.
    Ingests,
    /// The store is down.
    StoreDown,
    /// The store executes the step, and its reply is lost.
    StoreReplyLost,
    /// The store seems to be down, and executes the step this many milliseconds later.
    StoreLate(u64),
    /// The store does nothing for this many milliseconds, and then everything in order.
    StoreStalls(u64),
    /// The store forgets everything, just before the step.
    Forgets,
    /// The store forgets the record, just before the step, and does not know that it forgets.
    Evicts,
    /// The store's clock steps by this many seconds, just before the step.
    ClockSteps(i64),
    /// Another client creates a connection of the same name, just before the step.
    Foreign(ForeignConnection),
    /// The process dies before the step.
    DeathBefore,
    /// The process dies after the step, before it gets the reply.
    DeathAfter,
}

/// A connection of the same name that belongs to another client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ForeignConnection {
    /// It has no description, and its client ID is masked.
    WithoutDescription,
    /// It has the caller's description, and its client ID is masked.
    WithTheDescription,
    /// It has another description.
    WithAnotherDescription,
    /// It was created in Adobe's interface.
    OfTheInterface,
}

/// The optional faults, in addition to those that are always possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OptionalFaults {
    pub(super) clocks: bool,
    pub(super) forgets: bool,
    pub(super) foreign_connections: bool,
    pub(super) not_found: bool,
    pub(super) ingestion: bool,
    pub(super) false_refusals: bool,
}

impl Fault {
    pub(super) fn kills(self) -> bool {
        matches!(self, Self::DeathBefore | Self::DeathAfter)
    }

    /// Whether the fault happens around the step, which then continues.
    pub(super) fn lets_the_step_continue(self) -> bool {
        matches!(self, Self::Forgets | Self::Evicts | Self::ClockSteps(_) | Self::Foreign(_))
    }

    pub(super) fn forgets(self) -> bool {
        matches!(self, Self::Forgets | Self::Evicts)
    }

    /// Whether another connection is indistinguishable from the caller's: then nothing may be done.
    pub(super) fn is_misleading(self) -> bool {
        use ForeignConnection::{WithTheDescription, WithoutDescription};
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
    /// For a dataflow: something is read, made or removed.
    Read(&'static str),
    Make(&'static str),
    Remove(&'static str),
}

impl StepKind {
    /// The faults that can affect it.
    pub(super) fn faults(self, optional_faults: OptionalFaults) -> Vec<Fault> {
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
                SlowReply(3000),
                // Between a caller's deadline and its next call, and beyond both.
                SlowReply(20_400),
                SlowReply(30_000),
                DeathBefore,
                DeathAfter,
            ],
            Self::List | Self::Get | Self::Test => vec![ReadFails, DeathBefore, DeathAfter],
            Self::Make(part) => {
                let mut faults = vec![
                    NotSent,
                    Throttled,
                    Refused,
                    LostBeforeCommit,
                    LostAfterCommit,
                    LateCommit(1),
                    LateCommit(30),
                    LateCommit(84),
                    SlowReply(20_400),
                    DeathBefore,
                    DeathAfter,
                ];
                if part == "flow" {
                    faults.push(TokenRefused);
                    if optional_faults.false_refusals {
                        faults.push(RefusedAfterCommit);
                    }
                }
                faults
            }
            Self::Read("validation") => vec![ReadFails, Refused, DeathBefore, DeathAfter],
            Self::Read(_) => vec![ReadFails, DeathBefore, DeathAfter],
            Self::Remove(_) => vec![
                NotSent,
                Refused,
                LostBeforeCommit,
                LostAfterCommit,
                LateCommit(30),
                DeathBefore,
                DeathAfter,
            ],
            Self::Delete => vec![NotSent, LostBeforeCommit, LostAfterCommit, DeathBefore, DeathAfter],
            Self::Store(_) => vec![
                StoreDown,
                StoreReplyLost,
                StoreLate(550),
                StoreLate(1500),
                // Longer than a lease lasts.
                StoreLate(16_000),
                StoreStalls(400),
                StoreStalls(1400),
                DeathBefore,
                DeathAfter,
            ],
        };
        if optional_faults.not_found && matches!(self, Self::Get | Self::Test | Self::Delete) {
            faults.push(NotFound);
        }
        if optional_faults.ingestion && self == Self::Read("batches") {
            faults.push(Ingests);
        }
        if optional_faults.forgets && matches!(self, Self::Store(_)) {
            faults.extend([Forgets, Evicts]);
        }
        if optional_faults.clocks && matches!(self, Self::Store(_)) {
            faults.extend([ClockSteps(100), ClockSteps(-8), ClockSteps(-100)]);
        }
        if optional_faults.foreign_connections && self == Self::List {
            use ForeignConnection::*;
            let foreign_connections =
                [WithoutDescription, WithTheDescription, WithAnotherDescription, OfTheInterface];
            faults.extend(foreign_connections.map(Foreign));
        }
        faults
    }
}
