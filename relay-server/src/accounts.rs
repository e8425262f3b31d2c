//! What an operator does with accounts from the command line, whether the relay runs or not.

use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};

use sordino_protocol::http::User;

use crate::{
    auth::invite::{InviteCode, invite_hash},
    config::Config,
    relay::{StartError, lock, now_ms},
    stores,
    user::{Email, Invite, UserError, Users},
};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// There is no relay's data.
    #[error("there are no accounts in {}: name the relay's data directory or its configuration, or run `serve` or `migrate` first", .0.display())]
    Absent(PathBuf),
    /// A relay runs.
    #[error("a relay runs on {}, and would not hear of it: stop it first", .0.display())]
    Running(PathBuf),
    /// No such user.
    #[error("nobody has this name")]
    Nobody,
    /// No such address.
    #[error("nobody has this address")]
    NoAddress,
    /// It does not look like an invite.
    #[error("this is no invite: it has eight groups of four letters and digits")]
    NoInvite,
    /// The data directory.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The stores.
    #[error(transparent)]
    Stores(#[from] stores::OpenError),
    /// The accounts.
    #[error(transparent)]
    Users(#[from] UserError),
}

/// The accounts that the configuration names.
struct Accounts {
    users: Arc<dyn Users>,
    /// Of a relay that does not run: none may start meanwhile.
    lock: Option<File>,
}

impl Accounts {
    async fn open(config: &Config) -> Result<Self, AccountsError> {
        if config.has_postgres() {
            let users = stores::users(config, false).await?;
            return Ok(Self { users, lock: None });
        }
        let data = &config.store.data;
        if !stores::users_file(data).exists() {
            return Err(AccountsError::Absent(data.clone()));
        }
        let lock = match lock(data) {
            Ok(lock) => Some(lock),
            Err(StartError::Locked(_)) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            users: stores::users(config, lock.is_none()).await?,
            lock,
        })
    }

    async fn named(&self, username: &str) -> Result<User, AccountsError> {
        let user = self.users.by_name(username).await?;
        user.ok_or(AccountsError::Nobody)
    }
}

/// Makes an invite for so many accounts, which holds for so long.
///
/// # Errors
/// The accounts cannot be opened, or written to.
pub async fn invite(
    config: &Config,
    uses: u32,
    valid: Duration,
) -> Result<InviteCode, AccountsError> {
    let accounts = Accounts::open(config).await?;
    let (code, now_ms) = (InviteCode::draw(), now_ms());
    let valid = u64::try_from(valid.as_millis()).unwrap_or(u64::MAX);
    let invite = Invite {
        hash: code.hash(),
        uses,
        expires_ms: now_ms.saturating_add(valid),
    };
    accounts.users.put_invite(&invite, now_ms).await?;
    Ok(code)
}

/// Takes an invite back. Whether it could still be used.
///
/// # Errors
/// It is none; or as [`invite`].
pub async fn revoke_invite(config: &Config, typed: &str) -> Result<bool, AccountsError> {
    let hash = invite_hash(typed).ok_or(AccountsError::NoInvite)?;
    let accounts = Accounts::open(config).await?;
    Ok(accounts.users.remove_invite(&hash, now_ms()).await?)
}

/// Deletes an account for ever, as its owner could.
///
/// # Errors
/// There is no such user; a relay runs on the data directory; or as [`invite`].
pub async fn delete_user(config: &Config, username: &str) -> Result<(), AccountsError> {
    let accounts = Accounts::open(config).await?;
    // Nodes hear of it from PostgreSQL.
    if !config.has_postgres() && accounts.lock.is_none() {
        return Err(AccountsError::Running(config.store.data.clone()));
    }
    let user = accounts.named(username).await?.user;
    Ok(accounts.users.delete(user, now_ms()).await?)
}

/// Disables an account, or enables it. A relay that runs notices within seconds.
///
/// # Errors
/// There is no such user; or as [`invite`].
pub async fn set_disabled(
    config: &Config,
    username: &str,
    disabled: bool,
) -> Result<(), AccountsError> {
    let accounts = Accounts::open(config).await?;
    let user = accounts.named(username).await?.user;
    let set = accounts.users.set_disabled(user, disabled, now_ms());
    Ok(set.await?)
}

/// Name and e-mail address of an account, by either; takes the address off it, if it shall be `cleared`.
///
/// # Errors
/// There is no such user, or nobody has the address; or as [`invite`].
pub async fn email(
    config: &Config,
    who: &str,
    cleared: bool,
) -> Result<(String, Option<String>), AccountsError> {
    let accounts = Accounts::open(config).await?;
    let user = match Email::parse(who) {
        Some(email) => {
            let user = accounts.users.by_email(&email).await?;
            user.ok_or(AccountsError::NoAddress)?
        }
        None => accounts.named(who).await?,
    };
    let email = accounts.users.email(user.user).await?;
    if cleared {
        accounts.users.put_email(user.user, None).await?;
    }
    Ok((user.username, email))
}
