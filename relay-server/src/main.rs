//! The relay as a program.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use sordino_relay::relay::{Config, start};
use tokio::signal::unix::{SignalKind, signal};

/// The Sordino relay.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run until SIGTERM or SIGINT.
    Serve(Serve),
}

#[derive(Args)]
struct Serve {
    /// Directory for everything that the relay keeps.
    #[arg(long)]
    data: PathBuf,
    /// Loopback address; port 0 takes a free one.
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 7373)))]
    listen: SocketAddr,
    /// The name by which clients know the relay.
    #[arg(long, default_value = "localhost")]
    name: String,
    /// Write the port to this file once the relay listens.
    #[arg(long)]
    port_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let Command::Serve(args) = Cli::parse().command;
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sordino-relay: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Serve) -> Result<(), Box<dyn std::error::Error>> {
    // Before anything starts: a signal that comes early must not be lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let relay = start(Config {
        data: args.data,
        listen: args.listen,
        name: args.name,
    })
    .await?;
    eprintln!("listening on http://{}", relay.addr());
    if let Some(file) = args.port_file {
        fs::write(file, relay.addr().port().to_string())?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    relay.shutdown().await;
    Ok(())
}
