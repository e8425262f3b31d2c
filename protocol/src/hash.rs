//! The labelled SHA-256 hashes that clients and relay both compute. `lbl(x)` is `"sordino/1/" ‖ x`.

use sha2::{Digest, Sha256};

use crate::{ConversationId, UserId};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// SHA-256 of `bytes`, without a label.
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// `H(lbl(label) ‖ parts…)`. Callers pass parts of fixed length, or one last part of any length.
pub fn labelled(label: &str, parts: &[&[u8]]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(b"sordino/1/");
    hash.update(label.as_bytes());
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// The first 16 bytes of a hash.
pub fn first16(hash: Hash) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(hash.split_at(16).0);
    out
}

/// `H(lbl("conv") ‖ min ‖ max)[..16]`: the same whoever computes it.
pub fn conversation_id(a: UserId, b: UserId) -> ConversationId {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    ConversationId::from_bytes(first16(labelled(
        "conv",
        &[low.as_bytes(), high.as_bytes()],
    )))
}

/// `H(lbl("env") ‖ Hd ‖ H(C))`: names one encryption of one message.
pub fn env_hash(header: &[u8], content_hash: &Hash) -> Hash {
    labelled("env", &[header, content_hash])
}

/// `H(lbl("list") ‖ body)`: names one version of a device list.
pub fn list_hash(body: &[u8]) -> Hash {
    labelled("list", &[body])
}

/// `H(lbl("lists") ‖ sender version ‖ its list hash ‖ recipient version ‖ its list hash)[..16]`.
pub fn list_digest(sender: (u32, &Hash), recipient: (u32, &Hash)) -> [u8; 16] {
    first16(labelled(
        "lists",
        &[
            &sender.0.to_be_bytes(),
            sender.1,
            &recipient.0.to_be_bytes(),
            recipient.1,
        ],
    ))
}
