//! Adobe's services in memory, with faults. Each call takes one round trip.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::{
    adobe::{CallError, Problem, Refusal},
    domain::dataflow::{
        Dataflow, Dataset, DatasetId, MappingSet, SchemaField, SchemaId, SourceConnection, TargetConnection,
        TitledResource, XdmPath,
    },
};

pub(super) const ROUND_TRIP: Duration = Duration::from_millis(300);
pub(super) const SCHEMA: &str = "https://ns.adobe.com/acme/schemas/existing";

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// It is executed, and its reply is lost.
    Lost,
    /// It is not executed, which nobody knows.
    NeverArrived,
    /// It cannot be sent.
    NotSent,
    /// It is refused with this code.
    Refused(&'static str),
    Forbidden,
    /// What it is about is not found.
    NotFound,
}

/// What there is.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) sources: Vec<SourceConnection>,
    pub(super) targets: Vec<TargetConnection>,
    pub(super) datasets: Vec<Dataset>,
    pub(super) sets: Vec<MappingSet>,
    pub(super) schemas: Vec<TitledResource>,
    pub(super) groups: Vec<(TitledResource, Vec<SchemaField>)>,
    pub(super) flows: Vec<Dataflow>,
    pub(super) faults: Vec<(&'static str, Fault)>,
    /// What Data Prep finds wrong with every mapping.
    pub(super) wrong_mapping: Option<String>,
    /// From when on flows are found by their IDs.
    pub(super) readable_from: Option<Instant>,
    /// Whether lists show what was deleted, and what there was before the first deletion.
    pub(super) are_lists_stale: bool,
    before: Option<Box<Self>>,
    /// The calls that change something.
    pub(super) writes: Vec<&'static str>,
    made: u32,
}

impl State {
    /// How many there are: field groups, schemas, datasets, mapping sets, source and target connections, flows.
    pub(super) fn counts(&self) -> [usize; 7] {
        [
            self.groups.len(),
            self.schemas.len(),
            self.datasets.len(),
            self.sets.len(),
            self.sources.len(),
            self.targets.len(),
            self.flows.len(),
        ]
    }

    /// The flows that are found by their IDs.
    pub(super) fn readable_flows(&self) -> &[Dataflow] {
        if self.readable_from.is_some_and(|from| Instant::now() < from) { &[] } else { &self.flows }
    }

    /// What a list shows.
    pub(super) fn listed<T: Clone + PartialEq>(
        &self,
        of: impl Fn(&Self) -> &Vec<T>,
        is_selected: impl Fn(&&T) -> bool,
    ) -> Vec<T> {
        let deleted =
            self.before.iter().flat_map(|before| of(before)).filter(|item| !of(self).contains(item));
        of(self).iter().chain(deleted).filter(is_selected).cloned().collect()
    }

    pub(super) fn next(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    pub(super) fn made_at_ms(&self) -> Option<i64> {
        Some(1_700_000_000_000 + i64::from(self.made))
    }
}

#[derive(Clone, Debug)]
pub(super) struct World(pub(super) Arc<Mutex<State>>);

impl World {
    /// With one dataset.
    pub(super) fn new() -> Self {
        let existing = Dataset {
            id: DatasetId::parse("existing").unwrap(),
            name: None,
            schema: Some(crate::domain::dataflow::SchemaRef {
                id: SchemaId::parse(SCHEMA).unwrap(),
                content_type: None,
            }),
            tags: Vec::new(),
            created_at_ms: None,
            has_batch: true,
        };
        Self(Arc::new(Mutex::new(State { datasets: vec![existing], ..State::default() })))
    }

    pub(super) fn with(faults: &[(&'static str, Fault)]) -> Self {
        let world = Self::new();
        world.0.lock().faults = faults.to_vec();
        world
    }

    pub(super) fn counts(&self) -> [usize; 7] {
        self.0.lock().counts()
    }

    async fn fault(&self, call: &'static str, deadline: Instant) -> Option<Fault> {
        assert!(Instant::now() <= deadline, "{call} is called too late");
        sleep(ROUND_TRIP).await;
        let mut state = self.0.lock();
        let place = state.faults.iter().position(|(of, _)| *of == call)?;
        Some(state.faults.remove(place).1)
    }

    pub(super) async fn read<T>(
        &self,
        call: &'static str,
        deadline: Instant,
        read: impl FnOnce(&State) -> T,
    ) -> Result<T, CallError> {
        match self.fault(call, deadline).await {
            None => Ok(read(&self.0.lock())),
            Some(fault) => Err(error(fault)),
        }
    }

    pub(super) async fn write<T>(
        &self,
        call: &'static str,
        deadline: Instant,
        write: impl FnOnce(&mut State) -> T,
    ) -> Result<T, CallError> {
        let fault = self.fault(call, deadline).await;
        let mut state = self.0.lock();
        state.writes.push(call);
        if state.are_lists_stale && state.before.is_none() && call.starts_with("delete") {
            state.before = Some(Box::new(state.clone()));
        }
        match fault {
            None => Ok(write(&mut state)),
            Some(Fault::Lost) => {
                write(&mut state);
                Err(error(Fault::Lost))
            }
            Some(fault) => Err(error(fault)),
        }
    }
}

pub(super) fn error(fault: Fault) -> CallError {
    let refused = |refusal, status, code: Option<&str>| CallError::Refused {
        refusal,
        problem: Problem { status, code: code.map(str::to_owned), ..Problem::default() },
    };
    match fault {
        Fault::Lost | Fault::NeverArrived => {
            CallError::Unavailable { retry_after: None, problem: None, cause: "the reply is lost".into() }
        }
        Fault::NotSent => CallError::Unreachable("refused".into()),
        Fault::Refused(code) => refused(Refusal::Request, 400, Some(code)),
        Fault::Forbidden => refused(Refusal::Permission, 403, None),
        Fault::NotFound => refused(Refusal::NotFound, 404, None),
    }
}

pub(super) fn field(path: &str, kind: &str) -> SchemaField {
    SchemaField { path: XdmPath::parse(path).unwrap(), kind: kind.to_owned(), format: String::new() }
}
