//! Keys of the store: ids and big-endian numbers one after another, so that byte order is the order of reading.

use sordino_protocol::{ConversationId, DeviceId, UserId};

/// `conversation ‖ seq`: rows and wraps.
pub(super) fn row(conversation: ConversationId, seq: u64) -> [u8; 24] {
    join(conversation.as_bytes(), &seq.to_be_bytes())
}

/// `user ‖ conversation`: registers, and the beginning of the acknowledgements.
pub(super) fn register(user: UserId, conversation: ConversationId) -> [u8; 32] {
    join(user.as_bytes(), conversation.as_bytes())
}

/// `user ‖ conversation ‖ device`: acknowledgements.
pub(super) fn ack(user: UserId, conversation: ConversationId, device: DeviceId) -> [u8; 48] {
    join(&register(user, conversation), device.as_bytes())
}

/// The last `N` bytes of a key.
pub(super) fn tail<const N: usize>(key: &[u8]) -> Option<[u8; N]> {
    key.last_chunk().copied()
}

fn join<const N: usize>(a: &[u8], b: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(a.iter().chain(b)) {
        *to = *from;
    }
    out
}
