//! How accounts are made and entered, and how their owners are reached.

use serde::{Deserialize, Serialize};

use super::{Base64, Signed};
use crate::{DeviceId, UserId};

/// `POST /v1/users` → 201, [`super::User`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Unique, see [`crate::limits::is_username`].
    pub username: String,
    /// The first device list (version 1, one device); names the user id and the identity key.
    pub list: Signed,
    /// The vault that the list names, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<Base64>,
    /// What a new device logs in with, if it is a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<NewPassword>,
    /// The operator's invite, where the relay asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
    /// The token of the app's own login (a JWT), where the relay asks for one. A secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_token: Option<String>,
    /// Where the operator may reach the person, see [`OwnEmail`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// `GET` and `PUT /v1/users/{user}/email`, of oneself: where the operator may reach the person. One account has it, whatever the
/// case of its letters; nobody else learns it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnEmail {
    /// 3 to 254 bytes with one `@`, no spaces. `None`: there is none.
    pub email: Option<String>,
}

/// `POST /v1/passwords` → [`PasswordAnswer`]: the first step towards a [`NewPassword`] of OPAQUE (RFC 9807).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordRequest {
    /// Whose it will be. A name that is taken is answered only if a [`PasswordToken`] of its owner comes along, or, where the
    /// user has no password that the relay can check, the token of a device.
    pub username: String,
    /// OPAQUE's registration request.
    pub request: Base64,
}

/// What the relay adds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PasswordAnswer {
    /// OPAQUE's registration response.
    pub response: Base64,
    /// Names the relay's secrets that went into it.
    pub seed: String,
}

/// A password, as the relay keeps it: as secret as a password's hash.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// As in [`PasswordAnswer`].
    pub seed: String,
    /// OPAQUE's record.
    pub record: Base64,
}

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewPassword")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// `POST /v1/auth/password` → [`PasswordChallenge`]: a device that is on no list says who it will be. Answered for anyone: it does
/// not say who is registered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordLogin {
    /// Whose password.
    pub username: String,
    /// The device that asks.
    pub device: DeviceId,
    /// OPAQUE's KE1.
    pub request: Base64,
}

/// What the relay asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PasswordChallenge {
    /// 32 bytes, good once, within a minute.
    pub nonce: Base64,
    /// The relay's own note of this attempt, sealed: to be sent back as it is.
    pub attempt: Base64,
    /// OPAQUE's KE2.
    pub response: Base64,
    /// The relay's name, part of what a password is bound to. The client checks it against the one that it knows.
    pub relay: String,
}

/// `POST /v1/auth/password/finish` → [`PasswordToken`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordFinish {
    /// As in [`PasswordLogin`].
    pub username: String,
    /// As in [`PasswordLogin`].
    pub device: DeviceId,
    /// DSK of the device, 32 bytes: what it writes with the token it signs with this key.
    pub signing_key: Base64,
    /// As in [`PasswordChallenge`].
    pub nonce: Base64,
    /// As in [`PasswordChallenge`].
    pub attempt: Base64,
    /// OPAQUE's KE3.
    pub finalization: Base64,
    /// 32 bytes: binds the device and its key to the session that OPAQUE agreed on (docs/protocol.md, Passwords).
    pub confirmation: Base64,
}

/// A token of five minutes for whoever knew the password: it reads the user's lists and vault and stores the next list, and
/// nothing else; with that, or once another did, it ends.
#[derive(Clone, Serialize, Deserialize)]
pub struct PasswordToken {
    /// Who logged in.
    pub user: UserId,
    /// The token. A secret.
    pub access_token: String,
    /// Seconds until it expires.
    pub expires_in: u64,
}

/// `POST /v1/auth/external` → [`ExternalAccount`]: a device that is on no list says who it will be, and that its owner is logged in to
/// the app. Only where the relay asks for such tokens.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalLogin {
    /// The token of the app's own login (a JWT). A secret.
    pub external_token: String,
    /// The device that asks.
    pub device: DeviceId,
    /// DSK of the device, 32 bytes: what it writes with the token it signs with this key.
    pub signing_key: Base64,
}

/// Whose account it is, and a token as of a [`PasswordToken`].
#[derive(Clone, Serialize, Deserialize)]
pub struct ExternalAccount {
    /// Who logged in.
    pub user: UserId,
    /// Their name.
    pub username: String,
    /// The token. A secret.
    pub access_token: String,
    /// Seconds until it expires.
    pub expires_in: u64,
}

/// `GET /v1/users/{user}/vault` (own).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredVault {
    /// As it was put.
    pub vault: Base64,
}
