//! A share of the requests upstream fails: each route has a shuffled list of faults, used in the order of
//! arrival.

use std::{iter, time::Duration};

use http::{HeaderValue, StatusCode, header};
use hubspot_connection_service::emulator::{
    Action, BASE_PATH, Emulator, Fault, FaultResponse, Moment, ReceivedRequest, Shape,
};

/// The number of faults per hundred requests.
const SHARE: usize = 30;
/// More hundreds than a run of 100 creations needs; the test checks that none runs out.
const HUNDREDS: usize = 10;
/// What creates the parts of a dataflow, or checks them.
const PARTS: [&str; 7] = [
    "POST /sourceConnections",
    "POST /targetConnections",
    "POST /data/foundation/catalog/dataSets",
    "POST /data/foundation/conversion/mappingSets",
    "POST /data/foundation/conversion/mappingSets/validate",
    "POST /data/foundation/schemaregistry/tenant/fieldgroups",
    "POST /data/foundation/schemaregistry/tenant/schemas",
];
/// What deletes a dataflow and its parts.
const REMOVALS: [&str; 7] = [
    "DELETE /flows/{id}",
    "DELETE /sourceConnections/{id}",
    "DELETE /targetConnections/{id}",
    "DELETE /data/foundation/catalog/dataSets/{id}",
    "DELETE /data/foundation/conversion/mappingSets/{id}",
    "DELETE /data/foundation/schemaregistry/tenant/fieldgroups/{id}",
    "DELETE /data/foundation/schemaregistry/tenant/schemas/{id}",
];
/// An entry without a fault.
const NO_FAULT: Action = Action::Delay(Duration::ZERO);

/// The faults of the requests, by route: first of the creations that matter.
pub(super) struct Faults(Vec<Sequence>);

struct Sequence {
    route: &'static str,
    actions: Vec<Action>,
}

impl Faults {
    pub(super) fn shuffled(random: &mut fastrand::Rng) -> Self {
        Self::with(Size { hundreds: HUNDREDS, slowness: 1 }, creations, random)
    }

    /// Faults for so many creations, which take up to three seconds.
    pub(super) fn slow(requests: usize, random: &mut fastrand::Rng) -> Self {
        Self::with(Size::slow(requests), creations, random)
    }

    /// The same, except that a creation arrives at once or never.
    pub(super) fn slow_and_never_late(requests: usize, random: &mut fastrand::Rng) -> Self {
        Self::with(Size::slow(requests), creations_on_time, random)
    }

    /// Faults of every request of a dataflow that creates or deletes something.
    pub(super) fn of_dataflows(requests: usize, random: &mut fastrand::Rng) -> Self {
        let parts = PARTS.iter().map(|route| (*route, creations as fn(u64) -> Vec<Action>));
        let removals = REMOVALS.iter().map(|route| (*route, deletions as fn(u64) -> Vec<Action>));
        let all = iter::once(("POST /flows", flows as fn(u64) -> Vec<Action>)).chain(parts).chain(removals);
        let size = Size::slow(requests);
        Self(all.map(|(route, faults)| Sequence::shuffled(route, faults, size, random)).collect())
    }

    fn with(size: Size, creations: fn(u64) -> Vec<Action>, random: &mut fastrand::Rng) -> Self {
        Self(vec![
            Sequence::shuffled("POST /connections", creations, size, random),
            Sequence::shuffled("GET /connections", lists, size, random),
            Sequence::shuffled("POST /ims/token/v3", tokens, size, random),
        ])
    }

    pub(super) fn inject(&self, emulator: &Emulator) {
        let faults = |sequence: &Sequence| -> Vec<_> {
            sequence.actions.iter().map(|action| Fault::once(sequence.route, action.clone())).collect()
        };
        emulator.inject(self.0.iter().flat_map(faults).collect());
    }

    /// The counts up to this point.
    pub(super) fn counts(&self, emulator: &Emulator) -> Counts {
        let received = emulator.received();
        let used: Vec<_> = self.0.iter().map(|sequence| sequence.used(&received)).collect();
        let requests = used.iter().map(|actions| actions.len()).sum();
        let faulty = used.iter().copied().flatten().filter(|action| **action != NO_FAULT).count();
        let creations = used[0];
        let committed = creations.iter().filter(|action| commits(action)).count();
        Counts { requests, faulty, posts: creations.len(), committed }
    }
}

/// The number of faults, and the delay of the slow ones.
#[derive(Clone, Copy)]
struct Size {
    hundreds: usize,
    slowness: u64,
}

impl Size {
    fn slow(requests: usize) -> Self {
        Self { hundreds: HUNDREDS * requests.div_ceil(200), slowness: 3 }
    }
}

/// The counts of the requests upstream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) requests: usize,
    /// The number of requests with a fault.
    pub(super) faulty: usize,
    /// The number of creations that have arrived.
    pub(super) posts: usize,
    /// The number of those that have made a connection, or will make one late.
    pub(super) committed: usize,
}

impl Sequence {
    fn shuffled(
        route: &'static str,
        faults: fn(u64) -> Vec<Action>,
        size: Size,
        random: &mut fastrand::Rng,
    ) -> Self {
        let mut actions = Vec::new();
        for hundred in 0..size.hundreds {
            // The delays vary between hundreds.
            let faults = faults(size.slowness * (100 + 90 * u64::try_from(hundred % HUNDREDS).unwrap()));
            assert_eq!(faults.len(), SHARE);
            actions.extend(faults);
            actions.resize((hundred + 1) * 100, NO_FAULT);
        }
        random.shuffle(&mut actions);
        Self { route, actions }
    }

    /// The entries that were used.
    fn used(&self, received: &[ReceivedRequest]) -> &[Action] {
        let (method, path) = self.route.split_once(' ').unwrap();
        let is_own = |received: &ReceivedRequest| {
            let relative = received.path.strip_prefix(BASE_PATH).unwrap_or(&received.path);
            let is_at = match path.strip_suffix("{id}") {
                Some(parent) => relative.starts_with(parent),
                None => relative == path,
            };
            received.method == method && is_at
        };
        let requests = received.iter().filter(|received| is_own(received)).count();
        assert!(requests <= self.actions.len(), "{requests} requests of {} are too many", self.route);
        &self.actions[..requests]
    }
}

/// Whether a creation with this fault makes a connection.
fn commits(action: &Action) -> bool {
    match action {
        Action::Respond(answer) => answer.commit,
        Action::Close(moment) => *moment == Moment::AfterCommit,
        Action::CommitAfter(_) | Action::Delay(_) => true,
    }
}

fn creations(milliseconds: u64) -> Vec<Action> {
    repeated([
        (5, Action::Close(Moment::BeforeCommit)),
        (5, Action::Close(Moment::AfterCommit)),
        (4, Action::CommitAfter(Duration::from_millis(milliseconds))),
        (3, answer(StatusCode::SERVICE_UNAVAILABLE, Shape::A, false)),
        (3, answer(StatusCode::SERVICE_UNAVAILABLE, Shape::Empty, true)),
        (2, throttle("0")),
        (1, throttle("1")),
        (1, answer(StatusCode::UNAUTHORIZED, Shape::D, false)),
        (4, Action::Delay(Duration::from_millis(milliseconds))),
        (2, answer(StatusCode::CREATED, Shape::Cut, true)),
    ])
}

fn creations_on_time(milliseconds: u64) -> Vec<Action> {
    let on_time = |action| match action {
        Action::CommitAfter(_) => Action::Close(Moment::AfterCommit),
        Action::Respond(_) | Action::Close(_) | Action::Delay(_) => action,
    };
    creations(milliseconds).into_iter().map(on_time).collect()
}

/// The same with refusals in place of some delays.
fn flows(milliseconds: u64) -> Vec<Action> {
    let mut actions = creations(milliseconds);
    let is_slow = |action: &Action| matches!(action, Action::Delay(_));
    let refusal = answer(StatusCode::BAD_REQUEST, Shape::A, false);
    actions.iter_mut().filter(|action| is_slow(action)).take(2).for_each(|action| *action = refusal.clone());
    actions
}

fn deletions(milliseconds: u64) -> Vec<Action> {
    repeated([
        (7, Action::Close(Moment::BeforeCommit)),
        (7, Action::Close(Moment::AfterCommit)),
        (8, answer(StatusCode::SERVICE_UNAVAILABLE, Shape::Html, false)),
        (4, throttle("0")),
        (4, Action::Delay(Duration::from_millis(milliseconds))),
    ])
}

fn lists(milliseconds: u64) -> Vec<Action> {
    repeated([
        (10, Action::Close(Moment::BeforeCommit)),
        (8, answer(StatusCode::SERVICE_UNAVAILABLE, Shape::Html, false)),
        (3, throttle("0")),
        (1, answer(StatusCode::UNAUTHORIZED, Shape::D, false)),
        (5, Action::Delay(Duration::from_millis(milliseconds))),
        (3, answer(StatusCode::OK, Shape::Cut, true)),
    ])
}

/// Without a 401: from IMS it means that the client's own secret is wrong.
fn tokens(milliseconds: u64) -> Vec<Action> {
    repeated([
        (10, Action::Close(Moment::BeforeCommit)),
        (5, Action::Close(Moment::AfterCommit)),
        (8, answer(StatusCode::SERVICE_UNAVAILABLE, Shape::Html, false)),
        (4, throttle("0")),
        (2, Action::Delay(Duration::from_millis(milliseconds))),
        (1, answer(StatusCode::OK, Shape::Cut, true)),
    ])
}

fn repeated<const N: usize>(counts: [(usize, Action); N]) -> Vec<Action> {
    counts.into_iter().flat_map(|(count, action)| vec![action; count]).collect()
}

fn answer(status: StatusCode, shape: Shape, commit: bool) -> Action {
    Action::Respond(FaultResponse { commit, ..FaultResponse::new(status, shape) })
}

fn throttle(retry_after: &'static str) -> Action {
    let mut answer = FaultResponse::new(StatusCode::TOO_MANY_REQUESTS, Shape::D);
    answer.headers.insert(header::RETRY_AFTER, HeaderValue::from_static(retry_after));
    Action::Respond(answer)
}
