//! Which faults there are.

use std::time::{Duration, Instant};

use super::{
    Failure,
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

/// All of them.
pub const MATRIX: &[Fault] = &[
    Fault {
        name: "relay",
        what: "kill -9 of a relay node, restart",
        short: true,
        inject: |scene| scene.kill_one("relay"),
    },
    Fault {
        name: "redis",
        what: "kill -9 of Redis, restart, all its data gone",
        short: true,
        inject: |scene| scene.kill_one("redis"),
    },
    Fault {
        name: "kafka",
        what: "kill -9 of a Kafka broker, restart",
        short: true,
        inject: |scene| scene.kill_one("kafka"),
    },
    Fault {
        name: "cassandra",
        what: "kill -9 of a Cassandra node, restart",
        short: true,
        inject: |scene| scene.kill_one("cassandra"),
    },
    Fault {
        name: "postgres",
        what: "kill -9 of PostgreSQL, restart",
        short: true,
        inject: |scene| scene.kill_one("postgres"),
    },
    Fault {
        name: "haproxy",
        what: "kill -9 of HAProxy, restart",
        short: true,
        inject: |scene| scene.kill_one("haproxy"),
    },
    Fault {
        name: "relay-held",
        what: "SIGSTOP of a relay node that owns partitions, 30 s",
        short: false,
        inject: |scene| scene.hold_relay(secs(30)),
    },
    Fault {
        name: "kafka-away",
        what: "all of Kafka away for a minute",
        short: false,
        inject: |scene| scene.away("kafka", secs(60)),
    },
    Fault {
        name: "cassandra-away",
        what: "all of Cassandra away for a minute",
        short: false,
        inject: |scene| scene.away("cassandra", secs(60)),
    },
    Fault {
        name: "cut",
        what: "every connection of a client cut, each second for 10 s",
        short: false,
        inject: cut,
    },
    Fault {
        name: "stall",
        what: "connections of clients stalled, 20 s",
        short: false,
        inject: stall,
    },
    Fault {
        name: "delay",
        what: "connections of clients delayed by 500 ms each way, 15 s",
        short: false,
        inject: delay,
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

fn cut(scene: &Scene) -> Result<Done, Failure> {
    for _ in 0..10 {
        scene.front.cut();
        scene.pause(secs(1))?;
    }
    scene.front.cut();
    Ok((Since::Back, Instant::now()))
}

fn stall(scene: &Scene) -> Result<Done, Failure> {
    scene.front.stall(true);
    let paused = scene.pause(secs(20));
    scene.front.stall(false);
    paused?;
    Ok((Since::Back, Instant::now()))
}

fn delay(scene: &Scene) -> Result<Done, Failure> {
    scene.front.delay(Duration::from_millis(500));
    let paused = scene.pause(secs(15));
    scene.front.delay(Duration::ZERO);
    paused?;
    Ok((Since::Back, Instant::now()))
}
