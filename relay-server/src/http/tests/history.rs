//! History and what belongs to others.

use bytes::Bytes;
use prost::Message as _;
use sordino_protocol::{
    Class, ClientMessageId, ConversationId, Header, UserId,
    hash::{conversation_id, sha256},
    pb,
};

use super::*;
use crate::broker::Record;

impl Relay {
    /// Stores messages from device 1 of one person to device 1 of another, in this many counters.
    pub(super) async fn store(&self, from: &Person, to: &Person, messages: u64) -> ConversationId {
        let conversation = conversation_id(from.user, to.user);
        for counter in 1..=messages {
            let record = record(from.user, to.user, counter);
            self.api.log.append(record).await.expect("stored");
        }
        conversation
    }
}

fn record(sender: UserId, recipient: UserId, counter: u64) -> Record {
    let header = Header {
        class: Class::Message,
        conversation: conversation_id(sender, recipient),
        counter,
        client_message_id: ClientMessageId::from_bytes([counter as u8; 16]),
        sender,
        sender_device: device_id(1),
        recipient,
        sender_list: 1,
        recipient_list: 1,
        list_digest: [0; 16],
        erase: vec![],
        commit: [0; 32],
    };
    let wrap = pb::Wrap {
        user: recipient.to_pb(),
        device: device_id(1).to_pb(),
        payload: Bytes::from_static(b"wrap"),
    };
    let content = Bytes::from(format!("message {counter}"));
    Record {
        header_bytes: header.encode().into(),
        header,
        content_hash: sha256(&content),
        content,
        wraps: pb::Wraps { wraps: vec![wrap] }.encode_to_vec().into(),
    }
}

fn seqs(page: &Value) -> Vec<u64> {
    let rows = page["rows"].as_array().expect("rows");
    rows.iter()
        .map(|row| row["seq"].as_u64().expect("a number"))
        .collect()
}

#[tokio::test]
async fn history_is_read_backwards_as_each_device_may_read_it() {
    let (relay, alice, bob) = (Relay::new().await, Person::new(1), Person::new(2));
    relay.register("alice", &alice.list(None, &[1])).await;
    relay.register("bobby", &bob.list(None, &[1])).await;
    let conversation = relay.store(&alice, &bob, 60).await;
    let path = format!("/v1/conversations/{conversation}/messages");
    let reader = relay.log_in(&bob, 1).await;
    let (status, page) = reader.get(&path).await;
    assert_eq!((status, &page["last_seq"]), (StatusCode::OK, &json!(60)));
    assert_eq!(seqs(&page), (11..=60).rev().collect::<Vec<_>>());
    let row = &page["rows"][0];
    let record = record(alice.user, bob.user, 60);
    let base64 = |bytes: &[u8]| json!(BASE64_STANDARD.encode(bytes));
    assert_eq!(row["header"], base64(&record.header_bytes));
    assert_eq!(row["content"], base64(b"message 60"));
    assert_eq!(row["content_hash"], base64(&record.content_hash));
    assert_eq!(row["wrap"], base64(b"wrap"));
    assert!(row["message_id"].is_string());
    let (_, page) = reader.get(&format!("{path}?before=11&limit=3")).await;
    assert_eq!(seqs(&page), [10, 9, 8]);
    let (_, page) = reader.get(&format!("{path}?before=1")).await;
    assert_eq!((seqs(&page), &page["last_seq"]), (vec![], &json!(60)));
    let (_, page) = reader.get(&format!("{path}?limit=0")).await;
    assert_eq!(seqs(&page), [60]);
    refused(
        reader.get(&format!("{path}?before=-1")).await,
        400,
        "bad_request",
    );

    let writer = relay.log_in(&alice, 1).await;
    let (_, own) = writer.get(&format!("{path}?limit=1")).await;
    assert_eq!(own["rows"][0]["content_hash"], row["content_hash"]);
    assert!(own["rows"][0]["content"].is_null() && own["rows"][0]["wrap"].is_null());
}

#[tokio::test]
async fn conversations_are_listed_page_by_page() {
    let (relay, alice, bob) = (Relay::new().await, Person::new(1), Person::new(2));
    relay.register("alice", &alice.list(None, &[1])).await;
    relay.register("bobby", &bob.list(None, &[1])).await;
    let mut expected = [
        (relay.store(&alice, &bob, 3).await, bob.user),
        (relay.store(&alice, &alice, 1).await, alice.user),
    ];
    expected.sort_unstable();
    let login = relay.log_in(&alice, 1).await;
    let (status, page) = login.get("/v1/conversations").await;
    assert_eq!((status, &page["more"]), (StatusCode::OK, &json!(false)));
    for (at, (conversation, peer)) in expected.iter().enumerate() {
        let mark = &page["conversations"][at];
        assert_eq!(mark["conversation"], json!(conversation));
        assert_eq!(mark["peer"], json!(peer));
        assert_eq!(mark["own_acked"], json!(0));
    }
    let after = format!("/v1/conversations?after={}", expected[0].0);
    let (_, rest) = login.get(&after).await;
    assert_eq!(rest["conversations"], json!([page["conversations"][1]]));
    refused(
        login.get("/v1/conversations?after=xyz").await,
        400,
        "bad_request",
    );
}

#[tokio::test]
async fn what_belongs_to_another_user_or_device_is_forbidden() {
    let (relay, alice, bob) = (Relay::new().await, Person::new(1), Person::new(2));
    let eve = Person::new(3);
    let list = alice.list(None, &[1]);
    relay.register("alice", &list).await;
    relay.register("bobby", &bob.list(None, &[1])).await;
    relay.register("eve", &eve.list(None, &[1])).await;
    let conversation = relay.store(&alice, &bob, 1).await;
    let login = relay.log_in(&eve, 1).await;
    let forbidden = |answer| refused(answer, 403, "forbidden");

    let messages = |of: ConversationId| format!("/v1/conversations/{of}/messages");
    forbidden(login.get(&messages(conversation)).await);
    // One that does not exist looks the same.
    let nobodys = conversation_id(eve.user, alice.user);
    forbidden(login.get(&messages(nobodys)).await);
    let prekeys =
        |user: UserId, device| format!("/v1/users/{user}/devices/{}/prekeys", device_id(device));
    for path in [prekeys(alice.user, 1), prekeys(eve.user, 2)] {
        forbidden(login.get(&path).await);
        forbidden(login.put(&path, json!({})).await);
    }
    let next = list_body(&alice.list(Some(&list), &[1, 2]));
    let path = format!("/v1/users/{}/list", alice.user);
    forbidden(login.put(&path, next).await);
    let (_, own) = login.get("/v1/conversations").await;
    assert_eq!(own["conversations"], json!([]));
}

#[tokio::test]
async fn history_needs_a_token() {
    let relay = Relay::new().await;
    let conversation = conversation_id(UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
    let messages = format!("/v1/conversations/{conversation}/messages");
    for path in ["/v1/conversations", &messages] {
        let bare = Request::get(path).body(Body::empty()).expect("a request");
        refused(relay.call(bare).await, 401, "not_authenticated");
    }
}
