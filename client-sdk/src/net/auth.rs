//! The access token: fetched when there is none, renewed before it expires, kept in memory only.

use std::time::{Duration, Instant};

use sordino_protocol::Code;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::error::Error;

/// A token is renewed when it has less than this left: time for a request to reach the relay.
const MARGIN: Duration = Duration::from_secs(60);
/// However long the relay says that a token lasts.
const LONGEST: Duration = Duration::from_secs(3600);

/// An access token. A secret: it is not printed, and wiped when dropped.
pub(crate) struct AccessToken {
    text: Zeroizing<String>,
    expires: Instant,
}

impl AccessToken {
    /// A token that is good for `lifetime` from `now`.
    pub(crate) fn new(text: String, lifetime: Duration, now: Instant) -> Self {
        Self {
            text: Zeroizing::new(text),
            expires: now + lifetime.min(LONGEST),
        }
    }

    /// The token itself.
    pub(crate) fn expose(&self) -> &str {
        &self.text
    }

    fn is_fresh(&self, now: Instant) -> bool {
        // A lifetime below the margin must not mean a login for every request.
        self.expires.saturating_duration_since(now) > MARGIN
    }
}

/// The token at hand.
#[derive(Default)]
pub(crate) struct Tokens {
    held: Mutex<Option<std::sync::Arc<AccessToken>>>,
    /// There is no other than the one that was given.
    given: bool,
}

impl Tokens {
    /// With this one, and none after it.
    pub(crate) fn given(token: AccessToken) -> Self {
        Self {
            held: Mutex::new(Some(std::sync::Arc::new(token))),
            given: true,
        }
    }

    /// A token with time left; `login` fetches one if need be. Callers that come together share one login.
    pub(crate) async fn fresh(
        &self,
        login: impl AsyncFnOnce() -> Result<AccessToken, Error>,
    ) -> Result<std::sync::Arc<AccessToken>, Error> {
        let mut held = self.held.lock().await;
        if let Some(token) = held.as_ref().filter(|token| token.is_fresh(Instant::now())) {
            return Ok(token.clone());
        }
        if self.given {
            return Err(Error::new(Code::NotAuthenticated, "the login has ended"));
        }
        let token = std::sync::Arc::new(login().await?);
        *held = Some(token.clone());
        Ok(token)
    }

    /// The relay refused this token: it is not used again.
    pub(crate) async fn refused(&self, token: &AccessToken) {
        let mut held = self.held.lock().await;
        if held
            .as_ref()
            .is_some_and(|held| std::ptr::eq(held.as_ref(), token))
        {
            *held = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn token(n: u32, lifetime: u64) -> AccessToken {
        AccessToken::new(n.to_string(), Duration::from_secs(lifetime), Instant::now())
    }

    #[tokio::test]
    async fn one_login_serves_until_the_token_runs_out_or_is_refused() {
        let (tokens, logins) = (Tokens::default(), AtomicU32::new(0));
        let login = |lifetime| {
            let logins = &logins;
            async move || Ok(token(logins.fetch_add(1, Ordering::Relaxed), lifetime))
        };
        let (first, second) = tokio::join!(tokens.fresh(login(600)), tokens.fresh(login(600)));
        let (first, second) = (first.expect("token"), second.expect("token"));
        assert_eq!((first.expose(), second.expose()), ("0", "0"));
        tokens.refused(&token(0, 600)).await;
        assert_eq!(tokens.fresh(login(30)).await.expect("token").expose(), "0");
        tokens.refused(&first).await;
        assert_eq!(tokens.fresh(login(30)).await.expect("token").expose(), "1");
        assert_eq!(tokens.fresh(login(600)).await.expect("token").expose(), "2");
    }

    #[tokio::test]
    async fn a_token_that_was_given_has_no_successor() {
        let login = async || -> Result<AccessToken, Error> { panic!("no device may log in") };
        let tokens = Tokens::given(token(7, 300));
        let given = tokens.fresh(login).await.expect("token");
        assert_eq!(given.expose(), "7");
        tokens.refused(&given).await;
        let ended = tokens.fresh(login).await.map(drop);
        assert_eq!(ended.unwrap_err().code(), Code::NotAuthenticated);
    }

    #[tokio::test]
    async fn a_failed_login_is_not_remembered() {
        let tokens = Tokens::default();
        let failed = tokens
            .fresh(async || Err(Error::new(Code::Unreachable, "")))
            .await;
        assert!(failed.is_err());
        assert!(tokens.fresh(async || Ok(token(1, 600))).await.is_ok());
    }
}
