//! Answers of all kinds.

use std::time::Duration;

use sordino_protocol::{Code, Retry, http::Register};

use super::{Person, answers, http};

#[tokio::test]
async fn answers_are_bounded_and_errors_typed() {
    let person = Person::new();
    let account = Register {
        username: "alice".to_owned(),
        list: person.list.clone().into(),
        vault: None,
        password: None,
        invite: None,
        external_token: None,
        email: None,
    };
    let register = async |answer: Vec<u8>| {
        let url = answers(answer).await;
        http(&url, &person)
            .register(&account)
            .await
            .expect_err("an error")
    };
    let with = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    let busy = register(with(
        "503 x",
        r#"{"code":"busy","detail":"later","retry_after_ms":1234}"#,
    ))
    .await;
    assert_eq!(busy.code(), Code::Busy);
    assert_eq!(busy.retry(), Retry::After(Duration::from_millis(1234)));
    let gateway = register(with("502 x", "<html>")).await;
    assert_eq!(gateway.code(), Code::Busy);
    let rubbish = register(with("200 OK", "{}")).await;
    assert_eq!(rubbish.code(), Code::RelayMisbehaved);
    let elsewhere = register(with("307 x", "")).await;
    assert_eq!(elsewhere.code(), Code::RelayMisbehaved);
    let mut large = b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n".to_vec();
    large.resize(large.len() + 3_000_000, b' ');
    assert_eq!(register(large).await.code(), Code::RelayMisbehaved);
    assert_eq!(register(Vec::new()).await.code(), Code::Unreachable);
}

#[tokio::test]
async fn what_gives_no_challenge_is_no_relay() {
    let person = Person::new();
    let json = r#"{"code":"not_found","detail":""}"#;
    for answer in [
        "HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n".to_owned(),
        format!(
            "HTTP/1.1 404 x\r\ncontent-length: {}\r\n\r\n{json}",
            json.len()
        ),
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>".to_owned(),
        // A server of files.
        "HTTP/1.0 501 Unsupported method ('POST')\r\ncontent-length: 6\r\n\r\n<html>".to_owned(),
        "HTTP/1.1 405 x\r\ncontent-length: 0\r\n\r\n".to_owned(),
    ] {
        let url = answers(answer.into_bytes()).await;
        let error = http(&url, &person).is_meant().await.expect_err("an error");
        assert_eq!(error.code(), Code::NoRelay);
        // It may be a proxy whose relay comes back.
        assert!(matches!(error.retry(), Retry::After(_)));
    }
}

#[tokio::test]
async fn who_speaks_no_tls_is_no_relay() {
    let person = Person::new();
    let answer = "HTTP/1.1 400 x\r\ncontent-length: 0\r\n\r\n";
    let url = answers(answer.as_bytes().to_vec()).await;
    let url = url.replacen("http", "https", 1);
    let error = http(&url, &person).is_meant().await.expect_err("an error");
    assert_eq!(error.code(), Code::NoRelay, "{error}");
}
