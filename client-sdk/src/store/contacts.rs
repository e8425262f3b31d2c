//! What the person has decided about others.

use rusqlite::{Row, params};
use sordino_protocol::{
    DeviceId, UserId,
    hash::Hash,
    list::{Device, DeviceList},
};

use super::{Tx, sql::N};
use crate::error::Error;

/// What was decided about a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decision {
    /// Their identity key, as the person has compared it.
    pub verified: Decided<Option<[u8; 32]>>,
    /// Their messages are not shown.
    pub blocked: Decided<bool>,
}

/// One thing that was decided. Of two the greater counts, on all devices and in whatever order they hear of them: the later one, and of
/// one millisecond that which holds back more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Decided<T> {
    /// When, by the clock of the device on which it was; 0: never. Declared first: it orders first.
    pub at_ms: u64,
    /// What.
    pub what: T,
}

impl<T> Decided<T> {
    /// Beyond it no time is believed: one more still fits, so that the person can always decide anew.
    const LATEST_MS: u64 = 1 << 62;

    /// The person decides something else now.
    pub fn decide(&mut self, what: T, now_ms: u64) {
        // A clock that went back must not make this one the earlier.
        let at_ms = now_ms.max(self.at_ms.saturating_add(1));
        *self = Self { at_ms, what };
    }
}

impl<T: Ord> Decided<T> {
    /// What was heard from another device takes its place, if it goes before it; whether it did.
    pub fn hear(&mut self, heard: Self) -> bool {
        let counts = (1..Self::LATEST_MS).contains(&heard.at_ms) && heard > *self;
        if counts {
            *self = heard;
        }
        counts
    }
}

/// What a device has seen of a person's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// UIK.
    pub identity_key: [u8; 32],
    /// Of the list.
    pub version: u32,
    /// Of the list; `None`: not said.
    pub hash: Option<Hash>,
    /// See [`sordino_crypto::lists::Pin::floor`].
    pub floor: u32,
}

/// A device of a person that was accepted, here or on another own device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub device: DeviceId,
    /// The key that it had; its identity key is signed with it.
    pub signing_key: [u8; 32],
    /// The newest list of the person's where it was accepted.
    pub list_version: u32,
    /// That one's hash.
    pub list_hash: Hash,
    /// Up to this version the device on which it was had given lists up.
    pub floor: u32,
}

impl Accepted {
    /// A device of this list, where lists were given up to `floor`.
    pub fn of(list: &DeviceList, device: &Device, floor: u32) -> Self {
        Self {
            device: device.device,
            signing_key: device.signing_key,
            list_version: list.version,
            list_hash: list.hash,
            floor,
        }
    }

    /// Whether it was said of lists that were not given up since, where that was so up to `floor`.
    pub fn counts(&self, floor: u32) -> bool {
        self.list_version > floor || self.floor >= floor
    }

    /// Whether it is this one.
    pub fn is_of(&self, device: &Device) -> bool {
        (self.device, self.signing_key) == (device.device, device.signing_key)
    }
}

fn decision(row: &Row<'_>, from: usize) -> rusqlite::Result<Decision> {
    let at = |column| -> rusqlite::Result<u64> {
        Ok(row.get::<_, Option<N>>(column)?.map_or(0, |n| n.0))
    };
    Ok(Decision {
        verified: Decided {
            at_ms: at(from + 1)?,
            what: row.get(from)?,
        },
        blocked: Decided {
            at_ms: at(from + 3)?,
            what: row.get::<_, Option<bool>>(from + 2)?.unwrap_or_default(),
        },
    })
}

impl Tx<'_> {
    /// What was decided about a person.
    pub fn decision(&self, user: UserId) -> Result<Decision, Error> {
        let found = self.one(
            "SELECT verified, verified_ms, blocked, blocked_ms FROM contacts WHERE user = ?1",
            [user.as_bytes()],
            |row| decision(row, 0),
        )?;
        Ok(found.unwrap_or_default())
    }

    /// Keeps it in place of what was decided before.
    pub fn decide(&self, user: UserId, decision: &Decision) -> Result<(), Error> {
        self.run(
            "INSERT INTO contacts (user, verified, verified_ms, blocked, blocked_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET verified = excluded.verified, verified_ms = excluded.verified_ms,
                 blocked = excluded.blocked, blocked_ms = excluded.blocked_ms",
            params![
                user.as_bytes(),
                decision.verified.what,
                N(decision.verified.at_ms),
                decision.blocked.what,
                N(decision.blocked.at_ms),
            ],
        )?;
        Ok(())
    }

    /// Somebody about whom the relay is to be told whether they are blocked: because it was not, or not between these two times.
    pub fn block_to_tell(
        &self,
        told_since_ms: u64,
        now_ms: u64,
    ) -> Result<Option<(UserId, Decided<bool>)>, Error> {
        self.one(
            "SELECT user, blocked, blocked_ms FROM contacts WHERE blocked_ms > block_told_ms
                 OR (blocked_ms > 0 AND block_told_at_ms NOT BETWEEN ?1 AND ?2) LIMIT 1",
            params![N(told_since_ms), N(now_ms)],
            |row| {
                let decided = Decided {
                    what: row.get(1)?,
                    at_ms: row.get::<_, N>(2)?.0,
                };
                Ok((UserId::from_bytes(row.get(0)?), decided))
            },
        )
    }

    /// It was told what was decided at `decided_ms`.
    pub fn block_told(&self, user: UserId, decided_ms: u64, now_ms: u64) -> Result<(), Error> {
        self.run(
            "UPDATE contacts SET block_told_ms = max(block_told_ms, ?2), block_told_at_ms = ?3 WHERE user = ?1",
            params![user.as_bytes(), N(decided_ms), N(now_ms)],
        )?;
        Ok(())
    }

    /// What another own device has seen of a person.
    pub fn seen(&self, user: UserId) -> Result<Option<Seen>, Error> {
        let seen = self.one(
            "SELECT seen_key, seen_version, seen_hash, seen_floor FROM contacts WHERE user = ?1",
            [user.as_bytes()],
            |row| {
                let seen: (Option<[u8; 32]>, Option<u32>) = (row.get(0)?, row.get(1)?);
                let (hash, floor) = (row.get(2)?, row.get(3)?);
                Ok(seen.0.zip(seen.1).map(|(identity_key, version)| Seen {
                    identity_key,
                    version,
                    hash,
                    floor,
                }))
            },
        )?;
        Ok(seen.flatten())
    }

    /// Keeps it, unless a newer list was seen, or one under the key that the user has compared, which this is not.
    pub fn put_seen(
        &self,
        user: UserId,
        seen: &Seen,
        verified: Option<[u8; 32]>,
    ) -> Result<(), Error> {
        let mut seen = *seen;
        if let Some(before) = self.seen(user)? {
            let is_theirs = |seen: &Seen| Some(seen.identity_key) == verified;
            let is_known = match (is_theirs(&before), is_theirs(&seen)) {
                (true, false) => true,
                (false, true) => false,
                _ => before.version >= seen.version,
            };
            let floor = match before.identity_key == seen.identity_key {
                true => before.floor.max(seen.floor),
                false => seen.floor,
            };
            if is_known {
                seen = before;
            }
            if before.identity_key == seen.identity_key {
                seen.floor = floor.max(seen.floor);
            }
        }
        self.run(
            "INSERT INTO contacts (user, seen_key, seen_version, seen_hash, seen_floor) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET seen_key = excluded.seen_key, seen_version = excluded.seen_version,
                 seen_hash = excluded.seen_hash, seen_floor = excluded.seen_floor",
            params![
                user.as_bytes(),
                seen.identity_key,
                seen.version,
                seen.hash,
                seen.floor,
            ],
        )?;
        Ok(())
    }

    /// The identity key of a person that a row of the conversation with oneself names.
    pub fn noted(&self, user: UserId) -> Result<Option<[u8; 32]>, Error> {
        let noted = self.one(
            "SELECT noted_key FROM contacts WHERE user = ?1",
            [user.as_bytes()],
            |row| row.get(0),
        )?;
        Ok(noted.flatten())
    }

    /// Sets [`Self::noted`].
    pub fn set_noted(&self, user: UserId, identity_key: [u8; 32]) -> Result<(), Error> {
        self.run(
            "INSERT INTO contacts (user, noted_key) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET noted_key = excluded.noted_key",
            params![user.as_bytes(), identity_key],
        )?;
        Ok(())
    }

    /// People besides `me` to whom the user has written, or about whom they have decided something, and of whose identity key no row of the
    /// conversation with oneself tells; at most `limit`.
    pub fn not_noted(&self, me: UserId, limit: u32) -> Result<Vec<UserId>, Error> {
        self.all(
            "SELECT p.user FROM pins p LEFT JOIN contacts k ON k.user = p.user LEFT JOIN conversations c ON c.peer = p.user
             WHERE p.user <> ?1 AND (k.noted_key IS NULL OR k.noted_key <> p.identity_key)
                 AND (c.answered = 1 OR k.verified_ms > 0 OR k.blocked_ms > 0)
                 AND NOT EXISTS (SELECT 1 FROM deleted d WHERE d.user = p.user)
             ORDER BY p.user LIMIT ?2",
            params![me.as_bytes(), limit],
            |row| row.get(0).map(UserId::from_bytes),
        )
    }

    /// What a person calls themselves; empty: nothing, as far as it is known.
    pub fn display_name(&self, user: UserId) -> Result<String, Error> {
        let name = self.one(
            "SELECT display_name FROM contacts WHERE user = ?1",
            [user.as_bytes()],
            |row| row.get(0),
        )?;
        Ok(name.unwrap_or_default())
    }

    /// A person calls themselves so in the row at `seq` of their conversation; that of the newest row counts.
    pub fn put_display_name(&self, user: UserId, name: &str, seq: u64) -> Result<(), Error> {
        self.run(
            "INSERT INTO contacts (user, display_name, display_name_seq) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET display_name = excluded.display_name, display_name_seq = excluded.display_name_seq
             WHERE display_name_seq < excluded.display_name_seq",
            params![user.as_bytes(), name, N(seq)],
        )?;
        Ok(())
    }

    /// When a person was last there.
    pub fn last_seen(&self, user: UserId) -> Result<Option<u64>, Error> {
        let seen = self.one(
            "SELECT last_seen_ms FROM contacts WHERE user = ?1",
            [user.as_bytes()],
            |row| row.get::<_, Option<N>>(0),
        )?;
        Ok(seen.flatten().map(|n| n.0))
    }

    /// Keeps when a person was last there, if that is a minute later than what is known.
    pub fn raise_last_seen(&self, user: UserId, at_ms: u64) -> Result<(), Error> {
        self.run(
            "INSERT INTO contacts (user, last_seen_ms) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET last_seen_ms = excluded.last_seen_ms
             WHERE last_seen_ms IS NULL OR last_seen_ms + 60000 <= excluded.last_seen_ms",
            params![user.as_bytes(), N(at_ms)],
        )?;
        Ok(())
    }

    /// The devices of a person that were accepted.
    pub fn accepted_devices(&self, user: UserId) -> Result<Vec<Accepted>, Error> {
        self.all(
            "SELECT device, signing_key, list_version, list_hash, floor FROM accepted_devices WHERE user = ?1",
            [user.as_bytes()],
            |row| {
                Ok(Accepted {
                    device: DeviceId::from_bytes(row.get(0)?),
                    signing_key: row.get(1)?,
                    list_version: row.get(2)?,
                    list_hash: row.get(3)?,
                    floor: row.get(4)?,
                })
            },
        )
    }

    /// Devices of a person were accepted. Whether that is news.
    pub fn put_accepted(&self, user: UserId, devices: &[Accepted]) -> Result<bool, Error> {
        let mut news = 0;
        for accepted in devices {
            let of = params![
                user.as_bytes(),
                accepted.device.as_bytes(),
                accepted.signing_key,
                accepted.list_version,
                accepted.list_hash,
                accepted.floor,
            ];
            news += self.run(
                "INSERT OR IGNORE INTO accepted_devices (user, device, signing_key, list_version, list_hash, floor)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                of,
            )?;
            self.run(
                "UPDATE accepted_devices SET floor = max(floor, ?6)
                 WHERE user = ?1 AND device = ?2 AND signing_key = ?3 AND list_version = ?4 AND list_hash = ?5",
                of,
            )?;
        }
        Ok(news > 0)
    }

    /// Whether the account is gone.
    pub fn is_deleted(&self, user: UserId) -> Result<bool, Error> {
        let found = self.one(
            "SELECT 1 FROM deleted WHERE user = ?1",
            [user.as_bytes()],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// It is, or is there after all. Whether that is news.
    pub fn set_deleted(&self, user: UserId, deleted: bool) -> Result<bool, Error> {
        let set = match deleted {
            true => "INSERT OR IGNORE INTO deleted VALUES (?1)",
            false => "DELETE FROM deleted WHERE user = ?1",
        };
        Ok(self.run(set, [user.as_bytes()])? > 0)
    }

    /// Everybody whose lists this device has seen, or about whom something was decided, after `after` by id, at most `limit`.
    pub fn contacts_after(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Decision)>, Error> {
        self.all(
            "SELECT u.user, c.verified, c.verified_ms, c.blocked, c.blocked_ms
             FROM (SELECT user FROM pins UNION SELECT user FROM contacts) u LEFT JOIN contacts c ON c.user = u.user
             WHERE ?1 IS NULL OR u.user > ?1 ORDER BY u.user LIMIT ?2",
            params![after.as_ref().map(UserId::as_bytes), limit],
            |row| Ok((UserId::from_bytes(row.get(0)?), decision(row, 1)?)),
        )
    }
}
