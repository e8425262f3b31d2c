use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Two sides whose messages are lost, repeated, reordered and changed at will.
    #[test]
    fn nothing_decrypts_twice_or_wrongly_and_nothing_breaks_the_session(
        steps in prop::collection::vec((any::<bool>(), 0u8..4, any::<prop::sample::Index>(), 1u8..), 1..50),
    ) {
        let (alice, bob) = pair();
        let mut sides = [alice.to_bytes().unwrap(), bob.to_bytes().unwrap()];
        // Per receiver.
        let mut sent: [Vec<Vec<u8>>; 2] = Default::default();
        let mut read = HashSet::new();
        for (n, (second, action, at, flip)) in steps.into_iter().enumerate() {
            let side = usize::from(second);
            let mut session = Session::from_bytes(&sides[side]).unwrap();
            if action == 0 || sent[side].is_empty() {
                let text = [u8::try_from(n).unwrap()];
                let other = 1 - side;
                let number = u8::try_from(sent[other].len()).unwrap();
                let message = session.encrypt(&[text[0], number]).unwrap().message;
                sent[other].push(message.to_vec());
                sides[side] = session.to_bytes().unwrap();
                continue;
            }
            let pick = at.index(sent[side].len());
            let mut message = sent[side][pick].clone();
            if action == 1 {
                let byte = at.index(message.len());
                message[byte] ^= flip;
                prop_assert!(session.decrypt(&message).is_err());
            } else if let Ok((session, plaintext)) = session.decrypt(&message) {
                prop_assert!(read.insert((side, pick)), "decrypted twice");
                prop_assert_eq!(usize::from(plaintext[1]), pick);
                sides[side] = session.to_bytes().unwrap();
            }
        }
        for (from, to) in [(0, 1), (1, 0), (0, 1)] {
            let mut sender = Session::from_bytes(&sides[from]).unwrap();
            let message = sender.encrypt(b"end").unwrap().message;
            sides[from] = sender.to_bytes().unwrap();
            let receiver = Session::from_bytes(&sides[to]).unwrap();
            let (receiver, plaintext) = receiver.decrypt(&message).unwrap();
            prop_assert_eq!(plaintext.as_slice(), b"end");
            sides[to] = receiver.to_bytes().unwrap();
        }
    }
}
