//! Requests: bounded in time and size, with a token or a proof where one is needed, and typed errors.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use reqwest::{Method, header, redirect};
use serde::{Serialize, de::DeserializeOwned};
use sordino_protocol::{
    Code, DeviceId, UserId,
    http::{Challenge, ChallengeRequest, ErrorBody, PROOF_HEADER, Token, TokenRequest},
};

use super::{
    RelayUrl, Signer,
    auth::{AccessToken, Tokens},
    blocking,
};
use crate::error::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read: a page of 100 lists or of 50 rows stays below.
const ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// How a request shows who makes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Not at all.
    Public,
    /// By the access token.
    Token,
    /// By the access token and a signature over the request.
    Proof,
}

/// The HTTP side of a relay.
pub(crate) struct Http {
    client: reqwest::Client,
    relay: RelayUrl,
    signer: Arc<dyn Signer>,
    tokens: Tokens,
}

impl Http {
    /// Connects to nothing yet.
    pub(crate) fn new(
        relay: RelayUrl,
        tls: &rustls::ClientConfig,
        signer: Arc<dyn Signer>,
    ) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            // A proof covers the path that was asked for, and a token goes to nobody else.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| Error::new(Code::Internal, format!("HTTP client: {error}")))?;
        Ok(Self {
            client,
            relay,
            signer,
            tokens: Tokens::default(),
        })
    }

    /// The same relay for another device, which logs in by itself, or has this token and no other.
    pub(crate) fn of_device(&self, signer: Arc<dyn Signer>, token: Option<AccessToken>) -> Self {
        Self {
            client: self.client.clone(),
            relay: self.relay.clone(),
            signer,
            tokens: token.map_or_else(Tokens::default, Tokens::given),
        }
    }

    /// A token with time left.
    pub(crate) async fn token(&self) -> Result<Arc<AccessToken>, Error> {
        self.tokens.fresh(async || self.login().await).await
    }

    /// The relay refused this token.
    pub(crate) async fn token_refused(&self, token: &AccessToken) {
        self.tokens.refused(token).await;
    }

    /// One call: a token that ran out under way, or a used challenge, is replaced once.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        access: Access,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, Error> {
        let body = match body {
            Some(body) => serde_json::to_vec(body)
                .map_err(|error| Error::new(Code::BadRequest, error.to_string()))?,
            None => Vec::new(),
        };
        let body = Bytes::from(body);
        let first = self.once(access, &method, path, query, &body).await;
        let answer = match first {
            Err(error) if access != Access::Public && is_stale(error.code()) => {
                self.once(access, &method, path, query, &body).await?
            }
            other => other?,
        };
        // 204 has no body.
        let answer: &[u8] = if answer.is_empty() { b"null" } else { &answer };
        serde_json::from_slice(answer).map_err(|error| not_a_relay(format!("{path}: {error}")))
    }

    async fn once(
        &self,
        access: Access,
        method: &Method,
        path: &str,
        query: &[(&str, String)],
        body: &Bytes,
    ) -> Result<Bytes, Error> {
        let mut url = self.relay.at(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.request(method.clone(), url);
        if !body.is_empty() {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        let mut token = None;
        if access != Access::Public {
            let fresh = self.token().await?;
            request = request.bearer_auth(fresh.expose());
            token = Some(fresh);
        }
        if access == Access::Proof {
            request = request.header(PROOF_HEADER, self.proof(method, path, body).await?);
        }
        let answer = read(request.send().await.map_err(unreachable)?).await;
        if let (Err(error), Some(token)) = (&answer, &token)
            && matches!(error.code(), Code::TokenExpired | Code::NotAuthenticated)
        {
            self.tokens.refused(token).await;
        }
        answer
    }

    async fn proof(&self, method: &Method, path: &str, body: &Bytes) -> Result<String, Error> {
        let nonce = self.challenge().await?;
        let (signer, method, path) = (self.signer.clone(), method.clone(), path.to_owned());
        let body = body.clone();
        let signature =
            blocking(move || signer.sign_request(method.as_str(), &path, &body, &nonce)).await?;
        Ok(BASE64_STANDARD.encode([nonce.as_slice(), &signature].concat()))
    }

    async fn login(&self) -> Result<AccessToken, Error> {
        let (nonce, signer) = (self.challenge().await?, self.signer.clone());
        let name = self.relay.name().to_owned();
        let (user, device, signature) = blocking(move || {
            let (user, device) = signer.device()?;
            Ok((user, device, signer.sign_auth(&name, &nonce)?))
        })
        .await?;
        let request = TokenRequest {
            user,
            device,
            nonce: nonce.to_vec().into(),
            signature: signature.to_vec().into(),
        };
        let now = std::time::Instant::now();
        let token: Token = self.post_public("/v1/auth/token", &request).await?;
        let lifetime = Duration::from_secs(token.expires_in);
        Ok(AccessToken::new(token.access_token, lifetime, now))
    }

    /// Whether it is the relay that is meant, before anything is left with it. Asks no more than for a challenge.
    pub(crate) async fn is_meant(&self) -> Result<(), Error> {
        self.challenge().await.map(drop)
    }

    /// The same for a device that is nobody's yet.
    pub(crate) async fn is_meant_for(&self, user: UserId, device: DeviceId) -> Result<(), Error> {
        self.challenge_for(user, device).await.map(drop)
    }

    async fn challenge(&self) -> Result<[u8; 32], Error> {
        let signer = self.signer.clone();
        let (user, device) = blocking(move || signer.device()).await?;
        self.challenge_for(user, device).await
    }

    pub(super) fn relay_name(&self) -> &str {
        self.relay.name()
    }

    pub(super) async fn challenge_for(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> Result<[u8; 32], Error> {
        let request = ChallengeRequest { user, device };
        let answer = self.post_public("/v1/auth/challenge", &request).await;
        let challenge: Challenge = answer.map_err(no_relay)?;
        self.must_be_meant(&challenge.relay)?;
        let nonce = challenge.nonce.0.as_ref().try_into();
        nonce.map_err(|_| Error::new(Code::RelayMisbehaved, "a challenge is 32 bytes"))
    }

    /// Refuses an answer that says it is of another relay.
    pub(super) fn must_be_meant(&self, answered: &str) -> Result<(), Error> {
        let meant = self.relay.name();
        if answered != meant {
            let bears: String = answered.chars().take(LONGEST_NAME).collect();
            let detail = format!("it calls itself {bears:?}, not {meant:?}");
            return Err(Error::new(Code::OtherRelay, detail));
        }
        Ok(())
    }

    async fn post_public<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Error> {
        // Boxed: a login is made within a call.
        Box::pin(self.call(Access::Public, Method::POST, path, &[], Some(body))).await
    }
}

fn is_stale(code: Code) -> bool {
    matches!(
        code,
        Code::TokenExpired | Code::NotAuthenticated | Code::ChallengeExpired
    )
}

/// The body of a good answer, or the error that the answer stands for.
async fn read(mut answer: reqwest::Response) -> Result<Bytes, Error> {
    let status = answer.status();
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(not_a_relay("an answer is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return Ok(body.freeze());
    }
    Err(refusal(status.as_u16(), &body))
}

/// The error that an answer other than 2xx stands for; one without a readable body is from something in between.
pub(super) fn refusal(status: u16, body: &[u8]) -> Error {
    let Ok(body) = serde_json::from_slice::<ErrorBody>(body) else {
        let code = match status {
            408 => Code::Timeout,
            // Of a proxy that has no relay to pass it to.
            502..=504 => Code::Busy,
            429 => Code::RateLimited,
            // Of a server that knows no such requests, or no such HTTP: no relay, and no proxy before one, is that.
            501 | 505 => return not_a_relay(format!("HTTP status {status}")),
            500..=599 => Code::Internal,
            _ => return not_a_relay(format!("HTTP status {status}")),
        };
        return Error::new(code, format!("HTTP status {status}"));
    };
    let code = Code::from_name(&body.code).unwrap_or(match status {
        500..=599 => Code::Internal,
        429 => Code::RateLimited,
        _ => Code::BadRequest,
    });
    // For a log or a terminal, in which the relay has nothing to arrange.
    let detail = body.detail.chars().filter(|char| !char.is_control());
    let detail: String = detail.take(200).collect();
    let error = Error::new(code, detail);
    match body.retry_after_ms {
        Some(ms) => error.after(Duration::from_millis(ms).min(LONGEST_WAIT)),
        None => error,
    }
}

/// What stands between, or a relay in the middle of a change, answers so as well: no reason to give up for good.
fn not_a_relay(detail: impl Into<String>) -> Error {
    Error::new(Code::RelayMisbehaved, detail).after(GARBLED_WAIT)
}

/// The first thing asked of any relay: what has no answer to it is none.
pub(super) fn no_relay(error: Error) -> Error {
    match error.code() {
        Code::RelayMisbehaved | Code::NotFound => {
            Error::new(Code::NoRelay, error.detail()).after(GARBLED_WAIT)
        }
        _ => error,
    }
}

/// Of a name that is shown.
const LONGEST_NAME: usize = 100;

/// Before a relay is asked again whose answer was none of the protocol.
const GARBLED_WAIT: Duration = Duration::from_secs(10);

/// However long the relay says to wait.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(600);

fn unreachable(error: reqwest::Error) -> Error {
    // Without the address: it may hold a name that was looked for.
    let error = error.without_url();
    let code = if error.is_timeout() {
        Code::Timeout
    } else if is_untrusted(&error) {
        Code::UntrustedRelay
    } else if speaks_no_tls(&error) {
        let error = Error::new(Code::NoRelay, "what answers does not speak TLS");
        return error.after(GARBLED_WAIT);
    } else {
        Code::Unreachable
    };
    Error::new(code, error.to_string())
}

/// Whether a certificate is what it failed of.
pub(super) fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    let of_certificate =
        |error: &rustls::Error| matches!(error, rustls::Error::InvalidCertificate(_));
    of_tls(error).is_some_and(of_certificate)
}

/// Whether something else than TLS came.
fn speaks_no_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let of_message = |error: &rustls::Error| matches!(error, rustls::Error::InvalidMessage(_));
    of_tls(error).is_some_and(of_message)
}

/// What TLS failed of, if it did.
fn of_tls<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    let inner = match error.downcast_ref::<std::io::Error>() {
        // What it carries is no source of its own.
        Some(io) => io
            .get_ref()
            .map(|inner| inner as &(dyn std::error::Error + 'static)),
        None => error.source(),
    };
    error.downcast_ref().or_else(|| of_tls(inner?))
}
