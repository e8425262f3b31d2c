//! What every group that reads the topic does alike: commit, pause, and say what the client says.

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};

/// Commits, for each of these partitions, the offset at which its next owner begins.
pub(crate) fn commit<C: ConsumerContext>(
    client: &impl Consumer<C>,
    topic: &str,
    next: impl IntoIterator<Item = (i32, u64)>,
    mode: CommitMode,
) {
    let mut offsets = TopicPartitionList::new();
    for (partition, offset) in next {
        let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        if let Err(error) = offsets.add_partition_offset(topic, partition, offset) {
            said(&error);
        }
    }
    if offsets.count() > 0
        && let Err(error) = client.commit(&offsets, mode)
    {
        said(&error);
    }
}

/// Stops or resumes what comes from the partitions that the client has now. Those that come later come unpaused.
pub(crate) fn pause<C: ConsumerContext>(client: &impl Consumer<C>, pause: bool) {
    let assigned = client.assignment();
    let done = assigned.and_then(|all| match pause {
        true => client.pause(&all),
        false => client.resume(&all),
    });
    if let Err(error) = done {
        said(&error);
    }
}

/// The client heals by itself; what it says is for the operator.
pub(crate) fn said(error: &KafkaError) {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::NoOffset | RDKafkaErrorCode::PartitionEOF) => {}
        _ => crate::ops::said::warn(&format!("Kafka: {error}")),
    }
}
