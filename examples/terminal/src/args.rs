//! The command line.

use std::{env, fs, path::PathBuf};

use clap::Parser;
use sordino::{PresencePolicy, SignUp};

/// A chat in the terminal, end-to-end encrypted.
///
/// The first start registers a user name with the relay; afterwards the store knows who you are, also without a network.
#[derive(Parser)]
#[command(version, after_help = KEYS)]
pub(crate) struct Args {
    /// The relay.
    #[arg(
        long,
        value_name = "URL",
        env = "SORDINO_RELAY",
        default_value = "http://127.0.0.1:7373"
    )]
    pub(crate) relay: String,
    /// The relay's name, where it is not the host of its address; `localhost` for a relay on this machine.
    #[arg(long, value_name = "NAME")]
    pub(crate) relay_name: Option<String>,
    /// A file with the authority that signed the relay's certificate (PEM), where it is none of the web's.
    #[arg(long, value_name = "FILE")]
    pub(crate) authority: Option<PathBuf>,
    /// Where messages and keys are kept, encrypted; one directory a person. The key of the encryption lies in it too, in a file
    /// that only you can read. [default: .sordino-terminal in your home directory]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Your user name, for the first start; asked for if absent.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The operator's invite, for the first start, where the relay asks for one.
    #[arg(long)]
    invite: Option<String>,
    /// An e-mail address by which the relay's operator may reach you, for the first start. Nobody else learns it.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// What your other devices are to call this one; F2 changes it. [default: this machine's name]
    #[arg(long, value_name = "NAME")]
    device_name: Option<String>,
    /// Nobody sees that you type, and you do not see it of them, until you set it (F6).
    #[arg(long)]
    pub(crate) no_typing: bool,
    /// Who sees that you are online, and when you were last, and of whom you see it, until you set it (F6).
    #[arg(long, value_name = "WHO", value_enum, default_value = "everyone")]
    pub(crate) presence: Presence,
}

/// Who sees that the user is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Presence {
    /// Everyone to whom you have ever written.
    Everyone,
    /// People whose safety number you have verified.
    Verified,
    /// Nobody.
    Nobody,
}

impl From<Presence> for PresencePolicy {
    fn from(presence: Presence) -> Self {
        match presence {
            Presence::Everyone => Self::Everyone,
            Presence::Verified => Self::Verified,
            Presence::Nobody => Self::Nobody,
        }
    }
}

const KEYS: &str = "\
Keys:
  Enter                  send
  Alt-Enter, Ctrl-J      new line
  Up, Down               earlier messages of yours, to send again
  PageUp, PageDown       through the conversation; loads older messages
  Tab, Alt-Up, Alt-Down  to the list, to another conversation
  Ctrl-N or /            new conversation, by user name
  F1 or ?                all keys
  Ctrl-C                 quit; what waits is sent next time";

impl Args {
    /// The directory of the store.
    pub(crate) fn store(&self) -> Result<PathBuf, String> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let home = env::home_dir().ok_or("there is no home directory; say where with --store")?;
        Ok(home.join(".sordino-terminal"))
    }

    /// What an account is made with, but for its password.
    pub(crate) fn sign_up(&self) -> SignUp {
        let with = SignUp::new();
        let with = match &self.invite {
            Some(invite) => with.invite(invite),
            None => with,
        };
        match &self.email {
            Some(email) => with.email(email),
            None => with,
        }
    }

    /// What this device is called when it comes onto an account.
    pub(crate) fn device_name(&self) -> String {
        let given = self.device_name.clone().or_else(machine_name);
        given.unwrap_or_else(|| "terminal".to_owned())
    }
}

/// As far as the system tells.
fn machine_name() -> Option<String> {
    let told = env::var("HOSTNAME").or_else(|_| env::var("COMPUTERNAME"));
    let read = || fs::read_to_string("/etc/hostname");
    let name = told.or_else(|_| read()).ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.chars().take(24).collect())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn it_is_consistent_and_explains_the_keys() {
        let mut command = Args::command();
        command.clone().debug_assert();
        assert!(command.render_long_help().to_string().contains("Alt-Enter"));
    }
}
