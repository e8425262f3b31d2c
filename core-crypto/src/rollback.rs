//! Whether the store of this device is an old copy: a row of its own that the store did not send proves it.
//!
//! Own rows come back through the log before anything is sent. A store that went back would use ratchet keys again.

use sordino_protocol::{ClientMessageId, hash::Hash};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// So long after the discovery, messages that the lost copy had on their way may still get their rows.
pub const SETTLING_MS: u64 = 60 * 1000;

/// A row of this device, as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnRow {
    /// From its header.
    pub client_message_id: ClientMessageId,
    /// Of its header and content.
    pub env_hash: Hash,
}

/// What the store sent at the counter of that row: one message, encrypted once or several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The same in every version.
    pub client_message_id: ClientMessageId,
    /// Of every version kept.
    pub versions: Vec<Hash>,
}

/// What the row means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The log took the version with this index.
    Sequenced(usize),
    /// The store is an old copy: sessions become receive-only, prekeys are replaced, the user is told.
    RolledBack,
    /// Again within a day, and not from what the lost copy had on its way: two copies of this device are in use. Stop, and
    /// say so.
    TwoCopies,
}

/// Judges an own row by what the store holds at its counter, and by when the last rollback was first found.
pub fn judge(
    row: &OwnRow,
    sent: Option<&Sent>,
    last_rollback_ms: Option<u64>,
    now_ms: u64,
) -> Verdict {
    let taken = sent
        .filter(|sent| sent.client_message_id == row.client_message_id)
        .and_then(|sent| sent.versions.iter().position(|v| *v == row.env_hash));
    match (taken, last_rollback_ms) {
        (Some(version), _) => Verdict::Sequenced(version),
        (None, Some(last)) if is_second(now_ms.saturating_sub(last)) => Verdict::TwoCopies,
        (None, _) => Verdict::RolledBack,
    }
}

/// Whether a discovery so long after another is of a second rollback, and within a day of it.
fn is_second(since_ms: u64) -> bool {
    (SETTLING_MS..DAY_MS).contains(&since_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u8, hash: u8) -> OwnRow {
        OwnRow {
            client_message_id: ClientMessageId::from_bytes([id; 16]),
            env_hash: [hash; 32],
        }
    }

    fn sent(id: u8, versions: &[u8]) -> Sent {
        Sent {
            client_message_id: ClientMessageId::from_bytes([id; 16]),
            versions: versions.iter().map(|v| [*v; 32]).collect(),
        }
    }

    #[test]
    fn any_version_that_was_sent_is_ours() {
        let sent = sent(1, &[10, 11]);
        assert_eq!(
            judge(&row(1, 10), Some(&sent), None, 0),
            Verdict::Sequenced(0)
        );
        // Not even a rollback today makes it strange.
        assert_eq!(
            judge(&row(1, 11), Some(&sent), Some(0), 0),
            Verdict::Sequenced(1)
        );
    }

    #[test]
    fn what_was_not_sent_proves_an_old_copy() {
        let sent = sent(1, &[10]);
        for (row, sent) in [
            (row(1, 10), None),
            (row(1, 12), Some(&sent)),
            (row(2, 10), Some(&sent)),
        ] {
            assert_eq!(judge(&row, sent, None, 5), Verdict::RolledBack);
        }
    }

    #[test]
    fn twice_within_a_day_is_two_copies() {
        let judge = |now| judge(&row(1, 10), None, Some(1000), now);
        // What was on its way is of the same rollback.
        assert_eq!(judge(1000), Verdict::RolledBack);
        assert_eq!(judge(999 + SETTLING_MS), Verdict::RolledBack);
        assert_eq!(judge(1000 + SETTLING_MS), Verdict::TwoCopies);
        assert_eq!(judge(999 + DAY_MS), Verdict::TwoCopies);
        assert_eq!(judge(1000 + DAY_MS), Verdict::RolledBack);
    }
}
