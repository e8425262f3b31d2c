//! An app's own login, for tests of apps that have one.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use sordino_relay::config::{Emails, Policy, Registration};
use tempfile::TempDir;

use super::Error;

const ISSUER: &str = "https://app.example";
const AUDIENCE: &str = "chat.example";
const KEY_ID: &str = "test";
const LIFETIME: Duration = Duration::from_secs(300);

/// Makes the tokens by which a relay knows the people of an app. `TestRelay::configured` with [`Self::registration`] is such a relay.
pub struct TestLogin {
    key: SigningKey,
    directory: TempDir,
}

impl TestLogin {
    /// Another one, with a key of its own.
    pub fn new() -> Result<Self, Error> {
        let login = Self {
            key: SigningKey::from_bytes(&rand::random()),
            directory: tempfile::tempdir().map_err(Error::Directory)?,
        };
        login.publish(true)?;
        Ok(login)
    }

    /// What the relay's operator sets.
    #[must_use]
    pub fn registration(&self) -> Registration {
        Registration {
            policy: Policy::External,
            email: Emails::Optional,
            issuer: Some(ISSUER.to_owned()),
            audience: Some(AUDIENCE.to_owned()),
            jwks_url: None,
            jwks_file: Some(self.directory.path().join("keys.json")),
        }
    }

    /// Shows the relay the key, or takes it away: a login that cannot be reached. A relay that has read it knows it for a while.
    pub fn publish(&self, reachable: bool) -> Result<(), Error> {
        let file = self.directory.path().join("keys.json");
        let x = BASE64.encode(self.key.verifying_key().as_bytes());
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "kid": KEY_ID, "x": x });
        let done = match reachable {
            true => fs::write(file, json!({ "keys": [key] }).to_string()),
            false => fs::remove_file(file),
        };
        done.map_err(Error::Directory)
    }

    /// A token for this person of the app, good for five minutes.
    #[must_use]
    pub fn token(&self, subject: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let expires = now.unwrap_or_default() + LIFETIME;
        let part = |value: Value| BASE64.encode(value.to_string());
        let message = format!(
            "{}.{}",
            part(json!({ "alg": "EdDSA", "kid": KEY_ID })),
            part(
                json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": expires.as_secs() })
            ),
        );
        let signature = self.key.sign(message.as_bytes()).to_bytes();
        format!("{message}.{}", BASE64.encode(signature))
    }
}
