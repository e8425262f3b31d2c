//! What several devices of one person decide: in whatever order they hear of it, they end with the same.

use proptest::prelude::*;
use sordino_protocol::{DeviceId, UserId, pb};

use super::{NOW, Phone, Relay, acquainted, lists::add_device, two};
use crate::machine::{Happening, Trust, trust_news};
use crate::store::Durability;

/// One device of the person has decided something about another person; or this one sees lists of theirs.
#[derive(Debug, Clone)]
enum Step {
    Hear(Box<pb::TrustDecision>),
    Look(usize),
}

/// What a device says: few times, so that many are the same, and the key that was compared is theirs or another.
fn decision() -> impl Strategy<Value = (Option<bool>, u64, bool, u64, Vec<usize>, u32)> {
    (
        any::<Option<bool>>(),
        0u64..4,
        any::<bool>(),
        0u64..4,
        prop::collection::vec(0usize..3, 0..3),
        1u32..4,
    )
}

fn look(phone: &mut Phone, relay: &Relay, at: UserId, upto: usize) {
    let lists = relay.lists[&at].iter().take(upto).cloned().collect();
    // One that is older than what it has seen it does not take.
    let _ = phone.machine().take_lists(at, lists, NOW);
}

pub(super) fn hear(phone: &mut Phone, decision: &pb::TrustDecision) -> Vec<Happening> {
    let (me, mut told) = (phone.user, Vec::new());
    let said = pb::Trust {
        decisions: vec![decision.clone()],
    };
    let heard = phone
        .machine()
        .store
        .transaction(Durability::Relaxed, |tx| {
            trust_news::heard(tx, me, &said, NOW, &mut told)
        });
    heard.unwrap();
    told
}

fn after(relay: &Relay, about: UserId, steps: &[Step]) -> Trust {
    let mut somewhere = Relay::default();
    let mut phone = Phone::without_prekeys("same", &mut somewhere);
    look(&mut phone, relay, about, 1);
    for step in steps {
        match step {
            Step::Hear(decision) => drop(hear(&mut phone, decision)),
            Step::Look(upto) => look(&mut phone, relay, about, *upto),
        }
    }
    look(&mut phone, relay, about, usize::MAX);
    let mut trust = phone.machine().trust(about).unwrap();
    trust.withheld.sort();
    trust
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn in_whatever_order_devices_hear_of_decisions_they_end_with_the_same(
        said in prop::collection::vec(decision(), 1..6),
        order in Just(()).prop_perturb(|(), mut rng| rng.random::<u64>()),
    ) {
        let (mut relay, _, mut bob) = two();
        let b = bob.user;
        let first = bob.device;
        let devices = [first, add_device(&mut bob, &mut relay), add_device(&mut bob, &mut relay)];
        let own = sordino_crypto::lists::parse(relay.lists[&b].last().unwrap()).unwrap();
        let lists = relay.lists[&b].iter();
        let hashes: Vec<_> = lists.map(|list| sordino_crypto::lists::parse(list).unwrap().hash).collect();
        let steps = said.iter().map(|(key, verified_ms, blocked, blocked_ms, accepted, seen)| {
            Step::Hear(Box::new(pb::TrustDecision {
                user: b.to_pb(),
                seen_version: *seen,
                verified_key: match key {
                    None => Vec::new(),
                    Some(true) => own.identity_key.to_vec(),
                    Some(false) => vec![7; 32],
                }.into(),
                verified_ms: *verified_ms,
                blocked: *blocked,
                blocked_ms: *blocked_ms,
                // Of the list that the sender has seen.
                accepted_devices: accepted.iter().filter(|at| **at < *seen as usize)
                    .map(|at| accepted_by(&own, devices[*at])).collect(),
                list_version: *seen,
                list_hash: hashes[*seen as usize - 1].to_vec().into(),
                ..Default::default()
            }))
        });
        let mut steps: Vec<_> = steps.chain([Step::Look(2), Step::Look(3)]).collect();
        let one = after(&relay, b, &steps);
        // Another order, and some of it twice.
        let mut left = order;
        for at in (1..steps.len()).rev() {
            let to = (left % (at as u64 + 1)) as usize;
            left = left.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            steps.swap(at, to);
        }
        let again = steps[0].clone();
        steps.push(again);
        prop_assert_eq!(after(&relay, b, &steps), one);
    }
}

fn decide(phone: &mut Phone, about: UserId, now: u64, verify: bool) {
    let machine = phone.machine();
    match verify {
        true => {
            let (_, key) = machine.safety_number(about).unwrap().unwrap();
            machine.verify(about, key, now).unwrap();
        }
        false => drop(machine.block(about, true, now).unwrap()),
    }
}

#[test]
fn verified_on_one_device_and_blocked_on_another_a_person_is_both() {
    // In the same millisecond, and with a clock that is late.
    for (phone_ms, tablet_ms) in [(NOW + 5, NOW + 5), (NOW + 5, NOW + 9), (NOW + 9, NOW + 5)] {
        let (mut relay, mut alice, bob) = acquainted();
        let (a, b) = (alice.user, bob.user);
        let mut tablet = alice.join(&mut relay);
        alice.pull(&relay, a);
        let own = relay.lists[&a].clone();
        alice.machine().take_lists(a, own, NOW).unwrap();
        let theirs = relay.lists[&b].clone();
        tablet.machine().take_lists(b, theirs, NOW).unwrap();
        tablet.sync(&mut relay, a);
        decide(&mut alice, b, phone_ms, true);
        decide(&mut tablet, b, tablet_ms, false);
        for _ in 0..3 {
            alice.sync(&mut relay, a);
            tablet.sync(&mut relay, a);
        }
        let both = Trust {
            verified: true,
            blocked: true,
            ..Trust::default()
        };
        assert_eq!(alice.machine().trust(b).unwrap(), both);
        assert_eq!(tablet.machine().trust(b).unwrap(), both);
    }
}

#[test]
fn a_time_that_no_other_can_follow_is_not_believed() {
    let (_, mut alice, bob) = acquainted();
    let b = bob.user;
    let blocked = |at| pb::TrustDecision {
        user: b.to_pb(),
        blocked: true,
        blocked_ms: at,
        ..Default::default()
    };
    assert_eq!(hear(&mut alice, &blocked(1 << 62)), []);
    assert_eq!(hear(&mut alice, &blocked(u64::MAX)), []);
    let late = (1 << 62) - 1;
    assert_eq!(
        hear(&mut alice, &blocked(late)),
        [Happening::TrustChanged(b)]
    );
    // The person still has the last word.
    alice.machine().block(b, false, NOW).unwrap();
    assert!(!alice.machine().trust(b).unwrap().blocked);
}

#[test]
fn what_was_decided_of_a_device_before_it_left_says_nothing_of_it_when_it_is_back() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let b = bob.user;
    let tablet = add_device(&mut bob, &mut relay);
    look(&mut alice, &relay, b, usize::MAX);
    decide(&mut alice, b, NOW, true);
    let list = sordino_crypto::lists::parse(&relay.lists[&b][1]).unwrap();
    let withheld = |phone: &mut Phone| phone.machine().trust(b).unwrap().withheld;
    assert_eq!(withheld(&mut alice), [] as [DeviceId; 0]);
    put_list(&mut bob, &mut relay, |change| change.remove(tablet));
    let entry = entry(&list, tablet);
    put_list(&mut bob, &mut relay, |change| change.add_unvouched(entry));
    look(&mut alice, &relay, b, usize::MAX);
    assert_eq!(withheld(&mut alice), [tablet]);
    // The relay had kept back what another own device said.
    hear_accepted(&mut alice, &list, tablet);
    assert_eq!(withheld(&mut alice), [tablet]);
    let list = sordino_crypto::lists::parse(&relay.lists[&b][3]).unwrap();
    hear_accepted(&mut alice, &list, tablet);
    assert_eq!(withheld(&mut alice), [] as [DeviceId; 0]);
}

/// Another own device says that it has accepted a device of the newest list of a person's.
pub(super) fn hear_accepted(
    phone: &mut Phone,
    list: &sordino_protocol::list::DeviceList,
    device: DeviceId,
) {
    let said = seen_by(list, false, &[device]);
    hear(phone, &said);
}

/// What a device says that goes by this list, and whether it has compared, and which devices it has accepted.
pub(super) fn seen_by(
    list: &sordino_protocol::list::DeviceList,
    verified: bool,
    devices: &[DeviceId],
) -> pb::TrustDecision {
    let key = match verified {
        true => list.identity_key.to_vec(),
        false => Vec::new(),
    };
    pb::TrustDecision {
        user: list.user.to_pb(),
        seen_key: list.identity_key.to_vec().into(),
        seen_version: list.version,
        seen_hash: list.hash.to_vec().into(),
        verified_key: key.into(),
        verified_ms: u64::from(verified),
        accepted_devices: devices.iter().map(|id| accepted_by(list, *id)).collect(),
        list_version: list.version,
        list_hash: list.hash.to_vec().into(),
        ..Default::default()
    }
}

pub(super) fn accepted_by(
    list: &sordino_protocol::list::DeviceList,
    device: DeviceId,
) -> pb::AcceptedDevice {
    pb::AcceptedDevice {
        device: device.to_pb(),
        signing_key: list.device(device).unwrap().signing_key.to_vec().into(),
    }
}

#[test]
fn a_device_is_accepted_with_its_keys_and_not_by_its_id() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let b = bob.user;
    look(&mut alice, &relay, b, usize::MAX);
    decide(&mut alice, b, NOW, true);
    // What the relay shows here has the id that another own device was shown, and other keys.
    let genuine = relay.lists[&b].clone();
    let tablet = add_device(&mut bob, &mut relay);
    let shown = sordino_crypto::lists::parse(relay.lists[&b].last().unwrap()).unwrap();
    relay.lists.insert(b, genuine);
    let other = sordino_crypto::keys::DeviceKeys::generate(&mut rand::rng());
    let entry = sordino_crypto::lists::listed(b, &shown.identity_key, tablet, &other, NOW);
    put_list(&mut bob, &mut relay, |change| change.add_unvouched(entry));
    look(&mut alice, &relay, b, usize::MAX);
    let withheld = |phone: &mut Phone| phone.machine().trust(b).unwrap().withheld;
    let list = sordino_crypto::lists::parse(relay.lists[&b].last().unwrap()).unwrap();
    for (by, waits) in [(&shown, vec![tablet]), (&list, vec![])] {
        hear_accepted(&mut alice, by, tablet);
        assert_eq!(withheld(&mut alice), waits);
    }
}

/// The entry of a device, as it stands on a list.
pub(super) fn entry(
    list: &sordino_protocol::list::DeviceList,
    device: DeviceId,
) -> pb::ListedDevice {
    use prost::Message;
    let body = pb::DeviceListBody::decode(list.signed.body.clone()).unwrap();
    let mut entries = body.devices.into_iter();
    entries
        .find(|entry| entry.device == device.to_pb())
        .unwrap()
}

pub(super) fn put_list(
    phone: &mut Phone,
    relay: &mut Relay,
    change: impl FnOnce(sordino_crypto::lists::Change<'_>) -> sordino_crypto::lists::Change<'_>,
) {
    let list = sordino_crypto::lists::parse(relay.lists[&phone.user].last().unwrap()).unwrap();
    let lsk = phone.machine().store.read(|tx| tx.list_signing_key());
    let next = change(sordino_crypto::lists::Change::of(&list, NOW).unwrap());
    let next = next.sign(&lsk.unwrap().unwrap()).unwrap();
    relay.lists.get_mut(&phone.user).unwrap().push(next.signed);
}
