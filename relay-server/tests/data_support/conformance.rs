//! What every log and every history must do, whatever they are built on.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use std::{iter::repeat, time::Duration};

use futures_util::future::join_all;
use sordino_relay::{
    broker::{AppendError, Log},
    history::{History, Mark, Rows},
};
use tokio::time::{sleep, timeout};

use super::{content, conversation, device, record, user};

const ALL: usize = usize::MAX;

fn seqs(rows: &Rows) -> Vec<u64> {
    rows.rows.iter().map(|r| r.seq).collect()
}

pub async fn append_all(log: &dyn Log, from: u8, to: u8, counters: std::ops::RangeInclusive<u64>) {
    let appends: Vec<_> = counters
        .map(|n| log.append(record(from, to, from, n)))
        .collect();
    for outcome in join_all(appends).await {
        assert_eq!(outcome, Ok(()));
    }
}

/// Waits until both people's registers are there: the log may acknowledge before delivery is done.
pub async fn settled(history: &dyn History, a: u8, b: u8, last_seq: u64) {
    let waited = async {
        for (who, mut wait) in [a, b].into_iter().zip(repeat(Duration::from_millis(5))) {
            loop {
                let marks = history.marks(user(who), device(who), None, 1_000).await;
                let reached =
                    |m: &Mark| m.conversation == conversation(a, b) && m.last_seq >= last_seq;
                if marks.unwrap().iter().any(reached) {
                    break;
                }
                sleep(wait).await;
                wait = (wait * 2).min(Duration::from_millis(200));
            }
        }
    };
    timeout(Duration::from_secs(60), waited).await.unwrap();
}

/// Order, duplicates, gaps, and many senders at once. `gap`: what is said of a record behind a hole. It is never
/// sequenced, but a log that acknowledges before it is read cannot know.
pub async fn log_conformance(log: &dyn Log, history: &dyn History, gap: Result<(), AppendError>) {
    let c = conversation(1, 2);
    append_all(log, 1, 2, 1..=40).await;
    settled(history, 1, 2, 40).await;
    let rows = history.rows(c, 1, 100, ALL, ALL).await.unwrap();
    assert_eq!(seqs(&rows), (1..=40).collect::<Vec<_>>());
    for (row, n) in rows.rows.iter().zip(1..) {
        assert_eq!(row.content.as_deref().unwrap(), content(1, 2, 1, n));
        assert_eq!(row.header, record(1, 2, 1, n).header_bytes);
        assert_eq!(row.content_hash, record(1, 2, 1, n).content_hash);
    }
    // A duplicate is `Ok`, adds nothing, changes nothing.
    assert_eq!(log.append(record(1, 2, 1, 7)).await, Ok(()));
    let again = history.rows(c, 1, 100, ALL, ALL).await.unwrap();
    assert_eq!(again, rows);
    // In one group with its original, the duplicate follows it.
    let pair = [
        log.append(record(1, 2, 1, 41)),
        log.append(record(1, 2, 1, 41)),
    ];
    assert_eq!(join_all(pair).await, [Ok(()), Ok(())]);
    // A gap is refused, and so is everything behind it, until the hole is filled.
    let tail = [43, 44].map(|n| log.append(record(1, 2, 1, n)));
    assert_eq!(join_all(tail).await, [gap; 2]);
    append_all(log, 1, 2, 42..=44).await;
    settled(history, 1, 2, 44).await;
    assert_eq!(
        history.rows(c, 41, 99, ALL, ALL).await.unwrap().last_seq,
        44
    );
    // A gap of one device is no gap of another.
    let mixed = [
        log.append(record(1, 2, 9, 2)),
        log.append(record(2, 1, 2, 1)),
        log.append(record(1, 2, 9, 1)),
    ];
    assert_eq!(join_all(mixed).await, [gap, Ok(()), Ok(())]);
    settled(history, 1, 2, 46).await;
    let again = history.rows(c, 1, 100, ALL, ALL).await.unwrap();
    assert_eq!(seqs(&again), (1..=46).collect::<Vec<_>>());
    assert_eq!(again.rows[..40], rows.rows[..]);
    // Both people and five more pairs at once: every conversation is dense, every device keeps its order.
    let appends: Vec<_> = (1..=60)
        .flat_map(|n| (20..26_u8).flat_map(move |p| [(p, p + 10, n), (p + 10, p, n)]))
        .map(|(from, to, n)| log.append(record(from, to, from, n)))
        .collect();
    assert!(join_all(appends).await.iter().all(Result::is_ok));
    for p in 20..26_u8 {
        settled(history, p, p + 10, 120).await;
        let rows = history
            .rows(conversation(p, p + 10), 1, 1_000, ALL, ALL)
            .await
            .unwrap();
        assert_eq!(seqs(&rows), (1..=120).collect::<Vec<_>>());
        for sender in [p, p + 10] {
            let counters: Vec<_> = rows
                .rows
                .iter()
                .map(|r| sordino_protocol::Header::parse(&r.header).unwrap())
                .filter(|h| h.sender == user(sender))
                .map(|h| h.counter)
                .collect();
            assert_eq!(counters, (1..=60).collect::<Vec<_>>());
        }
    }
}

/// Ranges, limits, marks.
pub async fn history_conformance(log: &dyn Log, history: &dyn History) {
    let c = conversation(101, 102);
    let nothing = history.rows(c, 1, 10, ALL, ALL).await.unwrap();
    assert_eq!(
        nothing,
        Rows {
            complete: true,
            ..Rows::default()
        }
    );
    assert_eq!(history.peer(user(101), c).await.unwrap(), None);
    assert_eq!(
        history
            .acknowledge(user(101), device(101), c, 5)
            .await
            .unwrap(),
        None
    );
    append_all(log, 101, 102, 1..=20).await;
    settled(history, 101, 102, 20).await;
    pages(history).await;
    marks(log, history).await;
    marks_at_once(log, history).await;
    history.healthy().await.unwrap();
}

async fn pages(history: &dyn History) {
    let c = conversation(101, 102);
    let page = history.rows(c, 3, 7, ALL, ALL).await.unwrap();
    assert_eq!(
        (seqs(&page), page.last_seq, page.complete),
        (vec![3, 4, 5, 6, 7], 20, true)
    );
    let page = history.rows(c, 3, 7, 2, ALL).await.unwrap();
    assert_eq!((seqs(&page), page.complete), (vec![3, 4], false));
    let page = history.rows(c, 3, 7, 5, ALL).await.unwrap();
    assert!(page.complete, "exactly as many rows as allowed is not cut");
    let page = history.rows(c, 3, 7, ALL, 1).await.unwrap();
    assert_eq!((seqs(&page), page.complete), (vec![3], false));
    let two = page.rows[0].size() * 2 + 100;
    let page = history.rows(c, 3, 7, ALL, two).await.unwrap();
    assert_eq!(page.rows.len(), 2);
    assert!(page.rows.iter().map(|r| r.size()).sum::<usize>() <= two);
    let page = history.rows(c, 18, 900, ALL, ALL).await.unwrap();
    assert_eq!((seqs(&page), page.complete), (vec![18, 19, 20], true));
    for (from, to) in [(21, 30), (9, 3), (u64::MAX, u64::MAX)] {
        let page = history.rows(c, from, to, ALL, ALL).await.unwrap();
        assert_eq!(
            (seqs(&page), page.last_seq, page.complete),
            (vec![], 20, true)
        );
    }
    let page = history.rows_before(c, None, 3, ALL).await.unwrap();
    assert_eq!((seqs(&page), page.complete), (vec![20, 19, 18], false));
    let page = history.rows_before(c, Some(3), 10, ALL).await.unwrap();
    assert_eq!((seqs(&page), page.complete), (vec![2, 1], true));
    let page = history.rows_before(c, Some(1), 10, ALL).await.unwrap();
    assert_eq!((seqs(&page), page.complete), (vec![], true));
    let page = history
        .rows_before(c, Some(u64::MAX), 1, ALL)
        .await
        .unwrap();
    assert_eq!(seqs(&page), [20]);
    let row = &page.rows[0];
    assert_eq!(
        row.wrap_for(user(102), device(102)).unwrap(),
        20_u64.to_be_bytes()[..]
    );
    assert_eq!(row.wrap_for(user(102), device(101)), None);
}

async fn marks(log: &dyn Log, history: &dyn History) {
    let c = conversation(101, 102);
    append_all(log, 101, 103, 1..=3).await;
    append_all(log, 101, 101, 1..=2).await;
    append_all(log, 104, 105, 1..=1).await;
    settled(history, 101, 103, 3).await;
    settled(history, 101, 101, 2).await;
    settled(history, 104, 105, 1).await;
    assert_eq!(history.peer(user(101), c).await.unwrap(), Some(user(102)));
    assert_eq!(history.peer(user(102), c).await.unwrap(), Some(user(101)));
    assert_eq!(
        history.peer(user(104), c).await.unwrap(),
        None,
        "a stranger"
    );

    let ack = |dev: u8, seq| history.acknowledge(user(102), device(dev), c, seq);
    assert_eq!(ack(1, 5).await.unwrap(), Some((5, user(101))));
    assert_eq!(ack(1, 4).await.unwrap(), None, "never lowers");
    assert_eq!(ack(2, 3).await.unwrap(), None, "not the user's highest");
    assert_eq!(ack(2, 9).await.unwrap(), Some((9, user(101))));
    assert_eq!(ack(1, 8).await.unwrap(), None);
    assert_eq!(
        ack(2, u64::MAX).await.unwrap(),
        Some((20, user(101))),
        "what does not exist is not acknowledged"
    );
    assert_eq!(
        history
            .acknowledge(user(104), device(1), c, 5)
            .await
            .unwrap(),
        None
    );
    let progress = history.progress(user(102), c).await.unwrap().unwrap();
    assert_eq!(progress.last_seq, 20);
    assert_eq!([1, 2, 3].map(|dev| progress.of(device(dev))), [8, 20, 0]);
    assert_eq!(history.progress(user(104), c).await.unwrap(), None);

    let all = history.marks(user(101), device(7), None, 10).await.unwrap();
    assert_eq!(all.len(), 3);
    assert!(all.is_sorted_by(|a, b| a.conversation < b.conversation));
    let of = |id| *all.iter().find(|m| m.conversation == id).unwrap();
    let mark = of(c);
    assert_eq!(
        (mark.peer, mark.last_seq, mark.peer_acked, mark.own_acked),
        (user(102), 20, 20, 0)
    );
    let own = of(conversation(101, 101));
    assert_eq!((own.peer, own.last_seq), (user(101), 2));
    let seen = history.marks(user(102), device(1), None, 10).await.unwrap();
    assert_eq!(
        (seen.len(), seen[0].own_acked, seen[0].peer_acked),
        (1, 8, 0)
    );
    let mut paged = vec![];
    while let Some(mark) = history
        .marks(user(101), device(7), paged.last().copied(), 1)
        .await
        .unwrap()
        .first()
    {
        paged.push(mark.conversation);
    }
    assert_eq!(
        paged,
        all.iter().map(|m| m.conversation).collect::<Vec<_>>()
    );
}

/// Whatever the order in which they are taken, the highest stands, and each rise is told once.
async fn marks_at_once(log: &dyn Log, history: &dyn History) {
    let c = conversation(106, 107);
    append_all(log, 106, 107, 1..=30).await;
    settled(history, 106, 107, 30).await;
    let marks = (1..=30).map(|seq| {
        let device = device(u8::try_from(seq % 3).unwrap());
        history.acknowledge(user(107), device, c, seq)
    });
    let risen = join_all(marks).await.into_iter().map(Result::unwrap);
    let told: Vec<_> = risen.flatten().collect();
    let mut seqs: Vec<_> = told.iter().map(|(seq, _)| *seq).collect();
    assert!(told.iter().all(|(_, peer)| *peer == user(106)));
    seqs.dedup();
    assert_eq!((seqs.len(), seqs.iter().max()), (told.len(), Some(&30)));
    for (dev, own_acked) in [(0, 30), (1, 28), (2, 29)] {
        let marks = history.marks(user(107), device(dev), None, 9).await;
        assert_eq!(marks.unwrap()[0].own_acked, own_acked);
    }
    let seen = history.marks(user(106), device(1), None, 9).await.unwrap();
    assert_eq!(seen[0].peer_acked, 30);
}
