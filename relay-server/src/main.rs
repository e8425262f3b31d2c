//! The relay as a program.

mod cli;

use std::{
    fs,
    future::pending,
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use sordino_relay::{
    accounts,
    backup::{self, Counts},
    config::{Config, Limits, Policy, Problem, Sources},
    init, inspect,
    ops::files::raise_limit,
    relay::{self, Relay, start},
    user::Listed,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
};

#[cfg(feature = "cluster")]
use sordino_relay::stores::cluster::ClusterError;

use crate::cli::{Cli, Command, Page, Show};

/// A quarter less CPU than the system's, and what a burst took goes back; its settings are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Failure = Box<dyn std::error::Error>;

/// Threads for what waits for the disk. More would only wait for each other, each with memory of its own; tokio would make
/// hundreds when every device asks at once.
const BLOCKING_THREADS: usize = 16;

/// For what still waits on a thread of its own, such as an answer of a server that is away.
const LAST: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(run());
            runtime.shutdown_timeout(LAST);
            code
        }
        Err(error) => {
            eprintln!("sordino-relay: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve {
            settings,
            port_file,
        } => match settings.load() {
            Ok(config) => serve(config, port_file).await,
            Err(error) => Err(error),
        },
        Command::Init { dir } => begin(&dir),
        Command::Check { settings } => match settings.sources() {
            Ok(sources) => check(&sources).await,
            Err(error) => Err(error),
        },
        Command::Migrate { settings, from } => match settings.load() {
            Ok(config) => migrate(&config, from.as_deref()).await,
            Err(error) => Err(error),
        },
        Command::Invite {
            settings,
            uses,
            valid,
            revoke,
        } => match settings.load() {
            Ok(config) => invite(&config, uses, valid, revoke.as_deref()).await,
            Err(error) => Err(error),
        },
        Command::Invites { settings, page } => match settings.load() {
            Ok(config) => invites(&config, &page).await,
            Err(error) => Err(error),
        },
        Command::Users { settings, page } => match settings.load() {
            Ok(config) => users(&config, &page).await,
            Err(error) => Err(error),
        },
        Command::DeleteUser {
            settings,
            username,
            yes,
        } => match settings.load() {
            Ok(config) => delete_user(&config, &username, yes).await,
            Err(error) => Err(error),
        },
        Command::DisableUser { settings, username } => match settings.load() {
            Ok(config) => set_disabled(&config, &username, true).await,
            Err(error) => Err(error),
        },
        Command::EnableUser { settings, username } => match settings.load() {
            Ok(config) => set_disabled(&config, &username, false).await,
            Err(error) => Err(error),
        },
        Command::Email {
            settings,
            who,
            clear,
        } => match settings.load() {
            Ok(config) => email(&config, &who, clear).await,
            Err(error) => Err(error),
        },
        Command::Backup { data, to } => back_up(&data, &to).await,
        Command::Restore { from, data } => put_back(&from, &data).await,
        Command::Rows { data } => {
            inspect::rows(&data, &mut io::stdout().lock()).map_err(Into::into)
        }
        Command::Config {
            show: Show::Print { settings },
        } => settings.load().and_then(|config| print(&config)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sordino-relay: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config, port_file: Option<std::path::PathBuf>) -> Result<(), Failure> {
    cli::start_log(&config.log)?;
    // Before anything starts: a signal that comes early must not be lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Without a certificate the signal stays what a closed terminal says to its programs.
    let mut hangup = match config.tls.certificate {
        Some(_) => Some(signal(SignalKind::hangup())?),
        None => None,
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        name = config.server.name,
        data = %config.store.data.display(),
        roles = %config.server.roles,
        trusted_proxies = ?config.server.trusted_proxies,
        users = if config.has_postgres() { "PostgreSQL" } else { "SQLite" },
        messages = if config.is_cluster() { "Kafka and Cassandra, sessions in Redis" } else { "embedded, sessions in memory" },
        "starting"
    );
    let limit = config.limits.connections;
    match raise_limit(limit) {
        None => {}
        // Nobody asked for so many.
        Some(enough) if limit == Limits::default().connections => tracing::info!(
            enough,
            limit,
            "the system's limit of open files allows fewer connections than limits.connections: for more, raise `ulimit -Hn`"
        ),
        Some(enough) => tracing::warn!(
            enough,
            limit,
            "the system's limit of open files is too low for limits.connections: raise `ulimit -Hn`, or lower the key"
        ),
    }
    let relay = start(config).await?;
    summarize(&relay);
    if let Some(file) = port_file
        && relay.url().is_some()
    {
        fs::write(file, relay.addr().port().to_string())?;
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = received(&mut hangup) => reload(&relay),
        }
    }
    relay.shutdown().await;
    Ok(())
}

/// For ever, where there is nothing to wait for.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}

fn reload(relay: &Relay) {
    if let Some(tls) = relay.tls() {
        // It reads files.
        spawn_blocking(move || tls.reload_and_tell());
    }
}

fn summarize(relay: &Relay) {
    match relay.ops_addr() {
        Some(ops) => {
            tracing::info!("metrics on http://{ops}/metrics, health on /healthz and /readyz");
            if !ops.ip().is_loopback() {
                tracing::warn!("ops.listen can be reached from the network: keep others off it");
            }
        }
        None => tracing::info!("no metrics: ops.listen is not set"),
    }
    // Programs wait for this line.
    match relay.url() {
        Some(url) => eprintln!("listening on {url}"),
        None => eprintln!("running, and listening for no client"),
    }
}

fn begin(dir: &Path) -> Result<(), Failure> {
    print!("{}", init::init(dir)?.explain());
    Ok(())
}

async fn check(sources: &Sources) -> Result<(), Failure> {
    let config = &sources.load()?;
    let at = |key, what: String| match sources.place(key) {
        Some(place) => format!("{place}: {what}"),
        None => what,
    };
    let placed = |problem: &Problem| at(problem.key, problem.to_string());
    let found = config.check();
    // What cannot work is not dialled; the rest is, so that everything is said at once.
    let good = |section: &str| !found.iter().any(|problem| problem.key.starts_with(section));
    let mut problems: Vec<_> = found.iter().map(placed).collect();
    #[cfg(feature = "cluster")]
    for error in sordino_relay::stores::cluster::check(config, good).await {
        problems.push(match &error {
            ClusterError::Config(problem) => placed(problem),
            error => at(error.key(), format!("{}: {error}", error.key())),
        });
    }
    if good("push.") {
        problems.extend(config.dial_push().await.err().as_ref().map(placed));
    }
    if good("registration.") {
        problems.extend(config.dial_issuer().await.err().as_ref().map(placed));
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    for warning in config.warnings() {
        eprintln!("warning: {}", placed(&warning));
    }
    if config.is_running() {
        println!(
            "a relay runs on {}: whether the addresses are free was not tried",
            config.store.data.display()
        );
    } else if let Some(address) = config.serving() {
        println!(
            "a relay serves on {address}, most likely this one: whether the addresses are free was not tried"
        );
    }
    match problems.len() {
        0 => {
            println!("the configuration is good");
            Ok(())
        }
        1 => Err("1 problem".into()),
        n => Err(format!("{n} problems").into()),
    }
}

async fn invite(
    config: &Config,
    uses: u32,
    valid: Duration,
    revoke: Option<&str>,
) -> Result<(), Failure> {
    if let Some(invite) = revoke {
        return match accounts::revoke_invite(config, invite).await? {
            true => {
                eprintln!("it makes no accounts any more");
                Ok(())
            }
            false => Err("there is no such invite, or it had ended already".into()),
        };
    }
    let code = accounts::invite(config, uses, valid).await?;
    // Alone on its line, for scripts.
    println!("{}", *code.text());
    if config.registration.policy != Policy::Invite {
        eprintln!("registration.policy is not \"invite\" here: nobody is asked for one");
    }
    Ok(())
}

async fn invites(config: &Config, page: &Page) -> Result<(), Failure> {
    let limit = usize::from(page.limit);
    let (found, more) = accounts::invites(config, page.after.as_deref(), limit).await?;
    let mut out = io::stdout().lock();
    for invite in &found {
        let accounts = if invite.uses == 1 {
            "account"
        } else {
            "accounts"
        };
        writeln!(
            out,
            "{} {} {accounts}, {}",
            invite.name,
            invite.uses,
            left(invite.left)
        )?;
    }
    say_more(more, found.last().map(|invite| invite.name.as_str()));
    Ok(())
}

async fn users(config: &Config, page: &Page) -> Result<(), Failure> {
    let limit = usize::from(page.limit);
    let (found, more) = accounts::users(config, page.after.as_deref(), limit).await?;
    let mut out = io::stdout().lock();
    for Listed { user, disabled } in &found {
        let disabled = if *disabled { " disabled" } else { "" };
        writeln!(out, "{} {}{disabled}", user.username, user.user)?;
    }
    say_more(more, found.last().map(|listed| &*listed.user.username));
    Ok(())
}

fn say_more(more: bool, last: Option<&str>) {
    if let (true, Some(last)) = (more, last) {
        eprintln!("there are more: --after {last}");
    }
}

/// Rounded up, as `--valid` takes it.
fn left(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60);
    match minutes {
        0..60 => format!("{minutes}m left"),
        60..2880 => format!("{}h left", minutes.div_ceil(60)),
        _ => format!("{}d left", minutes.div_ceil(24 * 60)),
    }
}

async fn delete_user(config: &Config, username: &str, yes: bool) -> Result<(), Failure> {
    if !yes && !asked(username)? {
        return Err("nothing was deleted".into());
    }
    accounts::delete_user(config, username).await?;
    println!("{username} is gone");
    Ok(())
}

/// Whether whoever sits at the terminal wants it.
fn asked(username: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err("an account is deleted for ever, and here is no terminal to ask on: confirm it with --yes".into());
    }
    eprint!(
        "Delete the account {username} for ever? Its devices are logged out, its key backup is gone, and nobody gets the name again. [y/N] "
    );
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn set_disabled(config: &Config, username: &str, disabled: bool) -> Result<(), Failure> {
    accounts::set_disabled(config, username, disabled).await?;
    match disabled {
        true => println!("{username} is disabled"),
        false => println!("{username} is enabled"),
    }
    Ok(())
}

async fn email(config: &Config, who: &str, clear: bool) -> Result<(), Failure> {
    let (username, address) = accounts::email(config, who, clear).await?;
    match address {
        Some(address) if clear => println!("{username} had {address}"),
        Some(address) => println!("{username} {address}"),
        None => println!("{username} has none"),
    }
    Ok(())
}

async fn back_up(data: &Path, to: &Path) -> Result<(), Failure> {
    let (file, counts) = backup::backup(data, to, progress()).await?;
    println!("{}: {}", file.display(), said(&counts));
    if counts.users == 0 {
        println!("no users: where they are in PostgreSQL, back that up after this");
    }
    Ok(())
}

async fn put_back(from: &Path, data: &Path) -> Result<(), Failure> {
    let counts = backup::restore(from, data, progress()).await?;
    println!("{}: {}", data.display(), said(&counts));
    if !counts.token_key {
        println!("no key for tokens: what auth.token_key names is still needed");
    }
    if !counts.password_key {
        println!(
            "no key for passwords: if there were any, what auth.password_key_file names is still needed"
        );
    }
    Ok(())
}

fn said(counts: &Counts) -> String {
    format!(
        "{} users, {} conversations, {} messages",
        counts.users, counts.conversations, counts.rows
    )
}

/// A line every few seconds.
fn progress() -> backup::Progress {
    const EVERY: Duration = Duration::from_secs(3);
    let mut next = Instant::now() + EVERY;
    Box::new(move |done, of| {
        if Instant::now() < next {
            return;
        }
        next = Instant::now() + EVERY;
        let mib = |bytes| bytes / (1024 * 1024);
        match of {
            Some(of) => eprintln!("{} of {} MiB", mib(done), mib(of)),
            None => eprintln!("{} MiB", mib(done)),
        }
    })
}

async fn migrate(config: &Config, from: Option<&Path>) -> Result<(), Failure> {
    if let [problem, ..] = config.problems().as_slice() {
        return Err(problem.to_string().into());
    }
    #[cfg(feature = "cluster")]
    for line in sordino_relay::stores::cluster::migrate(config).await? {
        println!("{line}");
    }
    if let Some(from) = from {
        if !config.is_cluster() {
            return Err("--from moves into a cluster, and the configuration names none".into());
        }
        #[cfg(feature = "cluster")]
        move_in(config, from).await?;
        #[cfg(not(feature = "cluster"))]
        let _ = from;
    }
    if !config.has_postgres() {
        let file = relay::migrate(config).await?;
        println!("SQLite: the tables in {} are up to date", file.display());
    }
    Ok(())
}

#[cfg(feature = "cluster")]
async fn move_in(config: &Config, from: &Path) -> Result<(), Failure> {
    const EVERY: Duration = Duration::from_secs(3);
    let mut next = Instant::now() + EVERY;
    let say = Box::new(move |what: &str, done: u64, of: u64| {
        if Instant::now() >= next {
            next = Instant::now() + EVERY;
            eprintln!("{what}: {done} of {of}");
        }
    });
    let moved = sordino_relay::stores::cluster::move_in(config, from, say).await?;
    println!(
        "moved and read back: {} users, {} devices, {} versions of lists, {} prekeys; {} conversations, {} messages, {} marks",
        moved.users,
        moved.devices,
        moved.lists,
        moved.prekeys,
        moved.conversations,
        moved.rows,
        moved.marks
    );
    println!(
        "{} is not needed any more; keep it until the cluster has been backed up, and start no relay on it",
        from.display()
    );
    Ok(())
}

fn print(config: &Config) -> Result<(), Failure> {
    print!("{}", toml::to_string(config)?);
    Ok(())
}
