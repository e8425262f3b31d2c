//! `docs/configuration.md` names every key with its default, and no other.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::BTreeMap;

use sordino_relay::config::Config;

const DOC: &str = include_str!("../../docs/configuration.md");

/// Keys of the tables, with what stands in the second column.
fn documented() -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    for line in DOC.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let ["", key, default, meaning, ""] = cells[..] else {
            continue;
        };
        let Some(key) = key.strip_prefix('`').and_then(|key| key.strip_suffix('`')) else {
            continue;
        };
        assert!(!meaning.is_empty(), "{key}");
        let default = default.trim_matches('`').to_owned();
        assert_eq!(keys.insert(key.to_owned(), default), None, "{key} twice");
    }
    keys
}

/// What the program has. Keys without a default are set, or they would not be printed.
fn existing() -> BTreeMap<String, String> {
    let mut config = Config::default();
    config.auth.token_key_file = Some("x".into());
    config.auth.password_key_file = Some("x".into());
    config.tls.certificate = Some("x".into());
    config.tls.key = Some("x".into());
    config.ops.listen = Some(([127, 0, 0, 1], 0).into());
    config.ops.unready_seconds = Some(1);
    let secret = || Some("x".to_owned().into());
    config.auth.token_key = secret();
    config.auth.password_key = secret();
    config.postgres.url = secret();
    config.redis.url = secret();
    config.postgres.url_file = Some("x".into());
    config.redis.url_file = Some("x".into());
    config.push.fcm_service_account_file = Some("x".into());
    for text in [
        &mut config.registration.issuer,
        &mut config.registration.audience,
        &mut config.registration.jwks_url,
    ] {
        *text = Some("x".to_owned());
    }
    config.registration.jwks_file = Some("x".into());
    let (kafka, cassandra) = (&mut config.kafka, &mut config.cassandra);
    for (username, password) in [
        (&mut kafka.username, &mut kafka.password),
        (&mut cassandra.username, &mut cassandra.password),
    ] {
        *username = Some("x".to_owned());
        *password = secret();
    }
    for file in [
        &mut config.redis.ca_file,
        &mut kafka.ca_file,
        &mut kafka.password_file,
        &mut cassandra.ca_file,
        &mut cassandra.password_file,
    ] {
        *file = Some("x".into());
    }
    let table = toml::Table::try_from(config).expect("a table");
    let none = [
        "auth.token_key",
        "auth.token_key_file",
        "auth.password_key",
        "auth.password_key_file",
        "cassandra.ca_file",
        "cassandra.password",
        "cassandra.password_file",
        "cassandra.username",
        "kafka.ca_file",
        "kafka.password",
        "kafka.password_file",
        "kafka.username",
        "ops.listen",
        "ops.unready_seconds",
        "postgres.url",
        "postgres.url_file",
        "redis.ca_file",
        "redis.url",
        "redis.url_file",
        "tls.certificate",
        "tls.key",
        "push.fcm_service_account_file",
        "registration.audience",
        "registration.issuer",
        "registration.jwks_file",
        "registration.jwks_url",
    ];
    let mut keys = BTreeMap::new();
    for (section, values) in table {
        for (key, value) in values.as_table().expect("a section") {
            let key = format!("{section}.{key}");
            let default = match none.contains(&key.as_str()) {
                true => "none".to_owned(),
                false => value.to_string(),
            };
            keys.insert(key, default);
        }
    }
    keys
}

#[test]
fn every_key_is_documented_with_its_default() {
    assert_eq!(documented(), existing());
}

/// An optional key that this file does not know of would not be printed, and so not be missed.
#[test]
fn no_optional_key_is_overlooked() {
    let refused = |key: &str| {
        let (section, key) = key.split_once('.').expect("two parts");
        toml::from_str::<Config>(&format!("[{section}]\n{key} = []\n{key}_x = 1"))
            .expect_err("unknown")
            .message()
            .to_owned()
    };
    for section in [
        "server",
        "tls",
        "auth",
        "registration",
        "store",
        "delivery",
        "limits",
        "rates",
        "log",
        "ops",
        "postgres",
        "redis",
        "kafka",
        "cassandra",
        "push",
    ] {
        let error = refused(&format!("{section}.unknown"));
        let known = documented();
        let known = known
            .keys()
            .filter(|key| key.starts_with(&format!("{section}.")));
        for key in known.clone() {
            let (_, name) = key.split_once('.').expect("two parts");
            assert!(error.contains(&format!("`{name}`")), "{key}: {error}");
        }
        // "unknown field `unknown`, expected one of `a`, `b`": two quotes a name.
        assert_eq!(error.matches('`').count() / 2 - 1, known.count(), "{error}");
    }
}
