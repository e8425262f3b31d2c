//! A relay on a real address, and devices that talk to it.
#![allow(dead_code, unused_imports, reason = "each test file uses a part")]

mod device;
#[path = "../../src/user/fixtures.rs"]
mod fixtures;

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_STANDARD};
pub use device::{Device, Draft, Socket, is_draft};
use ed25519_dalek::Signer;
pub(crate) use fixtures::{Person, device_id};
use sordino_protocol::{
    SUBPROTOCOL, hash,
    http::{AskReset, PROOF_HEADER, PutList},
    list::DeviceList,
    pb::relay_frame,
    signed::{self, SignedType},
};
// What the fixtures expect of their parent.
use sordino_relay::user::{Credentials, Prekey, PrekeyKind, Users, verify};
use sordino_relay::{
    auth::{
        block_key::BlockKey,
        challenge::Challenges,
        password::{PasswordKey, Passwords},
        signing_key::TokenKey,
        token::{Scope, Subject, Tokens},
    },
    chat::{Chat, Settings},
    config::Emails,
    delivery::embedded::{DeliveryHandle, Options, start},
    disabled::Disabled,
    http::{Api, ClaimQuota, Registration, routes::router},
    ops::{drain::Pace, rates::Rates},
    session::memory::MemorySessions,
    user::{Block, sqlite::SqliteUsers},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{self, client::IntoClientRequest, http::HeaderValue},
};
use tokio_util::sync::CancellationToken;

pub const NAME: &str = "relay.example";
/// No test waits longer for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A drain that spreads nothing over time.
pub const AT_ONCE: Pace = Pace {
    batch: 256,
    pause: Duration::ZERO,
    grace: Duration::ZERO,
};

/// What must come, comes.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("in time")
}

/// Waits until it is so.
pub async fn until(mut so: impl AsyncFnMut() -> bool) {
    soon(async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_millis() as u64
}

/// A relay made of the library's parts, so that a test may choose its settings.
pub struct Relay {
    pub addr: SocketAddr,
    pub api: Arc<Api>,
    pub chat: Arc<Chat>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
    delivery: DeliveryHandle,
    users: SqliteUsers,
}

impl Relay {
    pub async fn start(dir: &Path, settings: Settings) -> Self {
        Self::start_with(dir, settings, |_| {}).await
    }

    pub async fn start_with(
        dir: &Path,
        settings: Settings,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        Self::start_all(dir, settings, Rates::default(), change).await
    }

    pub async fn start_rated(dir: &Path, settings: Settings, rates: Rates) -> Self {
        Self::start_all(dir, settings, rates, |_| {}).await
    }

    async fn start_all(
        dir: &Path,
        settings: Settings,
        rates: Rates,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let users = SqliteUsers::open(&dir.join("users.sqlite")).await;
        let users = users.expect("opened");
        let key = TokenKey::load_or_create(&dir.join("token.key")).expect("a key");
        let password_key = PasswordKey::load_or_create(&dir.join("password.key"));
        let password_key = password_key.expect("a key");
        let sessions = Arc::new(MemorySessions::new());
        let mut options = Options::new(dir.join("messages"));
        // Test machines are not asked for disk space.
        options.store.reserve_bytes = 1024 * 1024;
        change(&mut options);
        let delivery = start(options, sessions.clone()).await.expect("started");
        let api = Arc::new(Api {
            name: NAME.to_owned(),
            users: Arc::new(users.clone()),
            sessions,
            log: delivery.log,
            history: delivery.history,
            challenges: Challenges::new(64),
            claims: ClaimQuota::new(3, 8),
            tokens: Tokens::new(NAME, &key),
            registration: Registration::Open,
            emails: Emails::Optional,
            disabled: Disabled::default(),
            passwords: Passwords::new(NAME, &password_key),
            reset_wait_ms: 7 * 24 * 60 * 60 * 1000,
            block_key: BlockKey::new(&password_key),
            fleet: Arc::new(sordino_relay::ops::fleet::Alone),
            pipes: Arc::new(sordino_relay::link::memory::MemoryPipes::default()),
            rates: Arc::new(rates),
            draining: CancellationToken::new(),
            now_ms,
        });
        let chat = Chat::new(api.clone(), settings);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bound");
        let addr = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = router(api.clone()).merge(chat.routes());
        let serve = axum::serve(listener, routes).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        Self {
            addr,
            api,
            chat,
            stop,
            served: tokio::spawn(serve.into_future()),
            delivery: delivery.handle,
            users,
        }
    }

    pub async fn shutdown(self) {
        let _ = self.stop.send(());
        soon(self.chat.drain(AT_ONCE)).await;
        soon(self.served).await.expect("ended").expect("served");
        soon(self.delivery.shutdown()).await.expect("stored");
        self.users.close().await;
    }

    /// Registers a person with these devices, each with an SPK that lasts.
    pub async fn register(&self, person: &Person, devices: &[u8]) -> DeviceList {
        let first = person.list(None, &devices[..1]);
        let name = format!("user-{}", &person.user.to_string()[..8]);
        self.users
            .create(&name, &first, &Credentials::NONE)
            .await
            .expect("created");
        let list = if devices.len() > 1 {
            let next = person.list(Some(&first), devices);
            self.users
                .put_list(&next, &Credentials::NONE)
                .await
                .expect("replaced");
            next
        } else {
            first
        };
        for device in devices {
            self.prekey(person, *device, u64::MAX >> 1).await;
        }
        list
    }

    /// Gives a device an SPK that ends then.
    pub async fn prekey(&self, person: &Person, device: u8, expires_ms: u64) {
        let keys = [fixtures::prekey(PrekeyKind::Signed, 1, expires_ms)];
        let device = device_id(device);
        let put = self.users.put_prekeys(person.user, device, &keys, false);
        put.await.expect("stored");
    }

    /// What `by` has decided about `other`, as one of their devices says it.
    pub async fn block(&self, by: &Person, other: &Person, blocked: bool, decided_ms: u64) {
        let block = Block {
            tag: self.api.block_key.tag(by.user, other.user),
            blocked,
            decided_ms,
        };
        let put = self.api.users.put_block(by.user, &block).await;
        put.expect("stored");
    }

    /// A token that was made this many seconds ago.
    pub fn token(&self, person: &Person, device: u8, age_s: u64) -> String {
        let key = person.device_key(device).verifying_key().to_bytes();
        self.api
            .tokens
            .issue(
                Subject::device(person.user, device_id(device), &key),
                now_ms() / 1000 - age_s,
            )
            .expect("signed")
    }

    /// Replaces a list over HTTP, as one of its owner's devices; the status of the answer.
    pub async fn put_list(&self, person: &Person, device: u8, list: &DeviceList) -> u16 {
        let list = list.signed.clone().into();
        let body = serde_json::to_vec(&PutList {
            list,
            vault: None,
            closes_backup: None,
            password: None,
        })
        .expect("JSON");
        let token = self.token(person, device, 0);
        self.write("PUT", "list", (person, device, &token), body)
            .await
    }

    /// Asks for another identity of a person, as who knows the password and has this device; the status of the answer.
    pub async fn ask_reset(&self, person: &Person, device: u8) -> u16 {
        let key = person.device_key(device).verifying_key().to_bytes();
        let newest = self.users.newest_list(person.user).await.expect("read");
        let subject = Subject {
            scope: Some(Scope::Account),
            list: newest.map(|list| list.version),
            ..Subject::device(person.user, device_id(device), &key)
        };
        let token = self.api.tokens.issue(subject, now_ms() / 1000);
        let signing_key = key.to_vec().into();
        let body = serde_json::to_vec(&AskReset { signing_key }).expect("JSON");
        let who = (person, device, &*token.expect("signed"));
        self.write("POST", "reset", who, body).await
    }

    /// Refuses it; the status of the answer.
    pub async fn refuse_reset(&self, person: &Person, device: u8) -> u16 {
        let token = self.token(person, device, 0);
        self.write("DELETE", "reset", (person, device, &token), Vec::new())
            .await
    }

    /// A signed write over HTTP; the status of the answer.
    async fn write(
        &self,
        method: &str,
        what: &str,
        (person, device, token): (&Person, u8, &str),
        body: Vec<u8>,
    ) -> u16 {
        let challenges = &self.api.challenges;
        let nonce = challenges.issue(person.user, device_id(device), now_ms());
        let path = format!("/v1/users/{}/{what}", person.user);
        let request = signed::request_body(method, &path, &hash::sha256(&body), &nonce);
        let signature = person
            .device_key(device)
            .sign(&signed::input(SignedType::Request, &request));
        let proof = [nonce.as_slice(), &signature.to_bytes()].concat();
        let method = method.parse().expect("a method");
        reqwest::Client::new()
            .request(method, format!("http://{}{path}", self.addr))
            .bearer_auth(token)
            .header(PROOF_HEADER, BASE64_STANDARD.encode(proof))
            .body(body)
            .send()
            .await
            .expect("answered")
            .status()
            .as_u16()
    }

    pub async fn handshake(
        &self,
        token: &str,
        protocol: Option<&str>,
    ) -> Result<Socket, (u16, String)> {
        let url = format!("ws://{}/v1/socket", self.addr);
        let mut request = url.into_client_request().expect("a request");
        let headers = request.headers_mut();
        let bearer = HeaderValue::from_str(&format!("Bearer {token}")).expect("ascii");
        headers.insert("authorization", bearer);
        if let Some(protocol) = protocol {
            let protocol = HeaderValue::from_str(protocol).expect("ascii");
            headers.insert("sec-websocket-protocol", protocol);
        }
        match soon(connect_async(request)).await {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(answer)) => {
                let status = answer.status().as_u16();
                let body: serde_json::Value =
                    serde_json::from_slice(answer.body().as_deref().unwrap_or_default())
                        .unwrap_or_default();
                Err((status, body["code"].as_str().unwrap_or_default().to_owned()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A connected device, past `Welcome` and `Sync`.
    pub async fn connect<'a>(&self, person: &'a Person, device: u8) -> Device<'a> {
        let token = self.token(person, device, 0);
        self.connect_with(person, device, &token).await
    }

    pub async fn connect_with<'a>(
        &self,
        person: &'a Person,
        device: u8,
        token: &str,
    ) -> Device<'a> {
        let socket = self.handshake(token, Some(SUBPROTOCOL)).await;
        let mut device = Device {
            person,
            device,
            socket: socket.expect("connected"),
        };
        let relay_frame::Frame::Welcome(welcome) = device.frame().await else {
            panic!("not a welcome")
        };
        assert!(welcome.token_expires_ms > welcome.now_ms);
        assert!(matches!(device.frame().await, relay_frame::Frame::Sync(_)));
        device
    }
}

/// A relay in a directory of its own.
pub async fn relay() -> (Relay, TempDir) {
    relay_with(Settings::default()).await
}

pub async fn relay_with(settings: Settings) -> (Relay, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let relay = Relay::start(dir.path(), settings).await;
    (relay, dir)
}

/// Alice with device 1 and Bob with device 2, registered.
pub(crate) async fn people(relay: &Relay) -> (Person, Person) {
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay.register(&alice, &[1]).await;
    relay.register(&bob, &[2]).await;
    (alice, bob)
}

/// It still answers.
pub async fn serves(device: &mut Device<'_>) {
    device.marks(None).await;
}
