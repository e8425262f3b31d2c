//! Users: registered, with prekeys, logged in.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::RequestBuilder;
use serde::{Serialize, de::DeserializeOwned};
use sordino_crypto::{
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
    lists,
    prekeys::Owner,
};
use sordino_protocol::{
    DeviceId, UserId,
    http::{
        Challenge, ChallengeRequest, PROOF_HEADER, PrekeyCount, PutPrekeys, Register, Token,
        TokenRequest, User,
    },
    list::DeviceList,
};

use super::{Error, Result, target::Target};

/// Requests under way at a time.
const REQUESTS: usize = 32;

/// A user with one device.
pub struct Account {
    /// Their list, version 1.
    pub list: DeviceList,
    /// Their device.
    pub device: DeviceId,
    keys: DeviceKeys,
}

impl Account {
    /// With the keys of its device.
    pub fn new(list: DeviceList, device: DeviceId, keys: DeviceKeys) -> Self {
        Self { list, device, keys }
    }

    /// Whose it is.
    pub fn user(&self) -> UserId {
        self.list.user
    }
}

/// A relay's HTTP interface.
pub struct Api {
    http: reqwest::Client,
    base: String,
}

impl Api {
    /// Of the relay there.
    pub fn new(target: &Target) -> Result<Self> {
        Ok(Self {
            http: target.http()?,
            base: target.base.clone(),
        })
    }

    /// Registers users named `prefix` and a number, each with a signed and a last-resort prekey.
    pub async fn register(
        self: &Arc<Self>,
        prefix: &str,
        count: usize,
        done: impl Fn(),
    ) -> Result<Vec<Account>> {
        stream::iter(0..count)
            .map(|n| {
                let (api, name) = (Arc::clone(self), format!("{prefix}{n}"));
                // A task of its own: signing is worth spreading over the cores.
                async move { tokio::spawn(async move { api.register_one(name).await }).await? }
            })
            .buffered(REQUESTS)
            .inspect_ok(|_| done())
            .try_collect()
            .await
    }

    /// An access token for each.
    pub async fn log_in(
        self: &Arc<Self>,
        accounts: &[Arc<Account>],
        done: impl Fn(),
    ) -> Result<Vec<String>> {
        stream::iter(accounts)
            .map(|account| {
                let (api, account) = (Arc::clone(self), Arc::clone(account));
                async move { tokio::spawn(async move { api.token(&account).await }).await? }
            })
            .buffered(REQUESTS)
            .inspect_ok(|_| done())
            .try_collect()
            .await
    }

    async fn register_one(&self, username: String) -> Result<Account> {
        let now_ms = super::machine::now_ms();
        let (account, put) = {
            let mut rng = rand::rng();
            let user = UserId::from_bytes(rand::random());
            let device = DeviceId::from_bytes(rand::random());
            let identity = IdentityKey::generate(&mut rng);
            let lsk = ListSigningKey::generate(&mut rng);
            let keys = DeviceKeys::generate(&mut rng);
            let list = lists::first_list(user, device, &identity, &lsk, &keys, None, now_ms);
            let list =
                lists::parse(&list).map_err(|e| Error::Broken(format!("own device list: {e}")))?;
            let owner = Owner {
                list: &list,
                device,
                keys: &keys,
            };
            let put = PutPrekeys {
                signed: Some(owner.signed_prekey(&mut rng, 1, now_ms).public.into()),
                pq_last_resort: Some(owner.pq_last_resort(&mut rng, 1, now_ms).public.into()),
                ..Default::default()
            };
            (Account::new(list, device, keys), put)
        };
        let body = Register {
            username,
            list: account.list.signed.clone().into(),
            vault: None,
            password: None,
            invite: None,
            external_token: None,
            email: None,
        };
        let _: User = self.post("/v1/users", &body).await?;
        self.put_prekeys(&account, &put).await?;
        Ok(account)
    }

    async fn put_prekeys(&self, account: &Account, put: &PutPrekeys) -> Result<()> {
        let token = self.token(account).await?;
        let path = format!(
            "/v1/users/{}/devices/{}/prekeys",
            account.user(),
            account.device
        );
        let body = serde_json::to_vec(put).map_err(|e| Error::Broken(e.to_string()))?;
        let (nonce, _) = self.challenge(account).await?;
        let proof = account.keys.sign_request("PUT", &path, &body, &nonce);
        let request = self
            .http
            .put(format!("{}{path}", self.base))
            .bearer_auth(token)
            .header(
                PROOF_HEADER,
                BASE64_STANDARD.encode([nonce.as_slice(), &proof].concat()),
            )
            .header("content-type", "application/json")
            .body(body);
        let _: PrekeyCount = answer(request, &path).await?;
        Ok(())
    }

    async fn token(&self, account: &Account) -> Result<String> {
        let (nonce, relay) = self.challenge(account).await?;
        let body = TokenRequest {
            user: account.user(),
            device: account.device,
            nonce: nonce.to_vec().into(),
            signature: account.keys.sign_auth(&relay, &nonce).to_vec().into(),
        };
        let token: Token = self.post("/v1/auth/token", &body).await?;
        Ok(token.access_token)
    }

    async fn challenge(&self, account: &Account) -> Result<([u8; 32], String)> {
        let body = ChallengeRequest {
            user: account.user(),
            device: account.device,
        };
        let challenge: Challenge = self.post("/v1/auth/challenge", &body).await?;
        let nonce = challenge
            .nonce
            .0
            .as_ref()
            .try_into()
            .map_err(|_| Error::Broken("a nonce of another length".to_owned()))?;
        Ok((nonce, challenge.relay))
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let request = self.http.post(format!("{}{path}", self.base)).json(body);
        answer(request, path).await
    }
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder, path: &str) -> Result<T> {
    let answer = request.send().await?;
    if !answer.status().is_success() {
        return Err(Error::Refused {
            path: path.to_owned(),
            status: answer.status().as_u16(),
            body: answer.text().await?,
        });
    }
    Ok(answer.json().await?)
}
