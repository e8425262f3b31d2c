//! Users, their devices' keys and their device lists: public keys only; and where devices are woken.

mod admission;
mod backups;
mod blocks;
mod cache;
#[cfg(test)]
mod conformance;
mod credentials;
mod deletion;
mod disabled;
mod email;
mod emails;
#[cfg(test)]
pub(crate) mod fixtures;
mod lists;
#[cfg(feature = "cluster")]
pub mod postgres;
mod prekeys;
mod push;
mod resets;
mod rows;
pub mod sqlite;
pub mod verify;
#[cfg(feature = "cluster")]
pub(crate) mod whole;

use async_trait::async_trait;
use prost::bytes::Bytes;
use sordino_protocol::{
    DeviceId, UserId,
    batch::{Fit, Head, Place},
    hash::Hash,
    http,
    list::DeviceList,
    pb,
};
use zeroize::Zeroizing;

pub use self::email::Email;

/// What may go wrong at the door of the users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// Another user has this name.
    #[error("another user has this name")]
    NameTaken,
    /// Another user has this e-mail address.
    #[error("another user has this e-mail address")]
    EmailTaken,
    /// This id is registered.
    #[error("this user id is registered already")]
    UserExists,
    /// No such user.
    #[error("no such user")]
    NotFound,
    /// The list does not replace the newest version.
    #[error("another list was stored first")]
    ListConflict,
    /// That version of the key backup is closed.
    #[error("that version of the key backup is closed")]
    BackupClosed,
    /// A batch does not follow the last one of its chain.
    #[error("the batch does not follow the last one of its chain")]
    BackupConflict,
    /// That version of the key backup has as many chains as it may have.
    #[error("that version of the key backup has as many chains as it may have")]
    TooManyChains,
    /// The chains of the key backup end elsewhere than they were to be closed.
    #[error("the key backup has grown meanwhile")]
    BackupMoved,
    /// As many people are blocked as may be.
    #[error("as many people are blocked as may be")]
    TooManyBlocks,
    /// A prekey id stands already.
    #[error("a prekey with this id is stored already")]
    PrekeyExists,
    /// The invite is unknown, used up or expired.
    #[error("the invite is unknown, used up or expired")]
    InviteRefused,
    /// The subject of the app's own login has an account.
    #[error("this subject has an account already")]
    HasAccount,
    /// No reset of the identity key was asked for, or it may not be done yet.
    #[error("no reset of the identity key may be done now")]
    ResetWaits,
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// Anything else; the text is for the operator's log.
    #[error("users: {0}")]
    Failed(String),
}

/// Kinds of prekeys, numbered like their signatures ([`sordino_protocol::signed::SignedType`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PrekeyKind {
    /// SPK.
    Signed = 4,
    /// OPK.
    OneTime = 5,
    /// PQLR.
    PqLastResort = 6,
    /// PQOPK.
    PqOneTime = 7,
}

/// A prekey that was checked: signature, owner, expiry, length.
#[derive(Debug, Clone)]
pub struct Prekey {
    /// Its kind.
    pub kind: PrekeyKind,
    /// Its id, unique per device and kind.
    pub id: u32,
    /// By the owner's clock.
    pub expires_ms: u64,
    /// As received.
    pub signed: pb::Signed,
}

/// Where a device is woken. The token is as good as an address of its owner: it is never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct PushTarget {
    /// Which device.
    pub device: DeviceId,
    /// Who wakes it.
    pub provider: http::PushProvider,
    /// What the provider knows it by.
    pub token: String,
    /// When it was set, in Unix milliseconds.
    pub set_ms: u64,
}

impl std::fmt::Debug for PushTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushTarget")
            .field("device", &self.device)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

/// A password, as OPAQUE keeps it: no password, but as secret as its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordRecord {
    /// Names the relay's secrets that went into it.
    pub seed: String,
    /// Its bytes.
    pub record: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for PasswordRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordRecord")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// A batch of the key backup that was read as far as a relay can.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Of the backup.
    pub version: u32,
    /// Where it stands.
    pub place: Place,
    /// As received.
    pub bytes: Bytes,
}

impl Batch {
    /// How it fits its chain. `end`: the last batch there, and what that names as the one before.
    fn fit(&self, hash: &Hash, end: Option<(Head, Hash)>) -> Result<Fit, UserError> {
        let before_last = end.map_or([0; 32], |(_, previous)| previous);
        let fit = self
            .place
            .fit(hash, end.map(|(last, _)| last), &before_last);
        fit.ok_or(UserError::BackupConflict)
    }
}

/// Where a device's chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// Whose.
    pub device: DeviceId,
    /// Its end.
    pub head: Head,
}

/// A version of the key backup that takes no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedBackup {
    /// Which.
    pub version: u32,
    /// Where its chains end, by device.
    pub heads: Vec<ChainHead>,
}

impl ClosedBackup {
    /// `found`: the ends of the chains, by device.
    fn must_end_at(&self, found: &[ChainHead]) -> Result<(), UserError> {
        (self.heads == found)
            .then_some(())
            .ok_or(UserError::BackupMoved)
    }
}

/// An operator's invite, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Of the secret.
    pub hash: Hash,
    /// How many accounts it makes.
    pub uses: u32,
    /// When it ends, in Unix milliseconds.
    pub expires_ms: u64,
}

/// A user, as the operator's list has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Who.
    pub user: http::User,
    /// Whether they are disabled.
    pub disabled: bool,
}

/// By what somebody makes an account. What can be used up is used up with the account, or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Admission {
    /// By nothing: everybody may.
    #[default]
    Open,
    /// By an invite that still holds then.
    Invite {
        /// Of the secret.
        hash: Hash,
        /// In Unix milliseconds.
        now_ms: u64,
    },
    /// By the app's own login: the hash of issuer and subject.
    Subject(Hash),
}

/// Names a pair of people, of whom one has decided about the other ([`BlockKey`](crate::auth::block_key::BlockKey)). That two of one
/// person are the same happens once in 2^64 pairs, and cannot be brought about.
pub type BlockTag = [u8; 8];

/// What a person has decided about another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// About whom.
    pub tag: BlockTag,
    /// They are blocked, or not any more.
    pub blocked: bool,
    /// When, by the clock of the device on which it was.
    pub decided_ms: u64,
}

/// The identity key of a list, beside that of the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Identity {
    /// It is the same.
    #[default]
    Same,
    /// It is another, by who has shown that they may.
    Other,
    /// It is another, by who has asked for it and waited: only if that is due by now, and was not withdrawn.
    OtherAfterWait {
        /// In Unix milliseconds.
        now_ms: u64,
    },
}

/// What is stored together with a list, or is not.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The next version of the vault, as received.
    pub vault: Option<Bytes>,
    /// Another password.
    pub password: Option<PasswordRecord>,
    /// The version of the key backup that the list leaves behind.
    pub closes: Option<ClosedBackup>,
    /// By what the account is made, with the first list.
    pub admission: Admission,
    /// Whether the list is of another identity. With that, and with another password, a reset that waits is void.
    pub identity: Identity,
    /// Where the operator may reach the person, with the first list.
    pub email: Option<Email>,
}

impl Credentials {
    /// Nothing besides the list.
    pub const NONE: Self = Self {
        vault: None,
        password: None,
        closes: None,
        admission: Admission::Open,
        identity: Identity::Same,
        email: None,
    };
}

/// The door of the users.
#[async_trait]
pub trait Users: Send + Sync + 'static {
    /// Creates a user with the first version of its list, and what comes with it.
    async fn create(
        &self,
        username: &str,
        list: &DeviceList,
        with: &Credentials,
    ) -> Result<(), UserError>;
    /// Ends an account: everything of the user is forgotten but id and name, which nobody else gets, and the lists, by which others
    /// check what was written. All or nothing; once done, it is done.
    async fn delete(&self, user: UserId, now_ms: u64) -> Result<(), UserError>;
    /// The newest version of the lists that a deleted user has left; `None` for any other.
    async fn deleted(&self, user: UserId) -> Result<Option<u32>, UserError>;
    /// Disables a user until they are enabled again, or enables them.
    async fn set_disabled(
        &self,
        user: UserId,
        disabled: bool,
        now_ms: u64,
    ) -> Result<(), UserError>;
    /// All who are disabled.
    async fn disabled(&self) -> Result<Vec<UserId>, UserError>;
    /// A user's e-mail address.
    async fn email(&self, user: UserId) -> Result<Option<String>, UserError>;
    /// Sets a user's e-mail address, which nobody else may have, or removes it.
    async fn put_email(&self, user: UserId, email: Option<&Email>) -> Result<(), UserError>;
    /// By e-mail address.
    async fn by_email(&self, email: &Email) -> Result<Option<http::User>, UserError>;
    /// Keeps an invite, and forgets those that are used up or have ended by now.
    async fn put_invite(&self, invite: &Invite, now_ms: u64) -> Result<(), UserError>;
    /// Forgets an invite. Whether there was one that could still be used.
    async fn remove_invite(&self, hash: &Hash, now_ms: u64) -> Result<bool, UserError>;
    /// By the subject of the app's own login.
    async fn by_subject(&self, hash: &Hash) -> Result<Option<http::User>, UserError>;
    /// Whether the user has a subject of the app's own login.
    async fn has_subject(&self, user: UserId) -> Result<bool, UserError>;
    /// Those who are there, by name, ascending, after `after` (empty: from the first one on), at most `limit`.
    async fn named_after(&self, after: &str, limit: usize) -> Result<Vec<Listed>, UserError>;
    /// Invites that still make accounts, by hash, ascending, after `after` (empty: from the first one on), at most `limit`.
    async fn invites_after(
        &self,
        after: &[u8],
        limit: usize,
        now_ms: u64,
    ) -> Result<Vec<Invite>, UserError>;
    /// By exact name.
    async fn by_name(&self, username: &str) -> Result<Option<http::User>, UserError>;
    /// By id.
    async fn by_id(&self, user: UserId) -> Result<Option<http::User>, UserError>;
    /// The newest version of a user's list. On the hot path of every message: implementations cache it.
    async fn newest_list(
        &self,
        user: UserId,
    ) -> Result<Option<std::sync::Arc<DeviceList>>, UserError>;
    /// Versions from `from` on, ascending, at most `limit`; of a deleted user as well.
    async fn lists(
        &self,
        user: UserId,
        from: u32,
        limit: usize,
    ) -> Result<Vec<pb::Signed>, UserError>;
    /// Compare-and-set: stores version n if the newest is n − 1, with what comes with it, and forgets the prekeys of devices
    /// no longer listed. All or nothing.
    async fn put_list(&self, list: &DeviceList, with: &Credentials) -> Result<(), UserError>;
    /// Notes that an account is to have another identity key from `ready_ms` on. One that was noted before stands, unless it could be done
    /// since `stale_ms`. From when on it may be done.
    async fn ask_reset(&self, user: UserId, ready_ms: u64, stale_ms: u64)
    -> Result<u64, UserError>;
    /// From when on the reset that was noted may be done, if one was and it was not withdrawn.
    async fn reset(&self, user: UserId) -> Result<Option<u64>, UserError>;
    /// Forgets the reset that was noted, if one was.
    async fn withdraw_reset(&self, user: UserId) -> Result<(), UserError>;
    /// At most so many users whose devices are to be woken by now for a reset that waits, and who are not disabled; who has been due for
    /// longest comes first. Each is given to one of those who ask, and to nobody else before `again_ms`, unless the reset is asked for anew.
    async fn claim_reset_wakes(
        &self,
        now_ms: u64,
        again_ms: u64,
        limit: usize,
    ) -> Result<Vec<UserId>, UserError>;
    /// Puts off to `to_ms` what was claimed until `from_ms`, and was neither claimed nor asked for anew since.
    async fn put_off_reset_wake(
        &self,
        user: UserId,
        from_ms: u64,
        to_ms: u64,
    ) -> Result<(), UserError>;
    /// A user's password, by the user's name.
    async fn password(&self, username: &str) -> Result<Option<PasswordRecord>, UserError>;
    /// How many passwords were made with other secrets than these.
    async fn passwords_unlike(&self, seed: &str) -> Result<u64, UserError>;
    /// A user's vault, as it was stored.
    async fn vault(&self, user: UserId) -> Result<Option<Bytes>, UserError>;
    /// Adds a batch to its chain of the key backup, or puts it in the place of the last one.
    async fn put_batch(&self, user: UserId, batch: &Batch) -> Result<(), UserError>;
    /// Where the chains of a version of the key backup end, by device.
    async fn backup_heads(&self, user: UserId, version: u32) -> Result<Vec<ChainHead>, UserError>;
    /// Batches of a device's chain, descending from number `upto`, at most `limit`.
    async fn batches(
        &self,
        user: UserId,
        chain: (u32, DeviceId),
        upto: u64,
        limit: usize,
    ) -> Result<Vec<Bytes>, UserError>;
    /// Keeps a decision, unless a later one is kept, or one of the same time that blocks.
    async fn put_block(&self, user: UserId, block: &Block) -> Result<(), UserError>;
    /// Whom a user has blocked, ascending. On the hot path of every message: implementations cache it.
    async fn blocked(&self, user: UserId) -> Result<std::sync::Arc<[BlockTag]>, UserError>;
    /// Adds one-time prekeys, replaces the others. All or nothing.
    async fn put_prekeys(
        &self,
        user: UserId,
        device: DeviceId,
        keys: &[Prekey],
        replace: bool,
    ) -> Result<(), UserError>;
    /// What is left.
    async fn count_prekeys(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> Result<http::PrekeyCount, UserError>;
    /// When the device's SPK expires; `None` without one. Cached like lists: a message's targets depend on it.
    async fn spk_expiry(&self, user: UserId, device: DeviceId) -> Result<Option<u64>, UserError>;
    /// Takes a bundle: one-time keys oldest first, none twice. `None` for a device without an unexpired SPK.
    async fn claim(
        &self,
        user: UserId,
        device: DeviceId,
        now_ms: u64,
    ) -> Result<Option<http::Bundle>, UserError>;
    /// Sets where a device is woken; the device must be listed. What was set before is gone.
    async fn put_push(&self, user: UserId, target: &PushTarget) -> Result<(), UserError>;
    /// Where a user's devices are woken, those of them that said so.
    async fn push_targets(&self, user: UserId) -> Result<Vec<PushTarget>, UserError>;
    /// Removes where a device is woken: whatever it is, or only if it is still `only`.
    async fn remove_push(
        &self,
        user: UserId,
        device: DeviceId,
        only: Option<&PushTarget>,
    ) -> Result<(), UserError>;
    /// All devices that can be woken, ascending, after `after`.
    async fn push_devices(
        &self,
        after: Option<(UserId, DeviceId)>,
        limit: usize,
    ) -> Result<Vec<(UserId, DeviceId)>, UserError>;
    /// Whether it can be written to, for `/readyz`.
    async fn healthy(&self) -> Result<(), UserError>;
}
