//! Two nodes on one Redis, and what happens to it.

mod fleet;
mod server;

use std::time::Duration;

use self::server::{Place, Server};
use super::*;
use crate::session::conformance::{self, Sink, eventually, nudge, said, user};

#[tokio::test]
async fn it_does_what_every_registry_must() {
    let Some(place) = Place::shared() else { return };
    let (one, other) = (place.node("one").await, place.node("other").await);
    conformance::all(&*one, &*other).await;
    one.shutdown().await;
    other.shutdown().await;
    let keys: Vec<String> = place.ask(&["KEYS", &format!("{}*", place.prefix)]).await;
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test]
async fn what_stands_in_redis() {
    let Some(place) = Place::shared() else { return };
    let node = place.node("one").await;
    let (_, connection) = Sink::connection(5, user(1));
    node.register(connection).await.expect("registered");
    let prefix = &place.prefix;
    let key = format!("{prefix}session:user:{}", user(1));
    let hash: Vec<(String, String)> = place.ask(&["HGETALL", &key]).await;
    let [(field, value)] = &hash[..] else {
        panic!("one field")
    };
    let value: serde_json::Value = serde_json::from_str(value).expect("JSON");
    let server_id = value["server_id"].as_str().expect("a text");
    assert_eq!(
        *field,
        format!(
            "{}/{}",
            "01".repeat(16),
            value["ws_conn_id"].as_str().expect("a text")
        )
    );
    assert!(server_id.starts_with("one:"));
    assert_eq!(value["status"], "online");
    assert!(value["last_seen"].as_u64().is_some_and(|at| at > 0));
    let ttl: i64 = place.ask(&["TTL", &key]).await;
    assert!((1..=3600).contains(&ttl), "{ttl}");
    let ttl: i64 = place
        .ask(&["TTL", &format!("{prefix}node:{server_id}")])
        .await;
    assert!((1..=10).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn what_redis_does_when_it_is_full_is_known() {
    let Some(server) = Server::start().await else {
        return;
    };
    let node = server.place.node("one").await;
    assert_eq!(node.eviction().await.as_deref(), Some("noeviction"));
    let set = ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"];
    let _: String = server.place.ask(&set).await;
    assert_eq!(node.eviction().await.as_deref(), Some("allkeys-lru"));
    // Who may not ask is told nothing, and misses nothing else.
    let _: String = server
        .place
        .ask(&["ACL", "SETUSER", "default", "-info"])
        .await;
    assert_eq!(node.eviction().await, None);
    assert!(node.healthy().is_ok());
    node.shutdown().await;
}

#[tokio::test]
async fn a_node_that_does_not_hear_is_unknown_until_its_key_is_gone() {
    let Some(place) = Place::shared() else { return };
    let node = place.node("one").await;
    let ghost = format!("{}node:ghost:1", place.prefix);
    let key = format!("{}session:user:{}", place.prefix, user(1));
    let entry = r#"{"server_id":"ghost:1"}"#;
    let (sink, connection) = Sink::connection(1, user(1));
    node.register(connection).await.expect("registered");
    place
        .ask::<()>(&["HSET", &key, "device/ghost", entry])
        .await;
    place.ask::<()>(&["SET", &ghost, "1"]).await;
    for times in 1..=2 {
        assert!(node.publish(&[user(1)], nudge(1)).await.is_err());
        assert_eq!(sink.heard().len(), times, "who can be told is told");
    }
    let exists = ["HEXISTS", &key, "device/ghost"];
    assert!(place.ask::<bool>(&exists).await, "it may live");
    place.ask::<()>(&["DEL", &ghost]).await;
    assert_eq!(node.publish(&[user(1)], nudge(1)).await.ok(), Some(1));
    assert!(
        !place.ask::<bool>(&exists).await,
        "nobody else would delete it"
    );
    let own: u64 = place.ask(&["HLEN", &key]).await;
    assert_eq!(own, 1);
}

#[tokio::test]
async fn a_node_that_died_is_skipped_once_its_key_has_expired() {
    let Some(place) = Place::shared() else { return };
    let mut options = place.options("dies");
    options.timings.node_ttl = Duration::from_secs(3);
    let (node, dies) = (place.node("one").await, place.node_with(options).await);
    let (sink, connection) = Sink::connection(1, user(1));
    dies.register(connection).await.expect("registered");
    assert_eq!(node.publish(&[user(1)], nudge(1)).await.ok(), Some(1));
    sink.wait("a nudge", |heard| heard == [said(1)]).await;
    drop(dies);
    let skipped = async || node.publish(&[user(1)], nudge(2)).await.ok() == Some(0);
    eventually("skipped", skipped).await;
    // Started again, it is another: what the dead one left is not taken for its own.
    let again = place.node("dies").await;
    assert_eq!(node.publish(&[user(1)], nudge(3)).await.ok(), Some(0));
    let (sink, connection) = Sink::connection(1, user(1));
    again.register(connection).await.expect("registered");
    assert_eq!(node.publish(&[user(1)], nudge(4)).await.ok(), Some(1));
    sink.wait("a nudge", |heard| heard == [said(4)]).await;
}

#[tokio::test]
async fn what_is_no_message_harms_nobody() {
    let Some(place) = Place::shared() else { return };
    let (one, other) = (place.node("one").await, place.node("other").await);
    let (sink, connection) = Sink::connection(1, user(1));
    one.register(connection).await.expect("registered");
    for bad in ["", "nonsense", "\u{1}\u{1}\u{1}"] {
        let heard: u64 = place.ask(&["PUBLISH", &one.node.keys.own_node, bad]).await;
        assert_eq!(heard, 1);
    }
    let key = format!("{}session:user:{}", place.prefix, user(1));
    place.ask::<()>(&["HSET", &key, "device/bad", "{"]).await;
    assert_eq!(other.publish(&[user(1)], nudge(1)).await.ok(), Some(1));
    sink.wait("a nudge", |heard| heard == [said(1)]).await;
}

#[tokio::test]
async fn a_hash_that_was_lost_is_found_out_when_it_is_renewed() {
    let Some(place) = Place::shared() else { return };
    let mut options = place.options("one");
    options.timings.renew = Duration::from_millis(200);
    let (one, other) = (place.node_with(options).await, place.node("other").await);
    let (sink, connection) = Sink::connection(1, user(1));
    one.register(connection).await.expect("registered");
    let key = format!("{}session:user:{}", place.prefix, user(1));
    place.ask::<()>(&["DEL", &key]).await;
    sink.wait("a sync", |heard| heard == ["Sync"]).await;
    assert_eq!(other.publish(&[user(1)], nudge(1)).await.ok(), Some(1));
}

#[tokio::test]
async fn a_silent_node_connects_anew_and_makes_up_for_what_it_could_not_say() {
    let Some(place) = Place::shared() else { return };
    let mut options = place.options("one");
    options.timings.silence = Duration::from_secs(2);
    let (one, other) = (place.node_with(options).await, place.node("other").await);
    let (stays, connection) = Sink::connection(1, user(1));
    one.register(connection).await.expect("registered");
    let (_, connection) = Sink::connection(2, user(2));
    one.register(connection).await.expect("registered");
    // As if the connection for commands had died, and nobody had said so.
    one.node.disconnect();
    one.unregister(user(2), 2).await.expect("unregistered");
    let (comes, connection) = Sink::connection(3, user(3));
    one.register(connection).await.expect("registered");
    assert!(one.healthy().is_err());
    assert!(one.publish(&[user(1)], nudge(1)).await.is_err());
    for sink in [&stays, &comes] {
        sink.wait("a sync", |heard| heard.contains(&"Sync".into()))
            .await;
    }
    let users = [user(1), user(2), user(3)];
    let told = async || other.publish(&users, nudge(2)).await.ok() == Some(2);
    eventually("two told", told).await;
    assert!(one.healthy().is_ok());
}

#[tokio::test]
async fn redis_forgets_everything() {
    let Some(server) = Server::start().await else {
        return;
    };
    let nodes = Nodes::start(&server.place).await;
    server.place.ask::<()>(&["FLUSHALL"]).await;
    nodes.healed().await;
}

#[tokio::test]
async fn redis_cuts_the_channels() {
    let Some(server) = Server::start().await else {
        return;
    };
    let nodes = Nodes::start(&server.place).await;
    let killed: u64 = server
        .place
        .ask(&["CLIENT", "KILL", "TYPE", "pubsub"])
        .await;
    assert_eq!(killed, 2);
    nodes.healed().await;
}

#[tokio::test]
async fn redis_cuts_the_connections_for_commands() {
    let Some(server) = Server::start().await else {
        return;
    };
    let nodes = Nodes::start(&server.place).await;
    let killed: u64 = server
        .place
        .ask(&["CLIENT", "KILL", "TYPE", "normal"])
        .await;
    assert!(killed >= 2);
    nodes.healed().await;
}

#[tokio::test]
async fn redis_dies_and_comes_back_empty() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let nodes = Nodes::start(&server.place).await;
    server.kill().await;
    let lost = async || nodes.one.healthy().is_err() && nodes.other.healthy().is_err();
    eventually("out of touch", lost).await;
    // A node still takes connections, and tells its own.
    let (sink, connection) = Sink::connection(9, user(1));
    nodes.one.register(connection).await.expect("registered");
    assert!(nodes.one.publish(&[user(1)], nudge(1)).await.is_err());
    assert_eq!(sink.heard(), [said(1)]);
    assert!(server.run().await);
    sink.wait("a sync", |heard| heard.contains(&"Sync".into()))
        .await;
    nodes
        .one
        .unregister(user(1), 9)
        .await
        .expect("unregistered");
    nodes.healed().await;
}

#[tokio::test]
async fn redis_comes_after_the_node() {
    let mut server = Server::stopped();
    let options = server.place.options("one");
    let one = RedisSessions::start(options).await.expect("started");
    assert!(one.healthy().is_err());
    let (sink, connection) = Sink::connection(1, user(1));
    one.register(connection).await.expect("registered");
    if !server.run().await {
        return;
    }
    sink.wait("a sync", |heard| heard == ["Sync"]).await;
    let other = server.place.node("other").await;
    assert_eq!(other.publish(&[user(1)], nudge(1)).await.ok(), Some(1));
    sink.wait("a nudge", |heard| heard.contains(&said(1))).await;
}

#[tokio::test]
async fn a_node_leaves_without_redis_too() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let node = server.place.node("one").await;
    server.kill().await;
    node.shutdown().await;
    assert!(node.healthy().is_err());
}

#[tokio::test]
async fn options_that_cannot_be_used_are_refused_and_not_shown() {
    let start = async |url: &str, node: &str| {
        let url = serde_json::from_value(url.into()).expect("a text");
        let started = RedisSessions::start(Options::new(url, node)).await;
        started.err().expect("refused")
    };
    let refused = start("http://user:hunter2@localhost", "one").await;
    assert_eq!(refused, StartError::Address);
    assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    let refused = start("redis://localhost", "one:two").await;
    assert_eq!(refused, StartError::NodeName);
    let url = serde_json::from_value("redis://localhost".into()).expect("a text");
    let mut options = Options::new(url, "one");
    options.ca_file = Some("ca.pem".into());
    let refused = RedisSessions::start(options).await.err();
    assert_eq!(refused, Some(StartError::Plain));
}

/// Two nodes, with connections on both; more than are registered together.
struct Nodes {
    one: Arc<RedisSessions>,
    other: Arc<RedisSessions>,
    sinks: Vec<Arc<Sink>>,
}

impl Nodes {
    async fn start(place: &Place) -> Self {
        let (one, other) = (place.node("one").await, place.node("other").await);
        let mut sinks = Vec::new();
        for id in 1..=5 {
            for node in [&one, &other] {
                let (sink, connection) = Sink::connection(id, user(id as u8));
                node.register(connection).await.expect("registered");
                sinks.push(sink);
            }
        }
        let nodes = Self { one, other, sinks };
        assert_eq!(nodes.publish(&nodes.one).await.ok(), Some(10));
        for sink in &nodes.sinks {
            sink.wait("the first", |heard| !heard.is_empty()).await;
            assert_eq!(sink.heard(), [said(1)], "and nothing without need");
        }
        nodes
    }

    /// Waits until every connection was told to look for itself, and sees that events then reach all from both nodes.
    async fn healed(&self) {
        for sink in &self.sinks {
            let synced = |heard: &[String]| heard.contains(&"Sync".into());
            sink.wait("a sync", synced).await;
        }
        let known = async || self.one.healthy().is_ok() && self.other.healthy().is_ok();
        eventually("known", known).await;
        for node in [&self.one, &self.other] {
            let before: Vec<_> = self.sinks.iter().map(|sink| sink.heard().len()).collect();
            // A node may be told of a second loss while the first heals: unknown is said again.
            let told = async || self.publish(node).await.ok() == Some(10);
            eventually("all told", told).await;
            for (sink, before) in self.sinks.iter().zip(before) {
                sink.wait("a nudge", |heard| heard[before..].contains(&said(1)))
                    .await;
            }
        }
    }

    async fn publish(&self, node: &RedisSessions) -> Result<usize, SessionError> {
        let users: Vec<_> = (1..=5).map(user).collect();
        node.publish(&users, nudge(1)).await
    }
}
