//! Ratchet sessions, and the book of each pair of devices.

use rusqlite::params;
use sordino_crypto::{
    session::Session,
    sessions::{Book, Retired},
};
use sordino_protocol::{Code, DeviceId, SessionId, UserId};
use zeroize::Zeroizing;

use super::Tx;
use crate::error::Error;

/// A session as it is kept.
pub enum StoredSession {
    /// With its ratchet.
    Held(Box<Session>),
    /// Gone; its handshake is refused.
    Retired,
}

impl Tx<'_> {
    /// What is known of the sessions with a device.
    pub fn book(&self, user: UserId, device: DeviceId) -> Result<Book, Error> {
        let bytes: Option<Vec<u8>> = self.one(
            "SELECT book FROM books WHERE user = ?1 AND device = ?2",
            params![user.as_bytes(), device.as_bytes()],
            |row| row.get(0),
        )?;
        bytes.map_or_else(
            || Ok(Book::default()),
            |bytes| {
                Book::from_bytes(&bytes).ok_or_else(|| Error::new(Code::StoreDamaged, "a book"))
            },
        )
    }

    /// Keeps a book, and drops the sessions that it gave up.
    pub fn put_book(
        &self,
        (user, device): (UserId, DeviceId),
        book: &Book,
        retired: &[Retired],
    ) -> Result<(), Error> {
        let bytes = book
            .to_bytes()
            .map_err(|_| Error::new(Code::Internal, "a book does not encode"))?;
        let attention = book.repair_waits() || !book.replies_owed().is_empty();
        self.run(
            "INSERT OR REPLACE INTO books VALUES (?1, ?2, ?3, ?4)",
            params![user.as_bytes(), device.as_bytes(), bytes, attention],
        )?;
        for session in retired {
            let key = params![user.as_bytes(), device.as_bytes(), session.sid.as_bytes()];
            self.run(
                if session.answered_spk.is_some() {
                    "UPDATE sessions SET ratchet = NULL WHERE user = ?1 AND device = ?2 AND sid = ?3"
                } else {
                    "DELETE FROM sessions WHERE user = ?1 AND device = ?2 AND sid = ?3"
                },
                key,
            )?;
        }
        Ok(())
    }

    /// Every pair with a book; those that want attention only, or all.
    pub fn book_pairs(&self, attention: bool) -> Result<Vec<(UserId, DeviceId)>, Error> {
        self.all(
            "SELECT user, device FROM books WHERE attention >= ?1",
            [attention],
            |row| {
                Ok((
                    UserId::from_bytes(row.get(0)?),
                    DeviceId::from_bytes(row.get(1)?),
                ))
            },
        )
    }

    /// Whether a book wants attention.
    pub fn wants_attention(&self, user: UserId, device: DeviceId) -> Result<bool, Error> {
        let flag = self.one(
            "SELECT attention FROM books WHERE user = ?1 AND device = ?2",
            params![user.as_bytes(), device.as_bytes()],
            |row| row.get(0),
        )?;
        Ok(flag.unwrap_or(false))
    }

    /// The session of this name with a device.
    pub fn session(
        &self,
        user: UserId,
        device: DeviceId,
        sid: SessionId,
    ) -> Result<Option<StoredSession>, Error> {
        let found = self.one(
            "SELECT ratchet FROM sessions WHERE user = ?1 AND device = ?2 AND sid = ?3",
            params![user.as_bytes(), device.as_bytes(), sid.as_bytes()],
            |row| {
                let ratchet: Option<Vec<u8>> = row.get(0)?;
                Ok(ratchet.map(Zeroizing::new))
            },
        )?;
        Ok(match found {
            None => None,
            Some(None) => Some(StoredSession::Retired),
            Some(Some(bytes)) => {
                let session = Session::from_bytes(&bytes)
                    .map_err(|_| Error::new(Code::StoreDamaged, "a session"))?;
                Some(StoredSession::Held(Box::new(session)))
            }
        })
    }

    /// Keeps a session after its ratchet has moved.
    pub fn put_session(&self, session: &Session) -> Result<(), Error> {
        let meta = session.meta();
        let bytes = session
            .to_bytes()
            .map_err(|_| Error::new(Code::Internal, "a session does not encode"))?;
        self.run(
            "INSERT INTO sessions VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET ratchet = excluded.ratchet",
            params![
                meta.peer.user.as_bytes(),
                meta.peer.device.as_bytes(),
                meta.sid.as_bytes(),
                bytes.as_slice(),
                meta.answered_spk,
            ],
        )?;
        Ok(())
    }

    /// Forgets retired sessions whose handshake cannot be answered any more, as the signed prekey is gone.
    pub fn forget_sessions(&self) -> Result<(), Error> {
        self.run(
            "DELETE FROM sessions WHERE ratchet IS NULL AND NOT EXISTS (
                 SELECT 1 FROM prekeys WHERE kind = 4 AND id = answered_spk)",
            [],
        )?;
        Ok(())
    }
}
