//! A node of a cluster for tests that kill it: it says when it runs, and ends in order when its standard input does.

use std::{error::Error, path::PathBuf};

use clap::Parser;
use sordino_relay::{config::Sources, relay::start};
use tokio::io::{AsyncReadExt, stdin};

/// A node that may be killed.
#[derive(Parser)]
struct Args {
    /// Its configuration.
    #[arg(long)]
    config: PathBuf,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sources = Sources {
        file: Some(Args::parse().config),
        ..Sources::default()
    };
    let relay = start(sources.load()?).await?;
    match relay.ops_addr() {
        Some(ops) => println!("running {ops}"),
        None => println!("running"),
    }
    stdin().read_to_end(&mut Vec::new()).await?;
    relay.shutdown().await;
    Ok(())
}
