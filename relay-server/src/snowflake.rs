//! Message ids: a Snowflake without leases. Whoever sequences a record computes the same id, so there is nothing to lease.

use sordino_protocol::MessageId;

const WORKER_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;

/// The id of the record at `offset` of partition `worker`, which the log took in at `unix_ms`.
///
/// A clock before 2025 gives the smallest time; bits that do not fit are cut off. An id is never a cursor, so an id that
/// stands twice after 4096 records in a millisecond, or after a clock went back, confuses nobody.
pub const fn message_id(unix_ms: u64, worker: u16, offset: u64) -> MessageId {
    let time = unix_ms.saturating_sub(MessageId::EPOCH_MS) & ((1 << 41) - 1);
    let worker = worker as u64 & ((1 << WORKER_BITS) - 1);
    let sequence = offset & ((1 << SEQUENCE_BITS) - 1);
    MessageId(time << (WORKER_BITS + SEQUENCE_BITS) | worker << SEQUENCE_BITS | sequence)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frozen() {
        let id = message_id(MessageId::EPOCH_MS + 5, 3, 4096 + 7);
        assert_eq!(id, MessageId(5 << 22 | 3 << 12 | 7));
        assert_eq!(id.unix_ms(), MessageId::EPOCH_MS + 5);
        assert_eq!(message_id(0, 0, 0), MessageId(0));
    }

    proptest! {
        #[test]
        fn later_milliseconds_are_greater(ms in MessageId::EPOCH_MS..MessageId::EPOCH_MS + (1 << 40), worker in 0u16..1024, a: u64, b: u64) {
            prop_assert!(message_id(ms, worker, a) < message_id(ms + 1, worker, b));
            prop_assert_eq!(message_id(ms, worker, a).unix_ms(), ms);
        }
    }
}
