//! How the contents of a vault are written down.
//!
//! By hand, not by protobuf: a decoder's buffers would leave copies of the keys behind.

use sordino_protocol::{DeviceId, limits};
use zeroize::Zeroizing;

use super::{BackupHead, BackupKeys, Contents, Opener, OpenerKind};
use crate::{
    Secret,
    hpke::PUBLIC_KEY,
    keys::{IdentityKey, ListSigningKey},
};

/// The first byte.
const FORMAT: u8 = 1;

impl Contents {
    /// 1 ‖ UIK ‖ LSK ‖ its version u32 ‖ n u8 ‖ n × (kind u8 ‖ public key 1216 ‖ PSK) ‖ n u16 ‖ n × (version u32 ‖ BSK ‖ BPSK ‖
    /// n u8 ‖ n × (device 16 ‖ number u64 ‖ hash 32)). `None`: there is more of something than fits.
    pub(super) fn encode(&self) -> Option<Zeroizing<Vec<u8>>> {
        // A buffer that grows leaves what it held behind.
        let mut out = Zeroizing::new(Vec::with_capacity(limits::VAULT_BYTES));
        out.push(FORMAT);
        out.extend_from_slice(self.identity_key.to_secret().expose());
        out.extend_from_slice(self.list_signing_key.to_secret().expose());
        out.extend_from_slice(&self.list_signing_version.to_be_bytes());
        out.push(u8::try_from(self.openers.len()).ok()?);
        for opener in &self.openers {
            out.push(opener.kind as u8);
            out.extend_from_slice(&opener.public_key);
            out.extend_from_slice(opener.psk.expose());
        }
        out.extend_from_slice(&u16::try_from(self.backup_keys.len()).ok()?.to_be_bytes());
        for keys in &self.backup_keys {
            // A buffer that has to grow would leave keys behind: what does not fit is refused before.
            let room = limits::VAULT_BYTES.saturating_sub(out.len());
            if room < 4 + 32 + 32 + 1 + keys.closed.len() * (16 + 8 + 32) {
                return None;
            }
            out.extend_from_slice(&keys.version.to_be_bytes());
            out.extend_from_slice(keys.backup_key.expose());
            out.extend_from_slice(keys.shared_key.expose());
            out.push(u8::try_from(keys.closed.len()).ok()?);
            for head in &keys.closed {
                out.extend_from_slice(head.device.as_bytes());
                out.extend_from_slice(&head.number.to_be_bytes());
                out.extend_from_slice(&head.hash);
            }
        }
        Some(out)
    }

    /// `None`: nobody encodes so.
    pub(super) fn decode(encoded: &[u8]) -> Option<Self> {
        let mut left = Reader(encoded);
        if left.take()? != [FORMAT] {
            return None;
        }
        let identity_key = IdentityKey::from_secret(&left.secret()?);
        let list_signing_key = ListSigningKey::from_secret(&left.secret()?);
        let list_signing_version = u32::from_be_bytes(left.take()?);
        let [count] = left.take()?;
        let openers = (0..count)
            .map(|_| left.opener())
            .collect::<Option<Vec<_>>>()?;
        let count = u16::from_be_bytes(left.take()?);
        let keys = (0..count).map(|_| left.backup_keys());
        let backup_keys = keys.collect::<Option<Vec<_>>>()?;
        left.0.is_empty().then_some(Self {
            identity_key,
            list_signing_key,
            list_signing_version,
            openers,
            backup_keys,
        })
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn secret(&mut self) -> Option<Secret<32>> {
        let (first, rest) = self.0.split_first_chunk::<32>()?;
        self.0 = rest;
        Some(Secret::copy_of(first))
    }

    fn opener(&mut self) -> Option<Opener> {
        let kind = match self.take()? {
            [1] => OpenerKind::RecoveryKey,
            [2] => OpenerKind::Password,
            _ => return None,
        };
        let public_key = self.take::<PUBLIC_KEY>()?.to_vec();
        Some(Opener {
            kind,
            public_key,
            psk: self.secret()?,
        })
    }

    fn backup_keys(&mut self) -> Option<BackupKeys> {
        let version = u32::from_be_bytes(self.take()?);
        let (backup_key, shared_key) = (self.secret()?, self.secret()?);
        let [heads] = self.take()?;
        let closed = (0..heads).map(|_| {
            Some(BackupHead {
                device: DeviceId::from_bytes(self.take()?),
                number: u64::from_be_bytes(self.take()?),
                hash: self.take()?,
            })
        });
        Some(BackupKeys {
            version,
            backup_key,
            shared_key,
            closed: closed.collect::<Option<Vec<_>>>()?,
        })
    }
}
