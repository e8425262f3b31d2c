//! What the user has set, for all their devices.

use super::Client;
use crate::{
    engine::now_ms,
    error::Error,
    machine::{Setting, Settings},
};

impl Client {
    /// What the user has set, here or on another device of theirs; before that, what the app has said to [`Client::builder`].
    ///
    /// # Errors
    /// Those of the store.
    pub async fn settings(&self) -> Result<Settings, Error> {
        let shared = &self.inner.core.shared;
        shared.run(|machine| machine.settings()).await
    }

    /// The user sets something. It counts from now on, and on their other devices as soon as they hear of it
    /// ([`Event::SettingsChanged`](crate::Event::SettingsChanged)): what was set last, on whichever. Who has lost all devices finds it
    /// in the key backup. A name is one's own word, and not unique: show it beside the user name, never in its place. Whoever the user
    /// writes to from now on sees it with the message; the relay never does.
    ///
    /// # Errors
    /// `BadRequest` for a name of more than 64 bytes, or with control characters or such as turn the direction of writing;
    /// `NotRegistered`; those of the store.
    pub async fn set(&self, setting: Setting) -> Result<(), Error> {
        let core = &self.inner.core;
        core.shared
            .run(move |machine| machine.set(setting, now_ms()))
            .await?;
        // For the other devices.
        core.wake(core.shared.account().map(|account| account.user));
        Ok(())
    }
}
