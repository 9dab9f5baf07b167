//! Whether the promise is kept: one request creates one dataflow, a refused or withdrawn one leaves nothing, and
//! nothing of another and nothing with data is ever deleted.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use hubspot_connection_service::{domain::dataflow::StoredSchedule, service::dataflows::Part};
use tokio::time::sleep;

use super::{
    super::{
        faults::Fault,
        interleaving::{Broken, LONG_AFTER},
        world::World,
    },
    callers::{call, call_again},
    replica::Answer,
    things::{Thing, What},
    variant::{Fate, Hidden},
};

type Finding = (Broken, String);

/// Runs the callers of a setting, and returns what is broken.
pub(in super::super) async fn broken(world: &Arc<World>) -> Vec<Finding> {
    let (connection, id) = (world.connection(), world.dataflow_id());
    world.things.lock().unwrap().of_others(&connection, id);
    let mut broken = Vec::new();
    let ends = call(world).await;
    // Requests in transit arrive.
    sleep(LONG_AFTER).await;
    world.calm();
    let end = call_again(world).await;
    for end in ends.iter().filter(|_| !world.variant().leaves).chain([&end]) {
        broken.extend(check_end(world, end));
    }
    broken.extend(check_answers(world));
    broken.extend(check_flows(world));
    broken.extend(check_withdrawal(world));
    broken.extend(check_remains(world, &end));
    broken
}

fn all(world: &World) -> Vec<Thing> {
    world.things.lock().unwrap().all().to_vec()
}

fn flows(all: &[Thing]) -> impl Iterator<Item = &Thing> {
    all.iter().filter(|thing| thing.by.is_some() && thing.what.part() == Part::Flow)
}

/// The last response to a caller who creates.
fn check_end(world: &World, end: &Answer) -> Option<Finding> {
    let variant = world.variant();
    let may_be_refused = variant.refused.is_some() || variant.start_after.is_some();
    match end {
        Answer::Created(_) => None,
        Answer::Refused { .. } if may_be_refused => None,
        Answer::Withdrawn if matches!(variant.fate, Fate::Withdrawn(_)) => None,
        _ => Some((Broken::Stuck, format!("the caller has no dataflow: {end:?}"))),
    }
}

/// All responses.
fn check_answers(world: &World) -> Vec<Finding> {
    let (mut broken, all, mut created) = (Vec::new(), all(world), BTreeSet::new());
    let mut is_withdrawn = false;
    let fired = world.fired();
    let refusals = fired.values().filter(|fault| **fault == Fault::Refused).count();
    let refused =
        world.answers().iter().filter(|(_, answer)| matches!(answer, Answer::Refused { .. })).count();
    if world.variant().stale >= 30 && refused > refusals {
        broken.push((Broken::Rejected, "a request is refused because of what was undone".to_owned()));
    }
    for (moment, answer) in world.answers() {
        let sent_before = || flows(&all).filter(|flow| flow.sent <= moment && flow.exists());
        match &answer {
            Answer::Created(id) => {
                if created.insert(id.clone()) && created.len() > 1 {
                    broken.push((Broken::Duplicate, format!("callers got {created:?}")));
                }
                if !flows(&all).any(|flow| flow.what.id() == id) {
                    broken.push((Broken::Foreign, format!("a caller got another's {id}")));
                }
                if is_withdrawn {
                    broken.push((Broken::Revived, "a caller got a dataflow after the withdrawal".to_owned()));
                }
            }
            Answer::NothingCreated(_) | Answer::Refused { .. } if sent_before().next().is_some() => {
                broken.push((Broken::Denied, format!("a caller got {answer:?}")));
            }
            Answer::Deleted(_) | Answer::Missing if matches!(world.variant().fate, Fate::Withdrawn(_)) => {
                is_withdrawn = true;
                if flows(&all).any(|flow| flow.sent > moment) {
                    broken.push((Broken::Revived, "a dataflow is made after the withdrawal".to_owned()));
                }
            }
            Answer::Unexpected(why) => broken.push((Broken::Rejected, why.clone())),
            _ => {}
        }
    }
    broken
}

/// The dataflows, and what they use.
fn check_flows(world: &World) -> Vec<Finding> {
    let (mut broken, all, variant) = (Vec::new(), all(world), world.variant());
    let made: Vec<_> = flows(&all).collect();
    if made.len() > 1 {
        broken.push((Broken::Duplicate, format!("one request made {} dataflows", made.len())));
    }
    let exists = made.iter().any(|flow| flow.exists());
    if exists && variant.fate != Fate::Kept && world.answers().iter().any(|(_, answer)| is_deletion(answer)) {
        broken.push((Broken::Revived, "a dataflow exists that was deleted or withdrawn".to_owned()));
    }
    if variant.fate == Fate::Kept && made.iter().any(|flow| !flow.exists()) {
        broken.push((Broken::Deleted, "the dataflow is deleted".to_owned()));
    }
    let has_only_lost = world.fired().values().all(|fault| *fault == Fault::LostAfterCommit);
    if has_only_lost && world.setting.lists.lag < Duration::from_secs(2) && variant.refused.is_none() {
        for part in [Part::SourceConnection, Part::TargetConnection, Part::Dataset] {
            if all.iter().filter(|thing| thing.by.is_some() && thing.what.part() == part).count() > 1 {
                broken.push((Broken::Duplicate, format!("a visible {part:?} is made twice")));
            }
        }
    }
    for thing in &made {
        let What::Flow(flow) = &thing.what else { continue };
        let StoredSchedule { start, .. } = flow.schedule;
        let asked = variant.start_after.map(|after| world.began_ms() / 1000 + after);
        if asked.is_some() && start != asked {
            broken.push((Broken::Denied, format!("it starts at {start:?} and not at {asked:?}")));
        }
        let used = [
            flow.source_connections.first().map(|id| id.as_str()),
            flow.target_connections.first().map(|id| id.as_str()),
            flow.mapping_set.as_ref().map(|set| set.id.as_str()),
        ];
        for id in used {
            let used = all.iter().find(|other| Some(other.what.id()) == id);
            if used.is_none_or(|used| used.by != thing.by || thing.exists() && !used.exists()) {
                broken.push((Broken::Foreign, format!("it uses {id:?}, which is another's or deleted")));
            }
        }
    }
    let wrongs = std::mem::take(&mut world.things.lock().unwrap().wrongs);
    broken.extend(
        wrongs
            .into_iter()
            .map(|wrong| (if wrong.contains("another") { Broken::Foreign } else { Broken::Deleted }, wrong)),
    );
    broken
}

/// A dataflow that appears after the answer to the withdrawal of its creation. Another withdrawal would delete it, but
/// nobody has a reason to call again.
fn check_withdrawal(world: &World) -> Vec<Finding> {
    if !matches!(world.variant().fate, Fate::Withdrawn(_)) {
        return Vec::new();
    }
    let (all, withdrawn_at) = (all(world), world.withdrawn_at());
    let is_late = |flow: &&Thing| withdrawn_at.is_some_and(|withdrawn_at| flow.made_at > withdrawn_at);
    let broken = |_| (Broken::Revived, "a dataflow appears after the withdrawal was answered".to_owned());
    flows(&all).filter(is_late).map(broken).collect()
}

fn is_deletion(answer: &Answer) -> bool {
    matches!(answer, Answer::Deleted(_) | Answer::Missing)
}

/// What remains at the end.
fn check_remains(world: &World, end: &Answer) -> Vec<Finding> {
    let (all, variant) = (all(world), world.variant());
    let mut reported = BTreeSet::new();
    for (_, answer) in world.answers() {
        match answer {
            Answer::Refused { leftovers, .. } | Answer::Undoing(leftovers) | Answer::Deleted(leftovers) => {
                reported.extend(leftovers);
            }
            _ => {}
        }
    }
    let things = world.things.lock().unwrap();
    let is_wanted = |thing: &&Thing| {
        let (part, id) = (thing.what.part(), thing.what.id());
        match part {
            Part::Flow => true,
            // What holds or may hold data stays, and a deletion by ID keeps it.
            Part::Dataset if things.has_batch(id) => true,
            Part::Dataset | Part::Schema | Part::FieldGroup if variant.fate == Fate::Deleted => true,
            // It is a part of a schema.
            Part::FieldGroup if matches!(end, Answer::Created(_)) => true,
            // Whether a flow uses it, cannot be known where the source is hidden.
            _ => variant.hidden == Hidden::Source || things.user_of(part, id).is_some(),
        }
    };
    let left = all.iter().filter(|thing| thing.by.is_some() && thing.exists());
    let left = left.filter(|thing| !is_wanted(thing)).map(|thing| thing.what.named());
    left.filter(|named| !reported.contains(named))
        .map(|named| {
            let kind = named.split('/').next().unwrap_or_default();
            (Broken::LeftBehind, format!("a {kind} is left, which nothing uses and no response names"))
        })
        .collect()
}
