//! Logging in by password, for a device that is on no list yet: OPAQUE (RFC 9807).
//!
//! An attempt under way costs the relay no memory: what it has to know again it seals and gives to the device that makes it.

use std::{io, path::Path};

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead, KeyInit, Payload},
};
use sordino_opaque::{Attempt, Key, Malformed, Realm, Server, noted};
use sordino_protocol::{UserId, hash};
use zeroize::Zeroizing;

use super::key_file;
use crate::user::PasswordRecord;

/// What the key that seals attempts is derived for.
const ATTEMPTS: &[u8] = b"sordino relay password attempts v1";
/// What the key is named by.
const SEED: &[u8] = b"sordino relay password seed v1";
/// What a name without a user is hashed for.
const NAME_ID: &[u8] = b"sordino relay password name v1";
const NONCE: usize = 12;

/// What the relay's secrets of OPAQUE follow from: who loses it ends every login by password.
pub struct PasswordKey(key_file::Key);

impl PasswordKey {
    /// Reads the file, or draws a key and writes it where there is none.
    pub fn load_or_create(file: &Path) -> io::Result<Self> {
        key_file::load_or_create(file).map(Self)
    }

    /// From 64 hexadecimal digits; `None` for anything else.
    pub fn from_hex(digits: &str) -> Option<Self> {
        key_file::from_hex(digits).map(Self)
    }

    /// To derive other keys from.
    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Answers logins.
pub struct Passwords {
    relay: String,
    server: Server,
    seed: String,
    sealing: Aes256Gcm,
}

impl Passwords {
    /// Of the relay with this name.
    pub fn new(relay: &str, key: &PasswordKey) -> Self {
        Self {
            relay: relay.to_owned(),
            server: Server::from_key(&key.0),
            seed: hex::encode(key_file::derive(&key.0, SEED).get(..8).unwrap_or_default()),
            sealing: Aes256Gcm::new((&*key_file::derive(&key.0, ATTEMPTS)).into()),
        }
    }

    /// Names the secrets, so that a record of others is known as such.
    pub fn seed(&self) -> &str {
        &self.seed
    }

    /// Whether a record may be kept: one of these secrets.
    pub fn is_record(&self, record: &PasswordRecord) -> bool {
        record.seed == self.seed && Server::is_record(&record.record)
    }

    /// Answers the first message towards a new password.
    ///
    /// # Errors
    /// It is none.
    pub fn register(&self, username: &str, request: &[u8]) -> Result<Vec<u8>, Malformed> {
        self.server.register(self.realm(username), request)
    }

    /// Answers KE1: the attempt, sealed, and KE2. Without a record of these secrets as if there were one, and by the same work.
    ///
    /// # Errors
    /// KE1 is none.
    pub fn begin(
        &self,
        username: &str,
        record: Option<&PasswordRecord>,
        nonce: &[u8; 32],
        request: &[u8],
    ) -> Result<(Vec<u8>, Vec<u8>), Malformed> {
        let (record, _) = self.judged(record);
        let (attempt, response) = self.server.log_in(self.realm(username), record, request)?;
        let drawn: [u8; NONCE] = rand::random();
        let (state, aad) = (attempt.to_bytes(), aad(nonce, record, username));
        let payload = Payload {
            msg: &state,
            aad: &aad,
        };
        noted::step("seal");
        let sealed = self.sealing.encrypt(&drawn.into(), payload);
        let sealed = sealed.map_err(|_| Malformed)?;
        Ok(([drawn.as_slice(), &sealed].concat(), response))
    }

    /// The session key that the relay shares with whoever made the attempt with this nonce, if they knew the password, which is
    /// still the one of this record. Without a record of these secrets there is none, after the same work.
    pub fn finish(
        &self,
        username: &str,
        record: Option<&PasswordRecord>,
        nonce: &[u8; 32],
        attempt: &[u8],
        finalization: &[u8],
    ) -> Option<Key> {
        let (drawn, msg) = attempt.split_first_chunk::<NONCE>()?;
        let (record, is_theirs) = self.judged(record);
        let aad = aad(nonce, record, username);
        let payload = Payload { msg, aad: &aad };
        noted::step("open");
        let state = self.sealing.decrypt(drawn.into(), payload).ok()?;
        let attempt = Attempt::from_bytes(&Zeroizing::new(state)).ok()?;
        let session = attempt.finish(self.realm(username), finalization)?;
        is_theirs.then_some(session)
    }

    /// The record that an attempt is judged by, and whether it is of whom it is asked for. What stands in for none goes through all that one
    /// goes through: how long an answer takes must not tell who has one.
    fn judged<'a>(&'a self, record: Option<&'a PasswordRecord>) -> (&'a [u8], bool) {
        let theirs = record.filter(|record| record.seed == self.seed);
        let bytes = theirs.map_or(self.server.decoy(), |record| record.record.as_slice());
        match Server::is_record(bytes) {
            true => (bytes, theirs.is_some()),
            false => (self.server.decoy(), false),
        }
    }

    fn realm<'a>(&'a self, username: &'a str) -> Realm<'a> {
        Realm {
            relay: &self.relay,
            username,
        }
    }
}

/// Whom the challenge of an attempt is for: a name, whether or not there is such a user.
pub fn name_id(username: &str) -> UserId {
    let hashed = hash::sha256(&[NAME_ID, username.as_bytes()].concat());
    let mut id = [0; 16];
    id.iter_mut().zip(hashed).for_each(|(to, from)| *to = from);
    UserId::from_bytes(id)
}

/// nonce 32 ‖ hash of the record 32 ‖ name.
fn aad(nonce: &[u8; 32], record: &[u8], username: &str) -> Vec<u8> {
    let record = hash::sha256(record);
    [nonce.as_slice(), &record, username.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use sordino_opaque::{Login, LoginError, Registration};

    use super::*;

    const PASSWORD: &[u8] = b"correct horse battery staple";
    const NONCE: [u8; 32] = [7; 32];

    fn passwords() -> Passwords {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("password.key");
        let key = PasswordKey::load_or_create(&file).expect("created");
        let again = PasswordKey::load_or_create(&file).expect("read");
        assert_eq!(*key.0, *again.0);
        Passwords::new("relay.example", &key)
    }

    fn realm(username: &str) -> Realm<'_> {
        Realm {
            relay: "relay.example",
            username,
        }
    }

    fn record(passwords: &Passwords) -> PasswordRecord {
        let (registration, request) = Registration::start(PASSWORD).expect("started");
        let response = passwords.register("alice", &request).expect("answered");
        let registered = registration.finish(realm("alice"), &response);
        PasswordRecord {
            seed: passwords.seed().to_owned(),
            record: registered.expect("registered").record,
        }
    }

    #[test]
    fn an_attempt_is_finished_by_who_knows_the_password_as_it_was_begun() {
        let passwords = passwords();
        let record = record(&passwords);
        assert!(passwords.is_record(&record));
        let (login, ke1) = Login::start(PASSWORD).expect("started");
        let (attempt, ke2) = passwords
            .begin("alice", Some(&record), &NONCE, &ke1)
            .expect("answered");
        let ke3 = login
            .finish(realm("alice"), &ke2)
            .expect("right")
            .finalization;
        let finish = |name, record: &PasswordRecord, nonce, attempt: &[u8], ke3: &[u8]| {
            passwords
                .finish(name, Some(record), nonce, attempt, ke3)
                .is_some()
        };
        assert!(finish("alice", &record, &NONCE, &attempt, &ke3));
        assert!(!finish("bob", &record, &NONCE, &attempt, &ke3));
        assert!(!finish("alice", &record, &[8; 32], &attempt, &ke3));
        assert!(!finish("alice", &record, &NONCE, &attempt, &[0; 64]));
        // Another password was set since.
        let other = self::record(&passwords);
        assert!(!finish("alice", &other, &NONCE, &attempt, &ke3));
        // The same bytes, of other secrets.
        let renamed = PasswordRecord {
            seed: "0011223344556677".to_owned(),
            ..record.clone()
        };
        assert!(!finish("alice", &renamed, &NONCE, &attempt, &ke3));
        for bit in [0, 8 * NONCE.len() + 3, 8 * attempt.len() - 1] {
            let mut changed = attempt.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!finish("alice", &record, &NONCE, &changed, &ke3), "{bit}");
        }
        assert!(!finish("alice", &record, &NONCE, &attempt[..5], &ke3));
    }

    #[test]
    fn a_record_of_other_secrets_is_as_good_as_none() {
        let (here, there) = (passwords(), passwords());
        let record = record(&there);
        assert!(!here.is_record(&record));
        let (login, ke1) = Login::start(PASSWORD).expect("started");
        let (_, ke2) = here
            .begin("alice", Some(&record), &NONCE, &ke1)
            .expect("answered as if there were none");
        let refused = login.finish(realm("alice"), &ke2).err();
        assert_eq!(refused, Some(LoginError::Refused));
    }

    /// What is stored, and what nodes of two versions must agree on. Computed by another program.
    #[test]
    fn what_follows_from_the_key_and_from_a_name_is_frozen() {
        let key = PasswordKey::from_hex(&"0f".repeat(32)).expect("a key");
        // With every record: another name for the same key would make all of them records of another.
        let passwords = Passwords::new("relay.example", &key);
        assert_eq!(passwords.seed(), "0a7f4d516e66f83c");
        let sealing = key_file::derive(key.bytes(), ATTEMPTS);
        assert_eq!(
            hex::encode(sealing.as_slice()),
            "be58acb5b430320ad3ed0ef835659932e8b9e9c2985919f3043a6927cb6c9a89"
        );
        let name = name_id("alice");
        assert_eq!(
            hex::encode(name.as_bytes()),
            "07e43dba50374642efb7b63b45b3d8b6"
        );
    }
}
