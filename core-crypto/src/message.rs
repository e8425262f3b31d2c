//! Sealing and opening the content of a message under its content key (CK).
//!
//! CK is wrapped for every device by its ratchet; here it only encrypts. AES-GCM does not commit to its key, so the header
//! carries a commitment: a sender cannot make one ciphertext that opens to two texts on two devices.

use bytes::Bytes;
use prost::Message;
use rand::CryptoRng;
use sordino_protocol::{
    ClientMessageId, DeviceId, Header, HeaderError, UserId, frame,
    hash::{self, Hash},
    limits, pb, scan,
};
use zeroize::Zeroizing;

use crate::{
    Secret,
    committing::Derived,
    padding::{pad, unpad},
};

/// A sealed message, still without wraps.
pub struct Sealed {
    /// Hd, as it is sent.
    pub header: Vec<u8>,
    /// C.
    pub content: Vec<u8>,
    /// Names this encryption.
    pub env_hash: Hash,
    /// CK, to be wrapped for each device.
    pub content_key: Secret<32>,
}

/// Why a message cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The content, or a part of it, is larger than a receiver accepts.
    #[error("the message is too large to be sent")]
    TooLarge,
}

/// Why an envelope does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The header is not one.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The conversation is not the one of sender and recipient.
    #[error("the header names another conversation than its sender's and recipient's")]
    Conversation,
    /// The content key is not the one that the header commits to.
    #[error("the content key is not the one that the header commits to")]
    Commit,
    /// The ciphertext or the header was changed.
    #[error("the content does not decrypt")]
    Ciphertext,
    /// The padding or the content's encoding is not a sender's.
    #[error("the content cannot be read")]
    Malformed,
    /// The content names another sender than the header.
    #[error("the content names another sender than the header")]
    Sender,
}

/// Seals `content` under a fresh content key. `header.commit` is overwritten.
pub fn seal(
    rng: &mut impl CryptoRng,
    header: Header,
    content: &pb::Content,
) -> Result<Sealed, SealError> {
    seal_under(Secret::random(rng), header, content)
}

fn seal_under(
    content_key: Secret<32>,
    mut header: Header,
    content: &pb::Content,
) -> Result<Sealed, SealError> {
    let body = Zeroizing::new(content.encode_to_vec());
    scan::check(&body, &frame::CONTENT).map_err(|_| SealError::TooLarge)?;
    let padded = pad(&body).ok_or(SealError::TooLarge)?;
    let derived = derive(
        &content_key,
        header.client_message_id,
        &header.encode_without_commit(),
    );
    header.commit = derived.commit;
    let header = header.encode();
    let content = derived.seal(&padded, &header).ok_or(SealError::TooLarge)?;
    if content.len() > limits::CONTENT_BYTES {
        return Err(SealError::TooLarge);
    }
    Ok(Sealed {
        env_hash: hash::env_hash(&header, &hash::sha256(&content)),
        header,
        content,
        content_key,
    })
}

/// Opens C. Checks, in this order: conversation, commitment, ciphertext, padding, sender. Whether the header's sender is
/// who made the wrap is the caller's to check before.
pub fn open_content(
    header: &[u8],
    content: &[u8],
    content_key: &Secret<32>,
) -> Result<pb::Content, OpenError> {
    let parsed = Header::parse(header)?;
    if parsed.conversation != hash::conversation_id(parsed.sender, parsed.recipient) {
        return Err(OpenError::Conversation);
    }
    let derived = derive(
        content_key,
        parsed.client_message_id,
        &parsed.encode_without_commit(),
    );
    if !derived.is_committed_to(&parsed.commit) {
        return Err(OpenError::Commit);
    }
    let padded = derived.open(content, header).ok_or(OpenError::Ciphertext)?;
    let body = unpad(&padded).map_err(|_| OpenError::Malformed)?;
    let content: pb::Content = frame::decode(Bytes::copy_from_slice(body), &frame::CONTENT)
        .map_err(|_| OpenError::Malformed)?;
    if UserId::from_slice(&content.sender) != Ok(parsed.sender)
        || DeviceId::from_slice(&content.sender_device) != Ok(parsed.sender_device)
    {
        return Err(OpenError::Sender);
    }
    Ok(content)
}

const WRAPPED_KEY: u8 = 1;
const WRAP_LEN: usize = 65;

/// What the ratchet encrypts for each device: `0x01 ‖ CK ‖ env_hash`.
pub fn wrap_payload(content_key: &Secret<32>, env_hash: &Hash) -> Secret<WRAP_LEN> {
    Secret::fill(|out| {
        let parts = content_key.expose().iter().chain(env_hash);
        for (to, from) in out.iter_mut().zip([WRAPPED_KEY].iter().chain(parts)) {
            *to = *from;
        }
    })
}

/// The content key and the env_hash of a decrypted wrap, if it is one.
pub fn read_wrap_payload(payload: &[u8]) -> Option<(Secret<32>, Hash)> {
    let (kind, rest) = payload.split_first()?;
    let (content_key, env_hash) = rest.split_first_chunk::<32>()?;
    let env_hash = env_hash.try_into().ok()?;
    (*kind == WRAPPED_KEY).then(|| (Secret::from_bytes(*content_key), env_hash))
}

/// `HKDF(salt = client_message_id, ikm = CK, info = lbl("content") ‖ Hd without commit, 76)`.
fn derive(content_key: &Secret<32>, id: ClientMessageId, header: &[u8]) -> Derived {
    Derived::new(id.as_bytes(), content_key, &[b"sordino/1/content", header])
}

#[cfg(test)]
mod tests;
