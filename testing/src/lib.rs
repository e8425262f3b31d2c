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

mod login;

use std::{io, net::SocketAddr, path::Path, time::Duration};

pub use sordino_relay::config::{Config, Emails, Policy, Registration};
use sordino_relay::{
    accounts::{self, AccountsError},
    relay::{Relay, StartError, start},
};
use tempfile::TempDir;

pub use self::login::TestLogin;

/// The name of every test relay, the one that clients expect of a loopback address.
pub const NAME: &str = "localhost";

/// Why a test relay does not start.
#[derive(Debug)]
pub enum Error {
    /// No temporary directory.
    Directory(io::Error),
    /// The relay itself.
    Relay(StartError),
    /// Its accounts.
    Accounts(Box<AccountsError>),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(error) => write!(f, "no temporary directory: {error}"),
            Self::Relay(error) => write!(f, "the relay does not start: {error}"),
            Self::Accounts(error) => write!(f, "accounts: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// What its operator has set.
type Configure = Box<dyn Fn(&mut Config) + Send + Sync>;

/// A relay that runs until it is stopped or dropped. Its data goes with it.
pub struct TestRelay {
    data: TempDir,
    configure: Configure,
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
        let name = name.to_owned();
        Self::configured(move |config| config.server.name.clone_from(&name)).await
    }

    /// Starts one with what an operator might set: `|config| config.registration.policy = Policy::Closed`.
    pub async fn configured(
        configure: impl Fn(&mut Config) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let data = tempfile::tempdir().map_err(Error::Directory)?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let running = launch(data.path(), &configure, any).await?;
        Ok(Self {
            data,
            configure: Box::new(configure),
            address: running.addr(),
            running: Some(running),
        })
    }

    /// Makes an invite for so many accounts, for a relay with [`Policy::Invite`].
    pub async fn invite(&self, uses: u32) -> Result<String, Error> {
        const VALID: Duration = Duration::from_secs(24 * 60 * 60);
        let invite = accounts::invite(&self.config(), uses, VALID).await;
        let invite = invite.map_err(|error| Error::Accounts(Box::new(error)))?;
        Ok(invite.text().to_string())
    }

    /// Disables an account as an operator does, or enables it; the relay notices within seconds.
    pub async fn set_disabled(&self, username: &str, disabled: bool) -> Result<(), Error> {
        let set = accounts::set_disabled(&self.config(), username, disabled).await;
        set.map_err(|error| Error::Accounts(Box::new(error)))
    }

    fn config(&self) -> Config {
        config(self.data.path(), &self.configure, self.address)
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
        self.running = Some(launch(self.data.path(), &self.configure, self.address).await?);
        Ok(())
    }

    /// The same with other settings.
    pub async fn restart_with(
        &mut self,
        configure: impl Fn(&mut Config) + Send + Sync + 'static,
    ) -> Result<(), Error> {
        self.configure = Box::new(configure);
        self.restart().await
    }
}

fn config(data: &Path, configure: impl Fn(&mut Config), listen: SocketAddr) -> Config {
    let mut config = Config::new(data);
    NAME.clone_into(&mut config.server.name);
    configure(&mut config);
    config.server.listen = listen;
    config
}

async fn launch(
    data: &Path,
    configure: impl Fn(&mut Config),
    listen: SocketAddr,
) -> Result<Relay, Error> {
    let config = config(data, configure, listen);
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
