//! The embedded store of users: one SQLite file.

mod file;
mod open;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sordino_protocol::{
    DeviceId, UserId,
    hash::Hash,
    http,
    list::{self, DeviceList},
    pb,
};
use sqlx::{Row, Sqlite, SqlitePool, Transaction, sqlite::SqliteRow};

#[cfg(feature = "cluster")]
pub(super) use self::file::open_to_read;
pub(crate) use self::file::{check_whole, copy};
use super::{
    Batch, Block, BlockTag, ChainHead, Credentials, Email, Invite, Listed, PasswordRecord, Prekey,
    PushTarget, UserError, Users, admission, backups, blocks, cache::Cache, credentials, deletion,
    disabled, emails, lists, prekeys, push, resets, rows, verify::verify,
};

/// Users in SQLite. Cheap to clone.
#[derive(Clone)]
pub struct SqliteUsers {
    inner: Arc<Inner>,
}

struct Inner {
    /// One connection: SQLite has one writer at a time, and waiting in the pool's queue is fair.
    writer: SqlitePool,
    readers: SqlitePool,
    lists: Cache<UserId, Arc<DeviceList>>,
    expiries: Cache<(UserId, DeviceId), Option<u64>>,
    blocks: Cache<UserId, Arc<[BlockTag]>>,
}

impl SqliteUsers {
    /// Waits for writes under way and closes the file.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    /// Forgets all resets that wait.
    pub(crate) async fn forget_resets(&self) -> Result<(), UserError> {
        sqlx::query("UPDATE users SET reset_ms = NULL WHERE reset_ms IS NOT NULL")
            .execute(&self.inner.writer)
            .await?;
        Ok(())
    }

    /// Runs a write to its end even when the caller gives up: a commit whose cache entry is not forgotten would leave the
    /// old value there for good.
    async fn write<T, F>(&self, run: impl FnOnce(Arc<Inner>) -> F) -> Result<T, UserError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, UserError>> + Send + 'static,
    {
        tokio::spawn(run(self.inner.clone()))
            .await
            .map_err(|error| UserError::Failed(error.to_string()))?
    }
}

#[async_trait]
impl Users for SqliteUsers {
    async fn create(
        &self,
        username: &str,
        list: &DeviceList,
        with: &Credentials,
    ) -> Result<(), UserError> {
        let (username, list, with) = (username.to_owned(), list.clone(), with.clone());
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            lists::create(&mut tx, &username, &list, &with).await?;
            tx.commit().await?;
            inner.lists.forget([list.user]);
            Ok(())
        })
        .await
    }

    async fn delete(&self, user: UserId, now_ms: u64) -> Result<(), UserError> {
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            let devices = sqlx::query("SELECT device_id FROM devices WHERE user_id = ?")
                .bind(user.as_bytes().as_slice())
                .fetch_all(&mut *tx)
                .await?;
            let devices: Vec<_> = devices
                .iter()
                .map(lists::device_id)
                .collect::<Result<_, _>>()?;
            deletion::delete(&mut tx, user, now_ms).await?;
            tx.commit().await?;
            inner.blocks.forget([user]);
            inner.forget(user, devices);
            Ok(())
        })
        .await
    }

    async fn deleted(&self, user: UserId) -> Result<Option<u32>, UserError> {
        deletion::deleted(&self.inner.readers, user).await
    }

    async fn set_disabled(
        &self,
        user: UserId,
        disabled: bool,
        now_ms: u64,
    ) -> Result<(), UserError> {
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            disabled::set(&mut tx, user, disabled, now_ms).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn disabled(&self) -> Result<Vec<UserId>, UserError> {
        disabled::all(&self.inner.readers).await
    }

    async fn email(&self, user: UserId) -> Result<Option<String>, UserError> {
        emails::of(&self.inner.readers, user).await
    }

    async fn put_email(&self, user: UserId, email: Option<&Email>) -> Result<(), UserError> {
        let email = email.cloned();
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            emails::put(&mut tx, user, email.as_ref()).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn by_email(&self, email: &Email) -> Result<Option<http::User>, UserError> {
        emails::whose(&self.inner.readers, email).await
    }

    async fn put_invite(&self, invite: &Invite, now_ms: u64) -> Result<(), UserError> {
        let invite = invite.clone();
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            admission::put_invite(&mut tx, &invite, now_ms).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn remove_invite(&self, hash: &Hash, now_ms: u64) -> Result<bool, UserError> {
        let hash = *hash;
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            let held = admission::remove_invite(&mut tx, &hash, now_ms).await?;
            tx.commit().await?;
            Ok(held)
        })
        .await
    }

    async fn by_subject(&self, hash: &Hash) -> Result<Option<http::User>, UserError> {
        admission::by_subject(&self.inner.readers, hash).await
    }

    async fn has_subject(&self, user: UserId) -> Result<bool, UserError> {
        admission::has_subject(&self.inner.readers, user).await
    }

    async fn named_after(&self, after: &str, limit: usize) -> Result<Vec<Listed>, UserError> {
        let found = sqlx::query(
            "SELECT id, username, d.user_id IS NOT NULL AS disabled \
             FROM users LEFT JOIN disabled_users d ON d.user_id = id \
             WHERE username > ? AND deleted_ms IS NULL ORDER BY username LIMIT ?",
        )
        .bind(after)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.inner.readers)
        .await?;
        let listed = |row: SqliteRow| {
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
        admission::invites_after(&self.inner.readers, after, limit, now_ms).await
    }

    async fn by_name(&self, username: &str) -> Result<Option<http::User>, UserError> {
        sqlx::query("SELECT id, username FROM users WHERE username = ? AND deleted_ms IS NULL")
            .bind(username)
            .fetch_optional(&self.inner.readers)
            .await?
            .map(user)
            .transpose()
    }

    async fn by_id(&self, id: UserId) -> Result<Option<http::User>, UserError> {
        sqlx::query("SELECT id, username FROM users WHERE id = ? AND deleted_ms IS NULL")
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&self.inner.readers)
            .await?
            .map(user)
            .transpose()
    }

    async fn newest_list(&self, user: UserId) -> Result<Option<Arc<DeviceList>>, UserError> {
        let ticket = match self.inner.lists.get(&user) {
            Ok(list) => return Ok(Some(list)),
            Err(ticket) => ticket,
        };
        let Some(signed) = lists::newest(&self.inner.readers, user).await? else {
            return Ok(None);
        };
        let list = list::parse(&signed, verify).map_err(rows::damaged)?;
        let list = Arc::new(list);
        self.inner.lists.fill(ticket, user, list.clone());
        Ok(Some(list))
    }

    async fn lists(
        &self,
        user: UserId,
        from: u32,
        limit: usize,
    ) -> Result<Vec<pb::Signed>, UserError> {
        lists::from(&self.inner.readers, user, from, limit).await
    }

    async fn put_list(&self, list: &DeviceList, with: &Credentials) -> Result<(), UserError> {
        let (list, with) = (list.clone(), with.clone());
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            let devices = lists::put(&mut tx, &list, &with).await?;
            tx.commit().await?;
            inner.forget(list.user, devices);
            Ok(())
        })
        .await
    }

    async fn ask_reset(
        &self,
        user: UserId,
        ready_ms: u64,
        stale_ms: u64,
    ) -> Result<u64, UserError> {
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            let asked = resets::ask(&mut tx, user, ready_ms, stale_ms).await?;
            tx.commit().await?;
            Ok(asked)
        })
        .await
    }

    async fn reset(&self, user: UserId) -> Result<Option<u64>, UserError> {
        resets::of(&self.inner.readers, user).await
    }

    async fn withdraw_reset(&self, user: UserId) -> Result<(), UserError> {
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            resets::withdraw(&mut tx, user).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn claim_reset_wakes(
        &self,
        now_ms: u64,
        again_ms: u64,
        limit: usize,
    ) -> Result<Vec<UserId>, UserError> {
        resets::claim_wakes(&self.inner.writer, now_ms, again_ms, limit).await
    }

    async fn put_off_reset_wake(
        &self,
        user: UserId,
        from_ms: u64,
        to_ms: u64,
    ) -> Result<(), UserError> {
        resets::put_off_wake(&self.inner.writer, user, from_ms, to_ms).await
    }

    async fn password(&self, username: &str) -> Result<Option<PasswordRecord>, UserError> {
        credentials::password(&self.inner.readers, username).await
    }

    async fn passwords_unlike(&self, seed: &str) -> Result<u64, UserError> {
        credentials::unlike(&self.inner.readers, seed).await
    }

    async fn vault(&self, user: UserId) -> Result<Option<Bytes>, UserError> {
        credentials::vault(&self.inner.readers, user).await
    }

    async fn put_batch(&self, user: UserId, batch: &Batch) -> Result<(), UserError> {
        let batch = batch.clone();
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            backups::put(&mut tx, user, &batch).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn backup_heads(&self, user: UserId, version: u32) -> Result<Vec<ChainHead>, UserError> {
        backups::heads(&self.inner.readers, user, version).await
    }

    async fn batches(
        &self,
        user: UserId,
        chain: (u32, DeviceId),
        upto: u64,
        limit: usize,
    ) -> Result<Vec<Bytes>, UserError> {
        backups::batches(&self.inner.readers, user, chain, upto, limit).await
    }

    async fn put_block(&self, user: UserId, block: &Block) -> Result<(), UserError> {
        let block = *block;
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            blocks::put(&mut tx, user, &block).await?;
            tx.commit().await?;
            inner.blocks.forget([user]);
            Ok(())
        })
        .await
    }

    async fn blocked(&self, user: UserId) -> Result<Arc<[BlockTag]>, UserError> {
        let ticket = match self.inner.blocks.get(&user) {
            Ok(blocked) => return Ok(blocked),
            Err(ticket) => ticket,
        };
        let blocked: Arc<[BlockTag]> = blocks::of(&self.inner.readers, user).await?.into();
        self.inner.blocks.fill(ticket, user, blocked.clone());
        Ok(blocked)
    }

    async fn put_prekeys(
        &self,
        user: UserId,
        device: DeviceId,
        keys: &[Prekey],
        replace: bool,
    ) -> Result<(), UserError> {
        let keys = keys.to_vec();
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            prekeys::put(&mut tx, user, device, &keys, replace).await?;
            tx.commit().await?;
            inner.expiries.forget([(user, device)]);
            Ok(())
        })
        .await
    }

    async fn count_prekeys(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> Result<http::PrekeyCount, UserError> {
        prekeys::count(&self.inner.readers, user, device).await
    }

    async fn spk_expiry(&self, user: UserId, device: DeviceId) -> Result<Option<u64>, UserError> {
        let ticket = match self.inner.expiries.get(&(user, device)) {
            Ok(expiry) => return Ok(expiry),
            Err(ticket) => ticket,
        };
        let expiry = prekeys::spk_expiry(&self.inner.readers, user, device).await?;
        self.inner.expiries.fill(ticket, (user, device), expiry);
        Ok(expiry)
    }

    async fn claim(
        &self,
        user: UserId,
        device: DeviceId,
        now_ms: u64,
    ) -> Result<Option<http::Bundle>, UserError> {
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            let bundle = prekeys::claim(&mut tx, user, device, now_ms).await?;
            // Without a bundle the transaction rolls back: nothing was given out, nothing may be gone.
            if bundle.is_some() {
                tx.commit().await?;
            }
            Ok(bundle)
        })
        .await
    }

    async fn put_push(&self, user: UserId, target: &PushTarget) -> Result<(), UserError> {
        push::put(&self.inner.writer, user, target).await
    }

    async fn push_targets(&self, user: UserId) -> Result<Vec<PushTarget>, UserError> {
        push::of(&self.inner.readers, user).await
    }

    async fn remove_push(
        &self,
        user: UserId,
        device: DeviceId,
        only: Option<&PushTarget>,
    ) -> Result<(), UserError> {
        push::remove(&self.inner.writer, user, device, only).await
    }

    async fn push_devices(
        &self,
        after: Option<(UserId, DeviceId)>,
        limit: usize,
    ) -> Result<Vec<(UserId, DeviceId)>, UserError> {
        push::devices(&self.inner.readers, after, limit).await
    }

    async fn healthy(&self) -> Result<(), UserError> {
        self.write(async move |inner| {
            let mut tx = inner.begin().await?;
            sqlx::query("UPDATE users SET username = username WHERE id = x''")
                .execute(&mut *tx)
                .await?;
            Ok(tx.rollback().await?)
        })
        .await
    }
}

impl Inner {
    /// For writing from the beginning: the operator's program may write, too, and SQLite ends a transaction whose reads are older than
    /// that.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, UserError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// After the commit of another list, or none: of these devices some may have gone.
    fn forget(&self, user: UserId, devices: Vec<DeviceId>) {
        self.lists.forget([user]);
        self.expiries
            .forget(devices.into_iter().map(|device| (user, device)));
    }
}

/// The columns of a user.
pub(super) fn user(row: SqliteRow) -> Result<http::User, UserError> {
    let id: Vec<u8> = row.try_get("id")?;
    rows::user(&id, row.try_get("username")?)
}

/// The column `signed`.
pub(super) fn signed(row: &SqliteRow) -> Result<pb::Signed, UserError> {
    rows::signed(row.try_get("signed")?)
}
