//! What follows a refusal.

use super::*;

fn refusing(undos: impl IntoIterator<Item = Option<Undone<Thing>>>) -> Arc<Mutex<World>> {
    world(World { refuses: true, undos: undos.into_iter().collect(), ..World::default() })
}

fn remains(context: &str) -> Option<Undone<Thing>> {
    Some(Undone::Remains(context.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_creation_prepared_is_undone_and_its_id_is_free() {
    let (replica, id, world) = (Replica::new(), RequestId::generate(), refusing([]));
    let failure = replica.create(id, &world).await.unwrap_err();
    assert!(matches!(&*failure, Failure::NotCreated { error: CallError::Refused { .. }, .. }), "{failure:?}");
    assert_eq!(world.lock().unwrap().undone, ["a context"]);
    world.lock().unwrap().refuses = false;
    // Other content. It knows what lists may still show.
    assert_eq!(replica.create_in("dev", id, &world).await.unwrap().id, "thing 2");
    assert_eq!(world.lock().unwrap().prepared_after, [After::Nothing, After::Undone("a context".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_named_and_its_id_is_free() {
    let kept = Some(Undone::Deleted { deleted: Vec::new(), kept: vec!["dataset/1".to_owned()] });
    let (replica, id, world) = (Replica::new(), RequestId::generate(), refusing([kept]));
    let failure = replica.create(id, &world).await.unwrap_err();
    let Failure::LeftBehind { failure, leftovers } = &*failure else { panic!("{failure:?}") };
    assert!(matches!(**failure, Failure::NotCreated { error: CallError::Refused { .. }, .. }), "{failure:?}");
    assert_eq!(*leftovers, ["dataset/1"]);
    world.lock().unwrap().refuses = false;
    assert_eq!(replica.create_in("dev", id, &world).await.unwrap().id, "thing 2");
    // It may be used.
    assert_eq!(world.lock().unwrap().prepared_after, [After::Nothing, After::Nothing]);
}

#[tokio::test(start_paused = true)]
async fn what_several_undos_have_deleted_is_remembered() {
    let deleted = |name: &str| Some(Undone::Deleted { deleted: vec![name.to_owned()], kept: Vec::new() });
    let undos = [deleted("source/1"), deleted("source/2"), deleted("source/1")];
    let (replica, id, world) = (Replica::new(), RequestId::generate(), refusing(undos));
    for _ in 0..3 {
        replica.create(id, &world).await.unwrap_err();
    }
    world.lock().unwrap().refuses = false;
    replica.create(id, &world).await.unwrap();
    let undone = |names: &str| After::Undone(names.to_owned());
    let expected =
        [After::Nothing, undone("source/1"), undone("source/1,source/2"), undone("source/2,source/1")];
    assert_eq!(world.lock().unwrap().prepared_after, expected);
}

#[tokio::test(start_paused = true)]
async fn what_remains_is_undone_before_anything_else_and_not_used_again() {
    let undos = [remains("source/1"), remains("source/1")];
    let (replica, id, world) = (Replica::new(), RequestId::generate(), refusing(undos));
    let failure = replica.create(id, &world).await.unwrap_err();
    assert!(
        matches!(&*failure, Failure::LeftBehind { leftovers, .. } if *leftovers == ["source/1"]),
        "{failure:?}"
    );
    let failure = replica.create(id, &world).await.unwrap_err();
    assert!(matches!(&*failure, Failure::Undoing { leftovers } if *leftovers == ["source/1"]), "{failure:?}");
    world.lock().unwrap().refuses = false;
    assert_eq!(replica.create(id, &world).await.unwrap().id, "thing 2");
    let world = world.lock().unwrap();
    assert_eq!(world.undone, ["a context", "source/1", "source/1"]);
    assert_eq!(world.prepared_after, [After::Nothing, After::Undone("source/1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_exists_although_it_was_refused_wins() {
    for found_by_the_next in [false, true] {
        let exists = Some(Undone::Exists(thing("found")));
        let undos = if found_by_the_next { vec![remains("a context"), exists] } else { vec![exists] };
        let (replica, id, world) = (Replica::new(), RequestId::generate(), refusing(undos));
        if found_by_the_next {
            replica.create(id, &world).await.unwrap_err();
        }
        let created = replica.create(id, &world).await.unwrap();
        assert_eq!(created, Thing { origin: Some(Origin::Search), ..thing("found") });
        // It is recorded.
        assert_eq!(replica.create(id, &world).await.unwrap().id, "found");
        assert_eq!(world.lock().unwrap().sent.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_dies_is_finished_by_the_next_holder() {
    let (store, id, world) = (store(), RequestId::generate(), refusing([None]));
    let dying = Replica::with(Arc::clone(&store) as _);
    let background = dying.0.engine.background.clone();
    let timed_out = tokio::time::timeout(Duration::from_secs(5), dying.create(id, &world)).await;
    assert!(timed_out.is_err());
    background.kill();
    world.lock().unwrap().refuses = false;
    let next = Replica::with(store);
    let failure = next.create(id, &world).await.unwrap_err();
    assert!(matches!(&*failure, Failure::RequestInProgress { .. }), "{failure:?}");
    sleep(LEASE).await;
    assert_eq!(next.create(id, &world).await.unwrap().id, "thing 2");
    let world = world.lock().unwrap();
    assert_eq!(world.undone, ["a context", "a context"]);
    assert_eq!(world.prepared_after, [After::Nothing, After::Undone("a context".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_preparation_is_undone_if_it_says_so() {
    let world = world(World { problem: Some("no such column"), ..World::default() });
    let (replica, id) = (Replica::new(), RequestId::generate());
    replica.create(id, &world).await.unwrap_err();
    assert!(world.lock().unwrap().undone.is_empty());
    world.lock().unwrap().to_undo = Some("schema/1");
    let failure = replica.create(id, &world).await.unwrap_err();
    assert!(matches!(&*failure, Failure::Operation(NoDataset("no such column"))), "{failure:?}");
    assert_eq!(world.lock().unwrap().undone, ["schema/1"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_resend_is_undone_after_nothing_of_the_first_was_found() {
    let world = world(World { lost: 1, refuses: true, ..World::default() });
    let (replica, id) = (Replica::new(), RequestId::generate());
    let failure = loop {
        let failure = replica.create(id, &world).await.unwrap_err();
        if !matches!(&*failure, Failure::OutcomeUnknown { .. }) {
            break failure;
        }
        assert!(world.lock().unwrap().undone.is_empty());
    };
    assert!(matches!(&*failure, Failure::NotCreated { error: CallError::Refused { .. }, .. }), "{failure:?}");
    assert_eq!(world.lock().unwrap().undone, ["a context"]);
}
