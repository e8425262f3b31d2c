//! How far delivery is, as real Kafka and Cassandra say: `SORDINO_TEST_KAFKA`, `SORDINO_TEST_CASSANDRA`.

use std::{env, sync::Arc, time::Duration};

use bytes::Bytes;
use sordino_protocol::{Class, ClientMessageId, ConversationId, DeviceId, Header, UserId, hash};

use super::delivered::Delivered;
use crate::{
    broker::{
        Record,
        kafka::{self, Topic},
    },
    delivery::cluster::{Options, start},
    history::cassandra::{self, migrate},
    notify::{
        Settings,
        hints::{At, Whom},
        watch::Decided,
    },
    session::memory::MemorySessions,
};

fn whom(n: u8) -> Whom {
    (
        ConversationId::from_bytes([n; 16]),
        UserId::from_bytes([n; 16]),
    )
}

fn record(n: u8, counter: u64) -> Record {
    let content = Bytes::from_static(b"content");
    let header = Header {
        class: Class::Message,
        conversation: whom(n).0,
        counter,
        client_message_id: ClientMessageId::from_bytes([counter as u8; 16]),
        sender: UserId::from_bytes([99; 16]),
        sender_device: DeviceId::from_bytes([1; 16]),
        recipient: whom(n).1,
        sender_list: 1,
        recipient_list: 1,
        list_digest: [0; 16],
        erase: vec![],
        commit: [0; 32],
    };
    Record {
        header_bytes: header.encode().into(),
        header,
        content_hash: hash::sha256(&content),
        content,
        wraps: Bytes::new(),
    }
}

/// A record that is no row, because one before it is missing or it was there before, is decided all the same; one that the log
/// does not have is not.
#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_decided_in_the_end() {
    let (Ok(brokers), Ok(nodes)) = (
        env::var("SORDINO_TEST_KAFKA"),
        env::var("SORDINO_TEST_CASSANDRA"),
    ) else {
        eprintln!("not run: SORDINO_TEST_KAFKA and SORDINO_TEST_CASSANDRA name no servers");
        return;
    };
    let name = format!("test_{:016x}", rand::random::<u64>());
    let nodes = nodes
        .split(',')
        .map(|node| node.parse().expect("an address"));
    let mut options = Options::new(
        kafka::Options::new(brokers, &name),
        cassandra::Options::new(nodes.collect(), &name),
    );
    options.dev = true;
    options.group.clone_from(&name);
    let topic = Topic::new(options.log.clone());
    let partitions = topic.create(1, 1).await.expect("made");
    let made = migrate(&options.history, 1, &name, partitions).await;
    made.expect("made");
    let sessions = Arc::new(MemorySessions::new());
    let mut running = start(options, sessions).await.expect("started");
    for (n, counter) in [(1, 1), (1, 2), (1, 9), (2, 1), (2, 1)] {
        let appended = running.log.append(record(n, counter)).await;
        appended.expect("appended");
    }
    let delivered = Delivered::new(&running.source).expect("made");
    let hints = Settings::default().hints();
    let _somebody_asks = hints.place();
    let decided = async |n: u8, offset: u64| {
        let at = At {
            partition: 0,
            offset,
        };
        delivered.decided(whom(n), at).await.expect("read")
    };
    let all = async {
        for (n, offset) in [(1, 0), (1, 1), (1, 2), (2, 3), (2, 4)] {
            while !decided(n, offset).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(60), all);
    tokio::select! {
        done = within => done.expect("decided"),
        () = delivered.follow(&hints) => {}
    }
    assert!(!decided(1, 5).await);
    assert!(!decided(3, 5).await);
    running.handle.leave().await;
}
