//! Two devices that begin sessions at once, lose their state, are restored from old copies, over a network that delivers in
//! any order: whatever happened, three messages later both send on one session and read each other.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use proptest::prelude::*;
use sordino_crypto::{receive::Outcome, sessions::REPAIR_EVERY_MS};
use support::world::World;

#[derive(Debug, Clone)]
enum Step {
    Send(usize),
    /// Begin a session although there is one.
    Begin(usize),
    Deliver(usize, prop::sample::Index),
    Lose(usize, prop::sample::Index),
    Forget(usize),
    Copy(usize),
    Restore(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let side = 0usize..2;
    let at = any::<prop::sample::Index>();
    prop_oneof![
        4 => side.clone().prop_map(Step::Send),
        2 => side.clone().prop_map(Step::Begin),
        6 => (side.clone(), at.clone()).prop_map(|(side, at)| Step::Deliver(side, at)),
        2 => (side.clone(), at).prop_map(|(side, at)| Step::Lose(side, at)),
        1 => side.clone().prop_map(Step::Forget),
        1 => side.clone().prop_map(Step::Copy),
        1 => side.prop_map(Step::Restore),
        1 => (1u64..REPAIR_EVERY_MS).prop_map(Step::Wait),
    ]
}

fn run(world: &mut World, steps: Vec<Step>) {
    let mut copies = [None, None];
    for step in steps {
        let now = world.now_ms;
        match step {
            Step::Send(from) => world.send(from),
            Step::Begin(from) => world.begin(from),
            Step::Deliver(to, at) if !world.sides[to].inbox.is_empty() => {
                let at = at.index(world.sides[to].inbox.len());
                match world.deliver(to, at).unwrap().outcome {
                    Outcome::Message(_) => {}
                    Outcome::Undecryptable { cause, .. } => assert!(cause.breaks_session()),
                    _ => panic!("an honest row"),
                }
            }
            Step::Lose(to, at) if !world.sides[to].inbox.is_empty() => {
                let at = at.index(world.sides[to].inbox.len());
                world.sides[to].inbox.remove(at);
            }
            Step::Deliver(..) | Step::Lose(..) => {}
            Step::Forget(side) => world.sides[side].forget(),
            Step::Copy(side) => copies[side] = Some(world.sides[side].copy()),
            Step::Restore(side) => {
                if let Some(copy) = copies[side].take() {
                    world.sides[side].restore(copy, now);
                }
            }
            Step::Wait(ms) => world.now_ms += ms,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happened_three_messages_later_both_agree(steps in prop::collection::vec(step(), 0..24)) {
        let mut world = World::default();
        run(&mut world, steps);
        world.converges();
    }
}

#[test]
fn two_sessions_begun_at_once_become_one() {
    let mut world = World::default();
    world.send(0);
    world.send(1);
    world.deliver_all();
    let [alice, bob] = &world.sides;
    assert_eq!(alice.book.sending(), bob.book.sending());
    assert_eq!((alice.read.len(), bob.read.len()), (1, 1));
    world.converges();
}

#[test]
fn a_side_that_forgot_everything_is_read_again_after_one_repair() {
    let mut world = World::default();
    world.send(0);
    world.deliver_all();
    world.send(1);
    world.deliver_all();
    run(&mut world, vec![Step::Forget(1)]);
    world.send(0);
    world.deliver_all();
    assert!(world.sides[1].repair);
    world.send(1);
    world.deliver_all();
    let [alice, bob] = &world.sides;
    assert_eq!(alice.book.sending(), bob.book.sending());
    world.converges();
}
