use sordino_protocol::Class;

use super::*;

const ALICE: UserId = UserId::from_bytes([0x11; 16]);
const BOB: UserId = UserId::from_bytes([0x22; 16]);
const DEVICE: DeviceId = DeviceId::from_bytes([0x33; 16]);

fn header() -> Header {
    Header {
        class: Class::Message,
        conversation: hash::conversation_id(ALICE, BOB),
        counter: 7,
        client_message_id: ClientMessageId::from_bytes([0x44; 16]),
        sender: ALICE,
        sender_device: DEVICE,
        recipient: BOB,
        sender_list: 3,
        recipient_list: 4,
        list_digest: hash::list_digest((3, &[0x55; 32]), (4, &[0x66; 32])),
        erase: vec![],
        commit: [0; 32],
    }
}

fn text(text: &str) -> pb::Content {
    pb::Content {
        sent_ms: 1000,
        sender: ALICE.to_pb(),
        sender_device: DEVICE.to_pb(),
        after: None,
        timer_s: 0,
        sender_name: String::new(),
        body: Some(pb::content::Body::Text(pb::Text {
            text: text.into(),
            reply_to: None,
        })),
    }
}

fn ck() -> Secret<32> {
    Secret::from_bytes(std::array::from_fn(|at| u8::try_from(at).unwrap()))
}

fn sealed() -> Sealed {
    seal_under(ck(), header(), &text("héllo")).unwrap()
}

fn error(header: &[u8], content: &[u8], key: &Secret<32>) -> Option<OpenError> {
    open_content(header, content, key).err()
}

/// The vector is computed by another implementation (`tests/vectors/generate.py`).
#[test]
fn derivations_and_ciphertext_are_the_frozen_ones() {
    let vector: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/content.json")).unwrap();
    let sealed = sealed();
    let parsed = Header::parse(&sealed.header).unwrap();
    let wrap = wrap_payload(&sealed.content_key, &sealed.env_hash);
    for (name, bytes) in [
        ("conversation", parsed.conversation.as_bytes().as_slice()),
        ("list_digest", &parsed.list_digest),
        ("commit", &parsed.commit),
        ("header", &sealed.header),
        ("content", &sealed.content),
        ("env_hash", &sealed.env_hash),
        ("wrap_payload", wrap.expose()),
    ] {
        assert_eq!(
            vector[name].as_str(),
            Some(hex::encode(bytes).as_str()),
            "{name}"
        );
    }
}

#[test]
fn opens_what_was_sealed() {
    let sealed = sealed();
    let content = open_content(&sealed.header, &sealed.content, &sealed.content_key);
    assert!(content.ok() == Some(text("héllo")));
}

#[test]
fn every_flipped_bit_is_refused() {
    let sealed = sealed();
    let mut header = sealed.header.clone();
    for bit in 0..header.len() * 8 {
        header[bit / 8] ^= 1 << (bit % 8);
        assert!(
            error(&header, &sealed.content, &sealed.content_key).is_some(),
            "header bit {bit}"
        );
        header[bit / 8] ^= 1 << (bit % 8);
    }
    let mut content = sealed.content.clone();
    for bit in 0..content.len() * 8 {
        content[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            error(&sealed.header, &content, &sealed.content_key),
            Some(OpenError::Ciphertext),
            "content bit {bit}"
        );
        content[bit / 8] ^= 1 << (bit % 8);
    }
    for bit in 0..256 {
        let mut key = *sealed.content_key.expose();
        key[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            error(&sealed.header, &sealed.content, &Secret::from_bytes(key)),
            Some(OpenError::Commit),
            "key bit {bit}"
        );
    }
}

#[test]
fn cut_and_lengthened_content_is_refused() {
    let sealed = sealed();
    for len in 0..sealed.content.len() {
        let cut = &sealed.content[..len];
        assert_eq!(
            error(&sealed.header, cut, &sealed.content_key),
            Some(OpenError::Ciphertext)
        );
    }
    let longer = [sealed.content.as_slice(), &[0]].concat();
    assert_eq!(
        error(&sealed.header, &longer, &sealed.content_key),
        Some(OpenError::Ciphertext)
    );
}

/// A sender who holds the key may seal a lie: each is caught by the check that is about it.
#[test]
fn a_sealed_lie_is_refused() {
    let elsewhere = Header {
        conversation: hash::conversation_id(ALICE, UserId::from_bytes([9; 16])),
        ..header()
    };
    let sealed = seal_under(ck(), elsewhere, &text("x")).unwrap();
    assert_eq!(
        error(&sealed.header, &sealed.content, &ck()),
        Some(OpenError::Conversation)
    );
    let mut other_user = text("x");
    other_user.sender = BOB.to_pb();
    let sealed = seal_under(ck(), header(), &other_user).unwrap();
    assert_eq!(
        error(&sealed.header, &sealed.content, &ck()),
        Some(OpenError::Sender)
    );
    let mut other_device = text("x");
    other_device.sender_device = DeviceId::from_bytes([9; 16]).to_pb();
    let sealed = seal_under(ck(), header(), &other_device).unwrap();
    assert_eq!(
        error(&sealed.header, &sealed.content, &ck()),
        Some(OpenError::Sender)
    );
}

#[test]
fn content_of_another_message_is_refused() {
    let one = sealed();
    let other = Header {
        client_message_id: ClientMessageId::from_bytes([0x45; 16]),
        counter: 8,
        ..header()
    };
    // Even under the same content key.
    let two = seal_under(ck(), other, &text("two")).unwrap();
    assert_eq!(
        error(&one.header, &two.content, &ck()),
        Some(OpenError::Ciphertext)
    );
}

#[test]
fn equal_lengths_within_a_bucket() {
    let short = seal_under(ck(), header(), &text("")).unwrap();
    let long = seal_under(ck(), header(), &text(&"x".repeat(180))).unwrap();
    assert_eq!((short.content.len(), long.content.len()), (272, 272));
}

#[test]
fn the_largest_text_is_sealed_and_a_larger_one_refused() {
    let id = |bytes: u8| vec![bytes; 16].into();
    let mut largest = pb::Content {
        after: Some(pb::After {
            seq: u64::MAX,
            env_hash: vec![1; 32].into(),
        }),
        timer_s: limits::TIMER_S,
        sender_name: "n".repeat(limits::DISPLAY_NAME_BYTES),
        ..text("")
    };
    largest.body = Some(pb::content::Body::Text(pb::Text {
        text: "x".repeat(limits::TEXT_BYTES),
        reply_to: Some(pb::MessageRef {
            author: id(1),
            author_device: id(2),
            client_message_id: id(3),
        }),
    }));
    let sealed = seal_under(ck(), header(), &largest).unwrap();
    assert!(error(&sealed.header, &sealed.content, &ck()).is_none());
    let larger = text(&"x".repeat(limits::TEXT_BYTES + 1));
    let longer_name = pb::Content {
        sender_name: "n".repeat(limits::DISPLAY_NAME_BYTES + 1),
        ..text("")
    };
    for refused in [larger, longer_name] {
        assert_eq!(
            seal_under(ck(), header(), &refused).err(),
            Some(SealError::TooLarge)
        );
    }
}

#[test]
fn every_message_has_a_key_of_its_own() {
    let mut rng = rand::rng();
    let one = seal(&mut rng, header(), &text("x")).unwrap();
    let two = seal(&mut rng, header(), &text("x")).unwrap();
    assert!(one.content_key != two.content_key);
    assert_ne!(one.env_hash, two.env_hash);
}

#[test]
fn a_wrap_payload_is_read_exactly() {
    let payload = wrap_payload(&ck(), &[7; 32]);
    let (key, env_hash) = read_wrap_payload(payload.expose()).unwrap();
    assert!(key == ck());
    assert_eq!(env_hash, [7; 32]);
    let mut other_kind = *payload.expose();
    other_kind[0] = 2;
    let longer = [payload.expose().as_slice(), &[0]].concat();
    for bad in [&other_kind[..], &payload.expose()[..64], &longer, &[]] {
        assert!(read_wrap_payload(bad).is_none());
    }
}
