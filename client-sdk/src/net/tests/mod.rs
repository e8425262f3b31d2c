//! The network side against a real relay, and against ones that misbehave.

mod http;
mod lists;
mod relay;
mod socket;

use std::sync::Arc;

use sordino_crypto::{
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
    lists::first_list,
};
use sordino_protocol::{DeviceId, UserId, pb};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{RelayUrl, Signer, http::Http, tls};
use crate::error::Error;

pub(super) struct Person {
    user: UserId,
    device: DeviceId,
    keys: DeviceKeys,
    list: pb::Signed,
}

impl Person {
    fn new() -> Arc<Self> {
        let mut rng = rand::rng();
        let user = UserId::from_bytes(rand::random());
        let device = DeviceId::from_bytes(rand::random());
        let keys = DeviceKeys::generate(&mut rng);
        let uik = IdentityKey::generate(&mut rng);
        let lsk = ListSigningKey::generate(&mut rng);
        let list = first_list(user, device, &uik, &lsk, &keys, None, 1);
        Arc::new(Self {
            user,
            device,
            keys,
            list,
        })
    }
}

impl Signer for Person {
    fn device(&self) -> Result<(UserId, DeviceId), Error> {
        Ok((self.user, self.device))
    }

    fn sign_auth(&self, relay: &str, nonce: &[u8; 32]) -> Result<[u8; 64], Error> {
        Ok(self.keys.sign_auth(relay, nonce))
    }

    fn sign_request(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        nonce: &[u8; 32],
    ) -> Result<[u8; 64], Error> {
        Ok(self.keys.sign_request(method, path, body, nonce))
    }
}

pub(super) fn http(url: &str, person: &Arc<Person>) -> Http {
    let relay = RelayUrl::parse(url, None).expect("address");
    Http::new(relay, &tls(None).expect("TLS"), person.clone()).expect("client")
}

/// Answers one request with these bytes.
pub(super) async fn answers(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepted");
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let _ = stream.read(&mut request).await;
    });
    url
}

#[test]
fn authorities_are_certificates_in_pem() {
    let text = |inside: &str| {
        format!("-----BEGIN CERTIFICATE-----\n{inside}\n-----END CERTIFICATE-----\n")
    };
    for pem in [
        "",
        "no certificate",
        &text("AAAA"),
        &text("!"),
        "-----BEGIN CERTIFICATE-----\nAAAA",
    ] {
        let refused = tls(Some(pem.as_bytes())).map(drop).expect_err(pem);
        assert_eq!(refused.code(), sordino_protocol::Code::BadRequest);
    }
}
