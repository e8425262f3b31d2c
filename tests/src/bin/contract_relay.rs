//! A relay for the tests of the delivery contract: it ends in order when its standard input does.

use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
};

use clap::Parser;
use sordino_relay::{
    config::Sources,
    relay::{Config, start},
};
use tokio::io::{AsyncReadExt, stdin};

/// A relay that may be killed.
#[derive(Parser)]
struct Args {
    /// What is not said here, and not about rates.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where it keeps its data.
    #[arg(long)]
    data: PathBuf,
    /// Its port on the loopback address.
    #[arg(long)]
    port: u16,
    /// The port of its metrics.
    #[arg(long)]
    ops: Option<u16>,
    /// New messages are refused when the disk has less than this left.
    #[arg(long, default_value_t = 0)]
    reserve: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut config = match args.config {
        Some(file) => Sources {
            file: Some(file),
            data: Some(args.data),
            ..Sources::default()
        }
        .load()?,
        None => Config::new(args.data),
    };
    config.server.listen = loopback(args.port);
    config.ops.listen = args.ops.map(loopback);
    config.store.reserve_bytes = args.reserve;
    // Everybody is on one machine, and comes back after every kill.
    let often = NonZeroU32::MAX;
    let rates = &mut config.rates;
    (rates.address_per_second, rates.address_burst) = (often, often);
    (rates.user_per_second, rates.user_burst) = (often, often);
    rates.address_handshakes_per_second = often;
    rates.address_handshakes_burst = often;
    (rates.handshakes_per_second, rates.handshakes_burst) = (often, often);
    rates.claims_per_hour = 100_000;
    let relay = start(config).await?;
    stdin().read_to_end(&mut Vec::new()).await?;
    relay.shutdown().await;
    Ok(())
}
