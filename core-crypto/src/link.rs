//! Linking a new device to an old one, over a pipe of the relay that neither trusts.
//!
//! The new device shows a code (QR) that names the pipe and, by its hash, the new device's *hello*. The old one scans it, both
//! exchange X25519 keys over the pipe, and both show six digits; who holds both devices compares them. Because the code commits to
//! the hello before the old device's key is known, nobody in between can choose keys until the digits agree.

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead, KeyInit},
};
use rand::CryptoRng;
use sordino_protocol::{
    DeviceId, UserId,
    hash::{Hash, sha256},
};
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::{
    Secret,
    kdf::hkdf,
    keys::{DevicePublic, dh},
};

/// Length of a hello.
pub const HELLO: usize = 16 + 16 + 32 + 32 + 32;

/// What the code that is scanned says, beside where the relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invitation {
    /// The pipe.
    pub channel: [u8; 16],
    /// Of the hello that will come.
    pub hello_hash: Hash,
}

/// What the new device says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Whose device it is to be.
    pub user: UserId,
    /// Its id.
    pub device: DeviceId,
    /// Its keys.
    pub keys: DevicePublic,
    /// Its key for this link.
    pub ephemeral: [u8; 32],
}

/// Why two devices are not linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The hello is not the one of the code.
    #[error("who answers is not the device whose code was scanned")]
    Hello,
    /// The other's key is of small order.
    #[error("the other device sent a key that nobody would make")]
    Key,
    /// A message was changed, repeated, left out or put in another place.
    #[error("what the other device sent was changed on the way")]
    Message,
}

/// The new device, before it has heard of the old one.
pub struct NewDevice {
    channel: [u8; 16],
    ephemeral: Secret<32>,
    hello: [u8; HELLO],
}

/// The old device, before it has heard the new one's hello.
pub struct OldDevice {
    invitation: Invitation,
    ephemeral: Secret<32>,
}

/// Both ways between the two. Messages arrive in the order in which they were sealed, or not at all.
pub struct Pipe {
    sealing: Way,
    opening: Way,
    digits: u32,
}

struct Way {
    cipher: Aes256Gcm,
    count: u64,
}

impl NewDevice {
    /// Begins, with a fresh pipe.
    pub fn new(
        rng: &mut impl CryptoRng,
        user: UserId,
        device: DeviceId,
        keys: DevicePublic,
    ) -> Self {
        let mut channel = [0; 16];
        rng.fill_bytes(&mut channel);
        let ephemeral = Secret::random(rng);
        let hello = Hello {
            user,
            device,
            keys,
            ephemeral: public(&ephemeral),
        };
        Self {
            channel,
            ephemeral,
            hello: hello.encode(),
        }
    }

    /// For the code.
    pub fn invitation(&self) -> Invitation {
        Invitation {
            channel: self.channel,
            hello_hash: sha256(&self.hello),
        }
    }

    /// To be sent once the old device's key has come.
    pub fn hello(&self) -> &[u8; HELLO] {
        &self.hello
    }

    /// The old device's key has come.
    ///
    /// # Errors
    /// [`LinkError::Key`].
    pub fn meet(&self, theirs: &[u8; 32]) -> Result<Pipe, LinkError> {
        let shared = dh(&self.ephemeral, theirs).ok_or(LinkError::Key)?;
        let (old, new, digits) = derive(&self.channel, &shared, &self.hello, theirs);
        Ok(Pipe::new(new, old, digits))
    }
}

impl OldDevice {
    /// The code was scanned.
    pub fn new(rng: &mut impl CryptoRng, invitation: Invitation) -> Self {
        Self {
            invitation,
            ephemeral: Secret::random(rng),
        }
    }

    /// To be sent first.
    pub fn ephemeral(&self) -> [u8; 32] {
        public(&self.ephemeral)
    }

    /// The new device's hello has come.
    ///
    /// # Errors
    /// [`LinkError::Hello`], [`LinkError::Key`].
    pub fn meet(&self, hello: &[u8; HELLO]) -> Result<(Hello, Pipe), LinkError> {
        if !bool::from(sha256(hello).ct_eq(&self.invitation.hello_hash)) {
            return Err(LinkError::Hello);
        }
        let said = Hello::decode(hello);
        let shared = dh(&self.ephemeral, &said.ephemeral).ok_or(LinkError::Key)?;
        let channel = &self.invitation.channel;
        let (old, new, digits) = derive(channel, &shared, hello, &self.ephemeral());
        Ok((said, Pipe::new(old, new, digits)))
    }
}

impl Pipe {
    fn new(sealing: Secret<32>, opening: Secret<32>, digits: Secret<4>) -> Self {
        Self {
            sealing: Way::new(&sealing),
            opening: Way::new(&opening),
            digits: u32::from_be_bytes(*digits.expose()) % 1_000_000,
        }
    }

    /// Six digits, to be compared before anything is sent.
    pub fn digits(&self) -> String {
        format!("{:06}", self.digits)
    }

    /// Seals the next message to the other device.
    pub fn seal(&mut self, message: &[u8]) -> Vec<u8> {
        let nonce = self.sealing.next();
        let sealed = self.sealing.cipher.encrypt(&nonce.into(), message);
        // Fails beyond 64 GiB alone.
        sealed.unwrap_or_default()
    }

    /// Opens the next message of the other device. After an error the pipe is of no more use.
    ///
    /// # Errors
    /// [`LinkError::Message`].
    pub fn open(&mut self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        let nonce = self.opening.next();
        let opened = self.opening.cipher.decrypt(&nonce.into(), sealed);
        opened.map(Zeroizing::new).map_err(|_| LinkError::Message)
    }
}

impl Way {
    fn new(key: &Secret<32>) -> Self {
        Self {
            cipher: Aes256Gcm::new(key.expose().into()),
            count: 0,
        }
    }

    /// The key is of this link and direction alone, so that a count is enough.
    fn next(&mut self) -> [u8; 12] {
        let mut nonce = [0; 12];
        let (_, last) = nonce.split_at_mut(4);
        last.copy_from_slice(&self.count.to_be_bytes());
        self.count += 1;
        nonce
    }
}

impl Hello {
    /// user ‖ device ‖ DSK ‖ DIK ‖ ephemeral key.
    fn encode(self) -> [u8; HELLO] {
        let mut out = [0; HELLO];
        let keys = self.keys.signing_key.iter().chain(&self.keys.identity_key);
        let ids = self.user.as_bytes().iter().chain(self.device.as_bytes());
        let all = ids.chain(keys).chain(&self.ephemeral);
        out.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        out
    }

    fn decode(encoded: &[u8; HELLO]) -> Self {
        let mut left = encoded.as_slice();
        Self {
            user: UserId::from_bytes(take(&mut left)),
            device: DeviceId::from_bytes(take(&mut left)),
            keys: DevicePublic {
                signing_key: take(&mut left),
                identity_key: take(&mut left),
            },
            ephemeral: take(&mut left),
        }
    }
}

/// The next bytes of what is long enough.
fn take<const N: usize>(left: &mut &[u8]) -> [u8; N] {
    let (first, rest) = left.split_first_chunk::<N>().unwrap_or((&[0; N], &[]));
    *left = rest;
    *first
}

fn public(secret: &Secret<32>) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret.expose())).to_bytes()
}

/// HKDF(channel, DH, lbl("link") ‖ H(hello ‖ old device's key), 68): key of the old device's messages, of the new one's, digits.
fn derive(
    channel: &[u8; 16],
    shared: &Secret<32>,
    hello: &[u8; HELLO],
    old: &[u8; 32],
) -> (Secret<32>, Secret<32>, Secret<4>) {
    let transcript = sha256(&[hello.as_slice(), old].concat());
    let info: [&[u8]; 2] = [b"sordino/1/link", &transcript];
    let (old, rest) = hkdf::<68>(channel, shared.expose(), &info).split::<32, 36>();
    let (new, digits) = rest.split();
    (old, new, digits)
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn new_device(seed: u64) -> NewDevice {
        let keys = DevicePublic {
            signing_key: [3; 32],
            identity_key: [4; 32],
        };
        let (user, device) = (UserId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
        NewDevice::new(&mut StdRng::seed_from_u64(seed), user, device, keys)
    }

    fn old_device(seed: u64, invitation: Invitation) -> OldDevice {
        OldDevice::new(&mut StdRng::seed_from_u64(seed), invitation)
    }

    fn linked() -> (Pipe, Pipe) {
        let new = new_device(1);
        let old = old_device(2, new.invitation());
        let (hello, at_old) = old.meet(new.hello()).unwrap();
        assert_eq!(hello.encode(), *new.hello());
        (at_old, new.meet(&old.ephemeral()).unwrap())
    }

    /// Computed by another implementation (`tests/vectors/generate.py`).
    #[test]
    fn keys_and_digits_are_those_of_the_vector() {
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../tests/vectors/link.json")).unwrap();
        let bytes = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
        let ephemeral = Secret::from_bytes([1; 32]);
        let hello = Hello {
            user: UserId::from_bytes([5; 16]),
            device: DeviceId::from_bytes([6; 16]),
            keys: DevicePublic {
                signing_key: [3; 32],
                identity_key: [4; 32],
            },
            ephemeral: public(&ephemeral),
        };
        let new = NewDevice {
            channel: [9; 16],
            ephemeral,
            hello: hello.encode(),
        };
        assert_eq!(new.hello().as_slice(), bytes("hello"));
        assert_eq!(new.invitation().hello_hash.as_slice(), bytes("hello_hash"));
        let old = OldDevice {
            invitation: new.invitation(),
            ephemeral: Secret::from_bytes([2; 32]),
        };
        let (said, mut at_old) = old.meet(new.hello()).unwrap();
        let mut at_new = new.meet(&old.ephemeral()).unwrap();
        assert_eq!(said, hello);
        assert_eq!(at_old.digits(), vector["digits"]);
        let from_old = [at_old.seal(b"one"), at_old.seal(b"two")].concat();
        assert_eq!(from_old, bytes("from_old"));
        assert_eq!(at_new.seal(b"three"), bytes("from_new"));
    }

    #[test]
    fn both_see_the_same_digits_and_read_each_other() {
        let (mut old, mut new) = linked();
        assert_eq!(old.digits(), new.digits());
        assert_eq!(old.digits().len(), 6);
        for message in [b"one".as_slice(), b"", b"three"] {
            let sealed = old.seal(message);
            assert_eq!(new.open(&sealed).unwrap().as_slice(), message);
            let sealed = new.seal(message);
            assert_eq!(old.open(&sealed).unwrap().as_slice(), message);
        }
    }

    #[test]
    fn who_is_not_the_one_of_the_code_is_not_met() {
        let (new, other) = (new_device(1), new_device(3));
        let old = old_device(2, new.invitation());
        assert_eq!(old.meet(other.hello()).err(), Some(LinkError::Hello));
        for at in 0..HELLO {
            let mut changed = *new.hello();
            changed[at] ^= 1;
            assert_eq!(
                old.meet(&changed).err(),
                Some(LinkError::Hello),
                "byte {at}"
            );
        }
    }

    #[test]
    fn somebody_in_between_changes_the_digits() {
        let new = new_device(1);
        let old = old_device(2, new.invitation());
        let between = old_device(4, new.invitation());
        let (_, at_old) = old.meet(new.hello()).unwrap();
        let at_new = new.meet(&between.ephemeral()).unwrap();
        assert_ne!(at_old.digits(), at_new.digits());
    }

    #[test]
    fn no_message_is_changed_repeated_left_out_or_sent_back() {
        let (mut old, mut new) = linked();
        let (first, second) = (old.seal(b"first"), old.seal(b"second"));
        assert_eq!(old.open(&first), Err(LinkError::Message), "sent back");
        assert_eq!(
            linked().1.open(&second),
            Err(LinkError::Message),
            "left out"
        );
        let mut changed = first.clone();
        changed[0] ^= 1;
        assert_eq!(linked().1.open(&changed), Err(LinkError::Message));
        assert!(new.open(&first).is_ok());
        assert_eq!(new.open(&first), Err(LinkError::Message), "repeated");
    }

    #[test]
    fn keys_of_small_order_are_refused() {
        let new = new_device(1);
        assert_eq!(new.meet(&[0; 32]).err(), Some(LinkError::Key));
        let weak = NewDevice {
            hello: Hello {
                ephemeral: [0; 32],
                ..Hello::decode(new.hello())
            }
            .encode(),
            ..new_device(1)
        };
        let old = old_device(2, weak.invitation());
        assert_eq!(old.meet(weak.hello()).err(), Some(LinkError::Key));
    }
}
