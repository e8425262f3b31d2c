//! FCM's client against a server that speaks FCM's protocol.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod fcm_support;

use std::time::Duration;

use fcm_support::{Fcm as Server, Say};
use sordino_relay::notify::{Outcome, Push, fcm::Fcm};
use tempfile::TempDir;

async fn server() -> (Server, Fcm, TempDir) {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let client = client(&server, &dir, server.account());
    (server, client, dir)
}

fn client(server: &Server, dir: &TempDir, account: serde_json::Value) -> Fcm {
    let file = dir.path().join("account.json");
    std::fs::write(&file, account.to_string()).unwrap();
    Fcm::open(&file, &server.endpoint()).unwrap()
}

#[tokio::test]
async fn a_wake_is_a_message_as_fcm_takes_it_and_says_nothing() {
    let (server, fcm, _dir) = server().await;
    assert_eq!(fcm.wake("a").await, Outcome::Sent);
    assert_eq!(fcm.wake("b").await, Outcome::Sent);
    assert_eq!(server.grants(), (1, 0), "one access token for both");
    let bodies: Vec<_> = server.seen().into_iter().map(|seen| seen.body).collect();
    // Nothing differs but the token.
    assert_eq!(bodies[0].replace("\"a\"", "\"b\""), bodies[1]);
    assert_eq!(
        bodies[0],
        "{\"message\":{\"token\":\"a\",\"android\":{\"collapse_key\":\"sordino\",\"priority\":\"HIGH\"},\
         \"apns\":{\"headers\":{\"apns-collapse-id\":\"sordino\",\"apns-priority\":\"5\",\"apns-push-type\":\"background\"},\
         \"payload\":{\"aps\":{\"content-available\":1}}},\"data\":{\"sordino\":\"wake\"}}}"
    );
}

#[tokio::test]
async fn every_answer_comes_to_what_it_means() {
    let (server, fcm, _dir) = server().await;
    let seconds = |s| Outcome::Later(Some(Duration::from_secs(s)));
    for (say, outcome) in [
        (Say::Unregistered, Outcome::Dead),
        (Say::Quota(Some(7)), seconds(7)),
        (Say::Quota(None), seconds(60)),
        (Say::Unavailable(Some(3)), seconds(3)),
        (Say::Unavailable(None), Outcome::Later(None)),
        (Say::Internal, Outcome::Later(None)),
        (Say::Garbage, Outcome::Later(None)),
        (Say::Reset, Outcome::Later(None)),
        (
            Say::Mismatch,
            Outcome::Refused("403 SENDER_ID_MISMATCH".to_owned()),
        ),
        (
            Say::InvalidToken,
            Outcome::Refused("400 INVALID_ARGUMENT".to_owned()),
        ),
        (Say::Sent, Outcome::Sent),
    ] {
        server.script("token", [say.clone()]);
        assert_eq!(fcm.wake("token").await, outcome, "{say:?}");
    }
    assert_eq!(server.grants(), (1, 0));
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let (server, fcm, _dir) = server().await;
    server.script("token", [Say::Hang]);
    assert_eq!(fcm.wake("token").await, Outcome::Later(None));
}

#[tokio::test]
async fn a_revoked_access_token_is_renewed_once() {
    let (server, fcm, _dir) = server().await;
    assert_eq!(fcm.wake("token").await, Outcome::Sent);
    server.revoke();
    assert_eq!(fcm.wake("token").await, Outcome::Sent);
    assert_eq!(server.grants(), (2, 0));
    server.script("token", [Say::Unauthenticated, Say::Unauthenticated]);
    // One that was just granted in place of another is refused: no third is asked for, and FCM is left in peace for a while.
    assert!(matches!(fcm.wake("token").await, Outcome::Refused(_)));
    let asked = server.seen().len();
    assert!(matches!(fcm.wake("token").await, Outcome::Refused(_)));
    assert_eq!((server.grants(), server.seen().len()), ((2, 0), asked));
}

#[tokio::test]
async fn an_access_token_that_ends_soon_is_not_used_again() {
    let (server, fcm, _dir) = server().await;
    server.expires_in(100);
    assert_eq!(fcm.wake("token").await, Outcome::Sent);
    server.expires_in(3599);
    assert_eq!(fcm.wake("token").await, Outcome::Sent);
    assert_eq!(fcm.wake("token").await, Outcome::Sent);
    assert_eq!(server.grants(), (2, 0));
}

#[tokio::test]
async fn another_key_gets_no_access_and_asks_not_for_every_wake() {
    let (server, _, dir) = server().await;
    let mut account = server.account();
    account["private_key"] = Server::start().await.account()["private_key"].clone();
    let fcm = client(&server, &dir, account);
    for _ in 0..3 {
        let Outcome::Refused(why) = fcm.wake("token").await else {
            panic!("not refused");
        };
        assert!(why.contains("no access token"), "{why}");
    }
    assert_eq!(server.grants(), (0, 1));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn check_asks_for_access_and_says_why_there_is_none() {
    let (server, _, dir) = server().await;
    let file = dir.path().join("relay.toml");
    let text = format!(
        "[server]\nlisten = '127.0.0.1:0'\n[push]\nfcm_service_account_file = '{}'\nfcm_endpoint = '{}'\n",
        dir.path().join("account.json").display(),
        server.endpoint(),
    );
    std::fs::write(&file, text).unwrap();
    let check = async || {
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_sordino-relay"));
        program
            .env_clear()
            .args(["check", "--data"])
            .arg(dir.path());
        let done = program.arg("--config").arg(&file).output().await.unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        (done.status.success(), said)
    };
    let begin = format!(
        "{}, line 4: push.fcm_service_account_file: no access token for FCM: ",
        file.display()
    );
    let (success, said) = check().await;
    assert!(success, "{said}");
    assert_eq!(server.grants(), (1, 0));
    assert!(server.seen().is_empty(), "nobody is woken");

    let mut account = server.account();
    account["private_key"] = Server::start().await.account()["private_key"].clone();
    client(&server, &dir, account);
    let (success, said) = check().await;
    assert!(
        !success && said.starts_with(&format!("{begin}400")),
        "{said}"
    );
    assert_eq!(server.grants(), (1, 1));

    client(&server, &dir, server.account());
    let token_uri = format!("{}/token", server.endpoint());
    drop(server);
    let (success, said) = check().await;
    assert!(
        !success && said.starts_with(&format!("{begin}{token_uri} gives none now")),
        "{said}"
    );
}

#[tokio::test]
async fn nobody_there_is_later() {
    let (server, _, dir) = server().await;
    let account = server.account();
    let fcm = client(&server, &dir, account);
    drop(server);
    assert_eq!(fcm.wake("token").await, Outcome::Later(None));
}
