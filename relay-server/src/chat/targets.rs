//! Which devices a message must be for.

use std::time::Duration;

use sordino_protocol::{
    Class, DeviceId, Header, UserId,
    list::{Device, DeviceList},
    pb,
};

/// A device whose SPK has less than this left may be reached or not: its sender's clock may be ahead.
pub(super) const OPTIONAL: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// The targets name a device that is not listed, the sending device, or one twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit;

/// The listed devices that a message of class `message` does not reach and that are not left out on purpose. Other
/// classes may be for a single device; but whatever a message is for must be listed.
pub(super) fn missing(
    header: &Header,
    [own, peer]: [&DeviceList; 2],
    wraps: &[pb::Wrap],
    withheld: &[prost::bytes::Bytes],
) -> Result<Vec<(UserId, DeviceId)>, Misfit> {
    let listed = |list: &DeviceList| {
        let user = list.user;
        let devices = list
            .devices
            .iter()
            .map(move |Device { device, .. }| (user, *device));
        devices.collect::<Vec<_>>()
    };
    let mut left = listed(own);
    // In the conversation with oneself both lists are one.
    if own.user != peer.user {
        left.extend(listed(peer));
    }
    left.retain(|target| *target != (header.sender, header.sender_device));
    for wrap in wraps {
        let target = |(user, device): &(UserId, DeviceId)| {
            wrap.user == user.as_bytes()[..] && wrap.device == device.as_bytes()[..]
        };
        let at = left.iter().position(target).ok_or(Misfit)?;
        left.swap_remove(at);
    }
    for id in withheld {
        let target = |(_, device): &(UserId, DeviceId)| *id == device.as_bytes()[..];
        let at = left.iter().position(target).ok_or(Misfit)?;
        left.swap_remove(at);
    }
    // An id that devices of both have says not which of them is meant, unless it is given for both.
    if left
        .iter()
        .any(|(_, device)| withheld.iter().any(|id| *id == device.as_bytes()[..]))
    {
        return Err(Misfit);
    }
    if header.class != Class::Message {
        left.clear();
    }
    Ok(left)
}

/// Whether a device whose SPK ends then must be reached. Without one that lasts it is dormant: nobody can begin a
/// session with it, though who has one may use it.
pub(super) fn must_be_reached(spk_expires_ms: Option<u64>, now_ms: u64) -> bool {
    let optional = u64::try_from(OPTIONAL.as_millis()).unwrap_or(u64::MAX);
    spk_expires_ms.is_some_and(|expires| expires > now_ms.saturating_add(optional))
}

#[cfg(test)]
mod tests {
    use sordino_protocol::{ClientMessageId, ConversationId};

    use super::*;
    use crate::user::fixtures::{Person, device_id};

    fn header(sender: UserId, recipient: UserId, class: Class) -> Header {
        Header {
            class,
            conversation: ConversationId::from_bytes([0; 16]),
            counter: 1,
            client_message_id: ClientMessageId::from_bytes([0; 16]),
            sender,
            sender_device: device_id(1),
            recipient,
            sender_list: 1,
            recipient_list: 1,
            list_digest: [0; 16],
            erase: vec![],
            commit: [0; 32],
        }
    }

    fn wraps(to: &[(&Person, u8)]) -> Vec<pb::Wrap> {
        let wrap = |(person, device): &(&Person, u8)| pb::Wrap {
            user: person.user.to_pb(),
            device: device_id(*device).to_pb(),
            payload: vec![1].into(),
        };
        to.iter().map(wrap).collect()
    }

    #[test]
    fn a_message_is_for_everyone_but_its_sender() {
        let (alice, bob) = (Person::new(1), Person::new(2));
        let lists = [alice.list(None, &[1, 2]), bob.list(None, &[3, 4])];
        let lists = [&lists[0], &lists[1]];
        let header = header(alice.user, bob.user, Class::Message);
        let check = |to: &[_], withheld: &[u8]| {
            let withheld: Vec<_> = withheld.iter().map(|d| device_id(*d).to_pb()).collect();
            missing(&header, lists, &wraps(to), &withheld)
        };
        assert_eq!(check(&[(&alice, 2), (&bob, 3), (&bob, 4)], &[]), Ok(vec![]));
        assert_eq!(check(&[(&alice, 2), (&bob, 4)], &[3]), Ok(vec![]));
        assert_eq!(
            check(&[(&alice, 2), (&bob, 4)], &[]),
            Ok(vec![(bob.user, device_id(3))])
        );
        for extra in [(&alice, 1), (&alice, 3), (&bob, 3), (&bob, 9)] {
            let to = [(&alice, 2), (&bob, 3), (&bob, 4), extra];
            assert_eq!(check(&to, &[]), Err(Misfit), "{}", extra.1);
        }
        assert_eq!(check(&[], &[1]), Err(Misfit), "the sending device");
        assert_eq!(check(&[(&bob, 3)], &[3]), Err(Misfit), "both ways");
    }

    #[test]
    fn a_withheld_id_that_both_have_must_be_given_for_both_or_one_of_them_reached() {
        let (alice, bob) = (Person::new(1), Person::new(2));
        let lists = [alice.list(None, &[1, 2]), bob.list(None, &[2, 3])];
        let lists = [&lists[0], &lists[1]];
        let header = header(alice.user, bob.user, Class::Message);
        let check = |to: &[_], withheld: &[u8]| {
            let withheld: Vec<_> = withheld.iter().map(|d| device_id(*d).to_pb()).collect();
            missing(&header, lists, &wraps(to), &withheld)
        };
        assert_eq!(check(&[(&bob, 3)], &[2]), Err(Misfit));
        assert_eq!(check(&[(&bob, 3)], &[2, 2]), Ok(vec![]));
        assert_eq!(check(&[(&bob, 3), (&alice, 2)], &[2]), Ok(vec![]));
        assert_eq!(check(&[(&bob, 3), (&bob, 2)], &[2]), Ok(vec![]));
        assert_eq!(check(&[(&bob, 3)], &[2, 2, 2]), Err(Misfit));
    }

    #[test]
    fn a_control_message_may_be_for_one_device_but_a_listed_one() {
        let (alice, bob) = (Person::new(1), Person::new(2));
        let lists = [alice.list(None, &[1, 2]), bob.list(None, &[3, 4])];
        let lists = [&lists[0], &lists[1]];
        for class in [Class::Control, Class::Erase] {
            let header = header(alice.user, bob.user, class);
            assert_eq!(
                missing(&header, lists, &wraps(&[(&bob, 3)]), &[]),
                Ok(vec![])
            );
            assert_eq!(
                missing(&header, lists, &wraps(&[(&bob, 1)]), &[]),
                Err(Misfit)
            );
        }
    }

    #[test]
    fn a_note_to_oneself_is_for_the_other_devices_once() {
        let alice = Person::new(1);
        let list = alice.list(None, &[1, 2, 3]);
        let header = header(alice.user, alice.user, Class::Message);
        let to = |to: &[_]| missing(&header, [&list, &list], &wraps(to), &[]);
        assert_eq!(to(&[(&alice, 2), (&alice, 3)]), Ok(vec![]));
        assert_eq!(to(&[(&alice, 2)]), Ok(vec![(alice.user, device_id(3))]));
    }

    #[test]
    fn a_device_must_be_reached_while_its_prekey_lasts() {
        let optional = OPTIONAL.as_millis() as u64;
        assert!(!must_be_reached(None, 100));
        assert!(!must_be_reached(Some(99), 100));
        assert!(!must_be_reached(Some(100 + optional), 100));
        assert!(must_be_reached(Some(101 + optional), 100));
    }
}
