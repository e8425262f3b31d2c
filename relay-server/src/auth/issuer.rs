//! The app's own login: tokens (JWT, RFC 7519) of an issuer that the operator names, checked by the keys that it publishes.
//!
//! Chat never asks for these: devices that are on a list have keys of their own. An issuer that is away keeps people from making
//! accounts and from adding devices, and nobody else from anything.

mod keys;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use sordino_protocol::{
    hash::{self, Hash},
    limits,
};
use tokio::sync::Mutex;

use self::keys::{Key, Source, algorithm};

/// After this long the keys are read again: one that the issuer has withdrawn is good no longer.
const FRESH_MS: u64 = 10 * 60 * 1000;
/// So long they are good where they cannot be read again.
const KEPT_MS: u64 = 24 * 60 * 60 * 1000;
/// Between two attempts to read them, whatever is asked: a flood of tokens with keys that nobody knows costs the issuer no more.
const PAUSE_MS: u64 = 10 * 1000;
/// How far the issuer's clock may be from this one, in seconds.
const LEEWAY_S: f64 = 60.0;
/// The longest subject, as OpenID Connect has it.
const SUBJECT_BYTES: usize = 255;

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// None of this issuer for this relay, or not good now.
    #[error("the token is none that this relay takes, or not good now")]
    Refused,
    /// The issuer's keys cannot be had.
    #[error("the issuer's keys cannot be had at the moment")]
    Away,
}

/// Who vouches for people.
pub struct Issuer {
    issuer: String,
    audience: String,
    source: Source,
    held: RwLock<Arc<Held>>,
    /// Held by the one that reads them.
    reading: Mutex<()>,
}

#[derive(Default)]
struct Held {
    keys: Vec<Key>,
    read_ms: Option<u64>,
    tried_ms: Option<u64>,
}

/// Others may be there, and are of no interest.
#[derive(Deserialize)]
struct Claims {
    // By the library these could be lists as well.
    iss: String,
    sub: String,
    exp: f64,
    nbf: Option<f64>,
}

impl Issuer {
    /// With keys at this address. Nothing is connected yet.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn at_url(issuer: &str, audience: &str, url: &str) -> Result<Self, String> {
        Ok(Self::new(issuer, audience, Source::url(url)?))
    }

    /// With keys in this file.
    pub fn with_file(issuer: &str, audience: &str, file: &Path) -> Self {
        Self::new(issuer, audience, Source::File(file.to_owned()))
    }

    fn new(issuer: &str, audience: &str, source: Source) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            source,
            held: RwLock::default(),
            reading: Mutex::new(()),
        }
    }

    /// Reads the keys once, for an operator who wants to know whether that works.
    ///
    /// # Errors
    /// Why not.
    pub async fn dial(&self) -> Result<(), String> {
        self.source.read().await.map(drop)
    }

    /// The hash of issuer and subject of a token that is good now.
    ///
    /// # Errors
    /// It is not; or nobody can tell.
    pub async fn verify(&self, token: &str, now_ms: u64) -> Result<Hash, IssuerError> {
        if token.len() > limits::EXTERNAL_TOKEN_BYTES {
            return Err(IssuerError::Refused);
        }
        let header = decode_header(token).map_err(|_| IssuerError::Refused)?;
        // What must be understood and is not.
        if header.crit.is_some() || algorithm(header.alg).is_none() {
            return Err(IssuerError::Refused);
        }
        let named = (header.kid.as_deref(), header.alg);
        let mut held = self.held();
        if held.find(named).is_none() || !held.within(now_ms, FRESH_MS) {
            let needed = held.find(named).is_none();
            self.read_again(now_ms, needed).await;
            held = self.held();
        }
        if !held.within(now_ms, KEPT_MS) {
            return Err(IssuerError::Away);
        }
        let key = held.find(named).ok_or(IssuerError::Refused)?;
        self.check(token, key, now_ms)
    }

    fn check(&self, token: &str, key: &Key, now_ms: u64) -> Result<Hash, IssuerError> {
        // Of the key: the token's own header never chooses the algorithm.
        let mut validation = Validation::new(key.algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // Below, by the caller's clock.
        validation.validate_exp = false;
        let Claims { iss, sub, exp, nbf } = decode(token, &key.key, &validation)
            .map_err(|_| IssuerError::Refused)?
            .claims;
        let now_s = Duration::from_millis(now_ms).as_secs_f64();
        let is_now = exp + LEEWAY_S > now_s && nbf.is_none_or(|nbf| nbf - LEEWAY_S <= now_s);
        let is_named = iss == self.issuer && (1..=SUBJECT_BYTES).contains(&sub.len());
        (is_now && is_named)
            .then(|| subject(&iss, &sub))
            .ok_or(IssuerError::Refused)
    }

    fn held(&self) -> Arc<Held> {
        // Nothing panics while it is held.
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&held)
    }

    /// Reads the keys, unless that was tried just now. `needed`: waits for another that is at it.
    async fn read_again(&self, now_ms: u64, needed: bool) {
        let _one = match needed {
            true => self.reading.lock().await,
            false => match self.reading.try_lock() {
                Ok(one) => one,
                Err(_) => return,
            },
        };
        let before = self.held();
        if before
            .tried_ms
            .is_some_and(|tried| tried.abs_diff(now_ms) < PAUSE_MS)
        {
            return;
        }
        let (keys, read_ms) = match self.source.read().await {
            Ok(keys) => (keys, Some(now_ms)),
            Err(error) => {
                tracing::warn!(%error, "the keys of the app's own login cannot be read");
                (before.keys.clone(), before.read_ms)
            }
        };
        let after = Held {
            keys,
            read_ms,
            tried_ms: Some(now_ms),
        };
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(after);
    }
}

impl Held {
    fn within(&self, now_ms: u64, time_ms: u64) -> bool {
        self.read_ms
            .is_some_and(|read| read.abs_diff(now_ms) < time_ms)
    }

    /// The key that a token names. One that names none is by the only key that there is.
    fn find(&self, (kid, algorithm): (Option<&str>, jsonwebtoken::Algorithm)) -> Option<&Key> {
        let fits = |key: &&Key| key.algorithm == algorithm;
        match (kid, self.keys.as_slice()) {
            (None, [only]) => Some(only).filter(fits),
            (None, _) => None,
            (Some(kid), keys) => {
                let mut named = keys.iter().filter(|key| key.id.as_deref() == Some(kid));
                named.find(fits)
            }
        }
    }
}

/// What the relay keeps of a person of the app.
fn subject(issuer: &str, subject: &str) -> Hash {
    let length = u32::try_from(issuer.len()).unwrap_or(u32::MAX);
    let parts = [&length.to_be_bytes(), issuer.as_bytes(), subject.as_bytes()];
    hash::labelled("subject", &parts)
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}
