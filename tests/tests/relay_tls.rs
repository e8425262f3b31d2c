//! Clients on a relay that ends TLS itself, while its certificate is exchanged.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[path = "../../client-sdk/tests/support/mod.rs"]
mod support;

use std::{fs, path::Path};

use rcgen::{CertificateParams, KeyPair};
use sordino::{Client, Code, FileKey};
use sordino_relay::{config::Config, relay::start};
use support::{Person, received};
use tempfile::TempDir;

/// Puts a new certificate in place. What a client has to trust.
fn renew(dir: &Path) -> String {
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    fs::write(dir.join("fullchain.pem"), &certificate).unwrap();
    fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    certificate
}

async fn open(url: &str, authorities: &str, directory: &TempDir) -> Client {
    let client = Client::builder(url)
        .store(directory.path().join("store"))
        .keys(FileKey::new(directory.path().join("key")))
        .authorities(authorities);
    client.open().await.unwrap()
}

async fn online(url: &str, authorities: &str, name: &str) -> Person {
    let directory = tempfile::tempdir().unwrap();
    let client = open(url, authorities, &directory).await;
    let user = client.register(name, None).await.unwrap();
    client.connect();
    let person = Person {
        client,
        user,
        directory,
    };
    person.until_live().await;
    person
}

#[tokio::test(flavor = "multi_thread")]
async fn people_talk_over_tls_while_the_certificate_is_exchanged() {
    let (data, etc) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = renew(etc.path());
    let mut config = Config::new(data.path());
    config.tls.certificate = Some(etc.path().join("fullchain.pem"));
    config.tls.key = Some(etc.path().join("key.pem"));
    let relay = start(config).await.unwrap();
    let url = format!("https://localhost:{}", relay.addr().port());

    let alice = online(&url, &first, "alice").await;
    let second = renew(etc.path());
    relay.tls().unwrap().reload().unwrap();
    // Alice is on the old certificate still, Bob on the new one.
    let bob = online(&url, &second, "bob").await;
    let (mut heard, mut answered) = (bob.client.events(), alice.client.events());
    for n in 0..20 {
        // Short and long.
        let text = format!("{n} {}", "x".repeat(200 * n));
        alice.with(&bob).send(text.clone()).await.unwrap();
        assert_eq!(received(&mut heard).await.text, text);
        bob.with(&alice).send(text.clone()).await.unwrap();
        assert_eq!(received(&mut answered).await.text, text);
    }
    let stranger = tempfile::tempdir().unwrap();
    let refused = open(&url, &first, &stranger)
        .await
        .register("eve", None)
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::UntrustedRelay);
    relay.shutdown().await;
}
