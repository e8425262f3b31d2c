//! What an operator does with accounts from the command line, whether the relay runs or not.

use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};

use sordino_protocol::http::User;

use crate::{
    auth::invite::{InviteCode, invite_hash},
    config::Config,
    relay::{StartError, lock, now_ms},
    stores,
    user::{Email, Invite, Listed, UserError, Users},
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
    #[error(
        "this is no invite: it has eight groups of four letters and digits; the name of one, as `invites` lists it, 16 hexadecimal digits"
    )]
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

/// Takes an invite back, itself or by its name in the list. Whether it could still be used.
///
/// # Errors
/// It is none; or as [`invite`].
pub async fn revoke_invite(config: &Config, typed: &str) -> Result<bool, AccountsError> {
    let (typed, named) = (invite_hash(typed), invite_named(typed));
    if typed.is_none() && named.is_none() {
        return Err(AccountsError::NoInvite);
    }
    let accounts = Accounts::open(config).await?;
    let users = &accounts.users;
    let hash = match (typed, named) {
        (Some(hash), _) => Some(hash),
        (None, Some(name)) => {
            let next = users.invites_after(&name, 1, now_ms()).await?;
            let hash = next.first().map(|invite| invite.hash);
            hash.filter(|hash| hash.starts_with(&name))
        }
        (None, None) => None,
    };
    match hash {
        Some(hash) => Ok(users.remove_invite(&hash, now_ms()).await?),
        None => Ok(false),
    }
}

/// Bytes of an invite's hash by which the operator knows it: the invite itself is not kept.
const INVITE_NAME: usize = 8;

/// An invite that still makes accounts, as the operator's list has it.
pub struct ListedInvite {
    /// Its name: who has that can take it back, and make no account with it.
    pub name: String,
    /// How many accounts it still makes.
    pub uses: u32,
    /// For how long.
    pub left: Duration,
}

fn invite_named(typed: &str) -> Option<[u8; INVITE_NAME]> {
    let mut name = [0; INVITE_NAME];
    hex::decode_to_slice(typed, &mut name).ok()?;
    Some(name)
}

/// Invites that still make accounts, in the order of their names after `after`, at most so many; and whether there are more.
///
/// # Errors
/// `after` is no name of an invite; or as [`invite`].
pub async fn invites(
    config: &Config,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<ListedInvite>, bool), AccountsError> {
    // Behind whichever bears this name.
    let after = match after {
        Some(after) => {
            let name = invite_named(after).ok_or(AccountsError::NoInvite)?;
            [&name[..], &[0xff; 32 - INVITE_NAME]].concat()
        }
        None => Vec::new(),
    };
    let (accounts, now_ms) = (Accounts::open(config).await?, now_ms());
    let found = accounts
        .users
        .invites_after(&after, limit.saturating_add(1), now_ms)
        .await?;
    let listed = |invite: &Invite| ListedInvite {
        name: hex::encode(invite.hash.get(..INVITE_NAME).unwrap_or_default()),
        uses: invite.uses,
        left: Duration::from_millis(invite.expires_ms.saturating_sub(now_ms)),
    };
    let shown = found.iter().take(limit).map(listed).collect();
    Ok((shown, found.len() > limit))
}

/// Users by name after `after`, at most so many; and whether there are more.
///
/// # Errors
/// As [`invite`].
pub async fn users(
    config: &Config,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Listed>, bool), AccountsError> {
    let accounts = Accounts::open(config).await?;
    let after = after.unwrap_or_default();
    let found = accounts.users.named_after(after, limit.saturating_add(1));
    let mut found = found.await?;
    let more = found.len() > limit;
    found.truncate(limit);
    Ok((found, more))
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
