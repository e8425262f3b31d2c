//! TLS that the relay ends itself: hands are shaken in time, and the certificate is exchanged while it runs.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod ops_support;

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use ops_support::{relay, silent, soon, status, until_end};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
};
use sordino_relay::{config::Config, relay::Relay};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A certificate for this machine, and where it is kept.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn certificate(&self) -> PathBuf {
        self.0.path().join("fullchain.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }

    /// Puts a new certificate and its key in place.
    fn renew(&self) -> CertificateDer<'static> {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        fs::write(self.certificate(), certificate.pem()).expect("written");
        fs::write(self.key(), key.serialize_pem()).expect("written");
        certificate.der().clone()
    }

    fn set(&self, config: &mut Config) {
        config.tls.certificate = Some(self.certificate());
        config.tls.key = Some(self.key());
    }
}

async fn secured(
    change: impl FnOnce(&mut Config),
) -> (Relay, TempDir, Place, CertificateDer<'static>) {
    let place = Place::new();
    let certificate = place.renew();
    let (relay, dir) = relay(|config| {
        place.set(config);
        change(config);
    })
    .await;
    (relay, dir, place, certificate)
}

/// A connection to whoever has this certificate.
async fn connect(
    addr: SocketAddr,
    trusted: &CertificateDer<'static>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    soon(connector.connect(name, silent(addr).await)).await
}

async fn get(stream: &mut TlsStream<TcpStream>, path: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    soon(async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
    })
    .await;
    status(&head)
}

#[tokio::test]
async fn requests_are_answered_in_tls() {
    let (relay, _dir, _place, certificate) = secured(|_| {}).await;
    assert_eq!(relay.url(), Some(format!("https://{}", relay.addr())));
    let mut stream = connect(relay.addr(), &certificate).await.expect("hands");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    for _ in 0..2 {
        assert_eq!(get(&mut stream, "/readyz").await, 204);
    }
    soon(relay.shutdown()).await;
    // The end is said in TLS: else a client could not tell it from a connection cut by somebody.
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await.expect("closed");
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections() {
    let (relay, _dir, place, first) = secured(|_| {}).await;
    let tls = relay.tls().expect("there");
    let mut old = connect(relay.addr(), &first).await.expect("hands");
    assert_eq!(get(&mut old, "/healthz").await, 204);

    let second = place.renew();
    tls.reload().expect("exchanged");
    let mut new = connect(relay.addr(), &second).await.expect("hands");
    assert_eq!(get(&mut new, "/healthz").await, 204);
    assert!(connect(relay.addr(), &first).await.is_err());
    assert_eq!(get(&mut old, "/healthz").await, 204);

    // Only one file of the next pair has come so far.
    let key = fs::read(place.key()).expect("read");
    place.renew();
    fs::write(place.key(), key).expect("written");
    let problem = tls.reload().expect_err("they do not belong together");
    assert_eq!(problem.key, "tls.key");
    assert!(connect(relay.addr(), &second).await.is_ok());
    soon(relay.shutdown()).await;
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let (relay, _dir, _place, certificate) = secured(|config| {
        config.limits.header_seconds = 1;
    })
    .await;
    let mut silent_one = silent(relay.addr()).await;
    let mut half = silent(relay.addr()).await;
    // The beginning of a ClientHello.
    half.write_all(&[22, 3, 1, 1, 0, 1]).await.expect("sent");
    let mut idle = connect(relay.addr(), &certificate).await.expect("hands");
    assert_eq!(until_end(&mut silent_one).await, b"");
    assert_eq!(until_end(&mut half).await, b"");
    let mut said = Vec::new();
    let _ = soon(idle.read_to_end(&mut said)).await;
    assert_eq!(said, b"");
    soon(relay.shutdown()).await;
}

#[tokio::test]
async fn who_does_not_shake_hands_makes_room() {
    let (relay, _dir, _place, certificate) = secured(|config| {
        config.limits.connections = 8;
        config.limits.half_open = 2;
        config.limits.header_seconds = 3600;
    })
    .await;
    let mut spoke = connect(relay.addr(), &certificate).await.expect("hands");
    assert_eq!(get(&mut spoke, "/healthz").await, 204);
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(silent(relay.addr()).await);
    }
    // More than there are places, had they been kept.
    for mut stream in held.drain(..18) {
        assert_eq!(until_end(&mut stream).await, b"");
    }
    let mut other = connect(relay.addr(), &certificate).await.expect("hands");
    assert_eq!(get(&mut other, "/healthz").await, 204);
    assert_eq!(get(&mut spoke, "/healthz").await, 204);
    // Two are in the middle of it, and do not keep the relay from ending.
    let _in_the_middle = (silent(relay.addr()).await, held);
    soon(relay.shutdown()).await;
}

#[tokio::test]
async fn plain_text_comes_to_an_end() {
    let (relay, _dir, _place, certificate) = secured(|_| {}).await;
    let mut plain = silent(relay.addr()).await;
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    plain.write_all(request).await.expect("sent");
    let answer = until_end(&mut plain).await;
    // An alert of TLS, if anything.
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    let mut other = connect(relay.addr(), &certificate).await.expect("hands");
    assert_eq!(get(&mut other, "/healthz").await, 204);
    soon(relay.shutdown()).await;
}

fn check(place: &Place, data: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sordino-relay"))
        .args(["check", "--listen", "0.0.0.0:0", "--data"])
        .arg(data)
        .env("SORDINO__TLS__CERTIFICATE", place.certificate())
        .env("SORDINO__TLS__KEY", place.key())
        .output()
        .expect("runs");
    let errors = String::from_utf8(output.stderr).expect("text");
    (output.status.success(), errors)
}

#[test]
fn check_tells_what_is_wrong_with_a_certificate() {
    use std::os::unix::fs::PermissionsExt;

    let (place, dir) = (Place::new(), tempfile::tempdir().expect("a directory"));
    let (good, said) = check(&place, dir.path());
    assert!(
        !good && said.contains("fullchain.pem: there is no such file"),
        "{said}"
    );
    place.renew();
    let mode =
        |mode| fs::set_permissions(place.key(), fs::Permissions::from_mode(mode)).expect("set");
    mode(0o600);
    let (good, said) = check(&place, dir.path());
    // With a certificate it may listen on any address.
    assert!(good && said.is_empty(), "{said}");
    mode(0o644);
    let (good, said) = check(&place, dir.path());
    assert!(
        good && said.starts_with("warning: ") && said.contains("tls.key: "),
        "{said}"
    );
    fs::write(
        place.key(),
        KeyPair::generate().expect("a key").serialize_pem(),
    )
    .expect("written");
    let (good, said) = check(&place, dir.path());
    assert!(!good && said.contains("it is not the key of"), "{said}");
}

#[test]
fn the_program_reads_its_certificate_again_when_told() {
    let (place, dir) = (Place::new(), tempfile::tempdir().expect("a directory"));
    place.renew();
    let mut relay = Command::new(env!("CARGO_BIN_EXE_sordino-relay"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.path())
        .env("SORDINO__TLS__CERTIFICATE", place.certificate())
        .env("SORDINO__TLS__KEY", place.key())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut lines = BufReader::new(relay.stderr.take().expect("piped")).lines();
    let mut until = |part: &str| {
        let said = lines.by_ref().map(|line| line.expect("text"));
        said.into_iter()
            .find(|line| line.contains(part))
            .expect("said")
    };
    let pid = relay.id().to_string();
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, pid.as_str()]).status();
        assert!(sent.expect("kill runs").success());
    };
    until("listening on https://127.0.0.1:");
    place.renew();
    signal("-HUP");
    until("new connections get the certificate");
    fs::write(place.key(), "no key").expect("written");
    signal("-HUP");
    let told = until("the certificate is not exchanged");
    assert!(told.contains("key.pem"), "{told}");
    signal("-TERM");
    assert!(relay.wait().expect("ended").success());
}
