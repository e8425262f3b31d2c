//! What a node keeps in memory, and when it may.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sordino_protocol::{DeviceId, UserId, list::DeviceList};

use crate::user::{
    BlockTag,
    cache::{Cache, Ticket},
};

/// Users whose list is kept in memory, about 4 KiB each.
const LISTS: usize = 16_384;
/// Users whose devices' SPK expiries are kept in memory.
const EXPIRIES: usize = 65_536;
/// Users of whom is kept in memory whom they have blocked: mostly nobody, 8 KiB at most.
const BLOCKS: usize = 16_384;

/// The SPK expiries of a user's devices.
pub(super) type Expiries = Arc<[(DeviceId, u64)]>;

/// Lists, expiries and blocks, forgotten when any node changes them.
///
/// Only a node that hears of every change may keep anything: [`Cached::start`] is called once the node is subscribed to the
/// changes, [`Cached::stop`] as soon as it may have missed one. A row read between the two is at least as new as the
/// subscription, and a change after that is heard of.
pub(super) struct Cached {
    lists: Cache<UserId, Arc<DeviceList>>,
    expiries: Cache<UserId, Expiries>,
    blocks: Cache<UserId, Arc<[BlockTag]>>,
    listening: AtomicBool,
}

impl Cached {
    pub(super) fn new(max_age: Duration) -> Self {
        Self {
            lists: Cache::new(LISTS).with_max_age(max_age),
            expiries: Cache::new(EXPIRIES).with_max_age(max_age),
            blocks: Cache::new(BLOCKS).with_max_age(max_age),
            listening: AtomicBool::new(false),
        }
    }

    pub(super) fn list(&self, user: UserId) -> Result<Arc<DeviceList>, Ticket> {
        self.lists.get(&user)
    }

    pub(super) fn keep_list(&self, ticket: Ticket, user: UserId, list: Arc<DeviceList>) {
        if self.is_listening() {
            self.lists.fill(ticket, user, list);
        }
    }

    pub(super) fn expiries(&self, user: UserId) -> Result<Expiries, Ticket> {
        self.expiries.get(&user)
    }

    pub(super) fn keep_expiries(&self, ticket: Ticket, user: UserId, expiries: Expiries) {
        if self.is_listening() {
            self.expiries.fill(ticket, user, expiries);
        }
    }

    pub(super) fn blocks(&self, user: UserId) -> Result<Arc<[BlockTag]>, Ticket> {
        self.blocks.get(&user)
    }

    pub(super) fn keep_blocks(&self, ticket: Ticket, user: UserId, blocks: Arc<[BlockTag]>) {
        if self.is_listening() {
            self.blocks.fill(ticket, user, blocks);
        }
    }

    /// A node, this one or another, changed something of this user.
    pub(super) fn forget(&self, user: UserId) {
        self.lists.forget([user]);
        self.expiries.forget([user]);
        self.blocks.forget([user]);
    }

    /// From here on every change is heard of.
    pub(super) fn start(&self) {
        // First, so that no reader from before the subscription finds both its ticket valid and the switch on.
        self.forget_all();
        self.listening.store(true, Ordering::Release);
    }

    /// From here on changes may be missed.
    pub(super) fn stop(&self) {
        // The switch first: a reader with a ticket from after the forgetting finds it off.
        self.listening.store(false, Ordering::Release);
        self.forget_all();
    }

    pub(super) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Acquire)
    }

    fn forget_all(&self) {
        self.lists.forget_all();
        self.expiries.forget_all();
        self.blocks.forget_all();
    }
}
