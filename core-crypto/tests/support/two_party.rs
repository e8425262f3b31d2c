//! Two sides over a network that does whatever the bytes say. The fuzz target in `fuzz/` and the replay in `tests/corpus.rs`
//! call the same.

use std::collections::HashMap;

use sordino_crypto::receive::{Outcome, Pass};
use sordino_protocol::pb;

use super::world::World;

/// Steps of three bytes: what, where, how. Whatever happened, honest delivery brings both together again.
pub fn run(data: &[u8], macs: bool) {
    let mut world = World::default();
    // Each handshake is a millisecond; a hundred steps reach every state that there is.
    for step in data.chunks_exact(3).take(100) {
        let (what, at, how) = (step[0], usize::from(step[1]), usize::from(step[2]));
        let side = usize::from(what >> 7);
        let inbox = &mut world.sides[side].inbox;
        match what & 0x7F {
            0 => world.send(side),
            1 => world.begin(side),
            // Nothing on the way: nothing to be done to it.
            _ if inbox.is_empty() => {}
            2 => {
                inbox.remove(at % inbox.len());
            }
            3 => {
                let copy = inbox[at % inbox.len()].clone();
                inbox.push(copy);
            }
            4 => {
                let len = inbox.len();
                inbox.swap(at % len, how % len);
            }
            5 => {
                let row = inbox[at % inbox.len()].clone();
                let row = flipped(row, at, how);
                shown_changed(&mut world, side, &row, macs);
            }
            6 => {
                let (one, other) = (at % inbox.len(), how % inbox.len());
                let mut row = inbox[one].clone();
                let changed = row.wrap != inbox[other].wrap;
                row.wrap = inbox[other].wrap.clone();
                if changed {
                    shown_changed(&mut world, side, &row, macs);
                }
            }
            7 => {
                let (one, other) = (at % inbox.len(), how % inbox.len());
                let mut row = inbox[one].clone();
                let changed = row.content != inbox[other].content;
                row.content = inbox[other].content.clone();
                if changed {
                    shown_changed(&mut world, side, &row, macs);
                }
            }
            8 => world.now_ms += 60_000 * (1 + how as u64),
            what => {
                let pass = if what & 1 == 0 {
                    Pass::Again
                } else {
                    Pass::Live
                };
                let row = inbox.remove(at % inbox.len());
                world.show(side, &row, pass);
            }
        }
    }
    if macs {
        world.converges();
    }
}

/// One bit of header, content or the ratchet's message: the rest of a wrap is not looked at where the session is known.
fn flipped(mut row: pb::Row, at: usize, how: usize) -> pb::Row {
    let flip = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let byte = (at * 7 + how / 8) % bytes.len();
        bytes[byte] ^= 1 << (how % 8);
        bytes.into()
    };
    match at % 3 {
        0 => row.header = flip(&row.header),
        1 => row.content = row.content.as_deref().map(flip),
        _ => {
            let wrap = row.wrap.as_deref().unwrap();
            let mut payload = <pb::WrapPayload as prost::Message>::decode(wrap).unwrap();
            payload.message = flip(&payload.message);
            row.wrap = Some(prost::Message::encode_to_vec(&payload).into());
        }
    }
    row
}

/// It is not taken for a message, and no session or key is touched.
fn shown_changed(world: &mut World, side: usize, row: &pb::Row, macs: bool) {
    let store = |world: &World| {
        let store = &world.sides[side].device.store;
        let sessions: HashMap<_, _> = store.sessions.clone();
        (sessions, store.opk.clone(), store.pq_one_time.clone())
    };
    let before = store(world);
    if let Some(decision) = world.show(side, row, Pass::Again) {
        assert!(!matches!(decision.outcome, Outcome::Message(_)));
    }
    // A fuzzing build of vodozemac does not check its MACs: a changed message may then move a session on.
    assert!(!macs || store(world) == before);
}
