//! The program: its commands, its log, its end.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod cli_support;

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
};

use cli_support::{program, run};
use sqlx::Connection;

#[test]
fn the_effective_configuration_is_printed_without_secrets() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("relay.toml");
    std::fs::write(&file, "[server]\nname = 'file'\n[limits]\nhalf_open = 7\n").expect("written");
    let (success, printed, errors) = run(program()
        .args(["config", "print", "--listen", "127.0.0.1:9", "--config"])
        .arg(&file)
        .env("SORDINO__SERVER__NAME", "env")
        .env("SORDINO__AUTH__TOKEN_KEY", "5e".repeat(32)));
    assert!(success, "{errors}");
    for line in [
        "name = \"env\"",
        "listen = \"127.0.0.1:9\"",
        "half_open = 7",
        "token_key = \"(secret)\"",
        "drain_seconds = 30",
    ] {
        assert!(printed.lines().any(|l| l == line), "{line} in\n{printed}");
    }
    assert!(!printed.contains("5e5e"));
}

#[test]
fn the_example_of_a_cluster_is_understood() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/sordino/cluster.toml"
    );
    let (success, printed, errors) = run(program().args(["config", "print", "--config", file]));
    assert!(success, "{errors}");
    let listen = "listen = \"10.0.0.11:7373\"";
    assert!(printed.lines().any(|line| line == listen), "{printed}");
}

#[test]
fn what_is_not_understood_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let (success, _, errors) = run(program()
        .args(["serve", "--data"])
        .arg(dir.path())
        .env("SORDINO__SERVER__LISEN", "127.0.0.1:0"));
    assert!(!success);
    assert!(errors.contains("SORDINO__SERVER__LISEN"), "{errors}");
    let file = dir.path().join("relay.toml");
    std::fs::write(&file, "[limits]\nhalf_opn = 7\n").expect("written");
    let (success, _, errors) = run(program().args(["check", "--config"]).arg(&file));
    assert!(!success);
    assert!(
        errors.contains("line 2") && errors.contains("half_opn"),
        "{errors}"
    );
}

#[test]
fn too_few_open_files_are_said() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut relay = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 700 && exec \"$0\" serve --listen 127.0.0.1:0 --data \"$1\"",
        ])
        .arg(env!("CARGO_BIN_EXE_sordino-relay"))
        .arg(dir.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let lines = BufReader::new(relay.stderr.take().expect("piped")).lines();
    let said: Vec<_> = lines
        .map(|line| line.expect("text"))
        .take_while(|line| !line.starts_with("listening on "))
        .collect();
    relay.kill().expect("killed");
    relay.wait().expect("ended");
    assert!(
        said.iter()
            .any(|l| l.contains("188") && l.contains("limits.connections")),
        "{said:?}"
    );
}

fn check(data: &Path, listen: &str) -> (bool, String, String) {
    run(program()
        .args(["check", "--listen", listen, "--data"])
        .arg(data))
}

#[test]
fn check_says_what_is_wrong_and_what_helps() {
    let dir = tempfile::tempdir().expect("a directory");
    let (success, said, errors) = check(&dir.path().join("new"), "127.0.0.1:0");
    assert!(success && said.contains("good"), "{said}{errors}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("read").count(), 0);
    let file = dir.path().join("file");
    std::fs::write(&file, b"").expect("written");
    let (success, _, errors) = check(&file, "0.0.0.0:0");
    assert!(!success);
    for part in [
        "server.listen",
        "server.trusted_proxies",
        "store.data",
        "2 problems",
    ] {
        assert!(errors.contains(part), "{part} in\n{errors}");
    }
}

#[test]
fn check_knows_a_relay_that_serves_already() {
    let dir = tempfile::tempdir().expect("a directory");
    // As on a cluster: nothing in the data directory tells that it runs. So each has one of its own here.
    let mut relay = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.path().join("serves"))
        .env("SORDINO__OPS__LISTEN", "127.0.0.1:0")
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let (mut listen, mut ops) = (String::new(), String::new());
    let mut lines = BufReader::new(relay.stderr.take().expect("piped")).lines();
    while listen.is_empty() {
        let line = lines.next().expect("a line").expect("text");
        let after = |begin: &str| Some(line.split_once(begin)?.1.split(',').next()?.to_owned());
        ops = after("metrics on http://")
            .and_then(|rest| rest.split('/').next().map(str::to_owned))
            .unwrap_or(ops);
        listen = after("listening on http://").unwrap_or(listen);
    }
    let check = |ops: &str| {
        run(program()
            .args(["check", "--listen", &listen, "--data"])
            .arg(dir.path().join("other"))
            .env("SORDINO__OPS__LISTEN", ops))
    };
    let known = check(&ops);
    // Nobody at that address tells who has the other one.
    let unknown = check("127.0.0.1:0");
    relay.kill().expect("killed");
    relay.wait().expect("ended");
    let (success, said, errors) = known;
    assert!(success, "{errors}");
    assert!(said.contains("a relay serves on 127.0.0.1:"), "{said}");
    let (success, _, errors) = unknown;
    assert!(!success && errors.contains("server.listen: cannot listen"));
}

#[test]
fn check_names_where_a_problem_was_set() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("relay.toml");
    let text = "[server]\nlisten = '0.0.0.0:0'\n[limits]\nheader_bytes = 1\n[log]\n";
    std::fs::write(&file, text).expect("written");
    let (success, _, errors) = run(program()
        .args(["check", "--config"])
        .arg(&file)
        .env("SORDINO__LIMITS__REQUEST_SECONDS", "0"));
    assert!(!success);
    let file = file.display();
    for begin in [
        format!("{file}, line 2: server.listen: "),
        format!("{file}, line 4: limits.header_bytes: "),
        "SORDINO__LIMITS__REQUEST_SECONDS: limits.request_seconds: ".to_owned(),
    ] {
        assert!(
            errors.lines().any(|l| l.starts_with(&begin)),
            "{begin} in\n{errors}"
        );
    }
}

#[cfg(feature = "cluster")]
#[test]
fn check_names_where_a_server_is_set_that_does_not_answer() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("relay.toml");
    let text =
        "[server]\nlisten = '127.0.0.1:0'\n[postgres]\nurl = 'postgres://a:b@127.0.0.1:1/c'\n";
    std::fs::write(&file, text).expect("written");
    let (success, _, errors) = run(program().args(["check", "--config"]).arg(&file));
    assert!(!success);
    let begin = format!("{}, line 4: postgres.url: ", file.display());
    assert!(errors.lines().any(|l| l.starts_with(&begin)), "{errors}");
    assert!(!errors.contains("a:b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_another_relay_are_refused_with_the_way_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let migrate = || run(program().args(["migrate", "--data"]).arg(&data));
    for _ in 0..2 {
        let (success, said, errors) = migrate();
        assert!(
            success && said.contains("users.sqlite are up to date"),
            "{said}{errors}"
        );
    }
    // A key or messages are made by the relay alone.
    let names = std::fs::read_dir(&data).expect("read");
    let mut names: Vec<_> = names.map(|e| e.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["lock", "users.sqlite"]);

    let lock = std::fs::File::open(data.join("lock")).expect("there");
    lock.lock().expect("locked");
    let (success, _, errors) = migrate();
    assert!(!success && errors.contains("another relay"), "{errors}");
    drop(lock);

    let url = format!("sqlite://{}", data.join("users.sqlite").display());
    for (change, why) in [
        (
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'later', TRUE, x'', 0)",
            "version 9999, made by a later relay: use that relay",
        ),
        ("DELETE FROM _sqlx_migrations WHERE version = 9999", ""),
        (
            "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1",
            "version 1 of the tables",
        ),
    ] {
        let mut users = sqlx::SqliteConnection::connect(&url).await.expect("opened");
        sqlx::query(change).execute(&mut users).await.expect("done");
        users.close().await.expect("closed");
        if why.is_empty() {
            assert!(migrate().0);
            continue;
        }
        let serve = run(program()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data));
        for (success, _, errors) in [migrate(), serve] {
            assert!(!success && errors.contains(why), "{why} in\n{errors}");
        }
    }
}

#[test]
fn the_log_can_be_json_from_start_to_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut relay = program()
        .args([
            "serve",
            "--log-format",
            "json",
            "--listen",
            "127.0.0.1:0",
            "--data",
        ])
        .arg(dir.path())
        .env("SORDINO__OPS__LISTEN", "127.0.0.1:0")
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut errors = BufReader::new(relay.stderr.take().expect("piped"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(errors.read_line(&mut line).expect("text"), 0, "{lines:?}");
        if line.starts_with("listening on http://127.0.0.1:") {
            break;
        }
        lines.push(line);
    }
    let pid = relay.id().to_string();
    let killed = Command::new("kill").arg(pid).status().expect("kill runs");
    assert!(killed.success());
    assert!(relay.wait().expect("ended").success());
    let mut rest = String::new();
    errors.read_to_string(&mut rest).expect("text");
    lines.extend(rest.lines().map(str::to_owned));
    let messages: Vec<_> = lines
        .iter()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            line["fields"]["message"].as_str().expect("text").to_owned()
        })
        .collect();
    for part in ["starting", "/metrics", "draining", "stopped"] {
        assert!(messages.iter().any(|m| m.contains(part)), "{messages:?}");
    }
}

#[test]
fn a_relay_begins_with_a_file_and_a_key_that_nothing_overwrites() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().join("relay");
    let init = || run(program().args(["init", "--dir"]).arg(&place));
    let (success, said, errors) = init();
    assert!(success, "{errors}");
    let (config, key) = (
        place.join("relay.toml"),
        place.join("sordino-data/token.key"),
    );
    let passwords = place.join("sordino-data/password.key");
    for file in [&config, &key, &passwords] {
        let file = file.display().to_string();
        assert!(said.contains(&file), "{file} in\n{said}");
    }
    for key in [&key, &passwords] {
        let mode = std::fs::metadata(key).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let read = |file| std::fs::read(file).expect("read");
    let before = (read(&config), read(&passwords));

    // As it says: it is good as it is, and means what is meant without it.
    let with = |command: &[&str]| {
        let (success, said, errors) = run(program()
            .current_dir(&place)
            .args(command)
            .args(["--config", "relay.toml"]));
        assert!(success, "{errors}");
        assert_eq!(errors, "");
        said
    };
    with(&["check", "--listen", "127.0.0.1:0"]);
    let (_, defaults, _) = run(program().args(["config", "print"]));
    assert_eq!(with(&["config", "print"]), defaults);

    let (success, _, errors) = init();
    assert!(
        !success && errors.contains("relay.toml is there already"),
        "{errors}"
    );
    std::fs::remove_file(&config).expect("removed");
    let (success, _, errors) = init();
    assert!(
        !success && errors.contains("token.key is there already"),
        "{errors}"
    );
    std::fs::remove_file(&key).expect("removed");
    let (success, _, errors) = init();
    assert!(
        !success && errors.contains("password.key is there already"),
        "{errors}"
    );
    assert!(!config.exists() && !key.exists());
    assert_eq!(read(&passwords), before.1);
    assert!(!before.0.is_empty());
}
