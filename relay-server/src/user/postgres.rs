//! The store of users for several nodes: PostgreSQL.
//!
//! Every transaction locks in one order, so that none waits in a circle: the user's row (who writes lists), then the invite or the
//! subject by which it is made, then the e-mail address, then the device's
//! row (writers of prekeys alone, claims together), then prekeys. Claims skip the prekeys that another claim holds.
//!
//! What is read for every message is cached on each node. A transaction that changes it notifies all nodes with its commit
//! (`listener`). Needs a session of its own for that: a pooler in front must not share connections between transactions.

mod admission;
mod attempt;
mod backups;
mod blocks;
mod cached;
mod connect;
mod credentials;
mod deletion;
mod disabled;
mod emails;
mod listener;
mod lists;
mod prekeys;
mod push;
mod resets;
mod schema;
#[cfg(test)]
mod tests;
pub(crate) mod whole;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use sordino_protocol::{
    DeviceId, UserId,
    hash::Hash,
    http,
    list::{self, DeviceList},
    pb,
};
use sqlx::{Connection, PgPool, Row, postgres::PgRow};
use tokio_util::task::AbortOnDropHandle;

pub use self::connect::{ConnectError, Options};
use self::{
    attempt::retrying,
    cached::Cached,
    connect::{NO_ANSWER, address, dial, pool},
};
use super::{
    Batch, Block, BlockTag, ChainHead, Credentials, Email, Invite, Listed, PasswordRecord, Prekey,
    PushTarget, UserError, Users, rows, verify::verify,
};
use crate::config::Secret;

/// Users in PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct PostgresUsers {
    inner: Arc<Inner>,
}

struct Inner {
    pool: PgPool,
    cached: Arc<Cached>,
    listener: AbortOnDropHandle<()>,
    timeout: Duration,
}

impl PostgresUsers {
    /// Connects, and refuses tables of another version than this relay's.
    pub async fn connect(url: &Secret, options: &Options) -> Result<Self, ConnectError> {
        let ms = options.timeout.as_millis();
        let connect = address(url)?.options([
            ("statement_timeout", ms.to_string()),
            ("lock_timeout", ms.to_string()),
            ("idle_in_transaction_session_timeout", ms.to_string()),
            // A statement after a lock must see what the holder before committed.
            ("default_transaction_isolation", "read committed".to_owned()),
        ]);
        // By hand, for the pool would try until its time is over and then not say why.
        let mut first = dial(&connect, options.acquire_timeout).await?;
        tokio::time::timeout(options.timeout, schema::check(&mut first))
            .await
            .map_err(|_| ConnectError::Unreachable(NO_ANSWER.to_owned()))??;
        // Of all nodes that of the later version which starts last finds all of it.
        match tokio::time::timeout(options.timeout, deletion::finish(&mut first)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "what is left of deleted users was not forgotten")
            }
            Err(_) => {
                tracing::warn!("what is left of deleted users was not forgotten: {NO_ANSWER}")
            }
        }
        // Only a courtesy to the server.
        drop(tokio::time::timeout(options.acquire_timeout, first.close()).await);

        let cached = Arc::new(Cached::new(options.cache_age));
        let listener = tokio::spawn(listener::run(cached.clone(), connect.clone()));
        Ok(Self {
            inner: Arc::new(Inner {
                pool: pool(options, connect),
                cached,
                listener: AbortOnDropHandle::new(listener),
                timeout: options.timeout,
            }),
        })
    }

    /// Brings the tables up to date, or creates them. Nothing to do is no error.
    pub async fn migrate(url: &Secret) -> Result<(), ConnectError> {
        let connect = address(url)?;
        let mut connection = dial(&connect, Options::default().timeout).await?;
        // As long as it takes: large tables are rewritten in their own time.
        schema::migrate(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Waits for operations under way and closes the connections.
    pub async fn close(&self) {
        self.inner.listener.abort();
        self.inner.cached.stop();
        // A connection that hangs is closed by the end of the process.
        drop(tokio::time::timeout(self.inner.timeout, self.inner.pool.close()).await);
    }

    /// Bounds an operation. The database bounds each statement too, if it still answers.
    async fn within<T>(
        &self,
        operation: impl Future<Output = Result<T, UserError>>,
    ) -> Result<T, UserError> {
        tokio::time::timeout(self.inner.timeout, operation)
            .await
            .unwrap_or_else(|_| Err(UserError::Failed(NO_ANSWER.to_owned())))
    }
}

#[async_trait]
impl Users for PostgresUsers {
    async fn create(
        &self,
        username: &str,
        list: &DeviceList,
        with: &Credentials,
    ) -> Result<(), UserError> {
        let pool = &self.inner.pool;
        self.within(retrying(|| lists::create(pool, username, list, with)))
            .await
    }

    async fn delete(&self, user: UserId, now_ms: u64) -> Result<(), UserError> {
        let pool = &self.inner.pool;
        self.within(retrying(|| deletion::delete(pool, user, now_ms)))
            .await?;
        self.inner.cached.forget(user);
        Ok(())
    }

    async fn deleted(&self, user: UserId) -> Result<Option<u32>, UserError> {
        self.within(deletion::deleted(&self.inner.pool, user)).await
    }

    async fn set_disabled(
        &self,
        user: UserId,
        disabled: bool,
        now_ms: u64,
    ) -> Result<(), UserError> {
        let pool = &self.inner.pool;
        self.within(retrying(|| disabled::set(pool, user, disabled, now_ms)))
            .await
    }

    async fn disabled(&self) -> Result<Vec<UserId>, UserError> {
        self.within(disabled::all(&self.inner.pool)).await
    }

    async fn email(&self, user: UserId) -> Result<Option<String>, UserError> {
        self.within(emails::of(&self.inner.pool, user)).await
    }

    async fn put_email(&self, user: UserId, email: Option<&Email>) -> Result<(), UserError> {
        let pool = &self.inner.pool;
        self.within(retrying(|| emails::put(pool, user, email)))
            .await
    }

    async fn by_email(&self, email: &Email) -> Result<Option<http::User>, UserError> {
        self.within(emails::whose(&self.inner.pool, email)).await
    }

    async fn put_invite(&self, invite: &Invite, now_ms: u64) -> Result<(), UserError> {
        self.within(admission::put_invite(&self.inner.pool, invite, now_ms))
            .await
    }

    async fn remove_invite(&self, hash: &Hash, now_ms: u64) -> Result<bool, UserError> {
        self.within(admission::remove_invite(&self.inner.pool, hash, now_ms))
            .await
    }

    async fn by_subject(&self, hash: &Hash) -> Result<Option<http::User>, UserError> {
        self.within(admission::by_subject(&self.inner.pool, hash))
            .await
    }

    async fn has_subject(&self, user: UserId) -> Result<bool, UserError> {
        self.within(admission::has_subject(&self.inner.pool, user))
            .await
    }

    async fn named_after(&self, after: &str, limit: usize) -> Result<Vec<Listed>, UserError> {
        let rows = sqlx::query(
            "SELECT users.user_id, username, d.user_id IS NOT NULL AS disabled \
             FROM users LEFT JOIN disabled_users d ON d.user_id = users.user_id \
             WHERE username > $1 AND deleted_ms IS NULL ORDER BY username LIMIT $2",
        )
        .bind(after)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.inner.pool);
        let found = self.within(async { Ok(rows.await?) }).await?;
        let listed = |row: PgRow| {
            let disabled = row.try_get("disabled")?;
            let user = user(row)?;
            Ok(Listed { user, disabled })
        };
        found.into_iter().map(listed).collect()
    }

    async fn invites_after(
        &self,
        after: &[u8],
        limit: usize,
        now_ms: u64,
    ) -> Result<Vec<Invite>, UserError> {
        let found = admission::invites_after(&self.inner.pool, after, limit, now_ms);
        self.within(found).await
    }

    async fn by_name(&self, username: &str) -> Result<Option<http::User>, UserError> {
        // PostgreSQL has no such text, and calls it an error.
        if username.contains('\0') {
            return Ok(None);
        }
        let row = sqlx::query(
            "SELECT user_id, username FROM users WHERE username = $1 AND deleted_ms IS NULL",
        )
        .bind(username)
        .fetch_optional(&self.inner.pool);
        self.within(async { row.await?.map(user).transpose() })
            .await
    }

    async fn by_id(&self, id: UserId) -> Result<Option<http::User>, UserError> {
        let row = sqlx::query(
            "SELECT user_id, username FROM users WHERE user_id = $1 AND deleted_ms IS NULL",
        )
        .bind(id.as_bytes().as_slice())
        .fetch_optional(&self.inner.pool);
        self.within(async { row.await?.map(user).transpose() })
            .await
    }

    async fn newest_list(&self, user: UserId) -> Result<Option<Arc<DeviceList>>, UserError> {
        let ticket = match self.inner.cached.list(user) {
            Ok(list) => return Ok(Some(list)),
            Err(ticket) => ticket,
        };
        let Some(signed) = self.within(lists::newest(&self.inner.pool, user)).await? else {
            return Ok(None);
        };
        let list = Arc::new(list::parse(&signed, verify).map_err(rows::damaged)?);
        self.inner.cached.keep_list(ticket, user, list.clone());
        Ok(Some(list))
    }

    async fn lists(
        &self,
        user: UserId,
        from: u32,
        limit: usize,
    ) -> Result<Vec<pb::Signed>, UserError> {
        self.within(lists::from(&self.inner.pool, user, from, limit))
            .await
    }

    async fn ask_reset(
        &self,
        user: UserId,
        ready_ms: u64,
        stale_ms: u64,
    ) -> Result<u64, UserError> {
        self.within(resets::ask(&self.inner.pool, user, ready_ms, stale_ms))
            .await
    }

    async fn reset(&self, user: UserId) -> Result<Option<u64>, UserError> {
        self.within(resets::of(&self.inner.pool, user)).await
    }

    async fn withdraw_reset(&self, user: UserId) -> Result<(), UserError> {
        self.within(resets::withdraw(&self.inner.pool, user)).await
    }

    async fn claim_reset_wakes(
        &self,
        now_ms: u64,
        again_ms: u64,
        limit: usize,
    ) -> Result<Vec<UserId>, UserError> {
        let pool = &self.inner.pool;
        self.within(resets::claim_wakes(pool, now_ms, again_ms, limit))
            .await
    }

    async fn put_off_reset_wake(
        &self,
        user: UserId,
        from_ms: u64,
        to_ms: u64,
    ) -> Result<(), UserError> {
        let pool = &self.inner.pool;
        self.within(resets::put_off_wake(pool, user, from_ms, to_ms))
            .await
    }

    async fn password(&self, username: &str) -> Result<Option<PasswordRecord>, UserError> {
        self.within(credentials::password(&self.inner.pool, username))
            .await
    }

    async fn passwords_unlike(&self, seed: &str) -> Result<u64, UserError> {
        self.within(credentials::unlike(&self.inner.pool, seed))
            .await
    }

    async fn vault(&self, user: UserId) -> Result<Option<Bytes>, UserError> {
        self.within(credentials::vault(&self.inner.pool, user))
            .await
    }

    async fn put_batch(&self, user: UserId, batch: &Batch) -> Result<(), UserError> {
        let pool = &self.inner.pool;
        self.within(retrying(|| backups::put(pool, user, batch)))
            .await
    }

    async fn backup_heads(&self, user: UserId, version: u32) -> Result<Vec<ChainHead>, UserError> {
        self.within(backups::heads(&self.inner.pool, user, version))
            .await
    }

    async fn batches(
        &self,
        user: UserId,
        chain: (u32, DeviceId),
        upto: u64,
        limit: usize,
    ) -> Result<Vec<Bytes>, UserError> {
        self.within(backups::batches(&self.inner.pool, user, chain, upto, limit))
            .await
    }

    async fn put_block(&self, user: UserId, block: &Block) -> Result<(), UserError> {
        let pool = &self.inner.pool;
        self.within(retrying(|| blocks::put(pool, user, block)))
            .await?;
        self.inner.cached.forget(user);
        Ok(())
    }

    async fn blocked(&self, user: UserId) -> Result<Arc<[BlockTag]>, UserError> {
        let ticket = match self.inner.cached.blocks(user) {
            Ok(blocked) => return Ok(blocked),
            Err(ticket) => ticket,
        };
        let blocked = self.within(blocks::of(&self.inner.pool, user)).await?;
        let blocked: Arc<[BlockTag]> = blocked.into();
        let kept = blocked.clone();
        self.inner.cached.keep_blocks(ticket, user, kept);
        Ok(blocked)
    }

    async fn put_list(&self, list: &DeviceList, with: &Credentials) -> Result<(), UserError> {
        let pool = &self.inner.pool;
        self.within(retrying(|| lists::put(pool, list, with)))
            .await?;
        // The notification comes too; who wrote may read at once. If the caller gives up meanwhile, it comes alone.
        self.inner.cached.forget(list.user);
        Ok(())
    }

    async fn put_prekeys(
        &self,
        user: UserId,
        device: DeviceId,
        keys: &[Prekey],
        replace: bool,
    ) -> Result<(), UserError> {
        let pool = &self.inner.pool;
        self.within(retrying(|| prekeys::put(pool, user, device, keys, replace)))
            .await?;
        self.inner.cached.forget(user);
        Ok(())
    }

    async fn count_prekeys(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> Result<http::PrekeyCount, UserError> {
        self.within(prekeys::count(&self.inner.pool, user, device))
            .await
    }

    async fn spk_expiry(&self, user: UserId, device: DeviceId) -> Result<Option<u64>, UserError> {
        let of_device = |expiries: &[(DeviceId, u64)]| {
            let found = expiries.iter().find(|(id, _)| *id == device);
            found.map(|(_, expires_ms)| *expires_ms)
        };
        let ticket = match self.inner.cached.expiries(user) {
            Ok(expiries) => return Ok(of_device(&expiries)),
            Err(ticket) => ticket,
        };
        let expiries: cached::Expiries = self
            .within(prekeys::spk_expiries(&self.inner.pool, user))
            .await?
            .into();
        let expiry = of_device(&expiries);
        self.inner.cached.keep_expiries(ticket, user, expiries);
        Ok(expiry)
    }

    async fn claim(
        &self,
        user: UserId,
        device: DeviceId,
        now_ms: u64,
    ) -> Result<Option<http::Bundle>, UserError> {
        let pool = &self.inner.pool;
        self.within(retrying(|| prekeys::claim(pool, user, device, now_ms)))
            .await
    }

    async fn put_push(&self, user: UserId, target: &PushTarget) -> Result<(), UserError> {
        self.within(push::put(&self.inner.pool, user, target)).await
    }

    async fn push_targets(&self, user: UserId) -> Result<Vec<PushTarget>, UserError> {
        self.within(push::of(&self.inner.pool, user)).await
    }

    async fn remove_push(
        &self,
        user: UserId,
        device: DeviceId,
        only: Option<&PushTarget>,
    ) -> Result<(), UserError> {
        self.within(push::remove(&self.inner.pool, user, device, only))
            .await
    }

    async fn push_devices(
        &self,
        after: Option<(UserId, DeviceId)>,
        limit: usize,
    ) -> Result<Vec<(UserId, DeviceId)>, UserError> {
        self.within(push::devices(&self.inner.pool, after, limit))
            .await
    }

    async fn healthy(&self) -> Result<(), UserError> {
        self.within(async {
            let mut tx = self.inner.pool.begin().await?;
            // A standby and a database that is set to read only refuse it, though no row is changed.
            sqlx::query("UPDATE users SET username = username WHERE user_id = ''::bytea")
                .execute(&mut *tx)
                .await?;
            Ok(tx.rollback().await?)
        })
        .await
    }
}

fn user(row: PgRow) -> Result<http::User, UserError> {
    let id: Vec<u8> = row.try_get("user_id")?;
    rows::user(&id, row.try_get("username")?)
}
