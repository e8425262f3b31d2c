//! Sends, transmissions, deliveries and crashes in any order: every message arrives, once, in the order of its sender, and
//! both see one order.

use proptest::prelude::*;

use super::{Phone, Relay, two};

#[derive(Debug, Clone, Copy)]
enum Step {
    Send,
    Prepare,
    /// Transmits so many; the answers are lost.
    Transmit(usize),
    Flush,
    /// Takes the rows from here on, so many, in a wrong order if they begin after the cursor.
    Take(u64, usize),
    Pull,
    Crash,
    CaughtUp,
}

fn step() -> impl Strategy<Value = (bool, Step)> {
    let step = prop_oneof![
        3 => Just(Step::Send),
        2 => Just(Step::Prepare),
        2 => (1usize..4).prop_map(Step::Transmit),
        2 => Just(Step::Flush),
        3 => (1u64..20, 1usize..6).prop_map(|(from, n)| Step::Take(from, n)),
        2 => Just(Step::Pull),
        2 => Just(Step::Crash),
        1 => Just(Step::CaughtUp),
    ];
    (any::<bool>(), step)
}

fn run(relay: &mut Relay, phone: &mut Phone, peer: &Phone, step: Step, text: &str) {
    let (conversation, now) = (phone.conversation(peer.user), phone.now);
    let caught_up = phone.machine().cursor(conversation).unwrap() == relay.last_seq(conversation);
    match step {
        Step::Send => {
            phone.send(peer.user, text);
        }
        Step::Prepare => {
            phone.prepare(relay, peer.user);
        }
        // Nothing is sent before the conversation has caught up.
        Step::Transmit(n) if caught_up => {
            let out = phone.machine().outgoing(conversation, 0, n, usize::MAX);
            for out in out.unwrap() {
                let _ = relay.accept(&out.send);
            }
        }
        Step::Flush if caught_up => phone.flush(relay, peer.user),
        Step::Transmit(_) | Step::Flush => {}
        Step::Take(from, n) => {
            let reader = (phone.user, phone.device);
            let mut rows = relay.rows(conversation, reader, from, from + n as u64);
            rows.reverse();
            phone.take(relay, peer.user, &rows);
        }
        Step::Pull => {
            phone.pull(relay, peer.user);
        }
        Step::Crash => phone.crash(),
        Step::CaughtUp => {
            phone.machine().caught_up(now).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_is_lost_doubled_or_disordered(steps in prop::collection::vec(step(), 1..50)) {
        let (mut relay, mut alice, mut bob) = two();
        let (a, b) = (alice.user, bob.user);
        let mut sent = [Vec::new(), Vec::new()];
        for (number, (first, step)) in steps.into_iter().enumerate() {
            let text = number.to_string();
            if matches!(step, Step::Send) {
                sent[usize::from(!first)].push(text.clone());
            }
            if first {
                run(&mut relay, &mut alice, &bob, step, &text);
            } else {
                run(&mut relay, &mut bob, &alice, step, &text);
            }
        }
        for _ in 0..3 {
            alice.sync(&mut relay, b);
            bob.sync(&mut relay, a);
        }
        let (hers, his) = (alice.shown(b), bob.shown(a));
        let mirrored: Vec<String> = his
            .iter()
            .map(|line| line.chars().map(|c| match c { '<' => '>', '>' => '<', c => c }).collect())
            .collect();
        prop_assert_eq!(&hers, &mirrored);
        let mine = |lines: &[String]| -> Vec<String> {
            lines.iter().filter_map(|l| l.strip_prefix("> ").map(str::to_owned)).collect()
        };
        prop_assert_eq!(mine(&hers), sent[0].clone());
        prop_assert_eq!(mine(&his), sent[1].clone());
        prop_assert_eq!(hers.len(), sent[0].len() + sent[1].len());
    }
}
