//! What all nodes count together.

use super::*;
use crate::{
    link::{self, Pipes},
    ops::fleet::{Bucket, Fleet, Share},
};

const SHARE: Share = Share {
    tokens: 1,
    within: Duration::from_secs(3600),
    burst: 5,
};

/// Nodes that wait for Redis as long as a busy test machine takes.
async fn nodes(place: &Place) -> [Arc<RedisSessions>; 2] {
    let node = async |name| {
        let mut options = place.options(name);
        options.timings.question = Duration::from_secs(30);
        place.node_with(options).await
    };
    [node("one").await, node("other").await]
}

#[tokio::test]
async fn nodes_share_a_bucket() {
    let Some(place) = Place::shared() else { return };
    let [one, other] = nodes(&place).await;
    let bucket = Bucket::Claims(user(1), user(2));
    let mut taken = 0;
    for node in [&one, &other, &one, &other, &one, &other, &one] {
        taken += u32::from(node.take(bucket, SHARE, 1).await == Some(Ok(())));
    }
    assert_eq!(taken, SHARE.burst);
    let Some(Err(wait)) = other.take(bucket, SHARE, 1).await else {
        panic!("the bucket is empty")
    };
    assert!(wait.0 > Duration::ZERO && wait.0 <= SHARE.within);
    // Nobody else's.
    let of_others = Bucket::Claims(user(2), user(1));
    assert_eq!(one.take(of_others, SHARE, 5).await, Some(Ok(())));
    assert!(matches!(one.take(of_others, SHARE, 1).await, Some(Err(_))));
    // All or nothing: what was refused took nothing.
    assert!(matches!(
        one.take(Bucket::SignUps, SHARE, 6).await,
        Some(Err(_))
    ));
    assert_eq!(other.take(Bucket::SignUps, SHARE, 5).await, Some(Ok(())));
    let ttl: i64 = place
        .ask(&["PTTL", &format!("{}rate:sign-ups", place.prefix)])
        .await;
    assert!(ttl > 0, "a bucket ends by itself");
}

#[tokio::test]
async fn a_bucket_fills_up_again() {
    let Some(place) = Place::shared() else { return };
    let [one, other] = nodes(&place).await;
    let fast = Share {
        tokens: 1,
        within: Duration::from_millis(50),
        burst: 1,
    };
    assert_eq!(one.take(Bucket::SignUps, fast, 1).await, Some(Ok(())));
    let again = async || other.take(Bucket::SignUps, fast, 1).await == Some(Ok(()));
    eventually("a token", again).await;
}

#[tokio::test]
async fn a_name_is_used_once_by_all_nodes() {
    let Some(place) = Place::shared() else { return };
    let [one, other] = nodes(&place).await;
    let minute = Duration::from_secs(60);
    assert_eq!(one.once(b"name", minute).await, Some(true));
    assert_eq!(other.once(b"name", minute).await, Some(false));
    assert_eq!(one.once(b"name", minute).await, Some(false));
    assert_eq!(other.once(b"another", minute).await, Some(true));
    let short = Duration::from_millis(50);
    assert_eq!(one.once(b"short", short).await, Some(true));
    let again = async || other.once(b"short", short).await == Some(true);
    eventually("forgotten", again).await;
}

#[tokio::test]
async fn without_redis_nobody_waits_and_nobody_is_refused() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let [one, other] = nodes(&server.place).await;
    assert_eq!(one.take(Bucket::SignUps, SHARE, 5).await, Some(Ok(())));
    server.kill().await;
    eventually("unasked", async || {
        one.take(Bucket::SignUps, SHARE, 1).await.is_none()
            && one.once(b"name", SHARE.within).await.is_none()
    })
    .await;
    server.run().await;
    // Empty, as Redis is: what it held is forgotten, and counted anew.
    eventually("asked", async || {
        other.take(Bucket::SignUps, SHARE, 5).await == Some(Ok(()))
    })
    .await;
    eventually("asked by both", async || {
        matches!(one.take(Bucket::SignUps, SHARE, 1).await, Some(Err(_)))
    })
    .await;
}

#[tokio::test]
async fn nodes_share_the_pipes_over_which_devices_are_linked() {
    let Some(place) = Place::shared() else { return };
    let [one, other] = nodes(&place).await;
    link::conformance::all(&*one, &*other).await;
    let keys: Vec<String> = place
        .ask(&["KEYS", &format!("{}link:*", place.prefix)])
        .await;
    let [key] = &keys[..] else { panic!("{keys:?}") };
    let left: u64 = place.ask(&["PTTL", key]).await;
    assert!((1..=300_000).contains(&left), "{left}");
    let first = link::conformance::place(link::Side::Old, 0);
    other.shutdown().await;
    one.shutdown().await;
    let gone = one.get(&first).await;
    assert_eq!(gone, Err(link::PipeError::Unavailable));
}
