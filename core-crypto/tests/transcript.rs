//! A conversation recorded once must open for ever: wire and stored forms alike.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use sordino_crypto::receive::Outcome;
use sordino_protocol::pb::content::Body;
use support::transcript::Transcript;

#[test]
fn the_recorded_conversation_opens() {
    let transcript: Transcript =
        serde_json::from_str(include_str!("vectors/transcript.json")).unwrap();
    let (mut alice, mut bob) = (transcript.alice.device(), transcript.bob.device());
    alice.meet(&mut bob);
    assert_eq!(transcript.rows.len(), 9);
    for recorded in &transcript.rows {
        let reader = if recorded.to_alice {
            &mut alice
        } else {
            &mut bob
        };
        recorded.prepare(reader);
        let decision = reader.judge(&recorded.row());
        let Outcome::Message(message) = decision.outcome else {
            panic!("does not open: {}", recorded.text);
        };
        assert!(decision.alarms.is_empty());
        match message.opened.content.body {
            Some(Body::Text(text)) => assert_eq!(text.text, recorded.text),
            _ => panic!("no text"),
        }
    }
}
