//! The callers of a dataflow: some create it, one withdraws it or deletes it.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::{
    super::{setting::Callers, world::World},
    replica::Answer,
    variant::Fate,
};

/// The longest time that a caller retries.
const TIME_LIMIT: Duration = Duration::from_secs(1500);
/// How often a caller retries after a refusal that may pass, and after an ambiguous outcome.
const MOST_REFUSALS: usize = 8;
const MOST_AMBIGUOUS: usize = 6;

#[derive(Clone, Copy)]
enum Wish {
    Create,
    Withdraw,
    Delete,
}

/// One caller. It is at another replica each time, if it moves.
#[derive(Clone, Copy)]
struct Caller {
    number: usize,
    wish: Wish,
    begins_after: Duration,
    moves: bool,
    first_replica: usize,
}

impl Caller {
    /// Calls until its wish is fulfilled, or never can be. Returns the last response.
    async fn call(self, world: &Arc<World>) -> Answer {
        sleep(self.begins_after).await;
        let began = Instant::now();
        let (mut refusals, mut ambiguous) = (0, 0);
        for attempt in 0.. {
            let number = if self.moves { (self.first_replica + attempt) % 2 } else { self.first_replica };
            let (replica, id) = (world.replica(number), world.dataflow_id());
            let deadline = Instant::now() + world.setting.deadline;
            let answer = match self.wish {
                Wish::Create => replica.create_dataflow(id, deadline).await,
                Wish::Withdraw => replica.withdraw_dataflow(id, deadline).await,
                Wish::Delete => match created(world) {
                    Some(id) => replica.delete_dataflow(&id, deadline).await,
                    None => return Answer::Nothing,
                },
            };
            world.record_answer(self.number, &answer);
            let mut pause = Duration::from_secs(if attempt < 40 { 1 } else { 7 });
            match answer {
                Answer::Created(_)
                | Answer::Withdrawn
                | Answer::Deleted(_)
                | Answer::Missing
                | Answer::Unexpected(_) => return answer,
                Answer::Refused { .. } => refusals += 1,
                Answer::Ambiguous => {
                    ambiguous += 1;
                    pause = Duration::from_secs(10);
                }
                Answer::InProgress { retry_after } => {
                    pause = pause.max(retry_after + Duration::from_millis(1))
                }
                // Until the settle window has passed.
                Answer::MayExist if matches!(self.wish, Wish::Withdraw) => pause = Duration::from_secs(30),
                Answer::MayExist | Answer::Undoing(_) | Answer::NothingCreated(_) | Answer::Nothing => {}
            }
            let variant = world.variant();
            let is_final = variant.refused.is_some() || variant.start_after.is_some();
            if (variant.leaves && self.number < 9)
                || refusals >= if is_final { 2 } else { MOST_REFUSALS }
                || ambiguous >= MOST_AMBIGUOUS
                || began.elapsed() > TIME_LIMIT
            {
                return answer;
            }
            sleep(pause).await;
        }
        unreachable!("attempts have no end")
    }
}

/// The dataflow that a caller got.
pub(super) fn created(world: &World) -> Option<String> {
    let answers = world.answers().into_iter();
    answers.rev().find_map(|(_, answer)| if let Answer::Created(id) = answer { Some(id) } else { None })
}

/// Runs all callers of the setting to their ends, and returns the last responses to those who create.
pub(super) async fn call(world: &Arc<World>) -> Vec<Answer> {
    let creates = |number, moves, first_replica| Caller {
        number,
        wish: Wish::Create,
        begins_after: Duration::ZERO,
        moves,
        first_replica,
    };
    let creators = match world.setting.callers {
        Callers::OneThatMoves => vec![creates(0, true, 0)],
        Callers::TwoTogether => vec![creates(0, false, 0), creates(1, false, 0)],
        Callers::TwoApart => vec![creates(0, true, 0), creates(1, true, 1)],
        _ => vec![creates(0, false, 0)],
    };
    let creators = join_all(creators.into_iter().map(|caller| caller.call(world)));
    let other = |wish, begins_after| Caller { wish, begins_after, ..creates(9, true, 1) };
    match world.variant().fate {
        Fate::Kept => creators.await,
        Fate::Withdrawn(after) => {
            let withdrawer = other(Wish::Withdraw, Duration::from_millis(after));
            tokio::join!(creators, withdrawer.call(world)).0
        }
        Fate::Deleted => {
            let ends = creators.await;
            other(Wish::Delete, Duration::ZERO).call(world).await;
            ends
        }
    }
}

/// Repeats every call, and returns the last response to the one who creates.
pub(super) async fn call_again(world: &Arc<World>) -> Answer {
    let again = Caller {
        number: 0,
        wish: Wish::Create,
        begins_after: Duration::ZERO,
        moves: false,
        first_replica: 0,
    };
    match world.variant().fate {
        Fate::Withdrawn(_) => drop(Caller { number: 9, wish: Wish::Withdraw, ..again }.call(world).await),
        Fate::Deleted => drop(Caller { number: 9, wish: Wish::Delete, ..again }.call(world).await),
        Fate::Kept => {}
    }
    again.call(world).await
}
