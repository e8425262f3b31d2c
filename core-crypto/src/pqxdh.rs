//! Session set-up: PQXDH (X25519 and ML-KEM-768), then a Double Ratchet session under its root key.
//!
//! A Diffie-Hellman result of all zeros, which a public key of small order forces, is an error in every slot.

use prost::Message as _;
use rand::CryptoRng;
use sordino_protocol::{
    Header, SessionId,
    hash::{self, Hash},
    pb,
};
use vodozemac::{
    Curve25519PublicKey,
    olm::{self, SessionConfig, SessionKeys},
};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::{
    Secret,
    kdf::hkdf,
    keys::{DeviceKeys, dh},
    mlkem,
    prekeys::{Peer, PqKind, VerifiedBundle},
    session::{Meta, Session, SessionError, parse_message},
};

/// Why no session comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// A public key is of small order.
    #[error("a Diffie-Hellman key contributes nothing")]
    NonContributory,
    /// There is no handshake, or a field of it has a wrong length or value.
    #[error("the handshake cannot be read")]
    Malformed,
    /// The handshake, or the keys it was made for, are not what they are said to be.
    #[error("the handshake does not belong to the session it names")]
    Transcript,
    /// The first message does not decrypt.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// The responder's own prekey secrets that a handshake names.
pub struct PrekeySecrets<'a> {
    /// Of `spk_id`.
    pub signed: &'a Secret<32>,
    /// Of `opk_id`, unless that is 0.
    pub one_time: Option<&'a Secret<32>>,
    /// Of `pq_id`, from the store of the kind that `pq_kind` names.
    pub pq: &'a Secret<64>,
}

/// Begins a session with the device of `bundle`. `born` is higher than that of every session of the two devices.
pub fn initiate(
    rng: &mut impl CryptoRng,
    me: &Peer,
    keys: &DeviceKeys,
    bundle: &VerifiedBundle,
    born: u64,
) -> Result<Session, SetupError> {
    let ephemeral = Secret::random(rng);
    let ratchet = Secret::random(rng);
    let (pq_id, pq_kind, pq_key) = &bundle.pq;
    let (ciphertext, shared) =
        mlkem::encapsulate(rng, pq_key).ok_or(SetupError::NonContributory)?;
    let (spk_id, spk) = bundle.spk;
    let dhs = [
        keys.dh(&spk),
        dh(&ephemeral, &bundle.peer.identity_key),
        dh(&ephemeral, &spk),
    ];
    let one_time = bundle.opk.map(|(_, key)| dh(&ephemeral, &key));
    let transcript = Transcript {
        born,
        initiator: me,
        responder: &bundle.peer,
        spk: (spk_id, &spk),
        opk: bundle.opk,
        pq: (*pq_id, *pq_kind, hash::sha256(pq_key.as_slice())),
        ephemeral: public(&ephemeral),
        ratchet: public(&ratchet),
        ciphertext: hash::sha256(&ciphertext),
    };
    let th = transcript.hash();
    let (root, signal_key) = root(dhs.into_iter().chain(one_time), &shared, &th)?;
    let first = dh(&ratchet, &spk).ok_or(SetupError::NonContributory)?;
    let (root, chain) = first_chain(&root, &first);
    let session = olm::Session::from_root_key_material(
        SessionConfig::version_2(),
        session_keys(me, &transcript),
        *root.expose(),
        *chain.expose(),
        *ratchet.expose(),
    );
    let handshake = pb::Handshake {
        born,
        ephemeral_key: transcript.ephemeral.to_vec().into(),
        spk_id,
        opk_id: bundle.opk.map_or(0, |(id, _)| id),
        pq_id: *pq_id,
        pq_kind: *pq_kind as u32,
        ciphertext: ciphertext.to_vec().into(),
    };
    let meta = meta(&transcript, th, &bundle.peer, None);
    let handshake = Some(handshake.encode_to_vec());
    Ok(Session::new(meta, handshake, signal_key, session))
}

/// Answers a handshake and decrypts the first message, in one step: a responder's session that has decrypted nothing
/// encrypts under a chain that its peer does not know, so none is ever handed out.
///
/// `peer` comes from the sender's device list, never from the message. With the session, in one transaction, the one-time
/// secrets are to be deleted.
pub fn respond(
    rng: &mut impl CryptoRng,
    me: &Peer,
    keys: &DeviceKeys,
    peer: &Peer,
    secrets: &PrekeySecrets<'_>,
    payload: &pb::WrapPayload,
) -> Result<(Session, Zeroizing<Vec<u8>>), SetupError> {
    let handshake = payload.handshake.as_ref().ok_or(SetupError::Malformed)?;
    let message = parse_message(&payload.message)?;
    let ephemeral = array(&handshake.ephemeral_key)?;
    let ciphertext = array(&handshake.ciphertext)?;
    let pq_kind = match handshake.pq_kind {
        1 => PqKind::OneTime,
        2 => PqKind::LastResort,
        _ => return Err(SetupError::Malformed),
    };
    if (handshake.opk_id == 0) != secrets.one_time.is_none() {
        return Err(SetupError::Malformed);
    }
    let spk = public(secrets.signed);
    let pq = mlkem::KeyPair::from_seed(secrets.pq);
    let transcript = Transcript {
        born: handshake.born,
        initiator: peer,
        responder: me,
        spk: (handshake.spk_id, &spk),
        opk: secrets
            .one_time
            .map(|secret| (handshake.opk_id, public(secret))),
        pq: (handshake.pq_id, pq_kind, hash::sha256(&pq.public())),
        ephemeral,
        ratchet: message.ratchet_key().to_bytes(),
        ciphertext: hash::sha256(&ciphertext),
    };
    let th = transcript.hash();
    let meta = meta(&transcript, th, peer, Some(handshake.spk_id));
    if meta.sid.as_bytes().as_slice() != payload.session.as_ref() {
        return Err(SetupError::Transcript);
    }
    let dhs = [
        dh(secrets.signed, &peer.identity_key),
        keys.dh(&ephemeral),
        dh(secrets.signed, &ephemeral),
    ];
    let one_time = secrets.one_time.map(|secret| dh(secret, &ephemeral));
    let shared = pq.decapsulate(&ciphertext);
    let (root, signal_key) = root(dhs.into_iter().chain(one_time), &shared, &th)?;
    // The chain is never used: decrypting the first message replaces it.
    let unused = Secret::random(rng);
    let session = olm::Session::from_root_key_material(
        SessionConfig::version_2(),
        session_keys(peer, &transcript),
        *root.expose(),
        *unused.expose(),
        *secrets.signed.expose(),
    );
    Ok(Session::new(meta, None, signal_key, session).decrypt(&payload.message)?)
}

/// Everything that both sides put in.
struct Transcript<'a> {
    born: u64,
    initiator: &'a Peer,
    responder: &'a Peer,
    spk: (u32, &'a [u8; 32]),
    opk: Option<(u32, [u8; 32])>,
    pq: (u32, PqKind, Hash),
    ephemeral: [u8; 32],
    ratchet: [u8; 32],
    ciphertext: Hash,
}

impl Transcript<'_> {
    /// TH.
    fn hash(&self) -> Hash {
        let (opk_id, opk) = self.opk.unwrap_or((0, [0; 32]));
        let (pq_id, pq_kind, pq_hash) = &self.pq;
        hash::labelled(
            "th",
            &[
                &[Header::SUITE],
                &self.born.to_be_bytes(),
                &party(self.initiator),
                &party(self.responder),
                &self.spk.0.to_be_bytes(),
                self.spk.1,
                &opk_id.to_be_bytes(),
                &opk,
                &pq_id.to_be_bytes(),
                &[*pq_kind as u8],
                pq_hash,
                &self.ephemeral,
                &self.ratchet,
                &self.ciphertext,
            ],
        )
    }
}

fn party(peer: &Peer) -> Vec<u8> {
    [
        peer.user.as_bytes().as_slice(),
        peer.device.as_bytes(),
        &peer.user_key,
        &peer.identity_key,
        &peer.signing_key,
    ]
    .concat()
}

/// Root ‖ SIG = `HKDF(salt 0³², 0xFF³² ‖ DH1 ‖ DH2 ‖ DH3 ‖ [DH4] ‖ SS, lbl("pqxdh X25519 SHA-256 ML-KEM-768") ‖ TH, 64)`.
fn root(
    dhs: impl Iterator<Item = Option<Secret<32>>>,
    shared: &Secret<32>,
    th: &Hash,
) -> Result<(Secret<32>, Secret<32>), SetupError> {
    // 0xFF³², at most four DHs, SS: it never grows.
    let mut ikm = Zeroizing::new(Vec::with_capacity(6 * 32));
    ikm.extend_from_slice(&[0xFF; 32]);
    for dh in dhs {
        ikm.extend_from_slice(dh.ok_or(SetupError::NonContributory)?.expose());
    }
    ikm.extend_from_slice(shared.expose());
    let label = b"sordino/1/pqxdh X25519 SHA-256 ML-KEM-768";
    let out: Secret<64> = hkdf(&[0; 32], &ikm, &[label, th]);
    Ok(out.split())
}

/// The initiator's first step of the ratchet: root key and sending chain.
fn first_chain(root: &Secret<32>, dh: &Secret<32>) -> (Secret<32>, Secret<32>) {
    let out: Secret<64> = hkdf(root.expose(), dh.expose(), &[b"OLM_RATCHET"]);
    out.split()
}

fn meta(transcript: &Transcript<'_>, th: Hash, peer: &Peer, answered_spk: Option<u32>) -> Meta {
    let [a, b, c, d, e, f, g, h, ..] = th;
    Meta {
        sid: SessionId::from_bytes([a, b, c, d, e, f, g, h]),
        transcript: th,
        born: transcript.born,
        peer: *peer,
        answered_spk,
    }
}

/// vodozemac only derives its own session id from these, which nothing here uses.
fn session_keys(initiator: &Peer, transcript: &Transcript<'_>) -> SessionKeys {
    SessionKeys {
        identity_key: Curve25519PublicKey::from_bytes(initiator.identity_key),
        base_key: Curve25519PublicKey::from_bytes(transcript.ratchet),
        one_time_key: Curve25519PublicKey::from_bytes(*transcript.spk.1),
    }
}

fn public(secret: &Secret<32>) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret.expose())).to_bytes()
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], SetupError> {
    bytes.try_into().map_err(|_| SetupError::Malformed)
}

#[cfg(test)]
mod tests;
