//! A device that another one of the account puts on it.

use std::sync::Arc;

use sordino_protocol::DeviceId;

use crate::{client::on_its_own, engine, error::Error, types::User};

/// A new device that is to be linked: [`Login::link`](crate::Login::link). Good for five minutes. Dropping it changes nothing.
pub struct Linking(Arc<engine::Joining>);

impl Linking {
    pub(crate) fn new(joining: engine::Joining) -> Self {
        Self(Arc::new(joining))
    }

    /// To be shown as a QR code, or typed: the account's other device reads it ([`Client::link`](crate::Client::link)). No secret.
    #[must_use]
    pub fn code(&self) -> &str {
        self.0.code()
    }

    /// Waits until the other device has read the code. It shows six digits then: ask for them here.
    ///
    /// # Errors
    /// `LinkEnded` when nobody read the code in time, or the relay was restarted; `DeviceLimit` where there are ten devices: remove one, and log in again; `NotAuthenticated` where the login has ended: log in again; `RelayMisbehaved`
    /// where somebody stands in between; `Unreachable`, `RateLimited`.
    pub async fn met(&self) -> Result<(), Error> {
        self.0.met().await
    }

    /// `digits`: those that the other device shows, as the person typed them here. Nothing is taken without: the relay alone could put
    /// this device on an account of its own making. Waits until the person has confirmed there, too, and this device is on the
    /// account: [`Client::me`](crate::Client::me) is the person then, and [`Client::connect`](crate::Client::connect) connects. What was
    /// said before comes from the other device then. May be called again after other digits were typed, or the network failed.
    /// Dropped before it is done, it takes nothing more.
    ///
    /// # Errors
    /// `BadRequest` for other digits: typed wrongly, or somebody stands in between. As [`Self::met`]; `BadKeys` if what the other device
    /// gave does not fit together; those of the store.
    pub async fn join(&self, digits: &str) -> Result<User, Error> {
        self.0.join(digits).await
    }
}

impl std::fmt::Debug for Linking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linking").finish_non_exhaustive()
    }
}

/// A new device that shows a code, as a device of the account sees it: [`Client::link`](crate::Client::link). Dropping it links nothing.
pub struct LinkRequest(Arc<engine::Linking>);

impl LinkRequest {
    pub(crate) fn new(linking: engine::Linking) -> Self {
        Self(Arc::new(linking))
    }

    /// Six digits: the person types them on the new device, which takes them if nobody stands in between.
    #[must_use]
    pub fn digits(&self) -> &str {
        self.0.digits()
    }

    /// The new device has taken the digits, the person says: gives it the account's keys, puts it on the account, and gives it the keys of what was
    /// said before, as long as this device is connected. Once: after an error begin anew, with another code.
    ///
    /// # Errors
    /// `DeviceLimit` where there are ten devices: remove one; `KeysMissing`; `LinkEnded` when its time is over, or the relay was restarted; `ListConflict` where
    /// another device changed the account meanwhile; `RelayMisbehaved`, `BadKeys`, `Unreachable`; those of the store.
    pub async fn confirm(&self) -> Result<DeviceId, Error> {
        let linking = self.0.clone();
        on_its_own(async move { linking.confirm().await }).await
    }
}

impl std::fmt::Debug for LinkRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkRequest").finish_non_exhaustive()
    }
}
