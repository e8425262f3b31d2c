//! Prekeys: what a device leaves at the relay, so that others can set up a session while it sleeps.

use prost::Message;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use sordino_protocol::{
    DeviceId, UserId, frame, hash::Hash, http::Bundle, list::DeviceList, pb, signed::SignedType,
};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::{
    Secret,
    keys::{DeviceKeys, verify_typed},
    mlkem,
};

/// From creation to expiry: 60 days.
pub const LIFETIME_MS: u64 = 60 * 24 * 60 * 60 * 1000;

/// Whose prekeys, and the newest list that the owner has signed or seen.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    /// The owner's list; a signed prekey names it, so that the relay cannot serve an older one beside it.
    pub list: &'a DeviceList,
    /// The owner's device.
    pub device: DeviceId,
    /// Its keys.
    pub keys: &'a DeviceKeys,
}

/// An X25519 prekey as it was made.
pub struct NewPrekey {
    /// To be stored.
    pub secret: Secret<32>,
    /// To be uploaded.
    pub public: pb::Signed,
}

/// An ML-KEM-768 prekey as it was made.
pub struct NewPqPrekey {
    /// The 64-byte seed, to be stored.
    pub secret: Secret<64>,
    /// To be uploaded.
    pub public: pb::Signed,
}

impl Owner<'_> {
    /// SPK. `id` is from 1 and never used again for another key of this kind; so for the other kinds.
    pub fn signed_prekey(&self, rng: &mut impl CryptoRng, id: u32, now_ms: u64) -> NewPrekey {
        self.x25519(rng, SignedType::SignedPrekey, id, now_ms)
    }

    /// OPK.
    pub fn one_time(&self, rng: &mut impl CryptoRng, id: u32, now_ms: u64) -> NewPrekey {
        self.x25519(rng, SignedType::OneTimePrekey, id, now_ms)
    }

    /// PQLR.
    pub fn pq_last_resort(&self, rng: &mut impl CryptoRng, id: u32, now_ms: u64) -> NewPqPrekey {
        self.ml_kem(rng, SignedType::PqLastResort, id, now_ms)
    }

    /// PQOPK.
    pub fn pq_one_time(&self, rng: &mut impl CryptoRng, id: u32, now_ms: u64) -> NewPqPrekey {
        self.ml_kem(rng, SignedType::PqOneTimePrekey, id, now_ms)
    }

    fn x25519(
        &self,
        rng: &mut impl CryptoRng,
        kind: SignedType,
        id: u32,
        now_ms: u64,
    ) -> NewPrekey {
        let secret = Secret::random(rng);
        let key = PublicKey::from(&StaticSecret::from(*secret.expose()));
        let public = self.sign(kind, id, now_ms, key.as_bytes());
        NewPrekey { secret, public }
    }

    fn ml_kem(
        &self,
        rng: &mut impl CryptoRng,
        kind: SignedType,
        id: u32,
        now_ms: u64,
    ) -> NewPqPrekey {
        let secret = Secret::random(rng);
        let public = self.sign(
            kind,
            id,
            now_ms,
            &mlkem::KeyPair::from_seed(&secret).public(),
        );
        NewPqPrekey { secret, public }
    }

    fn sign(&self, kind: SignedType, id: u32, now_ms: u64, key: &[u8]) -> pb::Signed {
        let mut body = pb::PrekeyBody {
            user: self.list.user.to_pb(),
            device: self.device.to_pb(),
            key_id: id,
            created_ms: now_ms,
            expires_ms: now_ms.saturating_add(LIFETIME_MS),
            key: key.to_vec().into(),
            ..Default::default()
        };
        if kind == SignedType::SignedPrekey {
            body.list_version = self.list.version;
            body.list_hash = self.list.hash.to_vec().into();
        }
        let body = body.encode_to_vec();
        let signature = self.keys.sign(kind, &body).to_vec().into();
        pb::Signed {
            body: body.into(),
            signature,
        }
    }
}

/// A claimed bundle whose every key its device has signed, for now and for this list.
pub struct VerifiedBundle {
    pub(crate) peer: Peer,
    pub(crate) spk: (u32, [u8; 32]),
    pub(crate) opk: Option<(u32, [u8; 32])>,
    pub(crate) pq: (u32, PqKind, Box<[u8; mlkem::PUBLIC]>),
}

/// The long-term public keys of one device and its user, from a list and never from a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The user.
    pub user: UserId,
    /// UIK.
    pub user_key: [u8; 32],
    /// The device.
    pub device: DeviceId,
    /// DIK.
    pub identity_key: [u8; 32],
    /// DSK.
    pub signing_key: [u8; 32],
}

impl Peer {
    /// The device as the list has it.
    pub fn of(list: &DeviceList, device: DeviceId) -> Option<Self> {
        list.device(device).map(|listed| Self {
            user: list.user,
            user_key: list.identity_key,
            device,
            identity_key: listed.identity_key,
            signing_key: listed.signing_key,
        })
    }
}

/// Which ML-KEM prekey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PqKind {
    /// Its secret is deleted with its first use.
    OneTime = 1,
    /// Used again where no one-time key is left.
    LastResort = 2,
}

/// Why a claimed bundle is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The device does not stand in the list.
    #[error("the prekeys are of a device that is not listed")]
    Unlisted,
    /// Not signed by the device as the kind it is served as.
    #[error("a prekey is not signed by its device, or is of another kind")]
    Signature,
    /// A length, an id or a key is none.
    #[error("a prekey cannot be read")]
    Malformed,
    /// Signed for another user or device.
    #[error("a prekey is another device's")]
    Owner,
    /// Too old.
    #[error("a prekey has expired")]
    Expired,
    /// The device knew a newer list, or another one of this version.
    #[error("the device knew another list than the one that was served")]
    ListWithheld,
}

/// Checks a claimed bundle against the list that the caller has checked against its pin.
pub fn verify_bundle(
    list: &DeviceList,
    bundle: Bundle,
    now_ms: u64,
) -> Result<VerifiedBundle, BundleError> {
    let peer = Peer::of(list, bundle.device).ok_or(BundleError::Unlisted)?;
    let check = |signed: sordino_protocol::http::Signed, kind| {
        verify_prekey(&peer, &signed.into(), kind, now_ms)
    };
    let signed = check(bundle.signed, SignedType::SignedPrekey)?;
    let list_hash: Hash = array(&signed.list_hash)?;
    if signed.list_version > list.version
        || (signed.list_version == list.version && list_hash != list.hash)
    {
        return Err(BundleError::ListWithheld);
    }
    let one_time = bundle
        .one_time
        .map(|key| check(key, SignedType::OneTimePrekey))
        .transpose()?;
    let (pq_type, pq_kind) = if bundle.pq_one_time {
        (SignedType::PqOneTimePrekey, PqKind::OneTime)
    } else {
        (SignedType::PqLastResort, PqKind::LastResort)
    };
    let pq = check(bundle.pq, pq_type)?;
    let pq_key = array(&pq.key)?;
    if !mlkem::is_public(&pq_key) {
        return Err(BundleError::Malformed);
    }
    Ok(VerifiedBundle {
        peer,
        spk: (signed.key_id, array(&signed.key)?),
        opk: one_time
            .map(|key| Ok((key.key_id, array(&key.key)?)))
            .transpose()?,
        pq: (pq.key_id, pq_kind, Box::new(pq_key)),
    })
}

fn verify_prekey(
    peer: &Peer,
    signed: &pb::Signed,
    kind: SignedType,
    now_ms: u64,
) -> Result<pb::PrekeyBody, BundleError> {
    if !verify_typed(
        &peer.signing_key,
        kind,
        &signed.body,
        &array(&signed.signature)?,
    ) {
        return Err(BundleError::Signature);
    }
    let body: pb::PrekeyBody =
        frame::decode(signed.body.clone(), &frame::PREKEY).map_err(|_| BundleError::Malformed)?;
    if UserId::from_slice(&body.user) != Ok(peer.user)
        || DeviceId::from_slice(&body.device) != Ok(peer.device)
    {
        return Err(BundleError::Owner);
    }
    if body.key_id == 0 {
        return Err(BundleError::Malformed);
    }
    if body.expires_ms <= now_ms {
        return Err(BundleError::Expired);
    }
    Ok(body)
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], BundleError> {
    bytes.try_into().map_err(|_| BundleError::Malformed)
}

#[cfg(test)]
mod tests;
