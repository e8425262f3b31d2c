//! What the person has decided about others.

use rusqlite::{Row, params};
use sordino_protocol::{DeviceId, UserId};

use super::{Tx, sql::N};
use crate::error::Error;

/// What was decided about a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decision {
    /// Their identity key, as the person has compared it.
    pub verified: Option<[u8; 32]>,
    /// Their messages are not shown.
    pub blocked: bool,
    /// When; 0: never.
    pub decided_ms: u64,
}

/// What a device has seen of a person's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// UIK.
    pub identity_key: [u8; 32],
    /// Of the list.
    pub version: u32,
}

fn decision(row: &Row<'_>, from: usize) -> rusqlite::Result<Decision> {
    Ok(Decision {
        verified: row.get(from)?,
        blocked: row.get::<_, Option<bool>>(from + 1)?.unwrap_or_default(),
        decided_ms: row.get::<_, Option<N>>(from + 2)?.map_or(0, |n| n.0),
    })
}

impl Tx<'_> {
    /// What was decided about a person.
    pub fn decision(&self, user: UserId) -> Result<Decision, Error> {
        let found = self.one(
            "SELECT verified, blocked, decided_ms FROM contacts WHERE user = ?1",
            [user.as_bytes()],
            |row| decision(row, 0),
        )?;
        Ok(found.unwrap_or_default())
    }

    /// Keeps it in place of what was decided before.
    pub fn decide(&self, user: UserId, decision: &Decision) -> Result<(), Error> {
        self.run(
            "INSERT INTO contacts (user, verified, blocked, decided_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET verified = excluded.verified, blocked = excluded.blocked,
                 decided_ms = excluded.decided_ms",
            params![
                user.as_bytes(),
                decision.verified,
                decision.blocked,
                N(decision.decided_ms),
            ],
        )?;
        Ok(())
    }

    /// What another own device has seen of a person.
    pub fn seen(&self, user: UserId) -> Result<Option<Seen>, Error> {
        let seen = self.one(
            "SELECT seen_key, seen_version FROM contacts WHERE user = ?1",
            [user.as_bytes()],
            |row| {
                let seen: (Option<[u8; 32]>, Option<u32>) = (row.get(0)?, row.get(1)?);
                Ok(seen.0.zip(seen.1))
            },
        )?;
        Ok(seen.flatten().map(|(identity_key, version)| Seen {
            identity_key,
            version,
        }))
    }

    /// Keeps it, unless a newer list was seen.
    pub fn put_seen(&self, user: UserId, seen: &Seen) -> Result<(), Error> {
        self.run(
            "INSERT INTO contacts (user, seen_key, seen_version) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET seen_key = excluded.seen_key, seen_version = excluded.seen_version
             WHERE seen_version IS NULL OR seen_version < excluded.seen_version",
            params![user.as_bytes(), seen.identity_key, seen.version],
        )?;
        Ok(())
    }

    /// The devices of a person that another own device does not hold back.
    pub fn accepted_elsewhere(&self, user: UserId) -> Result<Vec<DeviceId>, Error> {
        let accepted = self.one(
            "SELECT accepted FROM contacts WHERE user = ?1",
            [user.as_bytes()],
            |row| row.get::<_, Option<Vec<u8>>>(0),
        )?;
        let accepted = accepted.flatten().unwrap_or_default();
        let (ids, _) = accepted.as_chunks::<16>();
        Ok(ids.iter().copied().map(DeviceId::from_bytes).collect())
    }

    /// Keeps them, until this device has a list of the person.
    pub fn put_accepted_elsewhere(&self, user: UserId, devices: &[DeviceId]) -> Result<(), Error> {
        let ids: Vec<_> = devices.iter().map(|id| *id.as_bytes()).collect();
        self.run(
            "UPDATE contacts SET accepted = ?2 WHERE user = ?1",
            params![user.as_bytes(), ids.concat()],
        )?;
        Ok(())
    }

    /// Everybody whose lists this device has seen, or about whom something was decided, after `after` by id, at most `limit`.
    pub fn contacts_after(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Option<Seen>, Decision)>, Error> {
        self.all(
            "SELECT u.user, coalesce(p.identity_key, c.seen_key), coalesce(p.version, c.seen_version), c.verified, c.blocked, c.decided_ms
             FROM (SELECT user FROM pins UNION SELECT user FROM contacts) u
             LEFT JOIN pins p ON p.user = u.user LEFT JOIN contacts c ON c.user = u.user
             WHERE ?1 IS NULL OR u.user > ?1 ORDER BY u.user LIMIT ?2",
            params![after.as_ref().map(UserId::as_bytes), limit],
            |row| {
                let seen: (Option<[u8; 32]>, Option<u32>) = (row.get(1)?, row.get(2)?);
                let seen = seen.0.zip(seen.1).map(|(identity_key, version)| Seen {
                    identity_key,
                    version,
                });
                Ok((UserId::from_bytes(row.get(0)?), seen, decision(row, 3)?))
            },
        )
    }
}
