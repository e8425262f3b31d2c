//! Who is woken, and who is not: an embedded relay, devices on real sockets, and a server that speaks FCM.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod chat_support;
mod fcm_support;

use std::{path::Path, sync::Arc, time::Duration};

use chat_support::{Draft, Person, Relay, device_id, until};
use fcm_support::{Fcm as Server, Say};
use sordino_protocol::{Class, hash::conversation_id, http::PushProvider};
use sordino_relay::{
    chat,
    notify::{Hints, Notifier, Providers, Retry, Settings, fcm::Fcm},
    user::PushTarget,
};
use tempfile::TempDir;

/// Everything of one test.
struct World {
    relay: Relay,
    notifier: Notifier,
    fcm: Server,
    dir: TempDir,
}

/// Waits are short: what is tested is whether, not when.
fn settings() -> Settings {
    Settings {
        delay: Duration::from_millis(200),
        retry: Retry {
            first: Duration::from_millis(100),
            ..Retry::default()
        },
        resets: Duration::from_millis(100),
        ..Settings::default()
    }
}

async fn start(dir: &Path, fcm: &Server, settings: Settings) -> (Relay, Notifier) {
    let hints = settings.hints();
    let queue = hints.clone();
    let relay = Relay::start_with(dir, chat::Settings::default(), |options| {
        options.hints = Some(queue);
    });
    let relay = relay.await;
    let notifier = notifier(&relay, dir, fcm, settings, hints);
    (relay, notifier)
}

fn notifier(
    relay: &Relay,
    dir: &Path,
    fcm: &Server,
    settings: Settings,
    hints: Arc<Hints>,
) -> Notifier {
    let account = dir.join("account.json");
    fcm.write_account(&account);
    let client = Fcm::open(&account, &fcm.endpoint()).unwrap();
    let providers = Providers::default().with(PushProvider::Fcm, Arc::new(client));
    let (users, history) = (relay.api.users.clone(), relay.api.history.clone());
    Notifier::embedded(settings, hints, users, history, providers)
}

impl World {
    async fn new(settings: Settings) -> Self {
        let (fcm, dir) = (Server::start().await, tempfile::tempdir().unwrap());
        let (relay, notifier) = start(dir.path(), &fcm, settings).await;
        Self {
            relay,
            notifier,
            fcm,
            dir,
        }
    }

    /// A person whose devices can all be woken, with tokens as [`token`] names them.
    async fn person(&self, seed: u8, devices: &[u8]) -> Person {
        let person = Person::new(seed);
        self.relay.register(&person, devices).await;
        for device in devices {
            self.put(&person, *device, &token(seed, *device)).await;
        }
        person
    }

    async fn put(&self, person: &Person, device: u8, token: &str) {
        let target = PushTarget {
            device: device_id(device),
            provider: PushProvider::Fcm,
            token: token.to_owned(),
            set_ms: 1,
        };
        let put = self.relay.api.users.put_push(person.user, &target).await;
        put.unwrap();
    }

    async fn tokens(&self, person: &Person) -> Vec<String> {
        let targets = self.relay.api.users.push_targets(person.user).await;
        targets.unwrap().into_iter().map(|t| t.token).collect()
    }

    async fn end(self) {
        self.notifier.stop().await;
        self.relay.shutdown().await;
    }
}

fn token(person: u8, device: u8) -> String {
    format!("token-{person}-{device}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_one_wake_until_the_device_has_woken_up() {
    let world = World::new(settings()).await;
    let (alice, bob, carol) = (
        world.person(1, &[1]).await,
        world.person(2, &[2]).await,
        world.person(3, &[3]).await,
    );
    let mut a = world.relay.connect(&alice, 1).await;
    for counter in 1..=20 {
        a.send(Draft::new((&alice, 1), (&bob, &[2]), counter).frame())
            .await;
        assert_eq!(a.answer().await, (counter, None));
    }
    world.fcm.wait_for("token-2-2", 1).await;
    // Whatever was to come of the burst is through when a later message has waked somebody else.
    a.send(Draft::new((&alice, 1), (&carol, &[3]), 1).frame())
        .await;
    world.fcm.wait_for("token-3-3", 1).await;
    assert_eq!(world.fcm.said("token-2-2"), [Say::Sent]);
    // It wakes up, fetches, says so and sleeps again: the next message wakes it again.
    let conversation = conversation_id(alice.user, bob.user);
    let mut b = world.relay.connect(&bob, 2).await;
    b.pull(conversation, 1, 20).await.unwrap();
    b.ack(conversation, 20).await;
    let history = world.relay.api.history.clone();
    until(async || {
        let progress = history.progress(bob.user, conversation).await.unwrap();
        progress.unwrap().of(device_id(2)) == 20
    })
    .await;
    drop(b);
    a.send(Draft::new((&alice, 1), (&bob, &[2]), 21).frame())
        .await;
    world.fcm.wait_for("token-2-2", 2).await;
    let seen = world.fcm.seen();
    assert_eq!(seen.len(), 3, "nobody else was woken");
    for seen in seen {
        for id in [
            alice.user.to_string(),
            bob.user.to_string(),
            conversation.to_string(),
        ] {
            assert!(!seen.body.contains(&id), "{}", seen.body);
        }
        let wake = seen.body.replace(&seen.token, "");
        assert!(wake.len() < 400 && !wake.contains("message "), "{wake}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_conversations_are_one_wake_however_long_the_device_sleeps() {
    let window = Duration::from_millis(600);
    let world = World::new(Settings {
        window,
        ..settings()
    })
    .await;
    let bob = world.person(2, &[2]).await;
    for seed in 3..=8 {
        let other = world.person(seed, &[seed]).await;
        let mut socket = world.relay.connect(&other, seed).await;
        let draft = Draft::new((&other, seed), (&bob, &[2]), 1);
        socket.send(draft.frame()).await;
        assert_eq!(socket.answer().await, (1, None));
    }
    world.fcm.wait_for("token-2-2", 1).await;
    // As long as each of the others would have waited for a wake of its own.
    tokio::time::sleep(8 * window).await;
    let said = world.fcm.said("token-2-2").len();
    assert!(
        said <= 2,
        "{said}: what came after the first may take one more"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_recipients_devices_that_do_not_acknowledge_are_woken() {
    // Time enough to acknowledge on a busy machine.
    let world = World::new(Settings {
        delay: Duration::from_secs(5),
        ..settings()
    })
    .await;
    let (alice, bob) = (
        world.person(1, &[1, 4]).await,
        world.person(2, &[2, 3]).await,
    );
    let mut a = world.relay.connect(&alice, 1).await;
    let mut b = world.relay.connect(&bob, 2).await;
    let mut draft = Draft::new((&alice, 1), (&bob, &[2, 3]), 1);
    draft.header.sender_list = 2;
    draft.header.recipient_list = 2;
    draft.targets.push((alice.user, device_id(4)));
    a.send(draft.frame()).await;
    assert_eq!(b.row().await.seq, 1);
    b.ack(draft.header.conversation, 1).await;
    // Bob's other device sleeps; so does Alice's, whom her own message does not wake. What devices say among themselves wakes
    // nobody: here the last word is such.
    let mut control = Draft::new((&alice, 1), (&bob, &[3]), 2);
    control.header.class = Class::Control;
    control.header.sender_list = 2;
    control.header.recipient_list = 2;
    a.send(control.frame()).await;
    world.fcm.wait_for("token-2-3", 1).await;
    let tokens: Vec<_> = world
        .fcm
        .seen()
        .into_iter()
        .map(|seen| seen.token)
        .collect();
    assert_eq!(tokens, ["token-2-3"]);
    // He answers from the device that is awake: Alice's other one is woken, his own other one is not, though it lacks this too.
    let mut answer = Draft::new((&bob, 2), (&alice, &[1, 4]), 1);
    answer.header.sender_list = 2;
    answer.header.recipient_list = 2;
    answer.targets.push((bob.user, device_id(3)));
    b.send(answer.frame()).await;
    while a.row().await.header != answer.header.encode() {}
    a.ack(draft.header.conversation, 3).await;
    world.fcm.wait_for("token-1-4", 1).await;
    let tokens: Vec<_> = world
        .fcm
        .seen()
        .into_iter()
        .map(|seen| seen.token)
        .collect();
    assert_eq!(tokens, ["token-2-3", "token-1-4"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_removed_by_one_word_of_fcm_only() {
    let world = World::new(settings()).await;
    let says = [
        (2, Say::Internal),
        (3, Say::Mismatch),
        (4, Say::InvalidToken),
        (5, Say::Garbage),
        (6, Say::Reset),
        (7, Say::Unauthenticated),
        (8, Say::Unregistered),
    ];
    let devices = says.clone().map(|(device, _)| device);
    let (alice, bob) = (world.person(1, &[1]).await, world.person(2, &devices).await);
    for (device, say) in says {
        world.fcm.script(&token(2, device), [say]);
    }
    let mut a = world.relay.connect(&alice, 1).await;
    let mut draft = Draft::new((&alice, 1), (&bob, &devices), 1);
    draft.header.recipient_list = 2;
    a.send(draft.frame()).await;
    // Tried again, all three.
    for device in [2, 5, 6] {
        world.fcm.wait_for(&token(2, device), 2).await;
    }
    // With a new access token.
    world.fcm.wait_for(&token(2, 7), 2).await;
    until(async || world.tokens(&bob).await.len() < devices.len()).await;
    let rest = devices[..6].iter().map(|device| token(2, *device));
    assert_eq!(world.tokens(&bob).await, rest.collect::<Vec<_>>());
    assert_eq!(world.fcm.said(&token(2, 8)), [Say::Unregistered]);
    assert_eq!(
        world.fcm.said(&token(2, 3)),
        [Say::Mismatch],
        "not repeated"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_verdict_does_not_remove_a_newer_token() {
    let world = World::new(settings()).await;
    let (alice, bob) = (world.person(1, &[1]).await, world.person(2, &[2]).await);
    let held = Say::Held(Box::new(Say::Unregistered));
    world.fcm.script("token-2-2", [held, Say::Unregistered]);
    let mut a = world.relay.connect(&alice, 1).await;
    a.send(Draft::new((&alice, 1), (&bob, &[2]), 1).frame())
        .await;
    world.fcm.wait_for("token-2-2", 1).await;
    world.put(&bob, 2, "newer").await;
    world.fcm.release();
    // The next message goes to the new one, which stands.
    a.send(Draft::new((&alice, 1), (&bob, &[2]), 2).frame())
        .await;
    world.fcm.wait_for("newer", 1).await;
    assert_eq!(world.tokens(&bob).await, ["newer"]);
    assert_eq!(world.fcm.said("token-2-2").len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fcm_is_asked_again_not_before_the_time_that_it_names() {
    let world = World::new(settings()).await;
    let (alice, bob) = (world.person(1, &[1]).await, world.person(2, &[2]).await);
    world.fcm.script(
        "token-2-2",
        [Say::Unavailable(Some(1)), Say::Quota(Some(1))],
    );
    let mut a = world.relay.connect(&alice, 1).await;
    a.send(Draft::new((&alice, 1), (&bob, &[2]), 1).frame())
        .await;
    world.fcm.wait_for("token-2-2", 1).await;
    // More messages meanwhile are no reason to ask earlier.
    a.send(Draft::new((&alice, 1), (&bob, &[2]), 2).frame())
        .await;
    world.fcm.wait_for("token-2-2", 3).await;
    let seen = world.fcm.seen();
    assert_eq!(seen.len(), 3);
    for pair in seen.windows(2) {
        let waited = pair[1].at - pair[0].at;
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wake_is_called_off_if_the_device_has_it_meanwhile() {
    let world = World::new(settings()).await;
    let (alice, bob, carol) = (
        world.person(1, &[1]).await,
        world.person(2, &[2]).await,
        world.person(3, &[3]).await,
    );
    world.fcm.script("token-2-2", [Say::Unavailable(Some(3))]);
    let mut a = world.relay.connect(&alice, 1).await;
    let draft = Draft::new((&alice, 1), (&bob, &[2]), 1);
    a.send(draft.frame()).await;
    world.fcm.wait_for("token-2-2", 1).await;
    let mut b = world.relay.connect(&bob, 2).await;
    b.pull(draft.header.conversation, 1, 1).await.unwrap();
    b.ack(draft.header.conversation, 1).await;
    // Put off as long, and a moment later: through when bob's is.
    world.fcm.script("token-3-3", [Say::Unavailable(Some(4))]);
    a.send(Draft::new((&alice, 1), (&carol, &[3]), 1).frame())
        .await;
    world.fcm.wait_for("token-3-3", 2).await;
    assert_eq!(world.fcm.said("token-2-2").len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_fcm_that_hangs_holds_up_no_message() {
    let world = World::new(Settings {
        at_a_time: 2,
        ..settings()
    })
    .await;
    let (alice, bob) = (world.person(1, &[1]).await, world.person(2, &[2]).await);
    let mut a = world.relay.connect(&alice, 1).await;
    let mut sleepers = Vec::new();
    for seed in 10..16 {
        let sleeper = world.person(seed, &[seed]).await;
        world.fcm.script(&token(seed, seed), vec![Say::Hang; 99]);
        a.send(Draft::new((&alice, 1), (&sleeper, &[seed]), 1).frame())
            .await;
        assert_eq!(a.answer().await, (1, None));
        sleepers.push(sleeper);
    }
    until(async || world.fcm.seen().len() >= 2).await;
    let mut b = world.relay.connect(&bob, 2).await;
    for counter in 1..=100 {
        a.send(Draft::new((&alice, 1), (&bob, &[2]), counter).frame())
            .await;
        assert_eq!(b.row().await.seq, counter);
    }
    assert!(world.fcm.seen().iter().all(|seen| seen.said == Say::Hang));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_found_no_place_in_the_queue_is_found_in_the_store() {
    let world = World::new(Settings {
        capacity: 1,
        at_a_time: 1,
        ..settings()
    })
    .await;
    let alice = world.person(1, &[1]).await;
    let mut a = world.relay.connect(&alice, 1).await;
    for seed in 10..16 {
        let sleeper = world.person(seed, &[seed]).await;
        a.send(Draft::new((&alice, 1), (&sleeper, &[seed]), 1).frame())
            .await;
        assert_eq!(a.answer().await, (1, None));
    }
    for seed in 10..16 {
        world.fcm.wait_for(&token(seed, seed), 1).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_wakes_for_what_was_missed() {
    // Nothing is due before the relay ends.
    let world = World::new(Settings {
        delay: Duration::from_secs(3600),
        ..settings()
    })
    .await;
    let (alice, bob, carol) = (
        world.person(1, &[1]).await,
        world.person(2, &[2]).await,
        world.person(3, &[3]).await,
    );
    let mut a = world.relay.connect(&alice, 1).await;
    let mut c = world.relay.connect(&carol, 3).await;
    for counter in 1..=3 {
        a.send(Draft::new((&alice, 1), (&bob, &[2]), counter).frame())
            .await;
        assert_eq!(a.answer().await, (counter, None));
    }
    let to_carol = Draft::new((&alice, 1), (&carol, &[3]), 1);
    a.send(to_carol.frame()).await;
    assert_eq!(c.row().await.seq, 1);
    let conversation = to_carol.header.conversation;
    c.ack(conversation, 1).await;
    let history = world.relay.api.history.clone();
    until(async || {
        let progress = history.progress(carol.user, conversation).await.unwrap();
        progress.unwrap().of(device_id(3)) == 1
    })
    .await;
    drop((a, c, history));
    let World {
        relay,
        notifier,
        fcm,
        dir,
    } = world;
    notifier.stop().await;
    relay.shutdown().await;
    assert!(fcm.seen().is_empty());
    let (relay, notifier) = start(dir.path(), &fcm, settings()).await;
    fcm.wait_for("token-2-2", 1).await;
    // Carol lacks nothing, and Alice only what is her own.
    notifier.stop().await;
    relay.shutdown().await;
    let tokens: Vec<_> = fcm.seen().into_iter().map(|seen| seen.token).collect();
    assert_eq!(tokens, ["token-2-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_person_wakes_nobody_also_where_the_relay_looks_for_who_is_behind() {
    let world = World::new(settings()).await;
    let (alice, bob, carol) = (
        world.person(1, &[1]).await,
        world.person(2, &[2]).await,
        world.person(3, &[3]).await,
    );
    world.relay.block(&bob, &alice, true, 5).await;
    let mut a = world.relay.connect(&alice, 1).await;
    a.send(Draft::new((&alice, 1), (&bob, &[2]), 1).frame())
        .await;
    assert_eq!(a.answer().await, (1, None));
    a.send(Draft::new((&alice, 1), (&carol, &[3]), 1).frame())
        .await;
    world.fcm.wait_for("token-3-3", 1).await;
    assert_eq!(world.fcm.said("token-2-2"), []);
    // A relay that starts again looks who is behind.
    let World {
        relay,
        notifier,
        fcm,
        dir,
    } = world;
    notifier.stop().await;
    relay.shutdown().await;
    let (relay, notifier) = start(dir.path(), &fcm, settings()).await;
    fcm.wait_for("token-3-3", 2).await;
    assert_eq!(fcm.said("token-2-2"), []);
    relay.block(&bob, &alice, false, 6).await;
    let mut a = relay.connect(&alice, 1).await;
    a.send(Draft::new((&alice, 1), (&bob, &[2]), 2).frame())
        .await;
    fcm.wait_for("token-2-2", 1).await;
    notifier.stop().await;
    relay.shutdown().await;
}

/// Somebody who has nothing but the login of a person asks for another identity.
async fn ask_reset(world: &World, person: &Person) {
    assert_eq!(world.relay.ask_reset(person, 9).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_device_is_woken_for_a_reset_that_waits_as_for_a_message() {
    let world = World::new(settings()).await;
    let (alice, bob, carol) = (
        world.person(1, &[1, 2]).await,
        world.person(2, &[2]).await,
        world.person(3, &[3]).await,
    );
    // One of them is connected, which may be dead.
    let mut a = world.relay.connect(&alice, 1).await;
    ask_reset(&world, &alice).await;
    for device in [1, 2] {
        world.fcm.wait_for(&token(1, device), 1).await;
    }
    // Asked again it is the same one, and who looks again finds nothing new in it.
    ask_reset(&world, &alice).await;
    ask_reset(&world, &bob).await;
    world.fcm.wait_for("token-2-2", 1).await;
    let mut draft = Draft::new((&alice, 1), (&carol, &[3]), 1);
    draft.header.sender_list = 2;
    draft.targets.push((alice.user, device_id(2)));
    a.send(draft.frame()).await;
    world.fcm.wait_for("token-3-3", 1).await;
    let seen = world.fcm.seen();
    assert_eq!(seen.len(), 4);
    let wake = |seen: &fcm_support::Seen| seen.body.replace(&seen.token, "");
    for one in &seen {
        assert_eq!(wake(one), wake(&seen[3]));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_woken_for_a_reset_that_was_refused() {
    let world = World::new(settings()).await;
    let (alice, bob, carol, dave) = (
        world.person(1, &[1]).await,
        world.person(2, &[2]).await,
        world.person(3, &[3]).await,
        world.person(4, &[4]).await,
    );
    // Nobody looks.
    let World {
        relay,
        notifier: stopped,
        fcm,
        dir,
    } = world;
    stopped.stop().await;
    assert_eq!(relay.ask_reset(&alice, 9).await, 200);
    assert_eq!(relay.refuse_reset(&alice, 1).await, 204);
    assert_eq!(relay.ask_reset(&bob, 9).await, 200);
    let settings = settings();
    let hints = settings.hints();
    let world = World {
        notifier: notifier(&relay, dir.path(), &fcm, settings, hints),
        relay,
        fcm,
        dir,
    };
    world.fcm.wait_for("token-2-2", 1).await;
    // Put off, and refused meanwhile; another's is put off for longer, and comes.
    for (person, device, seconds) in [(&carol, 3, 3), (&dave, 4, 4)] {
        let later = Say::Unavailable(Some(seconds));
        let token = token(device, device);
        world.fcm.script(&token, [later]);
        ask_reset(&world, person).await;
        world.fcm.wait_for(&token, 1).await;
    }
    assert_eq!(world.relay.refuse_reset(&carol, 3).await, 204);
    world.fcm.wait_for("token-4-4", 2).await;
    assert_eq!(world.fcm.said("token-3-3").len(), 1);
    assert_eq!(world.fcm.said("token-1-1"), []);
    // Who asks anew after that is told of at once.
    ask_reset(&world, &carol).await;
    world.fcm.wait_for("token-3-3", 2).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wake_for_a_reset_that_failed_is_tried_again_and_one_that_was_sent_is_not() {
    let world = World::new(Settings {
        give_up: Duration::from_secs(2),
        ..settings()
    })
    .await;
    let (alice, bob, carol) = (
        world.person(1, &[1, 2]).await,
        world.person(2, &[2]).await,
        world.person(3, &[3]).await,
    );
    world.fcm.script("token-1-2", [Say::Unregistered]);
    ask_reset(&world, &alice).await;
    for device in [1, 2] {
        world.fcm.wait_for(&token(1, device), 1).await;
    }
    until(async || world.tokens(&alice).await == ["token-1-1"]).await;
    world.fcm.script("token-2-2", [Say::Mismatch]);
    ask_reset(&world, &bob).await;
    world.fcm.wait_for("token-2-2", 2).await;
    // Whatever was due with that or before it is through when somebody is woken for whom is asked now.
    ask_reset(&world, &carol).await;
    world.fcm.wait_for("token-3-3", 1).await;
    assert_eq!(world.fcm.said("token-2-2"), [Say::Mismatch, Say::Sent]);
    assert_eq!(world.fcm.said("token-1-1"), [Say::Sent]);
    assert_eq!(world.fcm.said("token-1-2"), [Say::Unregistered]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_starts_wakes_for_a_reset_that_nobody_was_woken_for() {
    let world = World::new(settings()).await;
    let alice = world.person(1, &[1]).await;
    let World {
        relay,
        notifier,
        fcm,
        dir,
    } = world;
    notifier.stop().await;
    assert_eq!(relay.ask_reset(&alice, 9).await, 200);
    relay.shutdown().await;
    // Only at its start.
    let rarely = Settings {
        resets: Duration::from_secs(3600),
        ..settings()
    };
    let (relay, notifier) = start(dir.path(), &fcm, rarely).await;
    fcm.wait_for("token-1-1", 1).await;
    notifier.stop().await;
    relay.shutdown().await;
}
