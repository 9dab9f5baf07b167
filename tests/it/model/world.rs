//! The environment of the use case: a Flow Service and a store with faults at every step, and replicas
//! that can die.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use hubspot_connection_service::{
    domain::{ConnectionId, RequestId},
    exactly_once::Background,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    callers::Response,
    dataflows::{Answer, Things, Variant},
    faults::{Fault, ForeignConnection, Script, StepKind},
    ledger::{Content, Ledger, Made},
    listing::{OtherConnections, Shown},
    random::RandomFaults,
    records::Backend,
    replica::{self, Keys, Replica},
    setting::{Callers, Setting},
};

/// The source of faults.
pub(super) enum Faults {
    Script(Script),
    Random(RandomFaults),
}

/// A call of a port, and its fault.
struct Step {
    at: Instant,
    replica: usize,
    kind: StepKind,
}

/// A response to a caller.
pub(super) struct Received {
    at: Instant,
    /// The number of steps at that time.
    pub(super) moment: usize,
    pub(super) caller: usize,
    /// The creation that the response is about, if known.
    pub(super) about: Option<RequestId>,
    pub(super) response: Response,
}

/// The replicas, and everything outside of them.
pub(super) struct World {
    pub(super) setting: Setting,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) backend: Backend,
    pub(super) keys: Keys,
    pub(super) things: Mutex<Things>,
    /// The request id of the dataflow.
    dataflow_id: RequestId,
    /// The state of a connection straight after its creation.
    initial_state: Mutex<&'static str>,
    faults: Mutex<Faults>,
    fired: Mutex<Script>,
    steps: Mutex<Vec<Step>>,
    received: Mutex<Vec<Received>>,
    /// The responses about a dataflow, with the number of steps and the time then.
    answers: Mutex<Vec<(usize, Instant, usize, Answer)>>,
    replicas: Mutex<HashMap<usize, Arc<Replica>>>,
    began: Instant,
}

impl World {
    pub(super) fn new(setting: Setting, faults: Faults) -> Arc<Self> {
        let mut ledger = Ledger::new(setting.lists.others);
        if setting.dataflow.is_some() {
            ledger.create_foreign(ForeignConnection::WithAnotherDescription);
        }
        replica::set_wall_clock(ledger.now_ms());
        Arc::new(Self {
            setting,
            ledger: Mutex::new(ledger),
            backend: Backend::new(setting.memory()),
            keys: Keys::new(),
            initial_state: Mutex::new("enabled"),
            faults: Mutex::new(faults),
            fired: Mutex::default(),
            steps: Mutex::default(),
            received: Mutex::default(),
            answers: Mutex::default(),
            things: Mutex::default(),
            dataflow_id: RequestId::generate(),
            replicas: Mutex::default(),
            began: Instant::now(),
        })
    }

    /// The replica of this number: a new process if the last one has died.
    pub(super) fn replica(self: &Arc<Self>, number: usize) -> Arc<Replica> {
        let mut replicas = self.replicas.lock().unwrap();
        let replica = replicas.entry(number).or_insert_with(|| Replica::start(self, number));
        if replica.process().dead.is_cancelled() {
            if self.setting.records_die {
                self.backend.forget();
            }
            *replica = Replica::start(self, number);
        }
        Arc::clone(replica)
    }

    /// The connections made by requests, with those requests.
    pub(super) fn made(&self) -> Vec<(RequestId, ConnectionId)> {
        let ledger = self.ledger.lock().unwrap();
        let made = ledger.all().iter().filter_map(|made| Some((made.by?, &made.id)));
        made.map(|(by, id)| (by, ConnectionId::parse(id).unwrap())).collect()
    }

    /// Makes connections start in another state than `enabled`.
    pub(super) fn begin_in(&self, state: &'static str) {
        *self.initial_state.lock().unwrap() = state;
    }

    /// Changes the state of every existing connection.
    pub(super) fn set_state(&self, state: &str) {
        self.ledger.lock().unwrap().set_states(state);
    }

    /// Deletes every connection, as another client would.
    pub(super) fn clear(&self) {
        self.ledger.lock().unwrap().clear();
    }

    pub(super) fn steps(&self) -> Vec<StepKind> {
        self.steps.lock().unwrap().iter().map(|step| step.kind).collect()
    }

    /// The faults that occurred.
    pub(super) fn fired(&self) -> Script {
        self.fired.lock().unwrap().clone()
    }

    /// The number of steps so far, and the time.
    pub(super) fn moment(&self) -> (usize, Instant) {
        (self.steps.lock().unwrap().len(), Instant::now())
    }

    /// The largest number of lists requested within a second.
    pub(super) fn most_lists_in_a_second(&self) -> usize {
        let steps = self.steps.lock().unwrap();
        let lists: Vec<_> = steps.iter().filter(|step| step.kind == StepKind::List).collect();
        let since = |first: usize| {
            lists[first..]
                .iter()
                .take_while(|step| step.at - lists[first].at < Duration::from_secs(1))
                .count()
        };
        (0..lists.len()).map(since).max().unwrap_or(0)
    }

    pub(super) fn record_response(&self, caller: usize, about: Option<RequestId>, response: &Response) {
        let (moment, at) = self.moment();
        let response = response.clone();
        self.received.lock().unwrap().push(Received { at, moment, caller, about, response });
    }

    /// Visits all responses to callers.
    pub(super) fn for_each_response(&self, visit: impl FnMut(&Received)) {
        self.received.lock().unwrap().iter().for_each(visit);
    }

    pub(super) fn variant(&self) -> Variant {
        self.setting.dataflow.unwrap_or_default()
    }

    pub(super) fn dataflow_id(&self) -> RequestId {
        self.dataflow_id
    }

    /// The connection of the dataflow.
    pub(super) fn connection(&self) -> ConnectionId {
        let ledger = self.ledger.lock().unwrap();
        let connection = ledger.present("prod").next().unwrap();
        ConnectionId::parse(&connection.id).unwrap()
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.ledger.lock().unwrap().now_ms()
    }

    /// The time of day at which the run began.
    pub(super) fn began_ms(&self) -> i64 {
        self.now_ms() - i64::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    /// The time that a request is in transit. It decides the order of concurrent requests.
    pub(super) fn transit(&self) -> Duration {
        let order = self.variant().order;
        let mixed = (self.steps.lock().unwrap().len() as u64 + 1).wrapping_mul(order | 1).wrapping_mul(order);
        Duration::from_millis(20 + (mixed >> 7) % 60)
    }

    /// From here on there are no faults.
    pub(super) fn calm(&self) {
        *self.faults.lock().unwrap() = Faults::Script(Script::new());
    }

    pub(super) fn record_answer(&self, caller: usize, answer: &Answer) {
        let (moment, at) = self.moment();
        self.answers.lock().unwrap().push((moment, at, caller, answer.clone()));
    }

    /// The responses about a dataflow, each with the number of steps then.
    pub(super) fn answers(&self) -> Vec<(usize, Answer)> {
        let answers = self.answers.lock().unwrap();
        answers.iter().map(|(moment, _, _, answer)| (*moment, answer.clone())).collect()
    }

    /// When a caller first learned that the creation of the dataflow is withdrawn.
    pub(super) fn withdrawn_at(&self) -> Option<Instant> {
        let answers = self.answers.lock().unwrap();
        let is_withdrawal = |answer: &Answer| matches!(answer, Answer::Deleted(_) | Answer::Missing);
        answers.iter().find(|(.., answer)| is_withdrawal(answer)).map(|(_, at, ..)| *at)
    }

    /// The events, for people.
    pub(super) fn trace(&self) -> String {
        let (steps, received, fired) =
            (self.steps.lock().unwrap(), self.received.lock().unwrap(), self.fired.lock().unwrap());
        let mut trace = String::new();
        let answers = self.answers.lock().unwrap();
        let received = received.iter().map(|Received { at, moment, caller, response, .. }| {
            (*moment, *at, *caller, format!("{response:?}"))
        });
        let answers =
            answers.iter().map(|(moment, at, caller, answer)| (*moment, *at, *caller, format!("{answer:?}")));
        let mut received = received.chain(answers).peekable();
        for (index, Step { at, replica, kind }) in steps.iter().enumerate() {
            while let Some((_, at, caller, response)) = received.next_if(|(moment, ..)| *moment <= index) {
                let _ = writeln!(trace, "     {:>9.3?} caller {caller} got {response}", at - self.began);
            }
            let fault = fired.get(&index).map(|fault| format!(" ✗ {fault:?}")).unwrap_or_default();
            let _ =
                writeln!(trace, "{index:4} {:>9.3?} replica {replica}: {kind:?}{fault}", *at - self.began);
        }
        for (_, at, caller, response) in received {
            let _ = writeln!(trace, "     {:>9.3?} caller {caller} got {response}", at - self.began);
        }
        trace
    }

    /// A creation arrives that was sent at this moment.
    pub(super) fn commit(&self, content: Content, by: RequestId, sent: (usize, Instant)) -> Made {
        let state = *self.initial_state.lock().unwrap();
        self.ledger.lock().unwrap().create(content, state, by, sent).clone()
    }

    /// One page of the list of a sandbox.
    pub(super) fn list(&self, sandbox: &str, page: Option<&str>) -> (Vec<Shown>, Option<String>) {
        let lists = &self.setting.lists;
        let ledger = self.ledger.lock().unwrap();
        let listed = ledger.present(sandbox).filter(|made| made.made_at.elapsed() >= lists.lag);
        let mut all: Vec<_> = listed
            .map(|made| if made.by.is_some() { lists.alteration.apply(made.shown()) } else { made.shown() })
            .collect();
        if lists.others == OtherConnections::ManyAndAnUnreadableOne
            && let Some(oldest) = all.last().cloned()
        {
            let id = "00000000-0000-4000-8000-000000000000".to_owned();
            all.push(Shown { id, etag: None, name: None, created_at_ms: None, ..oldest });
        }
        lists.page(all, page)
    }

    /// The result of reading a connection by its ID.
    pub(super) fn get(&self, sandbox: &str, id: &str) -> Option<Shown> {
        let Setting { lists, get_lag, .. } = &self.setting;
        let ledger = self.ledger.lock().unwrap();
        let made = ledger.get(sandbox, id).filter(|made| made.made_at.elapsed() >= *get_lag)?;
        Some(if lists.is_read_altered { lists.alteration.apply(made.shown()) } else { made.shown() })
    }

    /// Deletes a connection; `None` if it seems to be missing.
    pub(super) fn delete(&self, sandbox: &str, id: &str) -> Option<()> {
        let mut ledger = self.ledger.lock().unwrap();
        ledger.get(sandbox, id).filter(|made| made.made_at.elapsed() >= self.setting.delete_lag)?;
        ledger.remove(sandbox, id)
    }

    /// Whether a connection with this ID exists, visible or not.
    pub(super) fn has(&self, sandbox: &str, id: &str) -> bool {
        self.ledger.lock().unwrap().get(sandbox, id).is_some()
    }

    /// The fault at a step of a replica.
    fn fault_at(&self, replica: usize, kind: StepKind) -> Option<Fault> {
        let index = {
            let mut steps = self.steps.lock().unwrap();
            steps.push(Step { at: Instant::now(), replica, kind });
            steps.len() - 1
        };
        // A replica that dies cannot give its caller the request id for a retry.
        let is_mortal = self.setting.callers != Callers::OneWithoutId;
        let mut possible = kind.faults(self.setting.optional_faults);
        possible.retain(|fault| is_mortal || !fault.kills());
        let fault = match &mut *self.faults.lock().unwrap() {
            Faults::Script(script) => script.get(&index).copied().filter(|fault| possible.contains(fault)),
            Faults::Random(faults) => faults.next_fault(&possible),
        };
        match fault {
            Some(Fault::Forgets) => self.backend.forget(),
            // It does not know that it forgets, only that it may.
            Some(Fault::Evicts) => self.backend.forget(),
            Some(Fault::ClockSteps(seconds)) => self.backend.step_clock(seconds),
            Some(Fault::Foreign(foreign)) => self.ledger.lock().unwrap().create_foreign(foreign),
            _ => {}
        }
        if let Some(fault) = fault {
            self.fired.lock().unwrap().insert(index, fault);
        }
        fault
    }
}

/// The process of a replica, which can die at every step.
#[derive(Clone)]
pub(super) struct Process {
    pub(super) world: Arc<World>,
    number: usize,
    pub(super) background: Background,
    pub(super) dead: CancellationToken,
}

impl Process {
    pub(super) fn start(world: &Arc<World>, number: usize) -> Self {
        let (background, dead) = (Background::default(), CancellationToken::new());
        Self { world: Arc::clone(world), number, background, dead }
    }

    /// Takes a step: returns its fault, and never returns if that is the death of the process.
    pub(super) async fn step(&self, kind: StepKind) -> Option<Fault> {
        let fault = self.world.fault_at(self.number, kind);
        if fault == Some(Fault::DeathBefore) {
            self.die().await;
        }
        fault.filter(|fault| !fault.lets_the_step_continue())
    }

    pub(super) async fn die(&self) {
        self.dead.cancel();
        self.background.kill();
        std::future::pending().await
    }
}
