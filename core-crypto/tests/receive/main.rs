//! What a device makes of rows, honest and not.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "../support/mod.rs"]
mod support;

mod honest;
mod hostile;
mod listed;
mod own;

use std::sync::LazyLock;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use sordino_crypto::{
    message::{self, OpenError},
    pqxdh::SetupError,
    receive::{
        Alarm, Bad, Decision, HIGHEST_NUMBER, Known, Outcome, Pass, REMOVED_GRACE_MS, RowDecision,
        Undecryptable, UsedPrekeys,
    },
    session::SessionError,
};
use sordino_protocol::{DeviceId, Header, SessionId, UserId, hash, pb};
use support::{
    NOW,
    device::{Device, account, decided, row},
};

/// Alice and Bob, who know each other's lists, and Alice's session with Bob.
fn pair() -> (Device, Device, SessionId) {
    let ((_, mut alice), (_, mut bob)) = (account(10), account(20));
    alice.meet(&mut bob);
    let sid = alice.begin(&mut bob, 1);
    (alice, bob, sid)
}

/// The same after a first message: Bob knows the session.
fn acquainted() -> (Device, Device, SessionId) {
    let (mut alice, mut bob, sid) = pair();
    let row = alice.send(&bob, sid, 1, "first");
    assert_eq!(text(&bob.take(&row)).as_deref(), Some("first"));
    (alice, bob, sid)
}

fn text(decision: &RowDecision) -> Option<String> {
    let Outcome::Message(message) = &decision.outcome else {
        return None;
    };
    match &message.opened.content.body {
        Some(pb::content::Body::Text(text)) => Some(text.text.clone()),
        _ => panic!("no text"),
    }
}

#[track_caller]
fn bad(decision: &RowDecision) -> Bad {
    match decision.outcome {
        Outcome::Bad(bad) => bad,
        _ => panic!("not bad"),
    }
}

#[track_caller]
fn undecryptable(decision: &RowDecision) -> Undecryptable {
    assert!(decision.session.is_none() && decision.used_prekeys.is_none());
    match decision.outcome {
        Outcome::Undecryptable { cause, .. } => cause,
        _ => panic!("not undecryptable"),
    }
}
