//! Trust in a person: compared safety numbers, devices that wait, people who are blocked.

use std::{fmt, sync::Arc};

use sordino_crypto::safety::SafetyNumber as Number;
use sordino_protocol::{Code, DeviceId, UserId};

use crate::{
    client::Inner,
    engine::{self, now_ms},
    error::Error,
    machine::{Happening, Machine, compare},
    types::{Presence, shown_name},
};

pub use crate::machine::Trust;

/// A person, as far as they are trusted. Cheap to make and to clone; what is decided here all of the user's devices learn.
#[derive(Clone)]
pub struct Contact {
    inner: Arc<Inner>,
    user: UserId,
}

/// 60 digits that are the same for two people if nobody stands between them. Shown ([`Display`](fmt::Display)) as twelve groups of five.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafetyNumber {
    number: Number,
    /// Theirs, which is in it.
    identity_key: [u8; 32],
}

impl SafetyNumber {
    /// For a QR code, which the other person scans.
    #[must_use]
    pub fn qr_text(&self) -> String {
        self.number.qr_text()
    }
}

impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

impl Contact {
    pub(crate) fn new(inner: Arc<Inner>, user: UserId) -> Self {
        Self { inner, user }
    }

    /// How far they are trusted.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn trust(&self) -> Result<Trust, Error> {
        let user = self.user;
        let shared = &self.inner.core().shared;
        shared.run(move |machine| machine.trust(user)).await
    }

    /// What they call themselves, as the newest message of theirs says. Anybody may call themselves anything: show it beside the user
    /// name, not in its place.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn display_name(&self) -> Result<Option<String>, Error> {
        let user = self.user;
        let shared = &self.inner.core().shared;
        let name = shared
            .run(move |machine| machine.display_name(user))
            .await?;
        Ok(shown_name(&name))
    }

    /// Whether they are there, as far as it is known now; of people whom the app watches ([`Client::watch`](crate::Client::watch)).
    #[must_use]
    pub fn presence(&self) -> Presence {
        self.inner.core().life().presence(self.user)
    }

    /// The number to compare, in person or over a call. Needs the network only where nothing is known of the person yet.
    ///
    /// # Errors
    /// `UserNotFound`; `NotRegistered`, `Unreachable`, `RateLimited`, `BadKeys`; those of the store.
    pub async fn safety_number(&self) -> Result<SafetyNumber, Error> {
        let (core, user) = (self.inner.core(), self.user);
        let read = move |machine: &mut Machine| machine.safety_number(user);
        let mut found = core.shared.run(read).await?;
        if found.is_none() {
            let fetched = engine::newest_lists(core, user).await;
            found = core.shared.run(read).await?;
            // What was seen elsewhere can be compared.
            if found.is_none() {
                fetched?;
            }
        }
        let (number, identity_key) = found.ok_or_else(|| Error::new(Code::UserNotFound, ""))?;
        Ok(SafetyNumber {
            number,
            identity_key,
        })
    }

    /// The user has compared this number with the other person: it is the same. From then on a change of their identity key stops what
    /// is sent to them, and a device that no older one of theirs vouches for gets nothing, until the user has decided.
    ///
    /// # Errors
    /// `IdentityChanged` if it is not their number any more: compare again; `NoDevices` if nothing is known of them. `NotRegistered`; those of
    /// the store.
    pub async fn verify(&self, number: &SafetyNumber) -> Result<(), Error> {
        let (user, key) = (self.user, number.identity_key);
        self.decide(move |machine| machine.verify(user, key, now_ms()))
            .await?;
        // What the relay shows may count now. Without a connection it is looked at before anything is written.
        let core = self.inner.core();
        if core
            .shared
            .run(move |machine| machine.is_contradicted(user))
            .await?
            && let Err(error) = engine::newest_lists(core, user).await
        {
            tracing::info!(code = error.code().as_str(), "lists are fetched later");
        }
        Ok(())
    }

    /// What was scanned from the other person's device: whether it is the same number, and then the person is verified.
    ///
    /// # Errors
    /// `BadRequest` for what is no safety number; as [`Self::safety_number`] and [`Self::verify`].
    pub async fn scan(&self, text: &str) -> Result<bool, Error> {
        let number = self.safety_number().await?;
        match compare(&number.number, text) {
            Some(true) => self.verify(&number).await.map(|()| true),
            Some(false) => Ok(false),
            None => Err(Error::new(Code::BadRequest, "that is no safety number")),
        }
    }

    /// The person is not verified any more: what waited for the user to compare goes out.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub async fn unverify(&self) -> Result<(), Error> {
        let user = self.user;
        self.decide(move |machine| machine.unverify(user, now_ms()))
            .await
    }

    /// These devices, of [`Trust::withheld`], are the person's: they get what is sent from now on.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub async fn accept_devices(&self, devices: &[DeviceId]) -> Result<(), Error> {
        let (user, devices) = (self.user, devices.to_vec());
        self.decide(move |machine| machine.accept_devices(user, &devices, now_ms()))
            .await
    }

    /// What the person writes from now on is not shown, or is again. What came while they were blocked stays away.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub async fn block(&self, blocked: bool) -> Result<(), Error> {
        let user = self.user;
        self.decide(move |machine| machine.block(user, blocked, now_ms()))
            .await
    }

    async fn decide(
        &self,
        decide: impl FnOnce(&mut Machine) -> Result<Vec<Happening>, Error> + Send + 'static,
    ) -> Result<(), Error> {
        let core = self.inner.core();
        let decided = core.shared.change(|machine| Ok(((), decide(machine)?)));
        decided.await?;
        core.has_decided();
        // What waited for it, and what the other own devices are to be told.
        let me = core.shared.account().map(|account| account.user);
        core.wake([self.user].into_iter().chain(me));
        Ok(())
    }
}
