//! Firebase Cloud Messaging, HTTP v1: reaches Android, and Apple's devices through APNs.

mod access;
mod account;
mod answer;
mod message;

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{Client, Response, StatusCode, header, redirect};

pub use self::account::AccountError;
use self::{access::Access, account::Account, answer::Answer};
use super::provider::{Outcome, Push};

/// Where Google takes messages.
pub const ENDPOINT: &str = "https://fcm.googleapis.com";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a request as a whole.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read. Real ones have less than 2 KiB.
const ANSWER_BYTES: usize = 64 * 1024;

/// A Firebase project, as one of its service accounts.
pub struct Fcm {
    client: Client,
    send: String,
    access: Access,
}

impl Fcm {
    /// Reads the account. Nothing is connected yet.
    pub fn open(service_account_file: &Path, endpoint: &str) -> Result<Self, AccountError> {
        let account = Account::read(service_account_file)?;
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // A token goes to nobody else.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| AccountError::Client(error.to_string()))?;
        let endpoint = endpoint.trim_end_matches('/');
        Ok(Self {
            send: format!("{endpoint}/v1/projects/{}/messages:send", account.project),
            access: Access::new(client.clone(), account),
            client,
        })
    }

    /// Gets an access token, as the first wake would.
    ///
    /// # Errors
    /// Why there is none, for the operator.
    pub async fn dial(&self) -> Result<(), String> {
        match self.access.token().await {
            Ok(_) => Ok(()),
            Err(Outcome::Refused(why)) => Err(why),
            Err(_) => Err(format!(
                "no access token for FCM: {} gives none now",
                self.access.from()
            )),
        }
    }

    async fn attempt(&self, message: &[u8]) -> Result<Answer, Outcome> {
        let access = self.access.token().await?;
        let sent = self
            .client
            .post(&self.send)
            .bearer_auth(access.expose())
            .header(header::CONTENT_TYPE, "application/json")
            .body(message.to_vec())
            .send();
        let (status, after, body) = match sent.await {
            Ok(answer) => read(answer).await,
            Err(error) => return Err(unreachable(&error)),
        }?;
        let answer = Answer::of(status, after, &body);
        if answer == Answer::Unauthenticated {
            self.access.refused(&access).await;
        }
        Ok(answer)
    }
}

#[async_trait]
impl Push for Fcm {
    async fn wake(&self, token: &str) -> Outcome {
        let message = message::wake(token);
        // Once more with a new access token: the old one may have been revoked, or this machine's clock be wrong.
        for _ in 0..2 {
            match self.attempt(&message).await {
                Ok(Answer::Outcome(outcome)) | Err(outcome) => return outcome,
                Ok(Answer::Unauthenticated) => {}
            }
        }
        Outcome::Refused("FCM takes no access token of this service account".to_owned())
    }
}

/// Status, Retry-After in seconds, and body of an answer.
async fn read(mut answer: Response) -> Result<(StatusCode, Option<Duration>, Vec<u8>), Outcome> {
    let status = answer.status();
    // The form with a date is not read: Google sends seconds.
    let after = answer
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                tracing::debug!("FCM: an answer is too large");
                return Err(Outcome::Later(after));
            }
            Ok(None) => return Ok((status, after, body)),
            Err(error) => return Err(unreachable(&error)),
        }
    }
}

/// Whether the wake went out is unknown; two do no harm.
fn unreachable(error: &reqwest::Error) -> Outcome {
    // Without the address: an operator's proxy may have a password in it.
    let why = match error {
        error if error.is_timeout() => "no answer in time",
        error if error.is_connect() => "cannot be connected to",
        _ => "the connection broke",
    };
    tracing::debug!("FCM: {why}");
    Outcome::Later(None)
}

/// Shared between requests under way.
type Token = Arc<crate::config::Secret>;
