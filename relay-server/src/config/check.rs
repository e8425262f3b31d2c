//! Settings that are each well-formed and yet cannot work, with what to do about them.

use std::{
    fmt,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use super::{Config, Role, Secret};
use crate::{
    auth::{password::PasswordKey, signing_key::TokenKey},
    relay,
};

/// Something that keeps the relay from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key that it is about.
    pub key: &'static str,
    /// What is wrong.
    pub what: String,
    /// What helps.
    pub fix: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.key, self.what, self.fix)
    }
}

/// Hyper's own least.
const LEAST_HEADER_BYTES: usize = 8 * 1024;

/// A key of 64 hexadecimal digits: written there, or in a file.
fn configured<K>(
    (key, key_file): (&'static str, &'static str),
    digits: Option<&Secret>,
    file: Option<&Path>,
    from_hex: impl Fn(&str) -> Option<K>,
) -> Result<Option<K>, Problem> {
    let problem = |key, what| Problem {
        key,
        what,
        fix: "give 64 hexadecimal digits, those that were there before; where there were none, of `openssl rand -hex 32`",
    };
    if let Some(digits) = digits {
        let bad = || problem(key, "it is not a key".to_owned());
        return from_hex(digits.expose()).ok_or_else(bad).map(Some);
    }
    let Some(file) = file else {
        return Ok(None);
    };
    let bad = |what| problem(key_file, format!("{}: {what}", file.display()));
    let digits = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    let read = from_hex(&Zeroizing::new(digits));
    read.ok_or_else(|| bad("it holds no key".to_owned()))
        .map(Some)
}

impl Config {
    /// What is wrong with the values alone. Nothing is opened.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut need = |good: bool, key, what: String, fix| {
            if !good {
                problems.push(Problem { key, what, fix });
            }
        };
        let listen = self.server.listen;
        let chat = self.server.roles.has(Role::Chat);
        need(
            !chat
                || listen.ip().is_loopback()
                || self.tls.certificate.is_some()
                || !self.server.trusted_proxies.is_empty(),
            "server.listen",
            format!("plain text would cross the network from {listen}"),
            "listen on 127.0.0.1, or give the relay a certificate (tls.certificate, tls.key), or put a proxy that ends TLS in front and name its network in server.trusted_proxies",
        );
        need(
            !chat || !self.ops.listen.is_some_and(|ops| same(listen, ops)),
            "ops.listen",
            format!("{listen} is server.listen as well"),
            "give the operator's listener another port",
        );
        let filter = EnvFilter::try_new(&self.log.filter);
        need(
            filter.is_ok(),
            "log.filter",
            filter.err().map_or_else(String::new, |e| e.to_string()),
            "use a level, or levels by module: `warn,sordino_relay=debug`",
        );
        need(
            !self.server.name.is_empty() && self.server.name.len() <= 255,
            "server.name",
            format!("it has {} bytes", self.server.name.len()),
            "use the host name by which clients know the relay, at most 255 bytes",
        );
        for (key, twice) in [
            (
                "auth.token_key",
                self.auth.token_key.is_some() && self.auth.token_key_file.is_some(),
            ),
            (
                "auth.password_key",
                self.auth.password_key.is_some() && self.auth.password_key_file.is_some(),
            ),
        ] {
            need(
                !twice,
                key,
                format!("{key}_file is set as well"),
                "keep one of the two",
            );
        }
        need(
            self.auth.reset_wait_days <= 90,
            "auth.reset_wait_days",
            format!("{} days", self.auth.reset_wait_days),
            "use 0 to 90",
        );
        let limits = &self.limits;
        need(
            limits.half_open >= 1 && limits.half_open < limits.connections,
            "limits.half_open",
            format!("{} of {} connections", limits.half_open, limits.connections),
            "use at least 1 and less than limits.connections",
        );
        need(
            limits.header_bytes >= LEAST_HEADER_BYTES,
            "limits.header_bytes",
            format!("{} is too small", limits.header_bytes),
            "use at least 8192",
        );
        for (key, seconds) in [
            ("limits.header_seconds", limits.header_seconds),
            ("limits.request_seconds", limits.request_seconds),
            ("limits.connection_seconds", limits.connection_seconds),
            ("ops.drain_seconds", self.ops.drain_seconds),
        ] {
            need(
                (1..=86_400).contains(&seconds),
                key,
                format!("{seconds} seconds"),
                "use 1 to 86400",
            );
        }
        need(
            self.ops
                .unready_seconds
                .is_none_or(|seconds| seconds <= 86_400),
            "ops.unready_seconds",
            format!("{} seconds", self.ops.unready_seconds.unwrap_or(0)),
            "use 0 to 86400",
        );
        for (key, value) in [
            ("delivery.queue_bytes", self.delivery.queue_bytes),
            ("delivery.queue_records", self.delivery.queue_records),
            ("delivery.group_bytes", self.delivery.group_bytes),
            ("delivery.group_records", self.delivery.group_records),
            ("delivery.cached_states", self.delivery.cached_states),
            ("limits.sockets_per_address", limits.sockets_per_address),
            ("rates.claims_per_hour", self.rates.claims_per_hour),
        ] {
            need(value >= 1, key, "it is 0".to_owned(), "use at least 1");
        }
        problems.extend(self.tls_problem());
        problems.extend(self.roles_problem());
        problems.extend(self.cluster_problems());
        problems.extend(self.push_problems());
        problems.extend(self.registration_problems());
        problems
    }

    /// The configured key of the tokens; `None` where it is to be kept in the data directory.
    pub(crate) fn token_key(&self) -> Result<Option<TokenKey>, Problem> {
        configured(
            ("auth.token_key", "auth.token_key_file"),
            self.auth.token_key.as_ref(),
            self.auth.token_key_file.as_deref(),
            TokenKey::from_hex,
        )
    }

    /// The configured key of the passwords; `None` where it is to be kept in the data directory.
    pub(crate) fn password_key(&self) -> Result<Option<PasswordKey>, Problem> {
        configured(
            ("auth.password_key", "auth.password_key_file"),
            self.auth.password_key.as_ref(),
            self.auth.password_key_file.as_deref(),
            PasswordKey::from_hex,
        )
    }

    /// Whether a relay runs on the data directory now. Its addresses are taken then, by itself.
    pub fn is_running(&self) -> bool {
        relay::is_running(&self.store.data)
    }

    /// Where a relay answers the operator at the address that is meant for this one. It is most likely this one: a cluster's node keeps
    /// nothing in a data directory that would tell.
    pub fn serving(&self) -> Option<SocketAddr> {
        let listen = self.ops.listen?;
        answers_as_relay(listen)
            .is_ok_and(|it_does| it_does)
            .then_some(listen)
    }

    /// What does not keep the relay from starting, and is not as it should be.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = self.secret_file_warnings();
        warnings.extend(self.certificate_warnings());
        warnings.extend(self.roles_warning());
        warnings.extend(self.dev_warning());
        warnings.extend((self.auth.reset_wait_days == 0).then(|| Problem {
            key: "auth.reset_wait_days",
            what: "with 0 whoever knows or guesses a password takes the account over at once, before any of its devices can refuse".to_owned(),
            fix: "use the default, 7, unless this relay is for tests",
        }));
        warnings
    }

    /// [`Self::problems`], the key, the certificate, whether the data directory can be written to, and whether the addresses are free.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = self.problems();
        problems.extend(self.token_key().err());
        problems.extend(self.password_key().err());
        problems.extend(self.certificate_problem());
        problems.extend(self.push_providers().err());
        if self.keeps_data()
            && let Err(error) = writable(&self.store.data)
        {
            problems.push(Problem {
                key: "store.data",
                what: format!(
                    "{} cannot be written to ({error})",
                    self.store.data.display()
                ),
                fix: "create it for the user that runs the relay, or name another with --data",
            });
        }
        if self.is_running() || self.serving().is_some() {
            return problems;
        }
        let chat = self.server.roles.has(Role::Chat);
        let listen = chat.then_some(self.server.listen);
        for (key, address) in [("server.listen", listen), ("ops.listen", self.ops.listen)] {
            let taken =
                address.and_then(|address| Some((address, TcpListener::bind(address).err()?)));
            if let Some((address, error)) = taken {
                problems.push(Problem {
                    key,
                    what: format!("cannot listen on {address} ({error})"),
                    fix: "stop what does, or set another",
                });
            }
        }
        problems
    }
}

/// Whether two listeners would get into each other's way. Two free ports (0) do not.
fn same(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && (one.ip() == other.ip() || everywhere)
}

/// Whether who listens there shows the metrics of a relay.
fn answers_as_relay(address: SocketAddr) -> io::Result<bool> {
    const WITHIN: Duration = Duration::from_secs(1);
    const MOST_BYTES: u64 = 1 << 20;
    let mut stream = TcpStream::connect_timeout(&address, WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: check\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).contains("\nsordino_draining "))
}

/// Writes a file and takes it away again: permissions alone do not say whether a file system is read-only or full.
fn writable(data: &Path) -> io::Result<()> {
    // The relay would create what is missing; here the nearest directory that stands is asked.
    let dir = data
        .ancestors()
        .map(|dir| match dir.as_os_str().is_empty() {
            true => Path::new("."),
            false => dir,
        })
        .find(|dir| dir.exists())
        .unwrap_or(data);
    let file = dir.join(format!(".sordino-check-{}", std::process::id()));
    std::fs::write(&file, b"written by `sordino-relay check`")?;
    std::fs::remove_file(&file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that `change` makes a problem of.
    fn keys(change: impl FnOnce(&mut Config)) -> Vec<&'static str> {
        let mut config = Config::new("data");
        change(&mut config);
        config.problems().iter().map(|p| p.key).collect()
    }

    #[test]
    fn the_defaults_are_good() {
        assert_eq!(Config::default().problems(), []);
        assert_eq!(Config::new("data").problems(), []);
    }

    #[test]
    fn plain_text_on_the_network_needs_a_trusted_proxy() {
        let everywhere = |c: &mut Config| c.server.listen = ([0, 0, 0, 0], 0).into();
        assert_eq!(keys(everywhere), ["server.listen"]);
        let behind_a_proxy = |c: &mut Config| {
            everywhere(c);
            c.server.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
        };
        assert_eq!(keys(behind_a_proxy), [""; 0]);
    }

    #[test]
    fn one_address_is_for_one_listener() {
        let both = |server: &str, ops: &str| {
            keys(|c| {
                c.server.listen = server.parse().expect("an address");
                c.server.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
                c.ops.listen = Some(ops.parse().expect("an address"));
            })
        };
        assert_eq!(both("127.0.0.1:7373", "127.0.0.1:7373"), ["ops.listen"]);
        assert_eq!(both("0.0.0.0:7373", "127.0.0.1:7373"), ["ops.listen"]);
        for (server, ops) in [
            ("127.0.0.1:7373", "127.0.0.1:7374"),
            ("127.0.0.1:7373", "127.0.0.2:7373"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ] {
            assert_eq!(both(server, ops), [""; 0]);
        }
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_found() {
        assert_eq!(
            keys(|c| c.log.filter = "sordino_relay=loud".to_owned()),
            ["log.filter"]
        );
        assert_eq!(keys(|c| c.log.filter = "debug".to_owned()), [""; 0]);
    }

    #[test]
    fn values_that_cannot_work_are_found_all_at_once() {
        assert_eq!(
            keys(|c| {
                c.server.name.clear();
                c.limits.half_open = c.limits.connections;
                c.limits.header_bytes = 10;
                c.limits.request_seconds = 0;
                c.delivery.group_records = 0;
            }),
            [
                "server.name",
                "limits.half_open",
                "limits.header_bytes",
                "limits.request_seconds",
                "delivery.group_records"
            ]
        );
    }

    #[test]
    fn a_token_key_is_read_or_the_problem_says_nothing_of_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("key");
        let mut config = Config::new(dir.path());
        config.auth.token_key_file = Some(file.clone());
        assert_eq!(config.check().len(), 1);
        std::fs::write(&file, "5e5e5e").expect("written");
        let problems = config.check();
        assert_eq!(problems.len(), 1);
        assert!(!problems[0].to_string().contains("5e5e"));
        std::fs::write(&file, format!("{}\n", "5e".repeat(32))).expect("written");
        assert_eq!(config.check(), []);
        assert!(config.token_key().is_ok_and(|key| key.is_some()));
    }

    #[test]
    fn accounts_that_a_password_takes_over_at_once_are_warned_of() {
        let mut config = Config::new("data");
        assert_eq!(config.warnings(), []);
        config.auth.reset_wait_days = 0;
        let keys: Vec<_> = config.warnings().iter().map(|w| w.key).collect();
        assert_eq!(keys, ["auth.reset_wait_days"]);
        assert_eq!(config.problems(), []);
        config.auth.reset_wait_days = 1;
        assert_eq!(config.warnings(), []);
    }

    #[test]
    fn an_address_that_is_taken_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let taken = TcpListener::bind("127.0.0.1:0").expect("free");
        let mut config = Config::new(dir.path());
        config.ops.listen = taken.local_addr().ok();
        let problems = config.check();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].key, "ops.listen");
        // A relay that runs on the directory: it is itself what listens there.
        let lock = std::fs::File::create(dir.path().join("lock")).expect("created");
        lock.lock().expect("locked");
        assert!(config.is_running());
        assert_eq!(config.check(), []);
        drop(lock);
        assert!(!config.is_running());
    }

    #[test]
    fn a_data_directory_that_cannot_be_written_to_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = Config::new(dir.path().join("not/there/yet"));
        assert_eq!(config.check(), []);
        assert_eq!(std::fs::read_dir(dir.path()).expect("read").count(), 0);
        let file = dir.path().join("file");
        std::fs::write(&file, b"").expect("written");
        config.store.data = file;
        let problems = config.check();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].to_string().contains("--data"));
    }
}
