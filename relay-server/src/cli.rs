//! The command line.

use std::{
    env,
    io::{self, IsTerminal},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use sordino_relay::config::{Config, ENV_PREFIX, Log, LogFormat, Role, Sources};
use tracing_subscriber::EnvFilter;

use crate::Failure;

/// The Sordino relay.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run until SIGTERM or SIGINT.
    Serve {
        #[command(flatten)]
        settings: Settings,
        /// Write the port to this file once the relay listens.
        #[arg(long)]
        port_file: Option<PathBuf>,
    },
    /// Write a configuration file with every key, and make the key of the access tokens. Overwrites nothing.
    Init {
        /// Where; created where there is none.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
    /// Say what keeps the relay from starting, where it was set, and what to do about it.
    Check {
        #[command(flatten)]
        settings: Settings,
    },
    /// Make, or bring up to date, the tables and the topic that the configuration names. Run it before the first start and
    /// before a new version; what is there stays.
    Migrate {
        #[command(flatten)]
        settings: Settings,
        /// The data directory of a stopped relay with embedded stores: everything in it is moved into the cluster, before
        /// the cluster's first start. It stays as it is. Run it again after an interruption.
        #[arg(long)]
        from: Option<PathBuf>,
    },
    /// Make an invite, by which people make accounts where registration.policy is "invite", and print it. The relay may run
    /// meanwhile.
    Invite {
        #[command(flatten)]
        settings: Settings,
        /// How many accounts it makes.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
        /// How long it holds: minutes (30m), hours (12h) or days (7d).
        #[arg(long, default_value = "7d", value_parser = duration)]
        valid: Duration,
        /// Take this invite back instead: itself, or its name as `invites` lists it.
        #[arg(long, value_name = "INVITE", conflicts_with_all = ["uses", "valid"])]
        revoke: Option<String>,
    },
    /// List the invites that still make accounts: name, accounts, time left. The invites themselves are not kept. The relay may run
    /// meanwhile.
    Invites {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        page: Page,
    },
    /// List the accounts: user name, id, and whether it is disabled. The relay may run meanwhile.
    Users {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        page: Page,
    },
    /// Delete an account for ever, as its owner could. Of a relay with embedded stores while it is stopped.
    DeleteUser {
        #[command(flatten)]
        settings: Settings,
        /// Whose.
        username: String,
        /// Do not ask. Needed where there is no terminal.
        #[arg(long)]
        yes: bool,
    },
    /// Disable an account until it is enabled again: its devices are logged out within seconds and get nothing, and what others
    /// write to it waits. The relay may run meanwhile.
    DisableUser {
        #[command(flatten)]
        settings: Settings,
        /// Whose.
        username: String,
    },
    /// Enable an account that was disabled. The relay may run meanwhile.
    EnableUser {
        #[command(flatten)]
        settings: Settings,
        /// Whose.
        username: String,
    },
    /// Print the user name and the e-mail address of an account. The relay may run meanwhile.
    Email {
        #[command(flatten)]
        settings: Settings,
        /// Either of the two.
        who: String,
        /// Take the address off the account: whoever it belongs to can have it then.
        #[arg(long)]
        clear: bool,
    },
    /// Copy everything that a relay keeps in its data directory to one file, whether it runs or not. The file holds the key
    /// that signs access tokens: keep it like a password.
    Backup {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// A file that does not exist yet, or a directory in which to make one.
        #[arg(long)]
        to: PathBuf,
    },
    /// Make a data directory of a backup. Read docs/recovery.md first: a relay that goes back in time does not suit the
    /// devices that have gone on.
    Restore {
        /// The backup.
        #[arg(long)]
        from: PathBuf,
        /// A directory that does not exist yet, or is empty.
        #[arg(long)]
        data: PathBuf,
    },
    /// List what a stopped relay holds of the messages, a line of JSON each: addresses, times, sizes, ciphertext.
    Rows {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
    },
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        show: Show,
    },
}

#[derive(Subcommand)]
pub(crate) enum Show {
    /// Print the effective configuration, without its secrets.
    Print {
        #[command(flatten)]
        settings: Settings,
    },
}

/// A part of a list, in the order of the names.
#[derive(Args)]
pub(crate) struct Page {
    /// Begin after this name: the last one of the part before.
    #[arg(long, value_name = "NAME")]
    pub(crate) after: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
}

/// Flags go before `SORDINO__SECTION__KEY` in the environment, and that before the file.
#[derive(Args)]
pub(crate) struct Settings {
    /// Configuration file (TOML).
    #[arg(long)]
    config: Option<PathBuf>,
    /// Directory for everything that the relay keeps [default: sordino-data]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Address; port 0 takes a free one [default: 127.0.0.1:7373]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// The name by which clients know the relay [default: localhost]
    #[arg(long)]
    name: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// What this node of a cluster does, separated by commas [default: chat,delivery,notify]
    #[arg(long, value_enum, value_delimiter = ',')]
    roles: Option<Vec<Role>>,
}

impl Settings {
    pub(crate) fn load(self) -> Result<Config, Failure> {
        Ok(self.sources()?.load()?)
    }

    pub(crate) fn sources(self) -> Result<Sources, Failure> {
        Ok(Sources {
            file: self.config,
            env: environment()?,
            data: self.data,
            listen: self.listen,
            name: self.name,
            log_format: self.log_format,
            roles: self.roles,
        })
    }
}

/// As in "7d".
fn duration(text: &str) -> Result<Duration, String> {
    const MOST_S: u64 = 3650 * 24 * 60 * 60;
    let wrong = || "give minutes, hours or days, as in 30m, 12h, 7d, up to 3650d".to_owned();
    let (number, unit) = text
        .split_at_checked(text.len().wrapping_sub(1))
        .ok_or_else(wrong)?;
    let unit = match unit {
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(unit).ok_or_else(wrong)?;
    match seconds {
        1..=MOST_S => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

fn environment() -> Result<Vec<(String, String)>, Failure> {
    let mut variables = Vec::new();
    for (name, value) in env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(ENV_PREFIX)) else {
            continue;
        };
        let value = value.into_string();
        let value = value.map_err(|_| format!("the environment variable {name} is not UTF-8"))?;
        variables.push((name.to_owned(), value));
    }
    Ok(variables)
}

pub(crate) fn start_log(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|error| format!("log.filter: {error}"))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // A file or a journal is no place for colours.
        .with_ansi(io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
