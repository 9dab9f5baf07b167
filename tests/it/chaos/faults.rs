//! A share of the requests upstream fails: each route has a shuffled list of faults, used in the order of
//! arrival.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use hubspot_connection_service::emulator::{
    Action, BASE_PATH, Emulator, Fault, FaultResponse, IMS_PATH, Moment, Shape,
};

/// The number of faults per hundred requests.
const SHARE: usize = 30;
/// More hundreds than a run of 100 creations needs; the test checks that none runs out.
const HUNDREDS: usize = 10;
/// An entry without a fault.
const NO_FAULT: Action = Action::Delay(Duration::ZERO);

/// The faults of the requests, by route.
pub(super) struct Faults([Sequence; 3]);

struct Sequence {
    route: &'static str,
    path: String,
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

    fn with(size: Size, creations: fn(u64) -> Vec<Action>, random: &mut fastrand::Rng) -> Self {
        let connections = format!("{BASE_PATH}/connections");
        Self([
            Sequence::shuffled("POST /connections", &connections, creations, size, random),
            Sequence::shuffled("GET /connections", &connections, lists, size, random),
            Sequence::shuffled("POST /ims/token/v3", IMS_PATH, tokens, size, random),
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
        let [creations, lists, tokens] = self.0.each_ref().map(|sequence| sequence.used(emulator));
        let requests = creations.len() + lists.len() + tokens.len();
        let faulty = [creations, lists, tokens].concat().iter().filter(|action| **action != NO_FAULT).count();
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
        path: &str,
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
        Self { route, path: path.to_owned(), actions }
    }

    /// The entries that were used.
    fn used(&self, emulator: &Emulator) -> &[Action] {
        let (method, _) = self.route.split_once(' ').unwrap();
        let received = emulator.received();
        let requests = received.iter().filter(|r| r.method == method && r.path == self.path).count();
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
