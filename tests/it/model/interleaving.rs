//! One interleaving: its events, and whether the promise is kept.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use hubspot_connection_service::domain::Verification;
use tokio::time::{sleep, timeout};

use super::{
    callers::{End, Response, call, call_again},
    dataflows,
    faults::{Fault, Script, StepKind},
    ledger::Made,
    setting::{Callers, Setting},
    world::{Faults, World},
};

/// The broken part of a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Broken {
    /// One request made two connections.
    Duplicate,
    /// A caller got the connection of another, or something of another was changed.
    Foreign,
    /// An error claimed that nothing was created, and something was.
    Denied,
    /// A connection that works was deleted, or a caller got a deleted one.
    Deleted,
    /// A connection that does not work was left, and its caller got a response that denied it. Or a part of a
    /// dataflow was left that no response has named.
    LeftBehind,
    /// A dataflow exists whose creation was withdrawn.
    Revived,
    /// A caller that keeps retrying gets no connection.
    Stuck,
    /// A caller that retries is rejected because of other content.
    Rejected,
    /// A caller got no connection within its deadline because of another caller's deadline.
    CutShort,
    /// Lists are requested without end.
    Flood,
    /// An impossible event.
    Panic,
}

/// The result of an interleaving.
pub(super) struct Run {
    pub(super) steps: Vec<StepKind>,
    /// The faults that occurred.
    pub(super) fired: Script,
    pub(super) broken: Vec<(Broken, String)>,
    /// The events, if a promise is broken.
    pub(super) trace: String,
}

/// The time after the last call by which every request has arrived.
pub(super) const LONG_AFTER: Duration = Duration::from_secs(200);
/// This many lists per second are too many: a scan of all connections takes three.
const FLOOD: usize = 30;

/// Runs one interleaving.
pub(super) fn run(setting: Setting, faults: Faults) -> Run {
    fastrand::seed(7);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(setting, faults);
        let mut broken = Vec::new();
        let script = async {
            if setting.dataflow.is_some() {
                return dataflows::broken(&world).await;
            }
            let ends = call(&world).await;
            // Requests in transit arrive.
            sleep(LONG_AFTER).await;
            let again = call_again(&world, &ends).await;
            let mut broken = Vec::new();
            let mut checker = Checker { world: &world, broken: &mut broken };
            checker.check_ends(&ends);
            checker.check_ends(&again);
            checker.check_overall();
            broken
        };
        match CatchUnwind(Box::pin(timeout(Duration::from_secs(20_000), script))).await {
            Ok(Ok(found)) => broken = found,
            Ok(Err(_)) => broken.push((Broken::Stuck, "no caller got a response".to_owned())),
            Err(panic) => broken.push((Broken::Panic, panic)),
        }
        broken.dedup();
        let trace = if broken.is_empty() { String::new() } else { world.trace() };
        Run { steps: world.steps(), fired: world.fired(), broken, trace }
    })
}

/// A future that returns a panic as a result.
struct CatchUnwind<F>(F);

impl<F: Future + Unpin> Future for CatchUnwind<F> {
    type Output = Result<F::Output, String>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| std::pin::Pin::new(&mut self.0).poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => {
                let text = panic.downcast::<String>().map(|text| *text);
                std::task::Poll::Ready(Err(text.unwrap_or_else(|_| "panicked".to_owned())))
            }
        }
    }
}

struct Checker<'a> {
    world: &'a Arc<World>,
    broken: &'a mut Vec<(Broken, String)>,
}

impl Checker<'_> {
    fn report(&mut self, broken: Broken, why: impl Into<String>) {
        let finding = (broken, why.into());
        if !self.broken.contains(&finding) {
            self.broken.push(finding);
        }
    }

    /// The end of each caller.
    fn check_ends(&mut self, ends: &[End]) {
        for End { caller, request_id, response } in ends {
            let setting = self.world.setting;
            let own: Vec<Made> = self.all().into_iter().filter(|made| made.by == *request_id).collect();
            match response {
                Response::Created(id) => match own.iter().find(|made| made.id == *id) {
                    None => self.report(Broken::Foreign, format!("caller {caller} got another's connection")),
                    Some(made) if made.is_removed => {
                        self.report(
                            Broken::Deleted,
                            format!("caller {caller} got a connection that is deleted"),
                        );
                    }
                    Some(_) if !setting.works && setting.verification == Verification::Require => {
                        self.report(
                            Broken::LeftBehind,
                            format!("caller {caller} got one that does not work"),
                        );
                    }
                    Some(_) => {}
                },
                Response::Rejected => {
                    if own.iter().any(|made| !made.is_removed) {
                        self.report(Broken::LeftBehind, "a rejected connection is left behind");
                    }
                    if setting.works || setting.verification != Verification::Require {
                        self.report(Broken::Deleted, "a connection that works is rejected");
                    }
                }
                Response::OtherContent => self.other_content(*caller),
                Response::Unreadable if setting.callers == Callers::UntilTheOldKeyIsGone => {}
                Response::LeftBehind(_)
                | Response::MayExist
                | Response::NothingCreated { .. }
                | Response::InProgress { .. }
                | Response::Ambiguous
                | Response::Unreadable
                | Response::Nothing => {
                    // In a list without an end it can be found if it exists.
                    let is_lost_for_good = own.is_empty() && setting.lists.has_no_end();
                    if !is_lost_for_good && !setting.may_stay_open(&self.world.fired()) {
                        self.report(
                            Broken::Stuck,
                            format!("caller {caller} has no connection: {response:?}"),
                        );
                    }
                }
            }
        }
    }

    fn other_content(&mut self, caller: usize) {
        if self.world.setting.callers != Callers::OneInAnotherSandbox {
            self.report(Broken::Rejected, format!("caller {caller} is rejected because of other content"));
        }
    }

    fn all(&self) -> Vec<Made> {
        self.world.ledger.lock().unwrap().all().to_vec()
    }

    /// The conditions that hold whatever each caller got.
    fn check_overall(&mut self) {
        let setting = self.world.setting;
        let (fired, all) = (self.world.fired(), self.all());
        let own: Vec<&Made> = all.iter().filter(|made| made.by.is_some()).collect();

        for (number, made) in own.iter().enumerate() {
            let of_the_same =
                |other: &&&Made| other.by == made.by || setting.callers == Callers::OneWithoutId;
            if let Some(first) = own[..number].iter().find(of_the_same)
                && !self.may_not_have_been_seen(first, made)
            {
                self.report(Broken::Duplicate, "one request made two connections");
            }
        }
        if own.iter().any(|made| made.is_removed) && setting.works {
            self.report(Broken::Deleted, "a connection that works is deleted");
        }

        let mut denied = Vec::new();
        self.world.for_each_response(|received| {
            let is_false =
                |made: &&&Made| made.by == received.about && made.sent <= received.moment && !made.is_removed;
            if let Response::NothingCreated { why, .. } = received.response
                && own.iter().any(|made| is_false(&made))
            {
                denied.push((received.caller, why));
            }
        });
        for (caller, why) in denied {
            self.report(
                Broken::Denied,
                format!("caller {caller} got an error that claims that nothing was created: {why}"),
            );
        }

        if setting.callers == Callers::OneHasAShortDeadline && is_survivable(&fired) {
            let mut first = None;
            self.world.for_each_response(|received| {
                if received.caller == 1 && first.is_none() {
                    first = Some(received.response.clone());
                }
            });
            if matches!(first, Some(Response::NothingCreated { .. })) {
                self.report(Broken::CutShort, format!("the caller with time got {first:?}"));
            }
        }
        let most = self.world.most_lists_in_a_second();
        if most > FLOOD {
            self.report(Broken::Flood, "there are too many lists in a second");
        }
    }

    /// Whether a store that forgot could not have known: the retry came before Adobe's list showed the
    /// first connection.
    fn may_not_have_been_seen(&self, first: &Made, second: &Made) -> bool {
        let setting = self.world.setting;
        let forgets = setting.records_die || self.world.fired().values().any(|fault| fault.forgets());
        let seen_at = first.made_at + setting.lists.lag + Duration::from_secs(1);
        forgets && (second.sent_at < seen_at || first.is_removed)
    }
}

/// Whether a caller with enough time gets its connection in one call in spite of these faults.
fn is_survivable(fired: &Script) -> bool {
    let is_repeated =
        |fault: &&Fault| matches!(fault, Fault::Throttled | Fault::NotSent | Fault::TokenRefused);
    let is_slow = |fault: &Fault| {
        matches!(fault, Fault::SlowPass(_) | Fault::SlowReply(..10_000)) || is_repeated(&fault)
    };
    fired.values().filter(is_repeated).count() <= 1 && fired.len() <= 2 && fired.values().all(is_slow)
}
