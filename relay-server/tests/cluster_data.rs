//! The data path of a cluster, on real Kafka and real Cassandra: `SORDINO_TEST_KAFKA`, `SORDINO_TEST_CASSANDRA`.
#![cfg(feature = "cluster")]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod data_support;

use std::{env, sync::Arc, time::Duration};

use data_support::{
    Recorder,
    conformance::{append_all, history_conformance, log_conformance, settled},
    content, conversation, erase, record, user,
};
use futures_util::future::join_all;
use scylla::client::session_builder::SessionBuilder;
use sordino_relay::{
    broker::{
        AppendError,
        kafka::{self, Topic},
    },
    delivery::cluster::{Options, Running, StartError, start},
    history::cassandra::{self, MigrateError, migrate},
    session::Event,
};

const ALL: usize = usize::MAX;

/// A topic and a keyspace of this test's own; `None` without servers.
async fn fresh(partitions: u32) -> Option<Options> {
    let (Ok(brokers), Ok(nodes)) = (
        env::var("SORDINO_TEST_KAFKA"),
        env::var("SORDINO_TEST_CASSANDRA"),
    ) else {
        eprintln!("not run: SORDINO_TEST_KAFKA and SORDINO_TEST_CASSANDRA name no servers");
        return None;
    };
    let name = format!("test_{:016x}", rand::random::<u64>());
    let nodes = nodes.split(',').map(|node| node.parse().unwrap()).collect();
    let mut options = Options::new(
        kafka::Options::new(brokers, &name),
        cassandra::Options::new(nodes, &name),
    );
    options.dev = true;
    options.group = name.clone();
    let topic = Topic::new(options.log.clone());
    let partitions = topic.create(partitions, 1).await.unwrap();
    migrate(&options.history, 1, &name, partitions)
        .await
        .unwrap();
    Some(options)
}

async fn node(options: &Options) -> (Running, Arc<Recorder>) {
    let sessions = Arc::new(Recorder::default());
    let running = start(options.clone(), sessions.clone()).await.unwrap();
    (running, sessions)
}

#[tokio::test(flavor = "multi_thread")]
async fn log_and_history_conform() {
    let Some(options) = fresh(4).await else {
        return;
    };
    let (mut running, _) = node(&options).await;
    log_conformance(&*running.log, &*running.history, Ok(())).await;
    history_conformance(&*running.log, &*running.history).await;
    running.handle.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_empties_what_its_sender_wrote() {
    let Some(options) = fresh(1).await else {
        return;
    };
    let (mut running, _) = node(&options).await;
    let c = conversation(1, 2);
    append_all(&*running.log, 1, 2, 1..=3).await;
    append_all(&*running.log, 2, 1, 1..=1).await;
    running
        .log
        .append(erase(1, 2, 1, 4, vec![2, 4, 5, 99]))
        .await
        .unwrap();
    settled(&*running.history, 1, 2, 5).await;
    let check = async || {
        let rows = running.history.rows(c, 1, 9, ALL, ALL).await.unwrap().rows;
        let empty: Vec<_> = rows
            .iter()
            .filter(|r| r.content.is_none())
            .map(|r| r.seq)
            .collect();
        assert_eq!((rows.len(), empty), (5, vec![2]));
        assert!(rows[1].wraps.is_none());
        rows
    };
    let before = check().await;
    running.handle.leave().await;
    // Another group reads everything again, and writes the rows again where it must: what was emptied stays empty.
    let again = Options {
        group: format!("{}_again", options.group),
        ..options
    };
    let (mut second, told) = node(&again).await;
    told.wait_for(5).await;
    assert_eq!(check().await, before);
    second.handle.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_p3_what_is_read_again_is_decided_already() {
    let Some(options) = fresh(2).await else {
        return;
    };
    let (mut running, first) = node(&options).await;
    append_all(&*running.log, 1, 2, 1..=50).await;
    settled(&*running.history, 1, 2, 50).await;
    first.wait_for(50).await;
    running.handle.leave().await;
    let rows = running
        .history
        .rows(conversation(1, 2), 1, 99, ALL, ALL)
        .await
        .unwrap();
    let again = Options {
        group: format!("{}_again", options.group),
        ..options
    };
    let (mut second, told) = node(&again).await;
    told.wait_for(50).await;
    assert_eq!(
        second
            .history
            .rows(conversation(1, 2), 1, 99, ALL, ALL)
            .await
            .unwrap(),
        rows
    );
    // The devices are told where the conversation is: the first owner may have died before it told them.
    for (users, event) in told.told.lock().unwrap().iter() {
        assert_eq!(users[..], [user(1), user(2)]);
        assert!(
            matches!(event, Event::Nudge { last_seq: 50, .. }),
            "{event:?}"
        );
    }
    append_all(&*second.log, 1, 2, 51..=51).await;
    settled(&*second.history, 1, 2, 51).await;
    second.handle.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_p4_order_survives_every_change_of_owner() {
    let Some(options) = fresh(4).await else {
        return;
    };
    let (mut running, _) = node(&options).await;
    let log = Arc::clone(&running.log);
    let pairs = 20..32_u8;
    let rounds = 6;
    let mut next = 1;
    for round in 0..rounds {
        let appends: Vec<_> = (next..next + 40)
            .flat_map(|n| pairs.clone().map(move |p| (p, n)))
            .map(|(p, n)| log.append(record(p, p + 40, p, n)))
            .collect();
        next += 40;
        // Another joins while they are on their way; then the older one leaves, in order or without a word.
        let (joined, _) = node(&options).await;
        let mut old = std::mem::replace(&mut running, joined);
        if round % 2 == 0 {
            old.handle.leave().await;
        }
        drop(old);
        assert!(join_all(appends).await.iter().all(Result::is_ok));
    }
    let last = next - 1;
    for p in pairs {
        settled(&*running.history, p, p + 40, last).await;
        let rows = running
            .history
            .rows(conversation(p, p + 40), 1, 9_999, ALL, ALL)
            .await
            .unwrap()
            .rows;
        assert_eq!(rows.len() as u64, last);
        for (row, n) in rows.iter().zip(1..) {
            assert_eq!(row.seq, n);
            assert_eq!(row.content.as_deref().unwrap(), content(p, p + 40, p, n));
        }
    }
    running.handle.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_that_could_not_be_told_are_told_later() {
    let Some(options) = fresh(1).await else {
        return;
    };
    let (mut running, told) = node(&options).await;
    *told.failures.lock().unwrap() = 12;
    append_all(&*running.log, 1, 2, 1..=10).await;
    settled(&*running.history, 1, 2, 10).await;
    let reached = async {
        loop {
            let highest = |event: &Event| match event {
                Event::Nudge { last_seq, .. } => *last_seq,
                Event::Row { row, .. } => row.seq,
                _ => 0,
            };
            if told
                .told
                .lock()
                .unwrap()
                .iter()
                .any(|(_, e)| highest(e) == 10)
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), reached)
        .await
        .unwrap();
    running.handle.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_in_work_are_bounded_and_those_that_wait_come_in_their_order() {
    let Some(mut options) = fresh(4).await else {
        return;
    };
    // About twenty records; 400 come.
    options.work_bytes = 8 * 1024;
    let (mut running, told) = node(&options).await;
    told.held.send_replace(true);
    let (pairs, each) = (1..=100_u8, 4_u64);
    for p in pairs.clone() {
        append_all(&*running.log, p, p + 100, 1..=each).await;
    }
    let persisted = async || {
        let last = pairs.clone().map(|p| {
            let history = Arc::clone(&running.history);
            async move {
                let c = conversation(p, p + 100);
                history.rows(c, 1, 1, 1, ALL).await.unwrap().last_seq
            }
        });
        join_all(last).await.into_iter().sum::<u64>()
    };
    // Several times over what it takes to persist all of them, if nothing kept it from that.
    let before_long = async {
        while persisted().await < u64::from(*pairs.end()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let all_at_once = tokio::time::timeout(Duration::from_secs(5), before_long).await;
    assert!(all_at_once.is_err(), "the consumer did not pause");
    assert!(persisted().await > 0);
    told.held.send_replace(false);
    for p in pairs.clone() {
        settled(&*running.history, p, p + 100, each).await;
    }
    told.wait_for(usize::from(*pairs.end()) * 4).await;
    for p in pairs {
        let c = conversation(p, p + 100);
        let told = told.told.lock().unwrap();
        let seqs: Vec<_> = told
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Row { conversation, row } if *conversation == c => Some(row.seq),
                _ => None,
            })
            .collect();
        assert_eq!(seqs, (1..=each).collect::<Vec<_>>());
    }
    running.handle.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_follow_each_other() {
    let Some(options) = fresh(1).await else {
        return;
    };
    let (mut running, _) = node(&options).await;
    let last = 10_030;
    append_all(&*running.log, 1, 2, 1..=last).await;
    settled(&*running.history, 1, 2, last).await;
    let c = conversation(1, 2);
    let history = &*running.history;
    let seqs =
        |rows: sordino_relay::history::Rows| rows.rows.iter().map(|r| r.seq).collect::<Vec<_>>();
    let up = history.rows(c, 9_990, 10_010, ALL, ALL).await.unwrap();
    assert_eq!((up.last_seq, up.complete), (last, true));
    assert_eq!(seqs(up), (9_990..=10_010).collect::<Vec<_>>());
    let down = history.rows_before(c, Some(10_005), 10, ALL).await.unwrap();
    assert_eq!(down.last_seq, last);
    assert_eq!(seqs(down), (9_995..10_005).rev().collect::<Vec<_>>());
    let newest = history.rows_before(c, None, 3, ALL).await.unwrap();
    assert_eq!(seqs(newest), [last, last - 1, last - 2]);
    let old = history.rows(c, 1, 5, ALL, ALL).await.unwrap();
    assert_eq!((old.last_seq, seqs(old)), (last, vec![1, 2, 3, 4, 5]));
    // Who begins without anything in memory finds the newest bucket.
    running.handle.leave().await;
    let (mut second, _) = node(&options).await;
    append_all(&*second.log, 1, 2, last + 1..=last + 1).await;
    settled(&*second.history, 1, 2, last + 1).await;
    second.handle.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_accepted_while_delivery_is_far_behind() {
    let Some(mut options) = fresh(4).await else {
        return;
    };
    options.most_lag = Duration::from_secs(1);
    options.look_at_lag = Duration::from_millis(50);
    options.delivers = false;
    let (accepts, _) = node(&options).await;
    let mut next = 1;
    let append_until = async |next: &mut u64, wanted: Result<(), AppendError>| {
        let appended = async {
            loop {
                let appended = accepts.log.append(record(1, 2, 1, *next)).await;
                *next += u64::from(appended.is_ok());
                assert!(matches!(appended, Ok(()) | Err(AppendError::Busy)));
                if appended == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let within = Duration::from_secs(60);
        tokio::time::timeout(within, appended).await.unwrap();
    };
    append_until(&mut next, Err(AppendError::Busy)).await;
    assert!(next > 1, "young records are no reason");
    options.delivers = true;
    let (mut delivers, _) = node(&options).await;
    append_until(&mut next, Ok(())).await;
    settled(&*delivers.history, 1, 2, next - 1).await;
    delivers.handle.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_the_recorded_one_is_refused() {
    let Some(options) = fresh(2).await else {
        return;
    };
    let mut other = options.clone();
    other.log.topic = format!("{}_other", options.log.topic);
    let start_with =
        |options: Options| async { start(options, Arc::new(Recorder::default())).await.err() };
    assert!(matches!(
        start_with(other.clone()).await,
        Some(StartError::Topic(_))
    ));
    Topic::new(other.log.clone()).create(3, 1).await.unwrap();
    let refused = start_with(other.clone()).await;
    assert!(matches!(
        refused,
        Some(StartError::Tables(MigrateError::NoLog(_)))
    ));
    let epoch = |topic: String, partitions| {
        let history = options.history.clone();
        async move { migrate(&history, 1, &topic, partitions).await }
    };
    assert_eq!(epoch(options.log.topic.clone(), 2).await.unwrap().epoch, 1);
    assert_eq!(epoch(other.log.topic.clone(), 3).await.unwrap().epoch, 2);
    let grown = epoch(other.log.topic, 4).await;
    assert!(matches!(
        grown,
        Err(MigrateError::Partitions {
            recorded: 3,
            found: 4,
            ..
        })
    ));
    let mut strict = options.clone();
    strict.dev = false;
    let refused = start_with(strict.clone()).await.unwrap().to_string();
    assert!(refused.contains("min.insync.replicas"), "{refused}");
    strict.dev = true;
    strict.history.least_replicas = 3;
    let refused = start_with(strict).await;
    assert!(matches!(
        refused,
        Some(StartError::Tables(MigrateError::Replicas {
            found: 1,
            least: 3,
            ..
        }))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_may_break_batches_apart_or_forget_erasures_are_refused() {
    let Some(options) = fresh(1).await else {
        return;
    };
    let session = SessionBuilder::new()
        .known_nodes_addr(&options.history.nodes)
        .build()
        .await
        .unwrap();
    let keyspace = &options.history.keyspace;
    let refused = || async {
        let started = start(options.clone(), Arc::new(Recorder::default())).await;
        let migrated = migrate(&options.history, 1, &options.log.topic, 1).await;
        assert!(matches!(migrated, Err(MigrateError::Setting { .. })));
        started.err().unwrap().to_string()
    };
    for (table, wrong, right) in [
        (
            "chat_histories",
            "read_repair = 'BLOCKING'",
            "read_repair = 'NONE'",
        ),
        (
            "conversations_by_user",
            "gc_grace_seconds = 60",
            "gc_grace_seconds = 10800",
        ),
    ] {
        let change = |how| format!("ALTER TABLE {keyspace}.{table} WITH {how}");
        session.query_unpaged(change(wrong), ()).await.unwrap();
        // It says what makes it good again.
        let said = refused().await;
        assert!(said.ends_with(&change(right)), "{said}");
        session.query_unpaged(change(right), ()).await.unwrap();
    }
    let (mut running, _) = node(&options).await;
    running.handle.leave().await;
}
