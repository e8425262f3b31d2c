//! Signed objects: a body as received, and a signature over `lbl("sig") ‖ type u8 ‖ len u32 ‖ body`.
//! The type keeps a signature made for one purpose from serving another.

use crate::{DeviceId, UserId, hash::Hash};

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SignedType {
    /// A device list, by LSK.
    DeviceList = 1,
    /// A device's own statement, by its DSK, over [`self_body`].
    SelfStatement = 2,
    /// A statement of an older device about a newer, by the older's DSK, over [`co_body`].
    CoStatement = 3,
    /// A signed prekey (X25519), by DSK.
    SignedPrekey = 4,
    /// A one-time prekey (X25519), by DSK.
    OneTimePrekey = 5,
    /// A last-resort prekey (ML-KEM-768), by DSK.
    PqLastResort = 6,
    /// A one-time prekey (ML-KEM-768), by DSK.
    PqOneTimePrekey = 7,
    /// The answer to a login challenge, by DSK, over [`auth_body`].
    Auth = 8,
    /// A write over HTTP, by DSK, over [`request_body`].
    Request = 9,
    /// A list-signing key, by UIK.
    LskCertificate = 10,
    /// The end of an account, by UIK, over [`deletion_body`].
    Deletion = 11,
}

/// The bytes that are signed.
pub fn input(kind: SignedType, body: &[u8]) -> Vec<u8> {
    // No body comes near 4 GiB: every decoder bounds it.
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(18 + body.len());
    out.extend_from_slice(b"sordino/1/sig");
    out.push(kind as u8);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// Body of [`SignedType::SelfStatement`]: user ‖ UIK ‖ device ‖ DIK.
pub fn self_body(
    user: UserId,
    identity_key: &[u8; 32],
    device: DeviceId,
    dik: &[u8; 32],
) -> Vec<u8> {
    [
        user.as_bytes().as_slice(),
        identity_key,
        device.as_bytes(),
        dik,
    ]
    .concat()
}

/// Body of [`SignedType::CoStatement`]: user ‖ UIK ‖ device ‖ DSK ‖ DIK ‖ version u32.
pub fn co_body(
    user: UserId,
    identity_key: &[u8; 32],
    device: DeviceId,
    dsk: &[u8; 32],
    dik: &[u8; 32],
    version: u32,
) -> Vec<u8> {
    [
        user.as_bytes().as_slice(),
        identity_key,
        device.as_bytes(),
        dsk,
        dik,
        &version.to_be_bytes(),
    ]
    .concat()
}

/// Body of [`SignedType::Auth`]: `lbl("auth") ‖ len u32 ‖ relay name ‖ nonce 32`. The name keeps one relay from using an
/// answer at another.
pub fn auth_body(relay_name: &str, nonce: &[u8; 32]) -> Vec<u8> {
    let len = u32::try_from(relay_name.len()).unwrap_or(u32::MAX);
    [
        b"sordino/1/auth".as_slice(),
        &len.to_be_bytes(),
        relay_name.as_bytes(),
        nonce,
    ]
    .concat()
}

/// Body of [`SignedType::Request`]: method ‖ 0x20 ‖ path ‖ 0x20 ‖ H(body) ‖ nonce 32. Neither method nor path holds a space.
pub fn request_body(method: &str, path: &str, body_hash: &Hash, nonce: &[u8; 32]) -> Vec<u8> {
    [
        method.as_bytes(),
        b" ",
        path.as_bytes(),
        b" ",
        body_hash,
        nonce,
    ]
    .concat()
}

/// Body of [`SignedType::Deletion`]: `lbl("delete") ‖ len u32 ‖ relay name ‖ user ‖ nonce 32`. Good at one relay, as long as its nonce
/// is: who has kept one cannot delete the account later.
pub fn deletion_body(relay_name: &str, user: UserId, nonce: &[u8; 32]) -> Vec<u8> {
    let len = u32::try_from(relay_name.len()).unwrap_or(u32::MAX);
    [
        b"sordino/1/delete".as_slice(),
        &len.to_be_bytes(),
        relay_name.as_bytes(),
        user.as_bytes(),
        nonce,
    ]
    .concat()
}
