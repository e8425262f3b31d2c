//! Access tokens (OAuth 2.0): got for the service account, used until shortly before they end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Client, StatusCode, header};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{Token, account::Account, read, unreachable};
use crate::{config::Secret, notify::provider::Outcome, relay::now_ms};

/// A token is not used any more when it has this little left.
const MARGIN: Duration = Duration::from_secs(120);
/// How soon the next token is asked for after one was refused: each wake would ask again.
const PAUSE: Duration = Duration::from_secs(10);

/// The token of one service account.
pub(super) struct Access {
    client: Client,
    account: Account,
    /// Held while one is got: the others wait for it instead of asking too.
    held: Mutex<Held>,
}

enum Held {
    None,
    /// The one before was refused.
    Refused,
    Token {
        token: Token,
        until: Instant,
        /// Until then it takes the place of one that was refused.
        renewed: Option<Instant>,
    },
    Failed {
        outcome: Outcome,
        until: Instant,
    },
}

#[derive(Deserialize)]
struct Granted {
    access_token: Secret,
    expires_in: u64,
}

impl Access {
    pub(super) fn new(client: Client, account: Account) -> Self {
        Self {
            client,
            account,
            held: Mutex::new(Held::None),
        }
    }

    /// Who gives tokens.
    pub(super) fn from(&self) -> &str {
        &self.account.token_uri
    }

    /// A token that is good, or what becomes of a wake without one.
    pub(super) async fn token(&self) -> Result<Token, Outcome> {
        let mut held = self.held.lock().await;
        let now = Instant::now();
        match &*held {
            Held::Token { token, until, .. } if now < *until => return Ok(Arc::clone(token)),
            Held::Failed { outcome, until } if now < *until => return Err(outcome.clone()),
            _ => {}
        }
        match self.exchange().await {
            Ok(granted) => {
                let token = Arc::new(granted.access_token);
                let left = Duration::from_secs(granted.expires_in).saturating_sub(MARGIN);
                let renewed = matches!(*held, Held::Refused).then(|| now + PAUSE);
                *held = Held::Token {
                    token: Arc::clone(&token),
                    renewed,
                    until: now + left.min(Duration::from_secs(3600)),
                };
                Ok(token)
            }
            Err(outcome) => {
                *held = Held::Failed {
                    outcome: outcome.clone(),
                    until: Instant::now() + PAUSE,
                };
                Err(outcome)
            }
        }
    }

    /// FCM does not take this one.
    pub(super) async fn refused(&self, refused: &Token) {
        let mut held = self.held.lock().await;
        let now = Instant::now();
        match &*held {
            Held::Token { token, renewed, .. } if Arc::ptr_eq(token, refused) => {
                *held = match renewed {
                    // Another one would be refused, too: each wake would get one.
                    Some(until) if now < *until => Held::Failed {
                        outcome: Outcome::Refused(
                            "401 for a token that was just granted".to_owned(),
                        ),
                        until: now + PAUSE,
                    },
                    _ => Held::Refused,
                };
            }
            // Somebody else got another one meanwhile.
            _ => {}
        }
    }

    async fn exchange(&self) -> Result<Granted, Outcome> {
        let refused = |why: &str| Outcome::Refused(format!("no access token for FCM: {why}"));
        let assertion = self
            .account
            .assertion(now_ms() / 1000)
            .ok_or_else(|| refused("the service account's key does not sign"))?;
        // All of it is of letters that need no escape.
        let body = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}",
            *assertion
        );
        let asked = self
            .client
            .post(&self.account.token_uri)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
            .send();
        let (status, after, body) = match asked.await {
            Ok(answer) => read(answer).await?,
            Err(error) => return Err(unreachable(&error)),
        };
        let body = zeroize::Zeroizing::new(body);
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(|_| {
                tracing::debug!("FCM: what answers at token_uri is not understood");
                Outcome::Later(None)
            }),
            StatusCode::TOO_MANY_REQUESTS => Err(Outcome::Later(after)),
            status if status.is_server_error() => Err(Outcome::Later(after)),
            status => Err(refused(&format!(
                "{status}; check the service account's key, and this machine's clock"
            ))),
        }
    }
}
