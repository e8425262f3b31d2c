//! Writes the hand-made seeds of `fuzz/corpus`: `cargo run -p sordino-protocol --example fuzz_seeds`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a tool for builders, not shipped"
)]

use std::{fs, path::Path};

use prost::Message;
use sordino_protocol::{
    Class, ClientMessageId, ConversationId, DeviceId, Header, UserId, frame,
    pb::{self, client_frame, relay_frame},
};

fn some_header(class: Class, erase: Vec<u64>) -> Vec<u8> {
    Header {
        class,
        conversation: ConversationId::from_bytes([1; 16]),
        counter: 1,
        client_message_id: ClientMessageId::from_bytes([2; 16]),
        sender: UserId::from_bytes([3; 16]),
        sender_device: DeviceId::from_bytes([4; 16]),
        recipient: UserId::from_bytes([5; 16]),
        sender_list: 1,
        recipient_list: 2,
        list_digest: [6; 16],
        erase,
        commit: [7; 32],
    }
    .encode()
}

fn some_wraps(count: usize) -> Vec<pb::Wrap> {
    vec![
        pb::Wrap {
            user: vec![3; 16].into(),
            device: vec![4; 16].into(),
            payload: vec![9; 40].into(),
        };
        count
    ]
}

fn some_list(version: u32, devices: u8) -> Vec<u8> {
    let certificate = pb::LskCertificateBody {
        user: vec![3; 16].into(),
        identity_key: vec![10; 32].into(),
        version: 1,
        list_signing_key: vec![11; 32].into(),
    };
    let body = pb::DeviceListBody {
        user: vec![3; 16].into(),
        version,
        prev_hash: vec![u8::from(version > 1); 32].into(),
        created_ms: 1,
        lsk_certificate: Some(pb::Signed {
            body: certificate.encode_to_vec().into(),
            signature: vec![12; 64].into(),
        }),
        devices: (0..devices)
            .map(|n| pb::ListedDevice {
                device: vec![20 + n; 16].into(),
                signing_key: vec![40 + n; 32].into(),
                identity_key: vec![60 + n; 32].into(),
                added_ms: 1,
                self_signature: vec![13; 64].into(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    pb::Signed {
        body: body.encode_to_vec().into(),
        signature: vec![14; 64].into(),
    }
    .encode_to_vec()
}

fn some_content(body: pb::content::Body) -> Vec<u8> {
    content_of("", body)
}

fn content_of(sender_name: &str, body: pb::content::Body) -> Vec<u8> {
    pb::Content {
        sent_ms: 1,
        sender: vec![3; 16].into(),
        sender_device: vec![4; 16].into(),
        after: Some(pb::After {
            seq: 1,
            env_hash: vec![8; 32].into(),
        }),
        timer_s: 60,
        sender_name: sender_name.into(),
        body: Some(body),
    }
    .encode_to_vec()
}

fn some_reference() -> pb::MessageRef {
    pb::MessageRef {
        author: vec![3; 16].into(),
        author_device: vec![4; 16].into(),
        client_message_id: vec![5; 16].into(),
    }
}

/// Each seed whole, and cut at a third and one byte early.
fn write(target: &str, seeds: &[Vec<u8>]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    fs::create_dir_all(&folder).unwrap();
    for (at, seed) in seeds.iter().enumerate() {
        for (name, len) in [
            ("whole", seed.len()),
            ("third", seed.len() / 3),
            ("early", seed.len().saturating_sub(1)),
        ] {
            fs::write(folder.join(format!("{at}-{name}")), &seed[..len]).unwrap();
        }
    }
}

fn main() {
    use client_frame::Frame as Client;
    use relay_frame::Frame as Relay;
    let row = pb::Row {
        header: some_header(Class::Message, vec![]).into(),
        content: Some(vec![8; 40].into()),
        ..Default::default()
    };
    let client = [
        Client::Send(pb::Send {
            header: some_header(Class::Message, vec![]).into(),
            content: vec![8; 40].into(),
            wraps: some_wraps(2),
            withheld: vec![vec![5; 16].into()],
        }),
        Client::Ack(pb::Ack {
            conversation: vec![1; 16].into(),
            seq: 300,
        }),
        Client::RefreshToken(pb::RefreshToken {
            token: "token".into(),
        }),
        Client::Signal(pb::Signal {
            recipient: vec![1; 16].into(),
            sealed: vec![
                pb::SealedSignal {
                    device: vec![2; 16].into(),
                    payload: vec![3; 52].into(),
                };
                2
            ],
        }),
    ];
    write(
        "client_frame",
        &client.map(|f| frame::encode_client(f).to_vec()),
    );
    let relay = [
        Relay::Accepted(pb::Accepted {
            conversation: vec![1; 16].into(),
            client_message_id: vec![2; 16].into(),
            counter: 1,
        }),
        Relay::Deliver(pb::Deliver {
            row: Some(row.clone()),
        }),
        Relay::Pulled(pb::Pulled {
            request: 1,
            conversation: vec![1; 16].into(),
            rows: vec![row; 2],
            last_seq: 2,
            complete: true,
        }),
        Relay::Problem(pb::Problem {
            request: 1,
            code: "x".into(),
            detail: "y".into(),
            retry_after_ms: 5,
        }),
        Relay::Signalled(pb::Signalled {
            sender: vec![1; 16].into(),
            sender_device: vec![2; 16].into(),
            payload: vec![3; 52].into(),
        }),
    ];
    write(
        "relay_frame",
        &relay.map(|f| frame::encode_relay(f).to_vec()),
    );
    write(
        "header",
        &[
            some_header(Class::Message, vec![]),
            some_header(Class::Control, vec![]),
            some_header(Class::Erase, vec![9]),
            some_header(Class::Erase, vec![1; 16]),
        ],
    );
    write(
        "device_list",
        &[some_list(1, 1), some_list(2, 3), some_list(3, 10)],
    );
    write(
        "content",
        &[
            some_content(pb::content::Body::Text(pb::Text {
                text: "hello".into(),
                reply_to: Some(some_reference()),
            })),
            some_content(pb::content::Body::Edit(pb::Edit {
                message: Some(some_reference()),
                text: "hallo".into(),
            })),
            some_content(pb::content::Body::Reaction(pb::Reaction {
                message: Some(some_reference()),
                emoji: "+".into(),
            })),
            some_content(pb::content::Body::Timer(pb::Timer { seconds: 60 })),
            some_content(pb::content::Body::Erasure(pb::Erasure { seqs: vec![1, 9] })),
            some_content(pb::content::Body::Empty(pb::Empty {})),
            some_content(pb::content::Body::DeadSessions(pb::DeadSessions {
                sessions: vec![vec![1; 8].into(); 2],
            })),
            some_content(pb::content::Body::Rewrap(pb::Rewrap {
                keys: vec![
                    pb::RewrappedKey {
                        seq: 1,
                        env_hash: vec![2; 32].into(),
                        content_key: vec![3; 32].into(),
                    };
                    2
                ],
                conversation: vec![4; 16].into(),
            })),
            some_content(pb::content::Body::SharedKeys(pb::SharedKeys {
                list_signing_key: vec![1; 32].into(),
                backup_version: 1,
                backup_public_key: vec![2; 1216].into(),
                backup_shared_key: vec![3; 32].into(),
                password_opens_vault: true,
                recovery_opener: vec![4; 32].into(),
            })),
            some_content(pb::content::Body::DeviceHello(pb::DeviceHello {
                name: "Phone".into(),
                asks_names: true,
                asks_keys: false,
                asks_history: true,
                answers: true,
            })),
            some_content(pb::content::Body::HistoryKeys(pb::HistoryKeys {
                conversations: vec![pb::ConversationKeys {
                    conversation: vec![4; 16].into(),
                    keys: vec![pb::RewrappedKey {
                        seq: 1,
                        env_hash: vec![2; 32].into(),
                        content_key: vec![3; 32].into(),
                    }],
                }],
                left: 1,
                is_last: false,
            })),
            content_of(
                "Ann",
                pb::content::Body::Text(pb::Text {
                    text: "hello".into(),
                    reply_to: None,
                }),
            ),
            some_content(pb::content::Body::Trust(pb::Trust {
                decisions: vec![
                    pb::TrustDecision {
                        user: vec![1; 16].into(),
                        seen_key: vec![2; 32].into(),
                        seen_version: 3,
                        verified_key: vec![2; 32].into(),
                        verified_ms: 4,
                        list_version: 3,
                        seen_hash: vec![7; 32].into(),
                        floor: 2,
                        list_hash: vec![7; 32].into(),
                        accepted_devices: vec![
                            pb::AcceptedDevice {
                                device: vec![5; 16].into(),
                                signing_key: vec![6; 32].into(),
                            };
                            2
                        ],
                        ..Default::default()
                    };
                    2
                ],
            })),
            some_content(pb::content::Body::Settings(pb::Settings {
                receipts_off: true,
                receipts_ms: 1,
                presence: 2,
                presence_ms: 3,
                display_name: "Ann".into(),
                display_name_ms: 4,
                ..Default::default()
            })),
        ],
    );
    let wraps = |n| {
        pb::Wraps {
            wraps: some_wraps(n),
        }
        .encode_to_vec()
    };
    write("wraps", &[wraps(1), wraps(2), wraps(5)]);
}
