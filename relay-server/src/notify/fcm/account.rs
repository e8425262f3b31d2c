//! The service account: who the relay is towards Google.

use std::{fs, io, path::Path};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::{Secret, may_carry_secrets};

/// What an access token may be used for.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// Google's maximum.
const LIFETIME_S: u64 = 3600;
/// The largest file that is read. Real ones have about 2.4 KiB.
const FILE_BYTES: u64 = 64 * 1024;

/// Why FCM cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The file.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// Another kind of file.
    #[error("it is not the key file of a service account ({0})")]
    Content(&'static str),
    /// No HTTP client.
    #[error("HTTP client: {0}")]
    Client(String),
}

/// The fields of the file that matter. Others are of no use here.
#[derive(Deserialize)]
struct File {
    project_id: String,
    private_key_id: String,
    private_key: Secret,
    client_email: String,
    token_uri: String,
}

/// A service account with its key.
pub(super) struct Account {
    pub(super) project: String,
    pub(super) token_uri: String,
    email: String,
    key_id: String,
    key: RsaKeyPair,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

impl Account {
    pub(super) fn read(file: &Path) -> Result<Self, AccountError> {
        if fs::metadata(file)?.len() > FILE_BYTES {
            return Err(AccountError::Content("it is too large"));
        }
        let text = Zeroizing::new(fs::read(file)?);
        // The parser's own words could quote the file.
        let file: File = serde_json::from_slice(&text).map_err(|_| {
            AccountError::Content(
                "project_id, private_key_id, private_key, client_email or token_uri is missing",
            )
        })?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(file.private_key.expose().as_bytes())
            .map_err(|_| AccountError::Content("private_key is no key"))?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|_| AccountError::Content("private_key is no RSA key"))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.');
        if file.project_id.is_empty() || !file.project_id.chars().all(plain) {
            return Err(AccountError::Content("project_id is no name of a project"));
        }
        if !may_carry_secrets(&file.token_uri) {
            return Err(AccountError::Content("token_uri is no https address"));
        }
        Ok(Self {
            project: file.project_id,
            token_uri: file.token_uri,
            email: file.client_email,
            key_id: file.private_key_id,
            key,
        })
    }

    /// What is exchanged for an access token (RFC 7523): a JWT, signed with RS256. `None`: the key does not sign.
    pub(super) fn assertion(&self, now_s: u64) -> Option<Zeroizing<String>> {
        let header = Header {
            alg: "RS256",
            typ: "JWT",
            kid: &self.key_id,
        };
        let claims = Claims {
            iss: &self.email,
            scope: SCOPE,
            aud: &self.token_uri,
            iat: now_s,
            exp: now_s.saturating_add(LIFETIME_S),
        };
        let part = |json: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(json);
        let header = part(serde_json::to_vec(&header).ok()?);
        let claims = part(serde_json::to_vec(&claims).ok()?);
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                signed.as_bytes(),
                &mut signature,
            )
            .ok()?;
        Some(Zeroizing::new(format!("{signed}.{}", part(signature))))
    }
}
