//! The HTTP interface: accounts, logins, device lists, prekeys, history. Bodies: [`sordino_protocol::http`].

use std::{sync::Arc, time::Duration};

use sordino_protocol::{Code, DeviceId, UserId};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{
        block_key::BlockKey,
        challenge::{self, Challenges},
        password::Passwords,
        token::Tokens,
    },
    broker::Log,
    config::Emails,
    disabled::Disabled,
    history::History,
    link::Pipes,
    ops::{fleet::Fleet, rates::Rates},
    session::Sessions,
    user::Users,
};

mod accounts;
mod backups;
mod blocks;
pub(crate) mod caller;
mod claims;
mod deletion;
mod emails;
pub(crate) mod error;
mod external;
pub(crate) mod health;
mod history;
mod links;
mod lists;
mod login;
mod passwords;
mod prekeys;
mod push;
mod quota;
mod registration;
mod request;
mod resets;
pub mod routes;
#[cfg(test)]
mod tests;

pub use error::ApiError;
pub use quota::ClaimQuota;
pub use registration::Registration;

/// What the routes work with.
pub struct Api {
    /// The relay's name, part of every login.
    pub name: String,
    /// Accounts and public keys.
    pub users: Arc<dyn Users>,
    /// Who is told when a list changes.
    pub sessions: Arc<dyn Sessions>,
    /// Where messages go.
    pub log: Arc<dyn Log>,
    /// Where they stay.
    pub history: Arc<dyn History>,
    /// What devices sign to log in and to write.
    pub challenges: Challenges,
    /// What may be claimed.
    pub claims: ClaimQuota,
    /// Access tokens.
    pub tokens: Tokens,
    /// Logins by password.
    pub passwords: Passwords,
    /// Who may make an account.
    pub registration: Registration,
    /// How long who knows the password alone waits for another identity key, in milliseconds.
    pub reset_wait_ms: u64,
    /// Whether accounts have an e-mail address.
    pub emails: Emails,
    /// Who may do nothing at present.
    pub disabled: Disabled,
    /// Under which names is kept who has blocked whom.
    pub block_key: BlockKey,
    /// What all nodes count together.
    pub fleet: Arc<dyn Fleet>,
    /// What devices link each other over.
    pub pipes: Arc<dyn Pipes>,
    /// How often.
    pub rates: Arc<Rates>,
    /// Cancelled once the relay is about to end.
    pub draining: CancellationToken,
    /// Milliseconds since the Unix epoch.
    pub now_ms: fn() -> u64,
}

impl Api {
    /// Refuses who is disabled: told to nobody but who has proved that the account is theirs.
    pub(crate) fn must_be_enabled(&self, user: UserId) -> Result<(), Code> {
        match self.disabled.is(user) {
            true => Err(Code::AccountDisabled),
            false => Ok(()),
        }
    }

    /// Takes the answer to a challenge once: this node, and as far as they can be asked all nodes.
    pub(crate) async fn redeem(
        &self,
        nonce: &[u8; 32],
        user: UserId,
        device: DeviceId,
    ) -> Result<(), ApiError> {
        self.challenges
            .redeem(nonce, user, device, (self.now_ms)())?;
        let lifetime = Duration::from_millis(challenge::LIFETIME_MS);
        match self.fleet.once(nonce, lifetime).await {
            Some(false) => Err(Code::ChallengeExpired.into()),
            Some(true) | None => Ok(()),
        }
    }
}
