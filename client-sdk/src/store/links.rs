//! Devices that this one has linked, and what it owes them; the device that has linked this one, and what came from it.

use rusqlite::params;
use sordino_crypto::backup::Entry;
use sordino_protocol::DeviceId;

use super::{Tx, backup::entry, sql::N};
use crate::error::Error;

/// A device that this one has linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linked {
    /// Which.
    pub device: DeviceId,
    /// The list that names it first.
    pub list_version: u32,
    /// When it was last noted which keys it is to get.
    pub noted_ms: Option<u64>,
    /// How often that was.
    pub noted: u32,
}

/// What a device that was linked knows of the keys that come from the one that linked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkedBy {
    /// Which.
    pub device: DeviceId,
    /// Keys that follow, as far as it has said.
    pub left: u64,
    /// Nothing follows.
    pub ended: bool,
}

/// An own device that this one, being new, has asked what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeted {
    /// Which.
    pub device: DeviceId,
    /// When it was last asked.
    pub asked_ms: Option<u64>,
    /// How often.
    pub asked: u32,
}

impl Tx<'_> {
    /// An own device is to be asked what it knows.
    pub fn put_greeted(&self, device: DeviceId) -> Result<(), Error> {
        self.run(
            "INSERT INTO greeted (device) VALUES (?1) ON CONFLICT DO NOTHING",
            [device.as_bytes()],
        )?;
        Ok(())
    }

    /// It was asked, once more.
    pub fn has_greeted(&self, device: DeviceId, now_ms: u64) -> Result<(), Error> {
        self.run(
            "UPDATE greeted SET asked_ms = ?2, asked = asked + 1 WHERE device = ?1",
            params![device.as_bytes(), N(now_ms)],
        )?;
        Ok(())
    }

    /// Those that have not answered.
    pub fn greeted(&self) -> Result<Vec<Greeted>, Error> {
        self.all("SELECT device, asked_ms, asked FROM greeted", [], |row| {
            Ok(Greeted {
                device: DeviceId::from_bytes(row.get(0)?),
                asked_ms: row.get::<_, Option<N>>(1)?.map(|n| n.0),
                asked: row.get(2)?,
            })
        })
    }

    /// Whether there are any.
    pub fn awaits_answers(&self) -> Result<bool, Error> {
        let any = self.one("SELECT EXISTS (SELECT 1 FROM greeted)", [], |row| {
            row.get(0)
        })?;
        Ok(any.unwrap_or_default())
    }

    /// It has answered, or is no device of the account.
    pub fn forget_greeted(&self, device: DeviceId) -> Result<(), Error> {
        self.run("DELETE FROM greeted WHERE device = ?1", [device.as_bytes()])?;
        Ok(())
    }

    /// This device is about to link another.
    pub fn put_linked(&self, device: DeviceId, list_version: u32) -> Result<(), Error> {
        self.run(
            "INSERT INTO linked (device, list_version) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET list_version = excluded.list_version",
            params![device.as_bytes(), list_version],
        )?;
        Ok(())
    }

    /// The devices that this one has linked and that have not got everything.
    pub fn linked(&self) -> Result<Vec<Linked>, Error> {
        self.all(
            "SELECT device, list_version, noted_ms, noted FROM linked",
            [],
            |row| {
                Ok(Linked {
                    device: DeviceId::from_bytes(row.get(0)?),
                    list_version: row.get(1)?,
                    noted_ms: row.get::<_, Option<N>>(2)?.map(|n| n.0),
                    noted: row.get(3)?,
                })
            },
        )
    }

    /// It has got everything, or is no device of the account.
    pub fn forget_linked(&self, device: DeviceId) -> Result<(), Error> {
        self.run("DELETE FROM linked WHERE device = ?1", [device.as_bytes()])?;
        Ok(())
    }

    /// Notes that a device is to get the keys of all messages that were not noted for it before, the newest first. Whether there are
    /// any.
    pub fn owe_history(&self, device: DeviceId, now_ms: u64) -> Result<bool, Error> {
        let more = self.run(
            "INSERT INTO history_owed (device, place, conversation, seq)
             SELECT ?1, row_number() OVER (ORDER BY t.at_ms DESC, t.place DESC)
                 + (SELECT coalesce(max(place), 0) FROM history_owed WHERE device = ?1), t.conversation, t.place
             FROM (SELECT conversation, place, at_ms FROM timeline WHERE kind IN (1, 6)
                 UNION ALL SELECT conversation, place, at_ms FROM changes) t
             JOIN rows r ON r.conversation = t.conversation AND r.seq = t.place
             WHERE r.content_key IS NOT NULL AND r.env_hash IS NOT NULL AND NOT EXISTS (
                 SELECT 1 FROM history_owed o
                 WHERE o.device = ?1 AND o.conversation = t.conversation AND o.seq = t.place)
             ON CONFLICT DO NOTHING",
            [device.as_bytes()],
        )?;
        self.run(
            "UPDATE linked SET noted_ms = ?2, noted = noted + 1 WHERE device = ?1",
            params![device.as_bytes(), N(now_ms)],
        )?;
        Ok(more > 0)
    }

    /// The next keys that a device is to get, at most `limit`: they are owed no longer.
    pub fn take_owed(&self, device: DeviceId, limit: usize) -> Result<Vec<Entry>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let keys = self.all(
            "SELECT r.conversation, r.seq, r.env_hash, r.content_key
             FROM (SELECT conversation, seq FROM history_owed WHERE device = ?1 AND sent = 0 ORDER BY place LIMIT ?2) o
             JOIN rows r ON r.conversation = o.conversation AND r.seq = o.seq
             WHERE r.content_key IS NOT NULL ORDER BY r.conversation",
            params![device.as_bytes(), limit],
            entry,
        )?;
        self.run(
            "UPDATE history_owed SET sent = 1 WHERE device = ?1
             AND place IN (SELECT place FROM history_owed WHERE device = ?1 AND sent = 0 ORDER BY place LIMIT ?2)",
            params![device.as_bytes(), limit],
        )?;
        Ok(keys)
    }

    /// How many keys a device is still to get.
    pub fn count_owed(&self, device: DeviceId) -> Result<u64, Error> {
        let count = self.one(
            "SELECT count(*) FROM history_owed WHERE device = ?1 AND sent = 0",
            [device.as_bytes()],
            |row| row.get::<_, N>(0),
        )?;
        Ok(count.map_or(0, |n| n.0))
    }

    /// This device was linked by that one, and gets keys from it; or none come any more.
    pub fn set_linked_by(&self, device: Option<DeviceId>) -> Result<(), Error> {
        self.run(
            "UPDATE account SET linked_by = ?1, linked_keys_left = NULL",
            [device.as_ref().map(DeviceId::as_bytes)],
        )?;
        Ok(())
    }

    /// The device that linked this one, while keys come from it.
    pub fn linked_by(&self) -> Result<Option<LinkedBy>, Error> {
        let by = self.one(
            "SELECT linked_by, linked_keys_left, linked_keys_end FROM account",
            [],
            |row| {
                let by: Option<[u8; 16]> = row.get(0)?;
                let left = row.get::<_, Option<N>>(1)?.map_or(0, |n| n.0);
                let ended = row.get(2)?;
                Ok(by.map(|by| LinkedBy {
                    device: DeviceId::from_bytes(by),
                    left,
                    ended,
                }))
            },
        )?;
        Ok(by.flatten())
    }

    /// Keys have come from it; so many follow.
    pub fn linked_keys_came(&self, count: usize, left: u64, ended: bool) -> Result<(), Error> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.run(
            "UPDATE account SET linked_keys = linked_keys + ?1, linked_keys_left = ?2, linked_keys_end = ?3",
            params![N(count), N(left), ended],
        )?;
        Ok(())
    }
}
