//! Which faults there are.

use std::time::{Duration, Instant};

use super::{
    Failure,
    front::Front,
    scene::{Done, Scene, Since},
};

/// A fault.
pub struct Fault {
    /// Its name, for `--only`.
    pub name: &'static str,
    /// What happens.
    pub what: &'static str,
    /// Whether it belongs to the short form.
    pub short: bool,
    /// Does it. Returns when it is over, whether or not traffic flows.
    pub inject: fn(&Scene) -> Result<Done, Failure>,
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Senders who were told that nobody knows what became of their message.
const TOLD: &str = "sordino_log_refused_total{reason=\"unknown\"}";
/// Messages that were accepted.
const ACCEPTED: &str = "sordino_chat_accepted_total";

/// All of them.
pub const MATRIX: &[Fault] = &[
    Fault {
        name: "relay",
        what: "kill -9 of a relay node with sockets, restart",
        short: true,
        inject: |scene| scene.kill_first("relay"),
    },
    Fault {
        name: "delivery",
        what: "kill -9 of a relay node that owns partitions, restart",
        short: true,
        inject: |scene| scene.kill_last("relay"),
    },
    Fault {
        name: "redis",
        what: "kill -9 of Redis, restart, all its data gone",
        short: true,
        inject: |scene| scene.kill_first("redis"),
    },
    Fault {
        name: "kafka",
        what: "kill -9 of a Kafka broker, restart",
        short: true,
        inject: |scene| scene.kill_first("kafka"),
    },
    Fault {
        name: "cassandra",
        what: "kill -9 of a Cassandra node, restart",
        short: true,
        inject: |scene| scene.kill_first("cassandra"),
    },
    Fault {
        name: "postgres",
        what: "kill -9 of PostgreSQL, restart",
        short: true,
        inject: |scene| scene.kill_first("postgres"),
    },
    Fault {
        name: "haproxy",
        what: "kill -9 of HAProxy, restart",
        short: true,
        inject: |scene| scene.kill_first("haproxy"),
    },
    Fault {
        name: "delivery-held",
        what: "SIGSTOP of a relay node that owns partitions, 30 s",
        short: false,
        inject: |scene| scene.hold_last("relay", secs(30)),
    },
    Fault {
        name: "sockets-held",
        what: "SIGSTOP of a relay node with sockets, 30 s",
        short: false,
        inject: |scene| scene.hold_sockets(secs(30)),
    },
    Fault {
        name: "kafka-away",
        what: "all of Kafka away for a minute; senders are told",
        short: false,
        inject: |scene| scene.away("kafka", secs(60), TOLD),
    },
    Fault {
        name: "cassandra-away",
        what: "all of Cassandra away for a minute; messages are still accepted",
        short: false,
        inject: |scene| scene.away("cassandra", secs(60), ACCEPTED),
    },
    Fault {
        name: "cut",
        what: "every connection of a client cut, each second for 10 s",
        short: false,
        inject: |scene| cut(scene, &[&scene.front]),
    },
    Fault {
        name: "stall",
        what: "connections of clients stalled, 20 s",
        short: false,
        inject: |scene| stall(scene, &[&scene.front], secs(20)),
    },
    Fault {
        name: "delay",
        what: "connections of clients delayed by 500 ms each way, 15 s",
        short: false,
        inject: |scene| delay(scene, &[&scene.front], Duration::from_millis(500)),
    },
    Fault {
        name: "redis-cut",
        what: "every connection to Redis cut, each second for 10 s",
        short: false,
        inject: |scene| cut(scene, &scene.to("redis")),
    },
    Fault {
        name: "redis-stall",
        what: "connections to Redis stalled, 15 s",
        short: false,
        inject: |scene| stall(scene, &scene.to("redis"), secs(15)),
    },
    Fault {
        name: "kafka-cut",
        what: "every connection to Kafka cut, each second for 10 s",
        short: false,
        inject: |scene| cut(scene, &scene.to("kafka")),
    },
    Fault {
        name: "kafka-stall",
        what: "connections to Kafka stalled, 15 s",
        short: false,
        inject: |scene| stall(scene, &scene.to("kafka"), secs(15)),
    },
    Fault {
        name: "cassandra-cut",
        what: "every connection to Cassandra cut, each second for 10 s",
        short: false,
        inject: |scene| cut(scene, &scene.to("cassandra")),
    },
    Fault {
        name: "cassandra-stall",
        what: "connections to Cassandra stalled, 15 s",
        short: false,
        inject: |scene| stall(scene, &scene.to("cassandra"), secs(15)),
    },
    Fault {
        name: "postgres-cut",
        what: "every connection to PostgreSQL cut, each second for 10 s",
        short: false,
        inject: |scene| cut(scene, &scene.to("postgres")),
    },
    Fault {
        name: "postgres-stall",
        what: "connections to PostgreSQL stalled, 15 s",
        short: false,
        inject: |scene| stall(scene, &scene.to("postgres"), secs(15)),
    },
    Fault {
        name: "relay-cut",
        what: "every connection of HAProxy to relay nodes cut, each second for 10 s",
        short: false,
        inject: |scene| cut(scene, &scene.to("relay")),
    },
    Fault {
        name: "relay-stall",
        what: "connections of HAProxy to relay nodes stalled, 15 s",
        short: false,
        inject: |scene| stall(scene, &scene.to("relay"), secs(15)),
    },
    Fault {
        name: "servers-delay",
        what: "connections to all servers and relay nodes delayed by 50 ms each way, 15 s",
        short: false,
        inject: |scene| {
            let all = scene.detours.iter().map(|(_, front)| front);
            delay(scene, &all.collect::<Vec<_>>(), Duration::from_millis(50))
        },
    },
    Fault {
        name: "rolling",
        what: "all relay nodes restarted, one after another, SIGTERM",
        short: false,
        inject: |scene| scene.roll("relay"),
    },
    Fault {
        name: "one-more",
        what: "a relay node added, HAProxy told, and removed 10 s later",
        short: false,
        inject: |scene| scene.one_more(secs(10)),
    },
];

fn cut(scene: &Scene, ways: &[&Front]) -> Result<Done, Failure> {
    let cut = || ways.iter().for_each(|way| way.cut());
    for _ in 0..10 {
        cut();
        scene.pause(secs(1))?;
    }
    cut();
    Ok((Since::Back, Instant::now()))
}

fn stall(scene: &Scene, ways: &[&Front], time: Duration) -> Result<Done, Failure> {
    let stall = |stalled| ways.iter().for_each(|way| way.stall(stalled));
    stall(true);
    let paused = scene.pause(time);
    stall(false);
    paused?;
    Ok((Since::Back, Instant::now()))
}

fn delay(scene: &Scene, ways: &[&Front], by: Duration) -> Result<Done, Failure> {
    let delay = |by| ways.iter().for_each(|way| way.delay(by));
    delay(by);
    let paused = scene.pause(secs(15));
    delay(Duration::ZERO);
    paused?;
    Ok((Since::Back, Instant::now()))
}
