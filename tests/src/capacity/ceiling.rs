//! What the parts do alone, on the same machine in the same run: Kafka's own producer tool, and the writes of one message to
//! Cassandra, with nothing around them.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rand::RngExt;
use sordino_protocol::{ConversationId, DeviceId, UserId};
use sordino_relay::{
    delivery::apply::{Position, State},
    history::{
        StoredRow,
        cassandra::{Cassandra, Options, RowsWrite, migrate},
    },
    snowflake::message_id,
};
use sordino_stack::{Addresses, Stack};
use tokio::{task::JoinSet, time::Instant};

use super::{Error, Result, failed};
use crate::load::machine::now_ms;

const TOPIC: &str = "ceiling";
const KEYSPACE: &str = "ceiling";
/// Writes under way at a time.
const IN_FLIGHT: usize = 128;
const CONVERSATIONS: usize = 3000;
const WARM: Duration = Duration::from_secs(3);

/// What one message is to the stores, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// A record of the log.
    pub record: usize,
    /// Of a row: header, content and wraps.
    pub row: [usize; 3],
}

/// Records a second that Kafka's producer tool gets acknowledged by all replicas, with the relay's settings.
///
/// # Errors
/// The tool fails, or says something else than it used to.
pub fn kafka(stack: &Stack, servers: &str, record: usize, records: u64) -> Result<f64> {
    let mut create = stack.kafka_tool("org.apache.kafka.tools.TopicCommand")?;
    create.args(["--bootstrap-server", servers, "--create", "--if-not-exists"]);
    create.args(["--topic", TOPIC, "--partitions", "16"]);
    output(create, "making a topic")?;
    let mut produce = stack.kafka_tool("org.apache.kafka.tools.ProducerPerformance")?;
    produce.args(["--topic", TOPIC, "--throughput", "-1"]);
    produce.args(["--record-size", &record.to_string()]);
    produce.args(["--num-records", &records.to_string()]);
    produce.args(["--producer-props", &format!("bootstrap.servers={servers}")]);
    produce.args(["acks=all", "linger.ms=1", "enable.idempotence=true"]);
    let said = output(produce, "Kafka's producer tool")?;
    rate(&said).ok_or_else(|| Error::Failed(format!("Kafka's producer tool said: {said}")))
}

/// `200000 records sent, 51234.2 records/sec (48.9 MB/sec), …`: its last line.
fn rate(said: &str) -> Option<f64> {
    let last = said.lines().rfind(|line| line.contains("records/sec"))?;
    let before = last.split(" records/sec").next()?;
    before.rsplit(' ').next()?.parse().ok()
}

/// Messages a second whose row, state and registers Cassandra acknowledges, one batch and two registers each, as delivery
/// writes a message that came alone.
///
/// # Errors
/// Cassandra refuses.
pub async fn cassandra(addresses: &Addresses, sizes: Sizes, measured: Duration) -> Result<f64> {
    let failed = failed("Cassandra alone");
    let mut options = Options::new(addresses.cassandra.clone(), KEYSPACE);
    options.timeout = Duration::from_secs(20);
    let made = migrate(&options, 1, TOPIC, 16).await;
    made.map_err(|error| failed(&error))?;
    let store = Cassandra::connect(&options).await;
    let store = Arc::new(store.map_err(|error| failed(&error))?);
    let from = Instant::now() + WARM;
    let until = from + measured;
    let written = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for worker in 0..IN_FLIGHT {
        let (store, written) = (Arc::clone(&store), Arc::clone(&written));
        tasks.spawn(async move {
            let mut own: Vec<_> = (worker..CONVERSATIONS)
                .step_by(IN_FLIGHT)
                .map(|_| Conversation::new(sizes))
                .collect();
            loop {
                for conversation in &mut own {
                    let now = Instant::now();
                    if now >= until {
                        return Ok(());
                    }
                    conversation.write(&store).await?;
                    written.fetch_add(u64::from(now >= from), Ordering::Relaxed);
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        let done: std::result::Result<(), sordino_relay::history::HistoryError> =
            done.map_err(|error| failed(&error))?;
        done.map_err(|error| failed(&error))?;
    }
    Ok(written.load(Ordering::Relaxed) as f64 / measured.as_secs_f64())
}

struct Conversation {
    id: ConversationId,
    people: [UserId; 2],
    state: State,
    cells: [Bytes; 3],
}

impl Conversation {
    fn new(sizes: Sizes) -> Self {
        let mut rng = rand::rng();
        Self {
            id: ConversationId::from_bytes(rand::random()),
            people: [(); 2].map(|()| UserId::from_bytes(rand::random())),
            state: State::default(),
            cells: sizes.row.map(|len| {
                let mut bytes = vec![0; len];
                rng.fill(bytes.as_mut_slice());
                bytes.into()
            }),
        }
    }

    async fn write(
        &mut self,
        store: &Cassandra,
    ) -> std::result::Result<(), sordino_relay::history::HistoryError> {
        let seq = self.state.last_seq + 1;
        let [one, _] = self.people;
        let sender = (one, DeviceId::from_bytes([1; 16]));
        self.state.last_seq = seq;
        self.state.at = Some(Position {
            epoch: 1,
            offset: seq,
        });
        self.state.counters.insert(sender, seq);
        let [header, content, wraps] = self.cells.clone();
        let row = StoredRow {
            seq,
            message_id: message_id(now_ms(), 0, seq),
            header,
            content_hash: rand::random(),
            content: Some(content),
            wraps: Some(wraps),
        };
        let write = RowsWrite {
            conversation: self.id,
            rows: &[Arc::new(row)],
            state: &self.state,
        };
        store.write(&write).await?;
        store.raise(self.id, self.people, seq).await
    }
}

pub(super) fn output(mut tool: Command, what: &str) -> Result<String> {
    let failed = failed(what);
    let output = tool.output().map_err(|error| failed(&error))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(failed(&String::from_utf8_lossy(&output.stderr)))
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn the_last_line_of_the_producer_tool_counts() {
        let said = "1002 records sent, 200.4 records/sec (0.19 MB/sec), 2.1 ms avg latency, 30.0 ms max latency.\n\
                    200000 records sent, 51234.2 records/sec (48.86 MB/sec), 3.00 ms avg latency\n";
        assert_eq!(rate(said), Some(51234.2));
        assert_eq!(rate("nothing"), None);
    }
}
