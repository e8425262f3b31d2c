//! Own prekeys: their secrets and what becomes of them.

use bytes::Bytes;
use rusqlite::{Row, params};
use sordino_protocol::{Code, list::decode_signed, list::encode_signed, pb, signed::SignedType};
use zeroize::Zeroizing;

use super::Tx;
use super::sql::N;
use crate::error::Error;

/// A prekey without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPrekey {
    /// Its id.
    pub id: u32,
    /// As it is uploaded.
    pub public: pb::Signed,
    /// When it was made.
    pub created_ms: u64,
}

impl Tx<'_> {
    /// The next id, for whatever kind.
    pub fn take_prekey_id(&self) -> Result<u32, Error> {
        self.one(
            "UPDATE account SET next_prekey = next_prekey + 1 RETURNING next_prekey - 1",
            [],
            |row| row.get(0),
        )?
        .ok_or_else(|| Error::new(Code::NotRegistered, ""))
    }

    /// Keeps a new key, not uploaded yet.
    pub fn put_prekey(
        &self,
        kind: SignedType,
        id: u32,
        secret: &[u8],
        public: &pb::Signed,
        now_ms: u64,
    ) -> Result<(), Error> {
        self.run(
            "INSERT INTO prekeys (kind, id, secret, public, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![kind as i64, id, secret, encode_signed(public), N(now_ms)],
        )?;
        Ok(())
    }

    /// Keys of a kind that are not retired, uploaded or not, oldest first.
    pub fn current_prekeys(
        &self,
        kind: SignedType,
        uploaded: bool,
    ) -> Result<Vec<StoredPrekey>, Error> {
        let found = self.all(
            "SELECT id, public, created_ms FROM prekeys
             WHERE kind = ?1 AND uploaded = ?2 AND retired_ms IS NULL ORDER BY id",
            params![kind as i64, uploaded],
            |row: &Row<'_>| {
                Ok((
                    row.get(0)?,
                    row.get::<_, Vec<u8>>(1)?,
                    row.get::<_, N>(2)?.0,
                ))
            },
        )?;
        found
            .into_iter()
            .map(|(id, public, created_ms)| {
                let public = decode_signed(Bytes::from(public))
                    .map_err(|_| Error::new(Code::StoreDamaged, "a prekey"))?;
                Ok(StoredPrekey {
                    id,
                    public,
                    created_ms,
                })
            })
            .collect()
    }

    /// The secret of a key, whatever its state.
    pub fn prekey_secret(
        &self,
        kind: SignedType,
        id: u32,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        self.one(
            "SELECT secret FROM prekeys WHERE kind = ?1 AND id = ?2",
            params![kind as i64, id],
            |row| row.get(0).map(Zeroizing::new),
        )
    }

    /// Deletes a key: its one use is over.
    pub fn delete_prekey(&self, kind: SignedType, id: u32) -> Result<(), Error> {
        self.run(
            "DELETE FROM prekeys WHERE kind = ?1 AND id = ?2",
            params![kind as i64, id],
        )?;
        Ok(())
    }

    /// The relay has this key.
    pub fn set_prekey_uploaded(&self, kind: SignedType, id: u32) -> Result<(), Error> {
        self.run(
            "UPDATE prekeys SET uploaded = 1 WHERE kind = ?1 AND id = ?2",
            params![kind as i64, id],
        )?;
        Ok(())
    }

    /// Retires the keys of a kind before `id`.
    pub fn retire_prekeys_before(
        &self,
        kind: SignedType,
        id: u32,
        now_ms: u64,
    ) -> Result<(), Error> {
        self.run(
            "UPDATE prekeys SET retired_ms = ?3 WHERE kind = ?1 AND id < ?2 AND retired_ms IS NULL",
            params![kind as i64, id, N(now_ms)],
        )?;
        Ok(())
    }

    /// Retires every key.
    pub fn retire_all_prekeys(&self, now_ms: u64) -> Result<(), Error> {
        self.run(
            "UPDATE prekeys SET retired_ms = ?1 WHERE retired_ms IS NULL",
            [N(now_ms)],
        )?;
        Ok(())
    }

    /// Deletes all keys of a kind but the newest.
    pub fn keep_newest_prekeys(&self, kind: SignedType, most: u32) -> Result<(), Error> {
        self.run(
            "DELETE FROM prekeys WHERE kind = ?1 AND id <= (
                 SELECT id FROM prekeys WHERE kind = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            params![kind as i64, most],
        )?;
        Ok(())
    }

    /// Deletes keys retired before `retired_ms`, and one-time keys made before `created_ms`.
    pub fn expire_prekeys(&self, retired_ms: u64, created_ms: u64) -> Result<(), Error> {
        self.run(
            "DELETE FROM prekeys WHERE retired_ms < ?1 OR (kind IN (?3, ?4) AND created_ms < ?2)",
            params![
                N(retired_ms),
                N(created_ms),
                SignedType::OneTimePrekey as i64,
                SignedType::PqOneTimePrekey as i64,
            ],
        )?;
        Ok(())
    }
}
