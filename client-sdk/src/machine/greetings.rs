//! What own devices say to each other of themselves; and a device that is new asks each of the others, until that has answered.
//!
//! What another one does not answer the relay may have kept from it, and whom it trusts the relay would like to say.

use sordino_protocol::{
    Code, DeviceId, limits,
    list::Device,
    pb::{self, content::Body},
};

use super::own_devices::tell;
use super::{Machine, registered};
use crate::error::Error;
use crate::store::{Durability, StoredAccount, Tx};

/// Between two questions to one device; then twice as long each time, up to about a day: it may be switched off for weeks.
const ASK_AGAIN_MS: u64 = 60 * 60 * 1000;
const MOST_DOUBLED: u32 = 5;

impl Machine {
    /// This device is called so. The others are told.
    ///
    /// # Errors
    /// `BadRequest` for a name that is too long or holds control characters; `NotRegistered`; those of the store.
    pub fn name_device(&mut self, name: &str, now_ms: u64) -> Result<(), Error> {
        let me = registered(self.account.as_ref())?;
        check_device_name(name)?;
        self.store.transaction(Durability::Synced, |tx| {
            if tx.device_name(me.device)? == name {
                return Ok(());
            }
            tx.put_device_name(me.device, name)?;
            tell(tx, me, None, hello(tx, me, Asks::default())?, now_ms)
        })
    }

    /// Says hello to the other devices: what names a list that they do not know makes them look at it.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn greet(&mut self, now_ms: u64) -> Result<(), Error> {
        let me = registered(self.account.as_ref())?;
        let notes = &self.notes;
        self.store.transaction(Durability::Synced, |tx| {
            let list = notes.newest_list(tx, me.user)?;
            let others = |device: &Device| device.device != me.device;
            if list.is_some_and(|list| list.devices.iter().any(others)) {
                tell(tx, me, None, hello(tx, me, Asks::default())?, now_ms)?;
            }
            Ok(())
        })
    }

    /// Whether another own device has not answered yet what this one asked it as it came.
    ///
    /// # Errors
    /// Those of the store.
    pub fn awaits_answers(&self) -> Result<bool, Error> {
        self.store.read(|tx| tx.awaits_answers())
    }
}

/// A name for a device.
///
/// # Errors
/// `BadRequest` for one that is too long or holds control characters.
pub fn check_device_name(name: &str) -> Result<(), Error> {
    if name.len() > limits::DEVICE_NAME_BYTES || name.chars().any(char::is_control) {
        let detail = "the name of a device has up to 64 bytes, and no control characters";
        return Err(Error::new(Code::BadRequest, detail));
    }
    Ok(())
}

/// The own devices that are to be asked now what they know.
pub(super) fn to_greet(tx: &Tx<'_>, now_ms: u64) -> Result<Vec<DeviceId>, Error> {
    let due = tx.greeted()?.into_iter().filter(|greeted| {
        let wait =
            ASK_AGAIN_MS.saturating_mul(1 << greeted.asked.saturating_sub(1).min(MOST_DOUBLED));
        // A clock that has gone back makes it sooner.
        let waits = |at: u64| at <= now_ms && now_ms - at < wait;
        !greeted.asked_ms.is_some_and(waits)
    });
    Ok(due.map(|greeted| greeted.device).collect())
}

/// What a device that is new asks another one.
pub(super) fn greeting(tx: &Tx<'_>, me: &StoredAccount, to: DeviceId) -> Result<Body, Error> {
    let asks = Asks {
        names: true,
        history: tx
            .linked_by()?
            .is_some_and(|by| by.device == to && !by.ended),
        ..Asks::default()
    };
    hello(tx, me, asks)
}

#[derive(Default)]
pub(super) struct Asks {
    pub(super) names: bool,
    pub(super) keys: bool,
    pub(super) history: bool,
}

pub(super) fn hello(tx: &Tx<'_>, me: &StoredAccount, asks: Asks) -> Result<Body, Error> {
    Ok(Body::DeviceHello(pb::DeviceHello {
        asks_names: asks.names,
        asks_keys: asks.keys,
        asks_history: asks.history,
        ..named(tx, me)?
    }))
}

pub(super) fn named(tx: &Tx<'_>, me: &StoredAccount) -> Result<pb::DeviceHello, Error> {
    Ok(pb::DeviceHello {
        name: tx.device_name(me.device)?,
        ..pb::DeviceHello::default()
    })
}
