//! Whom the operator has disabled, as this process knows it.
//!
//! Looked up every few seconds rather than told: the operator's program writes to the store beside the relay, and a relay with embedded
//! stores hears of nothing. They are few, so every request can be held against all of them without asking the store.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use sordino_protocol::UserId;
use tokio::time::sleep;

use crate::{
    http::Api,
    session::Event,
    user::{UserError, Users},
};

const EVERY: Duration = Duration::from_secs(2);

/// Users who are disabled, as of the last look.
#[derive(Default)]
pub struct Disabled(RwLock<HashSet<UserId>>);

impl Disabled {
    /// Whether a user is.
    pub fn is(&self, user: UserId) -> bool {
        // Whoever panicked had put a whole set there.
        let users = self.0.read().unwrap_or_else(PoisonError::into_inner);
        users.contains(&user)
    }

    /// Looks anew; gives those who were not before.
    ///
    /// # Errors
    /// Those of the store; what was known stays.
    pub async fn look(&self, users: &dyn Users) -> Result<Vec<UserId>, UserError> {
        let found: HashSet<_> = users.disabled().await?.into_iter().collect();
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let new = found.difference(&known).copied().collect();
        *known = found;
        Ok(new)
    }
}

/// Looks for ever, and has the sockets of those closed who were disabled meanwhile.
pub(crate) async fn watch(api: Arc<Api>) {
    let mut told = false;
    let mut untold = Vec::new();
    loop {
        sleep(EVERY).await;
        match api.disabled.look(&*api.users).await {
            Ok(new) => {
                told = false;
                untold.extend(new);
            }
            Err(error) if !told => {
                tracing::warn!(%error, "who is disabled cannot be read; what was known holds");
                told = true;
            }
            Err(_) => {}
        }
        let mut left = Vec::new();
        for user in untold {
            // Each socket looks whether its device may still be here, as when the list is another.
            let users = [user];
            let told = api.sessions.publish(&users, Event::ListChanged);
            if told.await.is_err() {
                left.push(user);
            }
        }
        untold = left;
    }
}
