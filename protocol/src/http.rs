//! Bodies of the HTTP interface, JSON. Binary fields are base64 (standard alphabet, padded); ids are hex.

mod entry;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::entry::{
    ExternalAccount, ExternalLogin, NewPassword, OwnEmail, PasswordAnswer, PasswordChallenge,
    PasswordFinish, PasswordLogin, PasswordRequest, PasswordToken, Register, StoredVault,
};
use crate::{ConversationId, DeviceId, MessageId, UserId, pb};

/// Header that carries a device's proof of a write: base64 of nonce (32 bytes) ‖ signature (64 bytes), see
/// [`crate::signed::request_body`]. The nonce comes from `POST /v1/auth/challenge`.
pub const PROOF_HEADER: &str = "sordino-proof";

/// Bytes that travel as base64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base64(pub Bytes);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        let bytes = BASE64_STANDARD
            .decode(text.as_bytes())
            .map_err(serde::de::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

impl From<Vec<u8>> for Base64 {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// A signed object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The signed bytes.
    pub body: Base64,
    /// 64 bytes, Ed25519.
    pub signature: Base64,
}

impl From<pb::Signed> for Signed {
    fn from(signed: pb::Signed) -> Self {
        Self {
            body: Base64(signed.body),
            signature: Base64(signed.signature),
        }
    }
}

impl From<Signed> for pb::Signed {
    fn from(signed: Signed) -> Self {
        Self {
            body: signed.body.0,
            signature: signed.signature.0,
        }
    }
}

/// Any answer that is not 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A name of [`crate::Code`].
    pub code: String,
    /// What happened and what to do, for a person.
    pub detail: String,
    /// Milliseconds to wait before trying again, where waiting helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// A user, as others may see them. `GET /v1/users/by-name/{username}`, `GET /v1/users/{user}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Their id.
    pub user: UserId,
    /// Their name.
    pub username: String,
}

/// `POST /v1/auth/challenge` → [`Challenge`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// Who will answer.
    pub user: UserId,
    /// With which device.
    pub device: DeviceId,
}

/// A nonce to sign, once, within a minute: for `POST /v1/auth/token` or for one [`PROOF_HEADER`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Challenge {
    /// 32 bytes.
    pub nonce: Base64,
    /// The relay's name, part of what is signed. The client checks it against the one that it knows.
    pub relay: String,
}

/// `POST /v1/auth/token` → [`Token`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Who answers.
    pub user: UserId,
    /// With which device.
    pub device: DeviceId,
    /// The nonce of the challenge.
    pub nonce: Base64,
    /// By DSK over [`crate::signed::auth_body`].
    pub signature: Base64,
}

/// An access token: JWT, EdDSA, ten minutes. Keys at `GET /.well-known/jwks.json`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Token {
    /// The token. A secret.
    pub access_token: String,
    /// Seconds until it expires.
    pub expires_in: u64,
}

/// Versions of a user's device list: `GET /v1/users/{user}/lists?from=V&limit=N`, ascending. Without `from`: the newest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lists {
    /// Signed lists.
    pub lists: Vec<Signed>,
    /// The newest version.
    pub newest: u32,
    /// The account was deleted: these are what it leaves to be checked by, and none follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// `POST /v1/users/{user}/deletion` → 204: ends the account for ever. The same again, or with any signature once it is done, changes nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deletion {
    /// For which device the challenge was made: any.
    pub device: DeviceId,
    /// The nonce of the challenge.
    pub nonce: Base64,
    /// By UIK over [`crate::signed::deletion_body`].
    pub signature: Base64,
}

/// `POST /v1/users/{user}/reset` (proof, with the token of a password or of the app's own login) → [`Reset`]: another identity key is wanted.
/// Asked again the answer is the same. `DELETE` (proof, by a listed device) → 204: it is not.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskReset {
    /// DSK of the device that the token names, which signs this.
    pub signing_key: Base64,
}

/// From when on a list with another identity key is taken of who has nothing but a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// By the relay's clock, in Unix milliseconds. Seven days from then on.
    pub ready_ms: u64,
    /// What that clock shows.
    pub now_ms: u64,
}

/// `PUT /v1/users/{user}/list` (proof) → 204. Compare-and-set: the list names the version it replaces.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutList {
    /// Version + 1.
    pub list: Signed,
    /// The next version of the vault, if the list names it. Stored with the list, or neither is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<Base64>,
    /// Where the chains of the key backup end, if the list names another version of it than the one before: that version is
    /// closed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_backup: Option<Vec<BackupHead>>,
    /// Another password; only with a [`PasswordToken`], or where the user has none that the relay can check. Stored with the
    /// list, or neither is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<NewPassword>,
}

/// Where a device's chain in a version of the key backup ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupHead {
    /// Whose chain.
    pub device: DeviceId,
    /// The number of its last batch.
    pub number: u64,
    /// [`crate::batch::batch_hash`] of it, 32 bytes.
    pub hash: Base64,
}

/// `GET /v1/users/{user}/backups/{version}` (own): where the chains end, by device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BackupHeads {
    /// One for each device that has added something.
    pub heads: Vec<BackupHead>,
}

/// `PUT /v1/users/{user}/devices/{device}/backups/{version}` → 204. Adds the next batch to the device's chain, or puts it in the
/// place of the last one. The same again changes nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutBatch {
    /// The batch.
    pub batch: Base64,
}

/// `GET /v1/users/{user}/backups/{version}/{device}?upto=N` (own): batches of a chain, descending from number N, not all of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Batches {
    /// As they were put.
    pub batches: Vec<Base64>,
}

/// `GET /v1/users/{user}/links/{channel}/{side}/{number}` (own): a message of the pipe over which a device on the account (`old`) links
/// another (`new`, with a [`PasswordToken`]), if it is there yet. `PUT` of the writer's own side → 204.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkMessage {
    /// At most [`crate::limits::LINK_MESSAGE_BYTES`].
    #[serde(default)]
    pub message: Option<Base64>,
}

/// `PUT /v1/users/{user}/devices/{device}/prekeys` (proof) → [`PrekeyCount`]. Adds one-time keys, replaces the others.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutPrekeys {
    /// SPK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// PQLR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pq_last_resort: Option<Signed>,
    /// OPKs.
    #[serde(default)]
    pub one_time: Vec<Signed>,
    /// PQOPKs.
    #[serde(default)]
    pub pq_one_time: Vec<Signed>,
    /// Forget every one-time prekey stored before (after a rollback of the store).
    #[serde(default)]
    pub replace: bool,
}

/// Who wakes a device that sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushProvider {
    /// Firebase Cloud Messaging.
    Fcm,
    /// Apple Push Notification service.
    Apns,
    /// Web Push (RFC 8030).
    WebPush,
}

impl PushProvider {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fcm, Self::Apns, Self::WebPush];

    /// Its name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fcm => "fcm",
            Self::Apns => "apns",
            Self::WebPush => "webpush",
        }
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// `PUT /v1/users/{user}/devices/{device}/push` (proof): where the device is woken. Takes the place of what was set before;
/// `DELETE` (proof, no body) removes it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutPush {
    /// Whose token it is.
    pub provider: PushProvider,
    /// What the app got from the provider.
    pub token: String,
}

/// `PUT /v1/users/{user}/blocks/{other}`: whether the user hears of what `other` sends, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutBlock {
    /// They do not.
    pub blocked: bool,
    /// When it was decided, by the clock of the device on which it was; from 1, below 2^62. The later one counts, of one millisecond
    /// that which blocks, whichever device says it first.
    pub decided_ms: u64,
}

/// `GET /v1/users/{user}/devices/{device}/prekeys`: what is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrekeyCount {
    /// OPKs left.
    pub one_time: u32,
    /// PQOPKs left.
    pub pq_one_time: u32,
    /// Id of the SPK, 0 if there is none.
    pub signed_id: u32,
    /// Id of the PQLR, 0 if there is none.
    pub pq_last_resort_id: u32,
}

/// `POST /v1/users/{user}/prekeys/claim` → [`Claimed`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Devices of the user, at most ten.
    pub devices: Vec<DeviceId>,
}

/// What is needed to set up a session with each device that was asked for and is listed and not dormant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claimed {
    /// The user's newest list, so that keys and list belong together.
    pub list: Signed,
    /// One per device.
    pub bundles: Vec<Bundle>,
}

/// Prekeys of one device. One-time keys in it are gone from the relay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bundle {
    /// The device.
    pub device: DeviceId,
    /// SPK.
    pub signed: Signed,
    /// An OPK, if one was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_time: Option<Signed>,
    /// A PQOPK, or the PQLR where none was left.
    pub pq: Signed,
    /// Whether `pq` is one-time.
    pub pq_one_time: bool,
}

/// `GET /v1/conversations/{conversation}/messages?before=SEQ&limit=N` → rows before `before` (or the newest), descending.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistoryPage {
    /// Rows, newest first.
    pub rows: Vec<HistoryRow>,
    /// The conversation's last seq.
    pub last_seq: u64,
}

/// A row of history, as the device that asks may read it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Its place.
    pub seq: u64,
    /// Snowflake, as text: JavaScript's numbers end at 2^53.
    #[serde(with = "as_text")]
    pub message_id: MessageId,
    /// Hd.
    pub header: Base64,
    /// SHA-256 of the content.
    pub content_hash: Base64,
    /// C, unless erased or expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Base64>,
    /// The wrap for the asking device, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrap: Option<Base64>,
}

/// `GET /v1/conversations?after=ID` → the user's conversations, ascending by id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConversationPage {
    /// Marks of the asking device.
    pub conversations: Vec<ConversationMark>,
    /// There are more after the last one.
    pub more: bool,
}

/// One conversation of the asking user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConversationMark {
    /// The conversation.
    pub conversation: ConversationId,
    /// The other person.
    pub peer: UserId,
    /// Its last seq.
    pub last_seq: u64,
    /// The highest seq that one of the peer's devices acknowledged.
    pub peer_acked: u64,
    /// The highest seq that the asking device acknowledged.
    pub own_acked: u64,
}

mod as_text {
    use super::{Deserialize, Deserializer, MessageId, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &MessageId, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<MessageId, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse()
            .map(MessageId)
            .map_err(serde::de::Error::custom)
    }
}
