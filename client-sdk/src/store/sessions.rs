//! Ratchet sessions and their states.

use rusqlite::{Row, params};
use sordino_crypto::{sending::Candidate, session::Session};
use sordino_protocol::{Code, DeviceId, SessionId, UserId};
use zeroize::Zeroizing;

use super::sql::N;
use super::{Tx, failed};
use crate::error::Error;

/// What a session may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// It may send.
    Live = 1,
    /// It only receives.
    ReceiveOnly = 2,
    /// Gone; its handshake is refused.
    Retired = 3,
}

/// A session without its ratchet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// Its name.
    pub sid: SessionId,
    /// What it may be used for.
    pub state: SessionState,
    /// Since when.
    pub state_since_ms: u64,
    /// Orders the sessions of a pair.
    pub born: u64,
    /// TH.
    pub transcript: [u8; 32],
    /// Messages sent on it since one was received.
    pub sent_since_received: u32,
    /// When one was received, or when it began.
    pub last_received_ms: u64,
}

impl StoredSession {
    /// What the rule of [`sordino_crypto::sending`] needs; `None` if it is retired.
    #[must_use]
    pub fn candidate(&self) -> Option<Candidate> {
        let receive_only_since_ms = match self.state {
            SessionState::Live => None,
            SessionState::ReceiveOnly => Some(self.state_since_ms),
            SessionState::Retired => return None,
        };
        Some(Candidate {
            sid: self.sid,
            born: self.born,
            transcript: self.transcript,
            receive_only_since_ms,
        })
    }
}

fn state(number: i64) -> rusqlite::Result<SessionState> {
    match number {
        1 => Ok(SessionState::Live),
        2 => Ok(SessionState::ReceiveOnly),
        3 => Ok(SessionState::Retired),
        _ => Err(rusqlite::Error::IntegralValueOutOfRange(0, number)),
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredSession> {
    Ok(StoredSession {
        sid: SessionId::from_bytes(row.get(0)?),
        state: state(row.get(1)?)?,
        state_since_ms: row.get::<_, N>(2)?.0,
        born: u64::from_be_bytes(row.get(3)?),
        transcript: row.get(4)?,
        sent_since_received: row.get(5)?,
        last_received_ms: row.get::<_, N>(6)?.0,
    })
}

impl Tx<'_> {
    /// Every session with a device, retired ones included.
    pub fn sessions(&self, user: UserId, device: DeviceId) -> Result<Vec<StoredSession>, Error> {
        self.all(
            "SELECT sid, state, state_since_ms, born, transcript, sent_since_received, last_received_ms
             FROM sessions WHERE user = ?1 AND device = ?2",
            params![user.as_bytes(), device.as_bytes()],
            stored,
        )
    }

    /// The state of a session, and its ratchet unless it is retired.
    pub fn session(
        &self,
        user: UserId,
        device: DeviceId,
        sid: SessionId,
    ) -> Result<Option<(SessionState, Option<Session>)>, Error> {
        let found = self.one(
            "SELECT state, ratchet FROM sessions WHERE user = ?1 AND device = ?2 AND sid = ?3",
            params![user.as_bytes(), device.as_bytes(), sid.as_bytes()],
            |row| {
                let ratchet: Option<Vec<u8>> = row.get(1)?;
                Ok((state(row.get(0)?)?, ratchet.map(Zeroizing::new)))
            },
        )?;
        let Some((state, ratchet)) = found else {
            return Ok(None);
        };
        let session = ratchet
            .map(|bytes| Session::from_bytes(&bytes))
            .transpose()
            .map_err(|_| Error::new(Code::StoreDamaged, "a session"))?;
        Ok(Some((state, session)))
    }

    /// Keeps a new, live session.
    pub fn put_session(&self, session: &Session, now_ms: u64) -> Result<(), Error> {
        let meta = session.meta();
        self.run(
            "INSERT INTO sessions VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, 0, ?6, ?8)",
            params![
                meta.peer.user.as_bytes(),
                meta.peer.device.as_bytes(),
                meta.sid.as_bytes(),
                meta.transcript,
                meta.born.to_be_bytes(),
                N(now_ms),
                bytes(session)?.as_slice(),
                meta.answered_spk.unwrap_or(0),
            ],
        )?;
        Ok(())
    }

    /// Keeps the ratchet after it has encrypted `count` messages.
    pub fn session_sent(&self, session: &Session, count: u32) -> Result<(), Error> {
        let meta = session.meta();
        self.run(
            "UPDATE sessions SET ratchet = ?4, sent_since_received = sent_since_received + ?5
             WHERE user = ?1 AND device = ?2 AND sid = ?3",
            params![
                meta.peer.user.as_bytes(),
                meta.peer.device.as_bytes(),
                meta.sid.as_bytes(),
                bytes(session)?.as_slice(),
                count,
            ],
        )?;
        Ok(())
    }

    /// Keeps the ratchet after it has decrypted.
    pub fn session_received(&self, session: &Session, now_ms: u64) -> Result<(), Error> {
        let meta = session.meta();
        self.run(
            "UPDATE sessions SET ratchet = ?4, sent_since_received = 0, last_received_ms = ?5
             WHERE user = ?1 AND device = ?2 AND sid = ?3",
            params![
                meta.peer.user.as_bytes(),
                meta.peer.device.as_bytes(),
                meta.sid.as_bytes(),
                bytes(session)?.as_slice(),
                N(now_ms),
            ],
        )?;
        Ok(())
    }

    /// Moves a session to another state; a retired one loses its ratchet.
    pub fn set_session_state(
        &self,
        user: UserId,
        device: DeviceId,
        sid: SessionId,
        state: SessionState,
        now_ms: u64,
    ) -> Result<(), Error> {
        self.run(
            "UPDATE sessions SET state = ?4, state_since_ms = ?5,
                 ratchet = CASE ?4 WHEN 3 THEN NULL ELSE ratchet END
             WHERE user = ?1 AND device = ?2 AND sid = ?3",
            params![
                user.as_bytes(),
                device.as_bytes(),
                sid.as_bytes(),
                state as i64,
                N(now_ms),
            ],
        )?;
        Ok(())
    }

    /// No live session stays live: with one device, with all of a user, or with everybody.
    pub fn stop_sending(
        &self,
        user: Option<UserId>,
        device: Option<DeviceId>,
        now_ms: u64,
    ) -> Result<(), Error> {
        self.run(
            "UPDATE sessions SET state = 2, state_since_ms = ?3 WHERE state = 1
                 AND (?1 IS NULL OR user = ?1) AND (?2 IS NULL OR device = ?2)",
            params![
                user.as_ref().map(UserId::as_bytes),
                device.as_ref().map(DeviceId::as_bytes),
                N(now_ms),
            ],
        )?;
        Ok(())
    }

    /// Every pair with a session that is not retired.
    pub fn session_peers(&self) -> Result<Vec<(UserId, DeviceId)>, Error> {
        self.all(
            "SELECT DISTINCT user, device FROM sessions WHERE state < 3",
            [],
            |row| {
                Ok((
                    UserId::from_bytes(row.get(0)?),
                    DeviceId::from_bytes(row.get(1)?),
                ))
            },
        )
    }

    /// Forgets retired sessions whose handshake cannot be answered any more: the signed prekey is gone, or this
    /// device began them before `before_ms`.
    pub fn forget_sessions(&self, before_ms: u64) -> Result<(), Error> {
        self.0
            .prepare_cached(
                "DELETE FROM sessions WHERE state = 3 AND (
                     (own_spk = 0 AND state_since_ms < ?1)
                     OR (own_spk > 0 AND NOT EXISTS (
                         SELECT 1 FROM prekeys WHERE kind = 4 AND id = own_spk)))",
            )
            .and_then(|mut statement| statement.execute([N(before_ms)]))
            .map_err(failed)?;
        Ok(())
    }
}

fn bytes(session: &Session) -> Result<Zeroizing<Vec<u8>>, Error> {
    session
        .to_bytes()
        .map_err(|_| Error::new(Code::Internal, "a session does not encode"))
}
