//! The machine behind its lock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sordino_protocol::{Code, DeviceId, UserId};

use crate::{
    error::Error,
    machine::{Account, Happening, Machine},
    net::{Signer, blocking},
};

use super::views::Views;

/// The machine, while the store is open. What happens in it is told before the lock is released: so that everybody is
/// told in the order in which it happened.
#[derive(Clone)]
pub(crate) struct Shared {
    machine: Arc<Mutex<Option<Machine>>>,
    /// The machine's account as it was last seen: to ask for it waits for no disk, and needs no open store.
    account: Arc<Mutex<Option<Account>>>,
    views: Arc<Views>,
}

impl Shared {
    pub(crate) fn new(machine: Machine, views: Arc<Views>) -> Self {
        Self {
            account: Arc::new(Mutex::new(machine.account())),
            machine: Arc::new(Mutex::new(Some(machine))),
            views,
        }
    }

    /// What is shown.
    pub(crate) fn views(&self) -> &Views {
        &self.views
    }

    /// The account of the store, whether or not the relay has confirmed it.
    pub(crate) fn account(&self) -> Option<Account> {
        self.noted().clone()
    }

    /// The same, once the relay has confirmed it.
    pub(crate) fn registered(&self) -> Result<Account, Error> {
        let account = self.account().filter(|account| account.registered);
        account.ok_or_else(|| Error::new(Code::NotRegistered, ""))
    }

    fn noted(&self) -> MutexGuard<'_, Option<Account>> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works with the machine here and now. It may wait for the disk.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&mut Machine) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut machine = self.lock();
        let machine = machine
            .as_mut()
            .ok_or_else(|| Error::new(Code::Stopped, "the store is not open"))?;
        let result = work(machine);
        *self.noted() = machine.account();
        result
    }

    /// Works with the machine on a thread that may block. Dropping the future does not stop the work.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Machine) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = self.clone();
        blocking(move || shared.with(work)).await
    }

    /// The same for work that tells what happened.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Machine) -> Result<(T, Vec<Happening>), Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = self.clone();
        blocking(move || {
            shared.with(|machine| {
                let (result, happenings) = work(machine)?;
                shared.views.tell(&happenings);
                Ok(result)
            })
        })
        .await
    }

    /// Closes the store; the lock on its file goes with it.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    /// Puts an opened store back.
    pub(crate) fn reopen(&self, machine: Machine) {
        *self.noted() = machine.account();
        *self.lock() = Some(machine);
        self.views.timers.notify_one();
    }

    /// Whether the store is open.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Machine>> {
        // Every method of the machine is one transaction: a panic within leaves what was before.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The device of the store, as the network needs it.
pub(super) struct StoredDevice {
    pub(super) shared: Shared,
    /// Also before the relay has confirmed the account: to make it, and to find out whether it was made.
    pub(super) unconfirmed: bool,
}

impl Signer for StoredDevice {
    fn device(&self) -> Result<(UserId, DeviceId), Error> {
        self.shared.with(|machine| {
            let account = machine.account();
            let account = account.filter(|account| account.registered || self.unconfirmed);
            let account = account.ok_or_else(|| Error::new(Code::NotRegistered, ""))?;
            Ok((account.user, account.device))
        })
    }

    fn sign_auth(&self, relay: &str, nonce: &[u8; 32]) -> Result<[u8; 64], Error> {
        self.shared.with(|machine| machine.sign_auth(relay, nonce))
    }

    fn sign_request(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        nonce: &[u8; 32],
    ) -> Result<[u8; 64], Error> {
        self.shared
            .with(|machine| machine.sign_request(method, path, body, nonce))
    }
}
