//! The account's vault, opened: by a device that joins, or by one of the account's that changes what it holds.

use prost::Message;
use sordino_crypto::{
    Secret,
    backup::BackupSealer,
    keys::{IdentityKey, ListSigningKey},
    lists::Change,
    recovery::RecoveryKey,
    vault::{
        BackupHead, BackupKeys, Contents, OpenError, Opener, OpenerKind, OpenerSecret, VaultId,
    },
};
use sordino_protocol::{Code, http, list::DeviceList, pb};

use crate::{
    error::Error,
    machine::refused,
    net::calls::ChainEnd,
    store::{SharedKeys, VaultOpeners},
};

/// A vault with the list that it belongs to.
pub(crate) struct OpenVault {
    list: DeviceList,
    pub(super) contents: Contents,
}

/// What follows a list and its vault.
pub(crate) struct Renewed {
    pub(crate) list: DeviceList,
    pub(crate) vault: http::Base64,
    /// What every device keeps from then on.
    pub(crate) shared: SharedKeys,
    /// Where the key backup ends that the list leaves behind, if it does.
    pub(crate) closes_backup: Option<Vec<http::BackupHead>>,
    /// What opens the key backup, all of it.
    pub(crate) backup_keys: Vec<BackupKeys>,
    /// What opens the vault.
    pub(crate) openers: VaultOpeners,
}

/// What becomes of the key backup with the next list.
pub(crate) enum Backup {
    /// It goes on.
    GoesOn,
    /// A new version begins: whoever has learnt the keys of this one adds nothing more. It ends there.
    Closes(Vec<ChainEnd>),
}

/// Whether a vault is opened by a secret of this kind.
pub(super) fn is_opened_by(vault: &pb::Vault, kind: OpenerKind) -> bool {
    vault.wrapped_keys.iter().any(|key| key.kind == kind as u32)
}

impl OpenVault {
    /// Of an account that begins anew, after this list: nothing that was in the vault before is in it. It is opened by this recovery key
    /// and, where there is one, by what a password yields.
    pub(crate) fn anew(
        list: &DeviceList,
        recovery_key: &RecoveryKey,
        export_key: Option<&Secret<64>>,
    ) -> Self {
        let user = list.user;
        let recovery = OpenerSecret::recovery_key(recovery_key, user).opener();
        let password = export_key.map(|key| OpenerSecret::password(key, user).opener());
        Self {
            list: list.clone(),
            contents: Contents {
                identity_key: IdentityKey::generate(&mut rand::rng()),
                list_signing_key: ListSigningKey::generate(&mut rand::rng()),
                list_signing_version: list.lsk_version,
                openers: [recovery].into_iter().chain(password).collect(),
                backup_keys: Vec::new(),
            },
        }
    }

    /// UIK, the public one.
    pub(crate) fn identity_key(&self) -> [u8; 32] {
        self.contents.identity_key.public()
    }

    /// Opens the vault that belongs to a list.
    pub(crate) fn open(
        list: &DeviceList,
        vault: &pb::Vault,
        secret: &OpenerSecret,
    ) -> Result<Self, Error> {
        let contents = secret.open(id(list, list.vault_version), vault);
        let contents = contents.map_err(|error| match error {
            OpenError::NotFor(_) => Error::new(Code::NoVault, error.to_string()),
            OpenError::Secret(OpenerKind::RecoveryKey) => Error::new(Code::WrongRecoveryKey, ""),
            // The password was right: the relay gives another vault than the one that was written with it.
            OpenError::Secret(OpenerKind::Password) | OpenError::Changed | OpenError::Malformed => {
                Error::new(Code::RelayMisbehaved, error.to_string())
            }
        })?;
        let vault = Self {
            list: list.clone(),
            contents,
        };
        // What the vault holds must be what the list names; both are of the relay's choice.
        let backup = vault.sealer().map(|sealer| sealer.listed());
        let held = vault.contents.list_signing_key.public();
        let held = (held, vault.contents.list_signing_version, backup);
        if held != (list.lsk, list.lsk_version, list.backup) {
            let detail = "its vault and its device list do not belong together";
            return Err(Error::new(Code::RelayMisbehaved, detail));
        }
        Ok(vault)
    }

    /// What seals the newest version of the backup.
    fn sealer(&self) -> Option<BackupSealer> {
        let newest = self.contents.backup_keys.iter();
        let newest = newest.max_by_key(|keys| keys.version);
        newest.map(|keys| keys.sealer(self.list.user))
    }

    /// The next list, after `change`, and its vault. Whoever has learnt the list-signing key of before signs no further one.
    pub(crate) fn renew(
        mut self,
        now_ms: u64,
        backup: Backup,
        change: impl for<'a> FnOnce(Change<'a>) -> Result<Change<'a>, Error>,
    ) -> Result<Renewed, Error> {
        self.contents.list_signing_key = ListSigningKey::generate(&mut rand::rng());
        self.contents.list_signing_version = self.contents.list_signing_version.saturating_add(1);
        let closes_backup = match (backup, self.list.backup) {
            (Backup::Closes(heads), Some(_)) => {
                self.close_backup(&heads);
                Some(heads.iter().copied().map(ChainEnd::to_http).collect())
            }
            _ => None,
        };
        let sealer = self.sealer();
        let openers = self.openers();
        let version = self.list.vault_version.saturating_add(1);
        let backup_version = sealer.as_ref().map_or(0, BackupSealer::version);
        let identity_key = self.identity_key();
        let id = VaultId {
            backup_version,
            identity_key: &identity_key,
            ..id(&self.list, version)
        };
        let written = id.write(&mut rand::rng(), &self.contents);
        let written = written.map_err(|error| Error::new(Code::Internal, error.to_string()))?;
        let mut next = change(Change::of(&self.list, now_ms).map_err(refused)?)?;
        if let (Some(_), Some(sealer)) = (&closes_backup, &sealer) {
            next = next.backup(sealer.listed());
        }
        let list = next
            .renew_lsk(&self.contents.identity_key, &self.contents.list_signing_key)
            .map_err(refused)?
            .vault(version)
            .sign(&self.contents.list_signing_key)
            .map_err(refused)?;
        Ok(Renewed {
            list,
            vault: written.encode_to_vec().into(),
            shared: SharedKeys {
                list_signing_key: self.contents.list_signing_key,
                backup: sealer,
            },
            closes_backup,
            openers,
            backup_keys: self.contents.backup_keys,
        })
    }

    fn openers(&self) -> VaultOpeners {
        let of = |kind| {
            let mut openers = self.contents.openers.iter();
            openers.find(|opener| opener.kind() == kind)
        };
        VaultOpeners {
            by_password: of(OpenerKind::Password).is_some(),
            recovery: of(OpenerKind::RecoveryKey).map_or([0; 32], Opener::fingerprint),
        }
    }

    /// The newest version ends at these heads, and another begins.
    fn close_backup(&mut self, heads: &[ChainEnd]) {
        let keys = &mut self.contents.backup_keys;
        // Of an account that begins anew nobody reads the one before.
        if let Some(newest) = keys.iter_mut().max_by_key(|keys| keys.version) {
            let heads = heads.iter().map(|end| BackupHead {
                device: end.device,
                number: end.head.number,
                hash: end.head.hash,
            });
            newest.closed = heads.collect();
        }
        let before = self.list.backup.map_or(0, |backup| backup.version);
        let version = before.saturating_add(1);
        keys.push(BackupKeys {
            version,
            backup_key: Secret::random(&mut rand::rng()),
            shared_key: Secret::random(&mut rand::rng()),
            closed: Vec::new(),
        });
    }
}

fn id(list: &DeviceList, version: u32) -> VaultId<'_> {
    VaultId {
        user: list.user,
        identity_key: &list.identity_key,
        version,
        backup_version: list.backup.map_or(0, |backup| backup.version),
    }
}
