//! What an operator does with accounts: invites, addresses, who is disabled, who is gone.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "tests")]

mod cli_support;

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use cli_support::{program, run};
use sqlx::Connection;

#[test]
fn invites_are_made_and_taken_back_whether_the_relay_runs_or_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let invite = |args: &[&str]| {
        run(program()
            .args(["invite", "--data"])
            .arg(dir.path())
            .args(args)
            .env("SORDINO__REGISTRATION__POLICY", "invite"))
    };
    let (success, _, errors) = invite(&[]);
    assert!(
        !success && errors.contains("there are no accounts in"),
        "{errors}"
    );
    let mut relay = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut lines = BufReader::new(relay.stderr.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("text").starts_with("listening on ")));
    let made_and_taken_back = || {
        let (success, code, errors) = invite(&["--uses", "3", "--valid", "12h"]);
        assert!(success, "{errors}");
        assert_eq!(errors, "");
        let code = code.trim_end();
        assert_eq!(code.len(), 39, "{code}");
        let (success, _, errors) = invite(&["--revoke", &code.to_lowercase()]);
        assert!(success, "{errors}");
        let (success, _, errors) = invite(&["--revoke", code]);
        assert!(!success && errors.contains("no such invite"), "{errors}");
    };
    made_and_taken_back();
    relay.kill().expect("killed");
    relay.wait().expect("ended");
    made_and_taken_back();
    for wrong in [
        ["--valid", "0d"],
        ["--valid", "7"],
        ["--valid", "7w"],
        ["--valid", ""],
        ["--valid", "99999d"],
        ["--uses", "0"],
        ["--revoke", "ABCD"],
    ] {
        assert!(!invite(&wrong).0, "{wrong:?}");
    }
    // Where nobody is asked for one it says so.
    let (success, code, errors) = run(program().args(["invite", "--data"]).arg(dir.path()));
    assert!(success && code.len() == 40, "{code}");
    assert!(errors.contains("nobody is asked for one"), "{errors}");
}

#[test]
fn an_operator_deletes_a_user_of_a_relay_that_is_stopped() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("users.sqlite");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let user = |statement: &'static str| {
        runtime.block_on(async {
            let users = sordino_relay::user::sqlite::SqliteUsers::open(&file).await;
            users.expect("opened").close().await;
            let url = format!("sqlite:{}", file.display());
            let mut file = sqlx::SqliteConnection::connect(&url).await.expect("opened");
            let row: Option<(i64,)> = sqlx::query_as(statement)
                .fetch_optional(&mut file)
                .await
                .expect("ran");
            row.map(|(n,)| n)
        })
    };
    user("INSERT INTO users (id, username) VALUES (zeroblob(16), 'alice') RETURNING 1");
    let delete = |name: &str| {
        run(program()
            .args(["delete-user", name, "--data"])
            .arg(dir.path()))
    };
    let (success, _, errors) = delete("bob");
    assert!(
        !success && errors.contains("nobody has this name"),
        "{errors}"
    );
    let lock = std::fs::File::create(dir.path().join("lock")).expect("created");
    lock.lock().expect("locked");
    let (success, _, errors) = delete("alice");
    assert!(!success && errors.contains("stop it first"), "{errors}");
    drop(lock);
    let (success, said, errors) = delete("alice");
    assert!(success && said.contains("alice is gone"), "{errors}");
    let left = user("SELECT count(*) FROM users WHERE deleted_ms IS NOT NULL");
    assert_eq!(left, Some(1));
    assert!(!delete("alice").0);
}

#[test]
fn an_operator_disables_a_user_and_looks_after_addresses_while_the_relay_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut relay = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut lines = BufReader::new(relay.stderr.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("text").starts_with("listening on ")));
    let url = format!("sqlite:{}", dir.path().join("users.sqlite").display());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut file = sqlx::SqliteConnection::connect(&url).await.expect("opened");
        for statement in [
            "INSERT INTO users (id, username) VALUES (zeroblob(16), 'alice')",
            "INSERT INTO emails (user_id, address, folded) VALUES (zeroblob(16), 'Alice@x', 'alice@x')",
        ] {
            sqlx::query(statement).execute(&mut file).await.expect("ran");
        }
        file.close().await.expect("closed");
    });
    let with = |args: &[&str]| run(program().args(args).arg("--data").arg(dir.path()));
    for command in ["disable-user", "enable-user"] {
        let (success, _, errors) = with(&[command, "bob"]);
        assert!(
            !success && errors.contains("nobody has this name"),
            "{errors}"
        );
        for _ in 0..2 {
            let (success, said, errors) = with(&[command, "alice"]);
            assert!(success && said.contains("alice is"), "{errors}");
        }
    }
    for who in ["alice", "ALICE@X"] {
        let (success, said, errors) = with(&["email", who]);
        assert!(success, "{errors}");
        assert_eq!(said, "alice Alice@x\n");
    }
    let (success, said, _) = with(&["email", "alice@x", "--clear"]);
    assert!(success && said.contains("alice had Alice@x"), "{said}");
    let (success, said, _) = with(&["email", "alice"]);
    assert!(success && said.contains("alice has none"), "{said}");
    let (success, _, errors) = with(&["email", "alice@x"]);
    assert!(
        !success && errors.contains("nobody has this address"),
        "{errors}"
    );
    relay.kill().expect("killed");
    relay.wait().expect("ended");
}
