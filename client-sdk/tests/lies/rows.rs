//! Rows that are not those that were sent, or not in their places.

use futures_util::future::join_all;
use sordino::ConnectionState;
use sordino_protocol::{
    Class,
    pb::{self, relay_frame},
};

use super::{Two, flip, header};
use crate::plenty::relay;

/// Of three messages, and the first pull that gives them.
struct Lie {
    lie: &'static str,
    /// `at`: the first of the three.
    tells: fn(rows: &mut Vec<pb::Row>, at: usize),
    /// What the SDK says of it until everything is honest again.
    says: &'static [&'static str],
    /// What is shown in place of the three, at the end.
    shown: &'static [&'static str],
}

const WITHHELD: &str = "were withheld";
const AGAIN: &str = "was shown again";
const DIFFER: &str = "views differ";

const ENVELOPE: &[&str] = &["! swapped_envelope", "< two", "< three"];

const LIES: &[Lie] = &[
    Lie {
        lie: "two of one sender in the other order",
        tells: |rows, at| {
            let first = rows[at].seq;
            rows.swap(at, at + 1);
            in_order(&mut rows[at..], first);
        },
        says: &[WITHHELD, AGAIN],
        shown: &["< two", "! replay", "< three"],
    },
    Lie {
        lie: "one left out, and those after it in its place",
        tells: |rows, at| {
            let first = rows.remove(at).seq;
            in_order(&mut rows[at..], first);
        },
        // The last one comes once more, in the place that it has.
        says: &[WITHHELD, AGAIN],
        shown: &["< two", "< three", "! replay"],
    },
    Lie {
        lie: "one twice, in the place of the last one",
        tells: |rows, at| {
            let again = rows[at].clone();
            rows.insert(at + 1, again);
            rows.pop();
            let first = rows[at].seq;
            in_order(&mut rows[at..], first);
        },
        says: &[AGAIN, WITHHELD, DIFFER],
        shown: &["< one", "! replay", "< two"],
    },
    Lie {
        lie: "a hole, until it is asked for again",
        tells: |rows, at| {
            rows.remove(at + 1);
        },
        says: &[],
        shown: &["< one", "< two", "< three"],
    },
    Lie {
        lie: "the contents of two",
        tells: |rows, at| {
            let content = rows[at].content.clone();
            rows[at].content = std::mem::replace(&mut rows[at + 1].content, content);
        },
        says: &[],
        shown: &["! swapped_envelope", "! swapped_envelope", "< three"],
    },
    Lie {
        lie: "the wraps of two",
        tells: |rows, at| {
            let wrap = rows[at].wrap.clone();
            rows[at].wrap = std::mem::replace(&mut rows[at + 1].wrap, wrap);
        },
        says: &[],
        shown: &["! swapped_envelope", "! swapped_envelope", "< three"],
    },
    Lie {
        lie: "a bit of a content",
        tells: |rows, at| rows[at].content = rows[at].content.as_ref().map(|c| flip(c, 9)),
        says: &[],
        shown: ENVELOPE,
    },
    Lie {
        lie: "a bit of a header's commitment",
        tells: |rows, at| rows[at].header = flip(&rows[at].header, 147),
        says: &[],
        shown: ENVELOPE,
    },
    Lie {
        lie: "a bit of a wrap",
        tells: |rows, at| {
            let last = |wrap: &bytes::Bytes| flip(wrap, wrap.len() - 1);
            rows[at].wrap = rows[at].wrap.as_ref().map(last);
        },
        says: &[],
        shown: &["! bad_ratchet", "< two", "< three"],
    },
    Lie {
        lie: "a row of another conversation",
        tells: |rows, at| rows[at].header = flip(&rows[at].header, 5),
        says: &[WITHHELD],
        shown: &["! other_conversation", "< two", "< three"],
    },
    Lie {
        lie: "bytes that are no header",
        tells: |rows, at| rows[at].header = bytes::Bytes::from_static(b"no header"),
        says: &[WITHHELD],
        shown: &["! bad_header", "< two", "< three"],
    },
    Lie {
        lie: "a header of another device of the sender",
        tells: |rows, at| rows[at].header = flip(&rows[at].header, 68),
        says: &[WITHHELD],
        shown: &["! unlisted_device", "< two", "< three"],
    },
    Lie {
        lie: "a content that is said to be erased",
        tells: |rows, at| rows[at].content = None,
        says: &[],
        shown: &["! no_content", "< two", "< three"],
    },
    Lie {
        // As if the sender had left this device out: nobody but the two can know (threat-model.md).
        lie: "a row without what this device needs to read it",
        tells: |rows, at| rows[at].wrap = None,
        says: &[],
        shown: &["< two", "< three"],
    },
];

/// They take places one after the other.
fn in_order(rows: &mut [pb::Row], first: u64) {
    for (row, seq) in rows.iter_mut().zip(first..) {
        row.seq = seq;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_those_that_were_sent() {
    let relay = relay().await;
    let url = relay.url();
    let tried = LIES
        .iter()
        .enumerate()
        .map(|(number, lie)| tell(&url, number, lie));
    join_all(tried).await;
}

async fn tell(relay: &str, number: usize, lie: &Lie) {
    let mut two = Two::acquainted(relay, lie.lie, number).await;
    two.fooled_leaves().await;
    // Written together: none of them says that it follows another.
    two.honest.client.disconnect();
    two.honest.until(&ConnectionState::Offline).await;
    for text in ["one", "two", "three"] {
        two.honest_sends(text).await;
    }
    two.honest.client.connect();
    let sent = ["> hello", "< hi", "> one", "> two", "> three"];
    two.until_placed(&two.honest, &two.fooled).await;
    let (sender, tells) = (two.honest.user.id, lie.tells);
    let mut told = false;
    two.liar.says(move |mut frame| {
        if told {
            return vec![frame];
        }
        let is_theirs = |row: &pb::Row| {
            let header = header(row);
            header.sender == sender && header.class == Class::Message
        };
        match &mut frame {
            relay_frame::Frame::Deliver(pb::Deliver { row: Some(row) }) if is_theirs(row) => vec![],
            relay_frame::Frame::Pulled(pulled) => {
                let theirs = pulled.rows.iter().filter(|row| is_theirs(row)).count();
                let at = pulled.rows.iter().position(is_theirs);
                match (theirs, at) {
                    (3, Some(at)) => {
                        told = true;
                        tells(&mut pulled.rows, at);
                    }
                    (0, _) => {}
                    // It is asked for again, until all three come together.
                    _ => {
                        return vec![relay_frame::Frame::Problem(pb::Problem {
                            request: pulled.request,
                            code: "busy".to_owned(),
                            ..Default::default()
                        })];
                    }
                }
                vec![frame]
            }
            _ => vec![frame],
        }
    });
    two.fooled_returns().await;
    let seen = [&["< hello", "> hi"], lie.shown].concat();
    two.goes_on(&seen, &sent).await;
    two.has_said(lie.says);
}
