//! The task that keeps a node known to the others.
//!
//! It subscribes, sets the node's key, registers the node's connections, and only then tells each to look for itself
//! (`Sync`): whatever was published to nobody before is stored, and seen by that look.
//!
//! A beat then goes through the node's own channel every second, and what sets the key's time to live is a beat that
//! arrived: the key stands as long as the node can be told something. Whenever that was in doubt – the key was gone or
//! not this node's, a connection ended, the beats did not arrive – all of it is done again. Nothing else writes the key.

use std::{future::pending, sync::Arc, time::Duration};

use ::redis::{Client, cmd};
use tokio::time::{
    Instant, MissedTickBehavior, interval, interval_at, sleep, sleep_until, timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    link::Link,
    node::{Node, Write},
    unknown, wire,
};
use crate::session::SessionError;

/// First wait before the next attempt; it doubles up to [`super::Timings::retry`].
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// How long a node that leaves waits for Redis.
const FAREWELL: Duration = Duration::from_secs(5);

/// Keeps the node known until it is told to stop, and then takes it out.
pub(super) async fn run(node: Arc<Node>, client: Client, stop: CancellationToken) {
    let mut retry = FIRST_RETRY;
    loop {
        let began = Instant::now();
        let link = tokio::select! {
            link = Link::open(&node, &client) => link.map_err(|error| unknown(&error)),
            () = stop.cancelled() => break,
        };
        let ended = match link {
            Ok(link) if node.listens => live(&node, &link, &stop).await,
            Ok(link) => publish_only(&node, &link, &stop).await,
            Err(error) => Err(error),
        };
        let Err(error) = ended else { break };
        node.disconnect();
        metrics::counter!("sordino_sessions_lost_total").increment(1);
        tracing::warn!(%error, "sessions: this node is out of touch, connecting anew");
        // What held for a while and then broke is tried again at once.
        if began.elapsed() > node.timings.silence {
            retry = FIRST_RETRY;
        }
        // A random part: nodes that lost Redis together do not come back together.
        let wait = retry.mul_f64(rand::random_range(0.5..=1.0));
        retry = (retry * 2).min(node.timings.retry);
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.cancelled() => break,
        }
    }
    node.disconnect();
}

/// Announces the node and keeps it announced. `Ok`: it was told to stop, and has left.
async fn live(node: &Node, link: &Link, stop: &CancellationToken) -> Result<(), SessionError> {
    announce(node).await?;
    let timings = &node.timings;
    let mut beat = interval(timings.beat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renew = interval_at(Instant::now() + timings.renew, timings.renew);
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    let mut next_debts = heard;
    loop {
        let debts = async {
            if node.owes() {
                sleep_until(next_debts).await;
            } else {
                pending().await
            }
        };
        tokio::select! {
            () = link.lost.cancelled() => return Err(SessionError("Redis: a connection ended".into())),
            () = stop.cancelled() => {
                if timeout(FAREWELL, node.leave()).await.is_err() {
                    tracing::warn!("sessions: Redis was not told that this node leaves");
                }
                return Ok(());
            }
            () = node.beat.notified() => {
                heard = Instant::now();
                if !still_known(node).await {
                    tracing::warn!("sessions: Redis has forgotten this node, registering again");
                    announce(node).await?;
                }
            }
            _ = beat.tick() => {
                if heard.elapsed() > timings.silence {
                    return Err(SessionError("Redis: the node's channel is silent".into()));
                }
                send_beat(node).await;
            }
            _ = renew.tick() => node.owe_all(Write::Renew),
            () = debts => {
                let paid = node.pay().await;
                if let Err(error) = &paid {
                    // Full, as a rule: a Redis that is away ends the connection.
                    metrics::counter!("sordino_sessions_refused_total").increment(1);
                    tracing::warn!(%error, "sessions: Redis does not take who is connected here; other nodes cannot reach them");
                }
                next_debts = Instant::now() + if paid.is_ok() { timings.pause } else { timings.beat };
            }
        }
    }
}

/// Keeps the connection of a node that only publishes. `Ok`: it was told to stop.
async fn publish_only(
    node: &Node,
    link: &Link,
    stop: &CancellationToken,
) -> Result<(), SessionError> {
    node.set_known(true);
    let mut beat = interval(node.timings.beat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = link.lost.cancelled() => return Err(SessionError("Redis: a connection ended".into())),
            () = stop.cancelled() => return Ok(()),
            // A connection that only looks alive is found out by what it does not answer.
            _ = beat.tick() => {
                let ping = cmd("PING").exec_async(&mut node.commands()?).await;
                ping.map_err(|error| unknown(&error))?;
            }
        }
    }
}

/// Sets the key, and has all connections registered, and told to look, from then on.
async fn announce(node: &Node) -> Result<(), SessionError> {
    let mut set = cmd("SET");
    set.arg(&node.keys.own_node)
        .arg(&node.keys.boot)
        .arg("PX")
        .arg(millis(node.timings.node_ttl));
    let set = set.exec_async(&mut node.commands()?).await;
    set.map_err(|error| unknown(&error))?;
    // Connections that come after this line register themselves: the key stands.
    node.owe_all(Write::Register);
    node.set_known(true);
    Ok(())
}

/// Begins the key's time to live anew. `false`: it was gone, or another's.
async fn still_known(node: &Node) -> bool {
    let mut set = cmd("SET");
    set.arg(&node.keys.own_node)
        .arg(&node.keys.boot)
        .arg("XX")
        .arg("GET")
        .arg("PX")
        .arg(millis(node.timings.node_ttl));
    let Ok(mut commands) = node.commands() else {
        return true;
    };
    match set.query_async::<Option<Vec<u8>>>(&mut commands).await {
        Ok(before) => before.is_some_and(|boot| boot == node.keys.boot.as_bytes()),
        // Unknown: the next beat asks again, and finds the key gone if this one did not renew it in time.
        Err(_) => true,
    }
}

/// A beat that is not sent does not arrive: nothing to do here.
async fn send_beat(node: &Node) {
    if let Ok(mut commands) = node.commands() {
        let mut publish = cmd("PUBLISH");
        publish.arg(&node.keys.own_node).arg(wire::beat());
        let _ = publish.exec_async(&mut commands).await;
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}
