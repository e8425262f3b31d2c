//! What the machine remembers only while it runs: cheap to find out again.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sordino_protocol::{Code, DeviceId, UserId, list::DeviceList};

use crate::error::Error;
use crate::store::Tx;

/// How long a device that had no prekeys is left out: at first as long as somebody takes who is just registering, then
/// twice as long each time.
const DORMANT_MS: u64 = 1_000;
const DORMANT_CAP_MS: u64 = 60_000;
/// At most this often is a new session tried with a device that has one.
const RENEWAL_MS: u64 = 60 * 60 * 1000;
/// Lists that are kept parsed.
const LISTS: usize = 256;

struct Dormant {
    until_ms: u64,
    wait_ms: u64,
}

#[derive(Default)]
pub(super) struct Notes {
    /// Versions of a user's list from this one on do not exist: the relay was asked for it. For rows that waited for the
    /// answer; it may come to be.
    pub(super) absent_lists: HashMap<UserId, u32>,
    /// Users whose lists have to be fetched before anything is encrypted for them.
    pub(super) stale_lists: HashSet<UserId>,
    /// Users whose lists were refused because they contradict what was seen, which is to be told.
    pub(super) contradictions: HashSet<UserId>,
    dormant: HashMap<(UserId, DeviceId), Dormant>,
    renewed: HashMap<(UserId, DeviceId), u64>,
    /// Parsing a list verifies all its signatures again.
    lists: RefCell<HashMap<(UserId, u32), Arc<DeviceList>>>,
}

impl Notes {
    pub(super) fn list(
        &self,
        tx: &Tx<'_>,
        user: UserId,
        version: u32,
    ) -> Result<Option<Arc<DeviceList>>, Error> {
        if let Some(list) = self.lists.borrow().get(&(user, version)) {
            return Ok(Some(Arc::clone(list)));
        }
        let Some(list) = tx.list(user, version)?.map(Arc::new) else {
            return Ok(None);
        };
        let mut lists = self.lists.borrow_mut();
        if lists.len() >= LISTS {
            lists.clear();
        }
        lists.insert((user, version), Arc::clone(&list));
        Ok(Some(list))
    }

    /// The newest list that is held.
    pub(super) fn newest_list(
        &self,
        tx: &Tx<'_>,
        user: UserId,
    ) -> Result<Option<Arc<DeviceList>>, Error> {
        let Some((pin, _)) = tx.pin(user)? else {
            return Ok(None);
        };
        let list = self.list(tx, user, pin.version)?;
        list.map(Some)
            .ok_or_else(|| Error::new(Code::StoreDamaged, "a pinned list is not held"))
    }

    /// Whether the relay was asked for this version, and says that there is none.
    pub(super) fn is_absent(&self, user: UserId, version: u32) -> bool {
        let absent = self.absent_lists.get(&user);
        absent.is_some_and(|from| version >= *from)
    }

    /// A transaction failed: what it stored may not be there.
    pub(super) fn forget_lists(&self) {
        self.lists.borrow_mut().clear();
    }

    pub(super) fn set_dormant(&mut self, user: UserId, device: DeviceId, now_ms: u64) {
        let before = self.dormant.get(&(user, device));
        let wait_ms = before.map_or(DORMANT_MS, |before| DORMANT_CAP_MS.min(before.wait_ms * 2));
        let until_ms = now_ms.saturating_add(wait_ms);
        let dormant = Dormant { until_ms, wait_ms };
        self.dormant.insert((user, device), dormant);
    }

    pub(super) fn is_dormant(&self, user: UserId, device: DeviceId, now_ms: u64) -> bool {
        let dormant = self.dormant.get(&(user, device));
        dormant.is_some_and(|dormant| now_ms < dormant.until_ms)
    }

    pub(super) fn wake(&mut self, user: UserId) {
        self.dormant.retain(|(dormant, _), _| *dormant != user);
    }

    /// Notes a try to set up a new session beside one that is there.
    pub(super) fn set_renewed(&mut self, user: UserId, device: DeviceId, now_ms: u64) {
        self.renewed.insert((user, device), now_ms);
    }

    pub(super) fn may_renew(&self, user: UserId, device: DeviceId, now_ms: u64) -> bool {
        let tried = self.renewed.get(&(user, device));
        tried.is_none_or(|at| now_ms.saturating_sub(*at) >= RENEWAL_MS)
    }
}
