//! Callers that retry until they have their connection.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use hubspot_connection_service::domain::RequestId;
use tokio::time::{Instant, sleep};

use super::{replica::Request, setting::Callers, world::World};

/// The response to a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// The ID of its connection.
    Created(String),
    /// The connection did not work, and was deleted again.
    Rejected,
    /// The connection does not work, and was not deleted.
    LeftBehind(String),
    /// The connection may exist: retry with this request id.
    MayExist,
    /// Nothing was created, and why.
    NothingCreated { why: &'static str, retry_after: Option<Duration> },
    /// The creation is running elsewhere.
    InProgress { retry_after: Duration },
    /// The request id belongs to other content.
    OtherContent,
    /// The record cannot be used.
    Unreadable,
    /// Each of several connections could be it.
    Ambiguous,
    /// No response, or one without information.
    Nothing,
}

/// The end of a caller.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) caller: usize,
    pub(super) request_id: Option<RequestId>,
    /// The last response: unless it ends a creation, the caller has given up.
    pub(super) response: Response,
}

/// A caller.
struct Caller {
    number: usize,
    request_id: Option<RequestId>,
    begins_after: Duration,
    replica: fn(usize) -> usize,
    /// The first deadline, if it differs from that of the setting.
    first_deadline: Option<Duration>,
    request: fn(usize, Option<RequestId>) -> Request,
}

/// The longest time that a caller retries: a lost creation settles within minutes, and each fault can
/// cost that once.
const TIME_LIMIT: Duration = Duration::from_secs(1500);
/// The same where the outcome of a creation may stay unknown.
const SHORT_TIME_LIMIT: Duration = Duration::from_secs(400);
/// The number of attempts in quick succession.
const QUICK: usize = 40;
/// How often a caller retries after an ambiguous outcome.
const MOST_AMBIGUOUS: usize = 6;
/// How often a caller retries after its connection could not be deleted.
const MOST_LEFT_BEHIND: usize = 20;

impl Caller {
    fn new(number: usize, request_id: Option<RequestId>) -> Self {
        Self {
            number,
            request_id,
            begins_after: Duration::ZERO,
            replica: |_| 0,
            first_deadline: None,
            request: |_, request_id| Request::of(request_id),
        }
    }

    fn at(self, replica: fn(usize) -> usize) -> Self {
        Self { replica, ..self }
    }

    fn asking(self, request: fn(usize, Option<RequestId>) -> Request) -> Self {
        Self { request, ..self }
    }

    /// Calls until there is a connection: with its own request id, or else with the one that an error
    /// asked it to retry with.
    async fn retry(self, world: &Arc<World>) -> End {
        let Self { number, mut request_id, begins_after, replica, first_deadline, request } = self;
        sleep(begins_after).await;
        let began = Instant::now();
        let (mut ambiguous, mut left_behind) = (0, 0);
        for attempt in 0.. {
            let asked = request(attempt, request_id);
            let deadline = first_deadline.filter(|_| attempt == 0).unwrap_or(world.setting.deadline);
            let until = Instant::now() + deadline;
            let (about, response) = world.replica(replica(attempt)).create(asked, until).await;
            world.record_response(number, about, &response);
            let mut pause = if attempt < QUICK { Duration::from_secs(1) } else { Duration::from_secs(7) };
            match &response {
                Response::Created(_) | Response::Rejected | Response::OtherContent | Response::Unreadable => {
                    return End { caller: number, request_id: about, response };
                }
                Response::Ambiguous => {
                    ambiguous += 1;
                    pause = Duration::from_secs(10);
                }
                Response::LeftBehind(_) => {
                    request_id = about;
                    left_behind += 1;
                    pause = Duration::from_secs(10);
                }
                Response::MayExist => request_id = about,
                Response::InProgress { retry_after }
                | Response::NothingCreated { retry_after: Some(retry_after), .. } => {
                    if world.setting.backs_off {
                        pause = pause.max(*retry_after + Duration::from_millis(1));
                    }
                }
                Response::NothingCreated { retry_after: None, .. } | Response::Nothing => {}
            }
            let may_stay_open =
                world.setting.lists.has_no_end() || world.setting.may_stay_open(&world.fired());
            let time_limit = if may_stay_open { SHORT_TIME_LIMIT } else { TIME_LIMIT };
            if began.elapsed() > time_limit || ambiguous >= MOST_AMBIGUOUS || left_behind >= MOST_LEFT_BEHIND
            {
                return End { caller: number, request_id: request_id.or(about), response };
            }
            sleep(pause).await;
        }
        unreachable!("attempts have no end")
    }
}

/// Runs all callers of the setting to their ends.
pub(super) async fn call(world: &Arc<World>) -> Vec<End> {
    let id = Some(RequestId::generate());
    let callers = match world.setting.callers {
        Callers::One => vec![Caller::new(0, id)],
        Callers::OneThatMoves => vec![Caller::new(0, id).at(|attempt| attempt % 2)],
        Callers::OneWithoutId => vec![Caller::new(0, None)],
        Callers::TwoTogether => vec![Caller::new(0, id), Caller::new(1, id)],
        Callers::TwoApart => {
            vec![Caller::new(0, id).at(|attempt| attempt % 2), Caller::new(1, id).at(|n| (n + 1) % 2)]
        }
        Callers::TwoOfOneName => {
            vec![Caller::new(0, id), Caller::new(1, Some(RequestId::generate())).at(|_| 1)]
        }
        Callers::OneHasAShortDeadline => {
            let first_deadline = Some(Duration::from_millis(500));
            vec![Caller { first_deadline, ..Caller::new(0, id) }, Caller::new(1, id)]
        }
        Callers::OneWithFreshTokens => vec![Caller::new(0, id).asking(with_a_fresh_token)],
        Callers::WhileKeysRotate | Callers::UntilTheOldKeyIsGone => {
            rotate_keys(world);
            let begins_after = Duration::from_secs(8);
            vec![Caller::new(0, id), Caller { begins_after, ..Caller::new(1, id) }]
        }
        Callers::OneInAnotherSandbox => vec![Caller::new(0, id).asking(in_another_sandbox)],
    };
    join_all(callers.into_iter().map(|caller| caller.retry(world))).await
}

/// Retries the calls long after: a recorded response is returned again. A caller without an id has no
/// reason to retry.
pub(super) async fn call_again(world: &Arc<World>, ends: &[End]) -> Vec<End> {
    let has_id = world.setting.callers != Callers::OneWithoutId;
    let callers = ends.iter().filter(|end| has_id && end.request_id.is_some()).map(|end| {
        let caller = Caller::new(end.caller, end.request_id);
        // They are at a later attempt.
        let caller = if world.setting.callers == Callers::OneWithFreshTokens {
            caller.asking(|attempt, request_id| with_a_fresh_token(attempt + 1, request_id))
        } else if world.setting.callers == Callers::OneInAnotherSandbox {
            caller.asking(|attempt, request_id| in_another_sandbox(attempt + 1, request_id))
        } else {
            caller
        };
        caller.retry(world)
    });
    join_all(callers).await
}

fn with_a_fresh_token(attempt: usize, request_id: Option<RequestId>) -> Request {
    Request { access_token: if attempt == 0 { "first" } else { "fresh" }, ..Request::of(request_id) }
}

fn in_another_sandbox(attempt: usize, request_id: Option<RequestId>) -> Request {
    Request { sandbox: if attempt == 0 { "prod" } else { "dev" }, ..Request::of(request_id) }
}

fn rotate_keys(world: &Arc<World>) {
    let (keys, to_the_end) = (world.keys.clone(), world.setting.callers == Callers::UntilTheOldKeyIsGone);
    tokio::spawn(async move {
        sleep(Duration::from_secs(3)).await;
        keys.add_the_new();
        sleep(Duration::from_secs(3)).await;
        keys.use_the_new();
        if to_the_end {
            sleep(Duration::from_secs(60)).await;
            keys.remove_the_old();
        }
    });
}
