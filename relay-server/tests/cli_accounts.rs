//! What an operator does with accounts: invites, addresses, who is disabled, who is gone.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "tests")]

mod cli_support;

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use cli_support::{program, run};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
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
            .args(["delete-user", "--yes", name, "--data"])
            .arg(dir.path()))
    };
    let there = "SELECT count(*) FROM users WHERE deleted_ms IS NULL";
    // Nobody is there to be asked.
    let (success, _, errors) = run(program()
        .args(["delete-user", "alice", "--data"])
        .arg(dir.path())
        .stdin(Stdio::null()));
    assert!(!success && errors.contains("--yes"), "{errors}");
    let answered = |answer: &str| {
        let (mut keyboard, line) = terminal();
        keyboard.write_all(answer.as_bytes()).expect("typed");
        run(program()
            .args(["delete-user", "bert", "--data"])
            .arg(dir.path())
            .stdin(line))
    };
    user("INSERT INTO users (id, username) VALUES (randomblob(16), 'bert') RETURNING 1");
    for no in ["n\n", "\n", "delete\n"] {
        let (success, _, errors) = answered(no);
        assert!(!success, "{errors}");
        assert!(errors.contains("the account bert for ever?"), "{errors}");
        assert!(errors.contains("nothing was deleted"), "{errors}");
    }
    assert_eq!(user(there), Some(2));
    let (success, said, errors) = answered("y\n");
    assert!(success && said.contains("bert is gone"), "{errors}");
    assert_eq!(user(there), Some(1));
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
    assert_eq!(user(there), Some(0));
    assert!(!delete("alice").0);
}

/// A terminal: what is typed, and what a program reads.
fn terminal() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pty");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let name = ptsname(&master, Vec::new()).expect("a name");
    let name = name.into_string().expect("UTF-8");
    let line = OpenOptions::new().read(true).write(true).open(name);
    (File::from(master), line.expect("its line"))
}

#[test]
fn an_operator_lists_users_and_invites_while_the_relay_runs() {
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
        for (n, name) in ["carol", "alice", "bob", "dave"].iter().enumerate() {
            sqlx::query("INSERT INTO users (id, username, deleted_ms) VALUES (?, ?, ?)")
                .bind([n as u8; 16].as_slice())
                .bind(name)
                .bind((*name == "dave").then_some(1))
                .execute(&mut file)
                .await
                .expect("ran");
        }
        file.close().await.expect("closed");
    });
    let with = |args: &[&str]| {
        run(program()
            .args(args)
            .arg("--data")
            .arg(dir.path())
            .env("SORDINO__REGISTRATION__POLICY", "invite"))
    };
    assert!(with(&["disable-user", "bob"]).0);
    let id = |n: u8| hex::encode([n; 16]);
    let all = [
        format!("alice {}\n", id(1)),
        format!("bob {} disabled\n", id(2)),
        format!("carol {}\n", id(0)),
    ];
    assert_eq!(with(&["users"]), (true, all.concat(), String::new()));
    let (_, said, errors) = with(&["users", "--limit", "2"]);
    assert_eq!(said, all[..2].concat());
    assert_eq!(errors, "there are more: --after bob\n");
    let rest = with(&["users", "--limit", "2", "--after", "bob"]);
    assert_eq!(rest, (true, all[2].clone(), String::new()));
    assert!(!with(&["users", "--limit", "0"]).0);

    assert_eq!(with(&["invites"]), (true, String::new(), String::new()));
    let made: Vec<_> = [("1", "12h"), ("3", "7d")]
        .iter()
        .map(|(uses, valid)| with(&["invite", "--uses", uses, "--valid", valid]).1)
        .collect();
    let (_, listed, _) = with(&["invites"]);
    let mut said: Vec<_> = listed.lines().filter_map(|l| l.split_once(' ')).collect();
    for code in &made {
        assert!(!listed.contains(&code[..9]), "{listed}");
    }
    said.sort_by_key(|(_, said)| *said);
    let told: Vec<_> = said.iter().map(|(_, said)| *said).collect();
    assert_eq!(told, ["1 account, 12h left", "3 accounts, 7d left"]);
    let first = listed.lines().next().expect("a line");
    let first = first.split(' ').next().expect("a name");
    let (_, said_first, errors) = with(&["invites", "--limit", "1"]);
    assert_eq!(said_first.lines().count(), 1);
    assert_eq!(errors, format!("there are more: --after {first}\n"));
    let (_, rest, errors) = with(&["invites", "--limit", "1", "--after", first]);
    assert_eq!((rest.lines().count(), errors.as_str()), (1, ""));
    assert!(!rest.starts_with(first));
    // Who has not kept an invite takes it back by its name.
    let (success, _, errors) = with(&["invite", "--revoke", said[0].0]);
    assert!(success, "{errors}");
    assert!(!with(&["invite", "--revoke", said[0].0]).0);
    assert_eq!(with(&["invites"]).1.lines().count(), 1);
    assert!(!with(&["invites", "--after", "x"]).0);
    relay.kill().expect("killed");
    relay.wait().expect("ended");
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
