//! Bounds on everything that comes from outside. A peer that exceeds one is refused before work is done for it.

/// Largest WebSocket message, in bytes.
pub const FRAME_BYTES: usize = 64 * 1024;
/// Largest HTTP request body, in bytes. A full set of prekeys (1 + 1 + 50 + 20 signed keys, base64) needs about 64 KiB.
pub const HTTP_BODY_BYTES: usize = 128 * 1024;
/// Largest text of a message, in bytes of UTF-8.
pub const TEXT_BYTES: usize = 16 * 1024;
/// Largest reaction, in bytes of UTF-8: an emoji may be of many characters.
pub const REACTION_BYTES: usize = 64;
/// Longest time that messages last where that is set, in seconds: a year.
pub const TIMER_S: u32 = 365 * 24 * 3600;
/// Largest ciphertext of a message: the text, its fields, padding (at most 12 %) and the tag.
pub const CONTENT_BYTES: usize = 20 * 1024;
/// Largest payload of one wrap: handshake (about 1.2 KiB), ratchet message, framing.
pub const WRAP_BYTES: usize = 2 * 1024;
/// Length of a sealed signal, in bytes: whatever it says, it is as long.
pub const SIGNAL_BYTES: usize = 52;
/// Devices of one account.
pub const DEVICES: usize = 10;
/// Longest name that a person gives to a device, in bytes of UTF-8.
pub const DEVICE_NAME_BYTES: usize = 64;
/// Longest name that a person gives to themselves, in bytes of UTF-8.
pub const DISPLAY_NAME_BYTES: usize = 64;
/// Wraps of one message: all devices of the recipient, the sender's others.
pub const WRAPS: usize = 2 * DEVICES - 1;
/// Secrets that open one vault: one of each kind.
pub const VAULT_OPENERS: usize = 2;
/// Device lists of one message that shows them.
pub const LIST_CHAIN: usize = 8;
/// Largest sealed vault, in bytes: its keys, and 64 versions of backup keys with the ends of ten devices' chains.
pub const VAULT_BYTES: usize = 48 * 1024;
/// Content keys in one batch of the key backup.
pub const BATCH_ENTRIES: usize = 512;
/// Largest batch of the key backup, in bytes.
pub const BATCH_BYTES: usize = 48 * 1024;
/// Batches of one chain: five million keys.
pub const CHAIN_BATCHES: u64 = 10_000;
/// Longest token of an app's own login, in bytes.
pub const EXTERNAL_TOKEN_BYTES: usize = 8 * 1024;
/// Largest message of the pipe over which a device is linked, in bytes: a device list, and the keys of an account.
pub const LINK_MESSAGE_BYTES: usize = 12 * 1024;
/// Messages that each of the two puts into it.
pub const LINK_MESSAGES: u8 = 4;
/// Content keys of one message to a device that was linked.
pub const HISTORY_KEYS: usize = 192;
/// People of one message about whom one trusts.
pub const TRUST_DECISIONS: usize = 50;
/// People whom one person blocks, and did until lately.
pub const BLOCKS: usize = 1_000;
/// Times of decisions are below this: one more still fits into what a database keeps.
pub const DECIDED_MS: u64 = 1 << 62;
/// Chains of one version of the key backup: of devices that are there, and that were.
pub const BACKUP_CHAINS: usize = 32;
/// Batches of one answer.
pub const BATCHES_PAGE: usize = 16;
/// Seqs that one message may ask to erase.
pub const ERASE_SEQS: usize = 16;
/// Largest signed body, in bytes: a list of ten devices is about 3.5 KiB.
pub const SIGNED_BODY_BYTES: usize = 8 * 1024;
/// One-time X25519 prekeys kept by the relay for a device.
pub const ONE_TIME_PREKEYS: usize = 50;
/// One-time ML-KEM prekeys kept by the relay for a device.
pub const PQ_ONE_TIME_PREKEYS: usize = 20;
/// Longest token of a push provider, in characters of ASCII. Those of FCM have about 160, those of Web Push about 500.
pub const PUSH_TOKEN_CHARS: usize = 4096;
/// Rows of one `Pulled`.
pub const PULL_ROWS: usize = 256;
/// Conversations of one page.
pub const CONVERSATIONS_PAGE: usize = 200;
/// Messages of one conversation that a client may have on the way unanswered.
pub const IN_FLIGHT: usize = 64;
/// Length of a user name, in characters, least and most.
pub const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 3..=32;

/// Whether `token` may be a push provider's: printable ASCII without spaces.
pub fn is_push_token(token: &str) -> bool {
    (1..=PUSH_TOKEN_CHARS).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic())
}

/// Whether `name` is a user name: 3 to 32 of `a-z 0-9 . _ -`, beginning with a letter or a digit.
pub fn is_username(name: &str) -> bool {
    USERNAME_CHARS.contains(&name.len())
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
        && name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
}
