//! Error codes: stable names for what can go wrong, each with whose fault it is and whether to try again.

use std::time::Duration;

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The other person's app sent something wrong.
    Peer,
    /// The one who made the call.
    Caller,
    /// Sordino: the relay, the SDK, or their operator.
    Us,
    /// What lies between.
    Network,
}

/// Whether it helps to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again.
    Never,
    /// At once, after doing what the code asks for.
    Now,
    /// Not before this much time has passed.
    After(Duration),
}

macro_rules! codes {
    ($($variant:ident = $name:literal, $status:literal, $blame:ident, $retry:expr, $meaning:literal;)*) => {
        /// A stable error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $(#[doc = $meaning] $variant,)* }

        impl Code {
            /// All codes, in the order of the glossary.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The code with this name. Names of later versions are unknown here.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// The HTTP status that goes with it.
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Whose fault it is.
            pub const fn blame(self) -> Blame {
                match self { $(Self::$variant => Blame::$blame,)* }
            }

            /// Whether to try again, where the answer itself says nothing more precise.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => $retry,)* }
            }

            /// What happened and what to do, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

const fn after_ms(ms: u64) -> Retry {
    Retry::After(Duration::from_millis(ms))
}

codes! {
    BadRequest = "bad_request", 400, Caller, Retry::Never, "A value in the call or request is not valid; the detail names it.";
    BadFrame = "bad_frame", 400, Caller, Retry::Never, "A WebSocket frame cannot be read; the connection is closed.";
    TooLarge = "too_large", 413, Caller, Retry::Never, "The body or frame is larger than the protocol allows.";
    UnsupportedVersion = "unsupported_version", 426, Caller, Retry::Never, "The relay does not speak this protocol version; update the app or the relay.";
    NotAuthenticated = "not_authenticated", 401, Caller, Retry::Now, "The access token is missing, forged or for another relay; log the device in again.";
    TokenExpired = "token_expired", 401, Caller, Retry::Now, "The access token has expired; get a new one and repeat the request.";
    BadProof = "bad_proof", 401, Caller, Retry::Never, "The signature is not by this device's key over this request.";
    ChallengeExpired = "challenge_expired", 401, Caller, Retry::Now, "The nonce is unknown, used or too old; ask for a new challenge.";
    WrongPassword = "wrong_password", 401, Caller, Retry::Never, "User name or password is wrong.";
    Forbidden = "forbidden", 403, Caller, Retry::Never, "This belongs to another user or device.";
    DeviceRevoked = "device_revoked", 403, Caller, Retry::Never, "The relay knows no such device: it was removed from its account and must be linked again, or this is another relay, or one that lost its data.";
    NotFound = "not_found", 404, Caller, Retry::Never, "There is no such resource.";
    UserNotFound = "user_not_found", 404, Caller, Retry::Never, "No user has this name or id.";
    AccountDeleted = "account_deleted", 410, Caller, Retry::Never, "This account was deleted, by its owner or by the relay's operator: it gets and sends nothing more.";
    AccountDisabled = "account_disabled", 403, Caller, Retry::Never, "The relay's operator has disabled this account: it gets and sends nothing until they enable it again. What others write to it waits.";
    UserDeleted = "user_deleted", 410, Peer, Retry::Never, "This person's account was deleted: nothing reaches them any more.";
    NameTaken = "name_taken", 409, Caller, Retry::Never, "Another user has this name; choose another.";
    EmailTaken = "email_taken", 409, Caller, Retry::Never, "Another account has this e-mail address; give another one, or none.";
    EmailNeeded = "email_needed", 403, Caller, Retry::Never, "Accounts of this relay have an e-mail address; give one.";
    UserExists = "user_exists", 409, Caller, Retry::Never, "This user id is registered already.";
    BadList = "bad_list", 422, Caller, Retry::Never, "The device list does not verify or does not follow from the one before it.";
    BadVault = "bad_vault", 422, Caller, Retry::Never, "The vault cannot be read, or is not the version that the device list names.";
    BackupClosed = "backup_closed", 409, Caller, Retry::Now, "This version of the key backup is not the one that the newest device list names; seal for that one.";
    BackupConflict = "backup_conflict", 409, Caller, Retry::Now, "The batch does not follow the last one of its device's chain; ask where the chain ends.";
    BackupMoved = "backup_moved", 409, Caller, Retry::Now, "A device added to the key backup meanwhile; ask where its chains end, and close it anew.";
    LinkEnded = "link_ended", 409, Caller, Retry::Never, "The link between the two devices is over: five minutes have passed, the relay was restarted, or another was begun; begin anew.";
    RegistrationClosed = "registration_closed", 403, Caller, Retry::Never, "This relay takes no new accounts; whoever has one may log in.";
    InviteNeeded = "invite_needed", 403, Caller, Retry::Never, "This relay takes new accounts by invite alone; ask its operator for one.";
    InviteRefused = "invite_refused", 403, Caller, Retry::Never, "The invite is unknown, used up or expired; ask for another.";
    ExternalTokenNeeded = "external_token_needed", 403, Caller, Retry::Never, "Accounts of this relay are made and entered by the app's own login; pass its token.";
    ExternalTokenRefused = "external_token_refused", 401, Caller, Retry::Now, "The token of the app's own login has expired, or is none that this relay takes; get a new one.";
    IssuerAway = "issuer_away", 503, Us, after_ms(10_000), "The relay cannot get the keys by which the app's own login is checked; try again. Devices that are logged in need none.";
    HasAccount = "has_account", 409, Caller, Retry::Never, "Whoever is logged in to the app has an account already: log in instead.";
    ListConflict = "list_conflict", 409, Caller, Retry::Now, "Another device changed the list first; fetch it, apply the change again.";
    BadPrekey = "bad_prekey", 422, Caller, Retry::Never, "A prekey is not signed by this device, has expired or repeats an id.";
    ListsChanged = "lists_changed", 409, Caller, Retry::Now, "The device lists moved on; encrypt again for the lists in the answer, same counter and id.";
    WrongTargets = "wrong_targets", 422, Caller, Retry::Now, "The wraps are not for exactly the devices that must be able to read the message.";
    BadHeader = "bad_header", 422, Caller, Retry::Never, "The header does not fit the sender, the recipient or the conversation.";
    CounterGap = "counter_gap", 409, Caller, Retry::Now, "An earlier counter of this conversation is missing; send again in order from it.";
    Busy = "busy", 503, Us, after_ms(500), "The relay takes in no more at the moment; try again after the stated time.";
    StorageFull = "storage_full", 507, Us, after_ms(30_000), "The relay's disk is full; what it accepted is safe, new messages must wait for its operator.";
    RateLimited = "rate_limited", 429, Caller, after_ms(1_000), "Too many requests; try again after the stated time.";
    ClaimQuota = "claim_quota", 429, Caller, after_ms(60_000), "Too many prekeys of this user were claimed by you; try again later.";
    Draining = "draining", 503, Us, after_ms(500), "The relay node is shutting down; connect again, another node answers.";
    Internal = "internal", 500, Us, after_ms(1_000), "The relay failed; its operator's log says why. Try again.";
    Timeout = "timeout", 408, Network, after_ms(1_000), "The request took too long to arrive or to be answered.";

    // Raised by the client itself.
    Unreachable = "unreachable", 0, Network, after_ms(1_000), "The relay cannot be reached; try again once there is a connection.";
    UntrustedRelay = "untrusted_relay", 0, Caller, after_ms(10_000), "The relay's certificate is none that this device trusts: check the address, or name the authority that signed it (authorities); or somebody stands in between.";
    NoRelay = "no_relay", 0, Caller, Retry::Never, "What answers at this address is no Sordino relay; check the address.";
    OtherRelay = "other_relay", 0, Caller, Retry::Never, "The relay bears another name than the one meant and gets neither account nor login; check its address, or set relay_name.";
    NotRegistered = "not_registered", 0, Caller, Retry::Never, "This store has no account yet; call register.";
    AlreadyRegistered = "already_registered", 0, Caller, Retry::Never, "This store has an account already; open another store for another account.";
    WeakPassword = "weak_password", 0, Caller, Retry::Never, "The password is too easy to guess; choose a longer one.";
    WrongRecoveryKey = "wrong_recovery_key", 0, Caller, Retry::Never, "This recovery key does not open the account's vault: a newer one has taken its place, it is another account's, or the relay changed the vault.";
    NoVault = "no_vault", 0, Caller, Retry::Never, "This cannot be opened so: the account has no vault, or none for this kind of secret.";
    KeysMissing = "keys_missing", 0, Caller, after_ms(10_000), "This device does not have the account's newest keys: its other devices send them once both are connected; or open the vault.";
    DeviceLimit = "device_limit", 0, Caller, Retry::Never, "The account has as many devices as it may have; remove one of them with the same call.";
    HistoryOwed = "history_owed", 0, Caller, Retry::Never, "A new device still waits for older messages from this one: removed now, they stay missing there. Wait, or remove it all the same.";
    StoreLocked = "store_locked", 0, Caller, after_ms(200), "The store is open already, in this program or another; close it there first.";
    StoreKeyLost = "store_key_lost", 0, Caller, Retry::Never, "The key that this store is encrypted with is gone, and no other was made: put it back from a copy. Without it nobody can read the store; log in with the recovery key in another directory.";
    StoreWrongKey = "store_wrong_key", 0, Caller, Retry::Never, "The store cannot be decrypted: the key is wrong or the file is not a Sordino store.";
    StoreDamaged = "store_damaged", 0, Us, Retry::Never, "The store file is damaged and cannot be opened; log in with the recovery key in another directory.";
    StoreFailed = "store_failed", 0, Us, after_ms(1_000), "The store cannot be written (disk full, permissions); nothing was changed.";
    StoreNewer = "store_newer", 0, Caller, Retry::Never, "The store was written by a later version of the app; update the app.";
    CipherMissing = "cipher_missing", 0, Us, Retry::Never, "This build has no SQLCipher: the store would not be encrypted, so it is not opened.";
    TextTooLong = "text_too_long", 0, Caller, Retry::Never, "A text has at most 16 KiB.";
    TextEmpty = "text_empty", 0, Caller, Retry::Never, "A text must not be empty.";
    UnknownMessage = "unknown_message", 0, Caller, Retry::Never, "This conversation has no such message.";
    MessageUnsettled = "message_unsettled", 0, Caller, after_ms(5_000), "Whether the relay has taken this message is not known yet; try again once connected.";
    BadReaction = "bad_reaction", 0, Caller, Retry::Never, "A reaction is one emoji or short word: at most 64 bytes, no spaces.";
    BadTimer = "bad_timer", 0, Caller, Retry::Never, "Messages last for a year at most, or for ever.";
    BadKeys = "bad_keys", 0, Peer, Retry::Never, "The device list or prekeys that the relay served for this user do not verify.";
    IdentityChanged = "identity_changed", 0, Peer, Retry::Never, "This person's identity key changed; accept it before you send.";
    NoDevices = "no_devices", 0, Peer, after_ms(60_000), "None of this person's devices can receive at the moment; the message waits.";
    RelayMisbehaved = "relay_misbehaved", 0, Us, Retry::Never, "The relay answered against the protocol.";
    TwoCopies = "two_copies", 0, Caller, Retry::Never, "Two copies of this store are in use, so nothing is sent; remove one and register the device anew.";
    Cancelled = "cancelled", 0, Caller, Retry::Never, "The message was cancelled by its author before it went out.";
    Stopped = "stopped", 0, Caller, Retry::Never, "The client is closed or suspended; open it again, or resume it.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.as_str()), Some(*code));
        }
        assert_eq!(Code::from_name("later"), None);
    }
}
