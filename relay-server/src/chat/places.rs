//! How many sockets one address has: whoever has accounts enough must not take the places of all others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Chat;
use crate::ops::{client::ClientAddr, rates::network};

/// The sockets of each address.
#[derive(Default)]
pub(super) struct Places(Mutex<HashMap<u128, usize>>);

/// A socket that is counted, until it is dropped.
pub(super) struct Place {
    pub(super) chat: Arc<Chat>,
    network: u128,
}

impl Place {
    /// One more of this address; `None` where it has all that it may have.
    pub(super) fn take(chat: Arc<Chat>, ClientAddr(address): ClientAddr) -> Option<Self> {
        let network = network(address);
        let mut open = chat.places.open();
        let sockets = open.entry(network).or_default();
        if *sockets >= chat.settings.sockets_per_address {
            return None;
        }
        *sockets += 1;
        drop(open);
        Some(Self { chat, network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.chat.places.open();
        if let Some(sockets) = open.get_mut(&self.network) {
            *sockets -= 1;
            if *sockets == 0 {
                open.remove(&self.network);
            }
        }
    }
}

impl Places {
    fn open(&self) -> MutexGuard<'_, HashMap<u128, usize>> {
        // Nothing panics between two steps on the map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
