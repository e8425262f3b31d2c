//! Where configuration comes from: a file, over it the environment, over it the command line.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{Config, LogFormat, Role};

/// Variables that begin like this are configuration: `SORDINO__SECTION__KEY`.
pub const ENV_PREFIX: &str = "SORDINO__";

/// Why the configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such file.
    #[error("the configuration file {}: {cause}", .file.display())]
    File {
        /// Its path.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It says something that is not understood.
    #[error("the configuration file {}: {cause}", .file.display())]
    Content {
        /// Its path.
        file: PathBuf,
        /// Which line, and why; never the line itself, which may hold a secret.
        cause: String,
    },
    /// A variable that is not understood.
    #[error("the environment variable {name}: {cause}")]
    Variable {
        /// Its name; never its value.
        name: String,
        /// Why.
        cause: String,
    },
}

/// What was given besides the defaults. A later field goes before an earlier one.
#[derive(Debug, Default)]
pub struct Sources {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Variables of the environment; those without [`ENV_PREFIX`] are passed over.
    pub env: Vec<(String, String)>,
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--name`
    pub name: Option<String>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
    /// `--roles`
    pub roles: Option<Vec<Role>>,
}

impl Sources {
    /// The effective configuration.
    pub fn load(&self) -> Result<Config, LoadError> {
        let mut table = match &self.file {
            Some(file) => read(file)?,
            None => Table::new(),
        };
        let mut variables: Vec<_> = self
            .env
            .iter()
            .filter_map(|(name, value)| Some((name, name.strip_prefix(ENV_PREFIX)?, value)))
            .collect();
        variables.sort();
        let is_data = |(_, key, _): &(_, &str, _)| key.eq_ignore_ascii_case("store__data");
        let named_elsewhere = self.data.is_some() || variables.iter().any(is_data);
        for (name, key, value) in variables {
            set(&mut table, key, value).map_err(|cause| LoadError::Variable {
                name: name.clone(),
                cause,
            })?;
        }
        // Every part of it was read before.
        let mut config: Config = table.try_into().map_err(|error| LoadError::Content {
            file: self.file.clone().unwrap_or_default(),
            cause: toml::de::Error::message(&error).to_owned(),
        })?;
        if let Some(data) = &self.data {
            config.store.data.clone_from(data);
        }
        // The file means the same wherever the relay is started. A flag or a variable is of whoever starts it.
        if let Some(folder) = self.file.as_deref().and_then(Path::parent)
            && !named_elsewhere
        {
            config.store.data = folder.join(&config.store.data);
        }
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        if let Some(name) = &self.name {
            config.server.name.clone_from(name);
        }
        if let Some(format) = self.log_format {
            config.log.format = format;
        }
        if let Some(roles) = &self.roles {
            config.server.roles = roles.iter().copied().collect();
        }
        Ok(config)
    }
}

fn read(file: &Path) -> Result<Table, LoadError> {
    let text = fs::read_to_string(file).map_err(|cause| LoadError::File {
        file: file.to_owned(),
        cause,
    })?;
    let content = |error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let before = before.map_or(0, |before| before.matches('\n').count());
        let key = text.lines().nth(before).and_then(key_of);
        let key = key.map_or_else(String::new, |key| format!(" ({key})"));
        LoadError::Content {
            file: file.to_owned(),
            cause: format!("line {}{key}: {}", before + 1, error.message()),
        }
    };
    // Read as a whole first: these errors name the line.
    toml::from_str::<Config>(&text).map_err(content)?;
    toml::from_str(&text).map_err(content)
}

/// The key that a line sets. Only what cannot be part of a value.
fn key_of(line: &str) -> Option<&str> {
    let key = line.split_once('=')?.0.trim();
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    (!key.is_empty() && key.chars().all(plain)).then_some(key)
}

/// Puts one variable into the table. Whether `10` is a number or a name depends on the key: the first reading that the
/// configuration takes is meant.
fn set(table: &mut Table, key: &str, value: &str) -> Result<(), String> {
    let lower = key.to_ascii_lowercase();
    let (section, key) = lower
        .split_once("__")
        .ok_or_else(|| format!("not of the form {ENV_PREFIX}SECTION__KEY"))?;
    let text = Value::String(value.to_owned());
    let written = toml::from_str::<Table>(&format!("v = {value}"))
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("v"));
    let mut refused = None;
    for reading in [written, Some(text)].into_iter().flatten() {
        // Alone, so that an error can only be about it.
        let alone = Table::from_iter([(
            section.to_owned(),
            Value::Table(Table::from_iter([(key.to_owned(), reading.clone())])),
        )]);
        match alone.try_into::<Config>() {
            Ok(_) => {
                let section = table
                    .entry(section)
                    .or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(section) = section {
                    section.insert(key.to_owned(), reading);
                }
                return Ok(());
            }
            // The first reading is the more telling one: "a number that is too small", not "not a number".
            Err(error) => refused.get_or_insert(error.message().to_owned()),
        };
    }
    Err(refused.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        variables.iter().map(owned).collect()
    }

    fn from_env(variables: &[(&str, &str)]) -> Result<Config, LoadError> {
        Sources {
            env: env(variables),
            ..Sources::default()
        }
        .load()
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("relay.toml");
        fs::write(&file, text).expect("written");
        (dir, file)
    }

    fn from_file(text: &str) -> Result<Config, LoadError> {
        let (_dir, path) = file(text);
        Sources {
            file: Some(path),
            ..Sources::default()
        }
        .load()
    }

    #[test]
    fn flags_go_before_the_environment_before_the_file_before_the_defaults() {
        let (_dir, path) = file(
            "[server]\nname = 'file'\nlisten = '127.0.0.1:1'\n[limits]\nhalf_open = 7\nconnections = 70\n",
        );
        let sources = || Sources {
            file: Some(path.clone()),
            env: env(&[
                ("SORDINO__SERVER__NAME", "env"),
                ("SORDINO__LIMITS__HALF_OPEN", "8"),
                ("UNRELATED", "1"),
            ]),
            ..Sources::default()
        };
        let config = sources().load().expect("loaded");
        assert_eq!(config.server.name, "env");
        assert_eq!(config.server.listen, "127.0.0.1:1".parse().expect("one"));
        assert_eq!(
            (config.limits.half_open, config.limits.connections),
            (8, 70)
        );
        assert_eq!(config.ops.drain_seconds, 30);
        let flags = Sources {
            name: Some("flag".to_owned()),
            listen: Some("127.0.0.1:2".parse().expect("one")),
            data: Some("elsewhere".into()),
            log_format: Some(LogFormat::Json),
            roles: Some(vec![Role::Chat]),
            ..sources()
        };
        let config = flags.load().expect("loaded");
        assert_eq!(config.server.name, "flag");
        assert_eq!(config.server.listen, "127.0.0.1:2".parse().expect("one"));
        assert_eq!(config.store.data, Path::new("elsewhere"));
        assert_eq!(config.log.format, LogFormat::Json);
        assert_eq!(config.server.roles.to_string(), "chat");
    }

    #[test]
    fn the_data_lie_beside_the_file_wherever_the_relay_is_started() {
        let data = |text: &str, variable: Option<&str>, flag: Option<&str>| {
            let (dir, path) = file(text);
            let sources = Sources {
                file: Some(path),
                env: env(&variable.map_or(vec![], |v| vec![("SORDINO__STORE__DATA", v)])),
                data: flag.map(PathBuf::from),
                ..Sources::default()
            };
            let data = sources.load().expect("loaded").store.data;
            let beside = data.strip_prefix(dir.path()).map(Path::to_owned);
            beside.map_or_else(|_| data, |beside| Path::new("beside").join(beside))
        };
        let named = "[store]\ndata = 'here'\n";
        assert_eq!(data(named, None, None), Path::new("beside/here"));
        assert_eq!(data("", None, None), Path::new("beside/sordino-data"));
        let whole = "[store]\ndata = '/var/lib/sordino'\n";
        assert_eq!(data(whole, None, None), Path::new("/var/lib/sordino"));
        assert_eq!(data(named, Some("there"), None), Path::new("there"));
        assert_eq!(data(named, Some("there"), Some("x")), Path::new("x"));
        let without = from_env(&[]).expect("loaded").store.data;
        assert_eq!(without, Path::new("sordino-data"));
    }

    #[test]
    fn variables_are_read_as_their_keys_need() {
        let config = from_env(&[
            ("SORDINO__SERVER__NAME", "12"),
            (
                "SORDINO__SERVER__TRUSTED_PROXIES",
                "['10.0.0.0/8', '::1/128']",
            ),
            ("SORDINO__SERVER__ROLES", "['delivery', 'notify']"),
            ("SORDINO__OPS__LISTEN", "127.0.0.1:9000"),
            ("SORDINO__LOG__FORMAT", "json"),
            ("SORDINO__LOG__FILTER", "info,sordino_relay=debug"),
            ("SORDINO__RATES__USER_BURST", "9"),
        ])
        .expect("loaded");
        assert_eq!(config.server.name, "12");
        assert_eq!(config.server.trusted_proxies.len(), 2);
        assert_eq!(config.server.roles.to_string(), "delivery, notify");
        assert_eq!(config.ops.listen.map(|a| a.port()), Some(9000));
        assert_eq!(config.log.format, LogFormat::Json);
        assert_eq!(config.log.filter, "info,sordino_relay=debug");
        assert_eq!(config.rates.user_burst.get(), 9);
    }

    #[test]
    fn an_unknown_key_of_the_file_is_named_with_its_line() {
        let error = from_file("[server]\nname = 'x'\nlisen = '127.0.0.1:1'\n")
            .expect_err("refused")
            .to_string();
        assert!(
            error.contains("lisen") && error.contains("line 3"),
            "{error}"
        );
        let error = from_file("[limits]\nhalf_open = 'many'\n")
            .expect_err("refused")
            .to_string();
        assert!(error.contains("line 2 (half_open): "), "{error}");
        let error = from_file("[sever]\n").expect_err("refused").to_string();
        assert!(
            error.contains("sever") && error.contains("line 1"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_or_unfit_variable_is_named() {
        for (name, value) in [
            ("SORDINO__SERVER__LISEN", "127.0.0.1:1"),
            ("SORDINO__SEVER__NAME", "x"),
            ("SORDINO__NAME", "x"),
            ("SORDINO__SERVER__NAME__X", "x"),
            ("SORDINO__LIMITS__HALF_OPEN", "many"),
            ("SORDINO__LIMITS__HALF_OPEN", "-1"),
            ("SORDINO__RATES__USER_BURST", "0"),
            ("SORDINO__SERVER__LISTEN", "localhost"),
            ("SORDINO__SERVER__TRUSTED_PROXIES", "['10.0.0.0/40']"),
        ] {
            let error = from_env(&[(name, value)]).expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_secret_is_read_and_never_shown() {
        let digits = "5e".repeat(32);
        let config = from_env(&[("SORDINO__AUTH__TOKEN_KEY", &digits)]).expect("loaded");
        let key = config.auth.token_key.as_ref().expect("there");
        assert_eq!(key.expose(), digits);
        let printed = toml::to_string(&config).expect("printed");
        assert!(printed.contains("token_key = \"(secret)\""), "{printed}");
        for shown in [printed, format!("{config:?}")] {
            assert!(!shown.contains("5e5e"), "{shown}");
        }
        let error = from_env(&[("SORDINO__AUTH__TOKEN_KEYS", &digits)]).expect_err("unknown");
        assert!(!error.to_string().contains("5e5e"), "{error}");
        let error = from_file(&format!("[auth]\ntoken_keys = '{digits}'\n"))
            .expect_err("unknown")
            .to_string();
        assert!(
            error.contains("token_keys") && !error.contains("5e5e"),
            "{error}"
        );
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let config = from_env(&[("SORDINO__OPS__LISTEN", "127.0.0.1:9000")]).expect("loaded");
        let printed = toml::to_string(&config).expect("printed");
        let again: Config = toml::from_str(&printed).expect("read");
        assert_eq!(toml::to_string(&again).expect("printed"), printed);
    }
}
