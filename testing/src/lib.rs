//! A Sordino relay in the process, on a free port of the loopback address and a directory of its own: for tests that
//! need no network and leave nothing behind.
//!
//! ```
//! # async fn test() -> Result<(), sordino_testing::Error> {
//! let mut relay = sordino_testing::TestRelay::start().await?;
//! println!("clients connect to {}", relay.url());
//! relay.restart().await?;
//! relay.stop().await;
//! # Ok(())
//! # }
//! ```

use std::{io, net::SocketAddr, path::Path};

use sordino_relay::relay::{Config, Relay, StartError, start};
use tempfile::TempDir;

/// The name of every test relay, the one that clients expect of a loopback address.
pub const NAME: &str = "localhost";

/// Why a test relay does not start.
#[derive(Debug)]
pub enum Error {
    /// No temporary directory.
    Directory(io::Error),
    /// The relay itself.
    Relay(StartError),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(error) => write!(f, "no temporary directory: {error}"),
            Self::Relay(error) => write!(f, "the relay does not start: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// A relay that runs until it is stopped or dropped. Its data goes with it.
pub struct TestRelay {
    data: TempDir,
    name: String,
    address: SocketAddr,
    running: Option<Relay>,
}

impl TestRelay {
    /// Starts one on a free port.
    pub async fn start() -> Result<Self, Error> {
        Self::named(NAME).await
    }

    /// Starts one that bears another name: clients that expect [`NAME`] must refuse to register or log in.
    pub async fn named(name: &str) -> Result<Self, Error> {
        let data = tempfile::tempdir().map_err(Error::Directory)?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let running = launch(data.path(), name, any).await?;
        Ok(Self {
            data,
            name: name.to_owned(),
            address: running.addr(),
            running: Some(running),
        })
    }

    /// What clients connect to. The same after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it keeps its data.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Shuts down in an orderly way; the data stays.
    pub async fn stop(&mut self) {
        if let Some(relay) = self.running.take() {
            relay.shutdown().await;
        }
    }

    /// Stops it if it runs, and starts it again on the same address and data.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop().await;
        self.running = Some(launch(self.data.path(), &self.name, self.address).await?);
        Ok(())
    }
}

async fn launch(data: &Path, name: &str, listen: SocketAddr) -> Result<Relay, Error> {
    let mut config = Config::new(data);
    config.server.listen = listen;
    config.server.name = name.to_owned();
    start(config).await.map_err(Error::Relay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_comes_back_on_its_address_with_its_keys() {
        let mut relay = TestRelay::start().await.expect("started");
        let url = relay.url();
        let keys = format!("{url}/.well-known/jwks.json");
        let get = async |url: &str| reqwest::get(url).await?.text().await;
        let before = get(&keys).await.expect("answered");
        relay.restart().await.expect("restarted");
        assert_eq!(relay.url(), url);
        assert_eq!(get(&keys).await.expect("answered"), before);
        relay.stop().await;
        assert!(get(&keys).await.is_err());
    }
}
