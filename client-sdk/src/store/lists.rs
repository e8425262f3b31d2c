//! Device lists and pins.

use bytes::Bytes;
use rusqlite::params;
use sordino_crypto::lists::{Pin, parse};
use sordino_protocol::{
    Code, DeviceId, UserId,
    list::{DeviceList, decode_signed, encode_signed},
};

use super::Tx;
use super::sql::N;
use crate::error::Error;

/// A chain of own lists that a device was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainSent {
    /// The newest version that there was.
    pub newest: u32,
    /// The last one of the chain.
    pub upto: u32,
}

/// The relay shows lists of a person that contradict those that were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contradiction {
    /// The user has compared the safety number since: what the relay shows next under that identity key takes the place of what is held.
    pub is_compared: bool,
    /// UIK of what it shows; `None`: it has shown nothing.
    pub offered: Option<[u8; 32]>,
}

fn damaged(what: &str) -> Error {
    Error::new(Code::StoreDamaged, what)
}

impl Tx<'_> {
    /// Keeps a verified list. A version that is held stays as it is.
    pub fn put_list(&self, list: &DeviceList, now_ms: u64) -> Result<(), Error> {
        self.run(
            "INSERT INTO lists VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![
                list.user.as_bytes(),
                list.version,
                encode_signed(&list.signed),
                N(now_ms),
            ],
        )?;
        Ok(())
    }

    /// This version of a user's list, if it is held.
    pub fn list(&self, user: UserId, version: u32) -> Result<Option<DeviceList>, Error> {
        let bytes: Option<Vec<u8>> = self.one(
            "SELECT signed FROM lists WHERE user = ?1 AND version = ?2",
            params![user.as_bytes(), version],
            |row| row.get(0),
        )?;
        bytes.map(read_list).transpose()
    }

    /// The oldest version that is held.
    pub fn oldest_list(&self, user: UserId) -> Result<Option<u32>, Error> {
        let oldest = self.one(
            "SELECT min(version) FROM lists WHERE user = ?1",
            [user.as_bytes()],
            |row| row.get(0),
        )?;
        Ok(oldest.flatten())
    }

    /// When this version of a user's list was first held.
    pub fn list_seen_ms(&self, user: UserId, version: u32) -> Result<Option<u64>, Error> {
        let seen = self.one(
            "SELECT seen_ms FROM lists WHERE user = ?1 AND version = ?2",
            params![user.as_bytes(), version],
            |row| row.get::<_, N>(0),
        )?;
        Ok(seen.map(|seen| seen.0))
    }

    /// The last chain of own lists that a device was sent.
    pub fn chain_sent(&self, user: UserId, device: DeviceId) -> Result<Option<ChainSent>, Error> {
        self.one(
            "SELECT newest, upto FROM chains_sent WHERE user = ?1 AND device = ?2",
            params![user.as_bytes(), device.as_bytes()],
            |row| {
                Ok(ChainSent {
                    newest: row.get(0)?,
                    upto: row.get(1)?,
                })
            },
        )
    }

    /// A device is sent a chain of own lists.
    pub fn put_chain_sent(
        &self,
        user: UserId,
        device: DeviceId,
        sent: ChainSent,
    ) -> Result<(), Error> {
        self.run(
            "INSERT OR REPLACE INTO chains_sent VALUES (?1, ?2, ?3, ?4)",
            params![user.as_bytes(), device.as_bytes(), sent.newest, sent.upto],
        )?;
        Ok(())
    }

    /// The relay shows lists of a person that contradict those that are held, under this identity key; or none as new. Whether that is news.
    pub fn note_contradiction(
        &self,
        user: UserId,
        offered: Option<[u8; 32]>,
    ) -> Result<bool, Error> {
        let before = self.contradiction(user)?;
        // A relay that shows nothing once more takes nothing back of what it has shown.
        let offered = offered.or(before.and_then(|before| before.offered));
        let known = before.is_some_and(|before| !before.is_compared && before.offered == offered);
        if !known {
            self.run(
                "INSERT OR REPLACE INTO contradictions (user, is_compared, offered) VALUES (?1, 0, ?2)",
                params![user.as_bytes(), offered],
            )?;
        }
        Ok(!known)
    }

    /// Whether it does.
    pub fn contradiction(&self, user: UserId) -> Result<Option<Contradiction>, Error> {
        self.one(
            "SELECT is_compared, offered FROM contradictions WHERE user = ?1",
            [user.as_bytes()],
            |row| {
                Ok(Contradiction {
                    is_compared: row.get(0)?,
                    offered: row.get(1)?,
                })
            },
        )
    }

    /// The number was compared.
    pub fn contradiction_compared(&self, user: UserId) -> Result<(), Error> {
        self.run(
            "UPDATE contradictions SET is_compared = 1 WHERE user = ?1",
            [user.as_bytes()],
        )
        .map(drop)
    }

    /// The relay shows what is held, or that was replaced. Whether there was a contradiction.
    pub fn forget_contradiction(&self, user: UserId) -> Result<bool, Error> {
        let forgotten = self.run(
            "DELETE FROM contradictions WHERE user = ?1",
            [user.as_bytes()],
        )?;
        Ok(forgotten > 0)
    }

    /// No list of this person is held any more.
    pub fn forget_lists(&self, user: UserId) -> Result<(), Error> {
        self.run("DELETE FROM lists WHERE user = ?1", [user.as_bytes()])
            .map(drop)
    }

    /// Nobody has accepted devices of this person.
    pub fn forget_accepted(&self, user: UserId) -> Result<(), Error> {
        let forget = "DELETE FROM accepted_devices WHERE user = ?1";
        self.run(forget, [user.as_bytes()]).map(drop)
    }

    /// The versions after `version` with when they were first held, ascending.
    pub fn lists_after(&self, user: UserId, version: u32) -> Result<Vec<(DeviceList, u64)>, Error> {
        let found: Vec<(Vec<u8>, N)> = self.all(
            "SELECT signed, seen_ms FROM lists WHERE user = ?1 AND version > ?2 ORDER BY version",
            params![user.as_bytes(), version],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        found
            .into_iter()
            .map(|(bytes, seen)| Ok((read_list(bytes)?, seen.0)))
            .collect()
    }

    /// What is remembered of a user's lists, and the devices that wait to be accepted.
    pub fn pin(&self, user: UserId) -> Result<Option<(Pin, Vec<DeviceId>)>, Error> {
        let found = self.one(
            "SELECT identity_key, version, hash, retired, loud, floor FROM pins WHERE user = ?1",
            [user.as_bytes()],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get::<_, Vec<u8>>(3)?,
                    row.get::<_, Vec<u8>>(4)?,
                    row.get(5)?,
                ))
            },
        )?;
        let Some((identity_key, version, hash, retired, loud, floor)) = found else {
            return Ok(None);
        };
        let pin = Pin {
            user,
            identity_key,
            version,
            hash,
            retired: chunks(&retired)?,
            floor,
        };
        let loud = chunks(&loud)?
            .into_iter()
            .map(DeviceId::from_bytes)
            .collect();
        Ok(Some((pin, loud)))
    }

    /// Keeps a pin in place of the one before.
    pub fn put_pin(&self, pin: &Pin, loud: &[DeviceId]) -> Result<(), Error> {
        let loud: Vec<[u8; 16]> = loud.iter().map(|device| *device.as_bytes()).collect();
        self.run(
            "INSERT OR REPLACE INTO pins (user, identity_key, version, hash, retired, loud, floor)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                pin.user.as_bytes(),
                pin.identity_key,
                pin.version,
                pin.hash,
                pin.retired.concat(),
                loud.concat(),
                pin.floor,
            ],
        )?;
        Ok(())
    }
}

/// It was verified before it was stored; parsing it again verifies it again, which costs little and trusts nothing.
fn read_list(bytes: Vec<u8>) -> Result<DeviceList, Error> {
    let signed = decode_signed(Bytes::from(bytes)).map_err(|_| damaged("a device list"))?;
    parse(&signed).map_err(|_| damaged("a device list"))
}

fn chunks<const L: usize>(bytes: &[u8]) -> Result<Vec<[u8; L]>, Error> {
    let (chunks, rest) = bytes.as_chunks::<L>();
    if rest.is_empty() {
        Ok(chunks.to_vec())
    } else {
        Err(damaged("a pin"))
    }
}
