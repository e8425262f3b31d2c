//! What a relay begins with: a configuration file, the key of its access tokens and the key of its passwords.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::{
    auth::{password::PasswordKey, signing_key::TokenKey},
    config::{Config, template},
};

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is one already.
    #[error("{} is there already, and nothing was changed: name another directory with --dir", .0.display())]
    Exists(PathBuf),
    /// A file or directory cannot be made.
    #[error("{}: {cause}", .file.display())]
    Io {
        /// Which.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// What was made.
pub struct Made {
    /// The configuration: every key, and nothing set.
    pub config: PathBuf,
    /// The directory for everything that the relay keeps.
    pub data: PathBuf,
    /// The key of the access tokens.
    pub token_key: PathBuf,
    /// The key of the passwords.
    pub password_key: PathBuf,
}

/// Makes the files in a directory, and the directory. What is there is never overwritten.
///
/// # Errors
/// One of the files exists, or cannot be made.
pub fn init(dir: &Path) -> Result<Made, InitError> {
    // As the file says by default: a relay that is given it finds the directory beside it.
    let data = dir.join(Config::default().store.data);
    let made = Made {
        config: dir.join("relay.toml"),
        token_key: data.join("token.key"),
        password_key: data.join("password.key"),
        data,
    };
    for file in [&made.config, &made.token_key, &made.password_key] {
        // A link that leads nowhere is something, too.
        if file.symlink_metadata().is_ok() {
            return Err(InitError::Exists(file.clone()));
        }
    }
    let mut private = DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(&made.data).map_err(of(&made.data))?;
    write_new(&made.config, &template()).map_err(of(&made.config))?;
    TokenKey::load_or_create(&made.token_key).map_err(of(&made.token_key))?;
    PasswordKey::load_or_create(&made.password_key).map_err(of(&made.password_key))?;
    Ok(made)
}

fn write_new(file: &Path, text: &str) -> io::Result<()> {
    let mut created = OpenOptions::new().write(true).create_new(true).open(file)?;
    let written = created
        .write_all(text.as_bytes())
        .and_then(|()| created.sync_all());
    // Cut short it would be in the way of the next attempt.
    written.inspect_err(|_| drop(fs::remove_file(file)))
}

fn of(file: &Path) -> impl FnOnce(io::Error) -> InitError {
    move |cause| InitError::Io {
        file: file.to_owned(),
        cause,
    }
}

impl Made {
    /// What there is now, and what it means to lose or to leak it.
    pub fn explain(&self) -> String {
        let (config, data) = (self.config.display(), self.data.display());
        let (key, passwords) = (self.token_key.display(), self.password_key.display());
        format!(
            "\
{config}
    The configuration: every key with its meaning and its default; nothing is set.
    Lost: write it again. Leaked: harmless, as long as you keep secrets in files of their own.

{key}
    Signs the access tokens of this relay. Only its owner may read it.
    Lost: devices log in again by themselves, nothing else is lost with it; the relay makes a new one.
    Leaked: who has it can pass for any device towards the relay: see who writes to whom and when, take ciphertext,
    use up prekeys, and add noise to conversations. They can read no message, and write none that a device takes
    for another's. Stop the relay, remove the file, start the relay.

{passwords}
    What passwords are checked with. Only its owner may read it.
    Lost: nobody logs in by password any more, until they have set another from a device that is logged in. Keep a copy.
    Leaked: whoever also has the accounts can try passwords on them as fast as they can compute.

{data}
    Everything that the relay will keep: accounts, public keys, ciphertext. No key that opens a message.
    Lost: everybody signs up again, and what was not delivered is gone. An older copy put back is worse than it looks:
    read docs/recovery.md first, and keep the directory on storage that survives a disk.
    Leaked: who writes to whom, when and how much, no content; and the keys above with it.

A certificate (tls.certificate, tls.key) is yours to get, for instance with certbot.
    Lost: get another. Leaked key: whoever sits between a device and the relay can pass for the relay; messages stay
    closed to them. Revoke it and get another.

Nodes of a cluster share both keys: `openssl rand -hex 32` for each, in files that auth.token_key_file and
auth.password_key_file name.

Now set server.name, server.listen and a certificate, and in {dir}:
    sordino-relay check --config {name}
    sordino-relay serve --config {name}
",
            dir = self.config.parent().unwrap_or(Path::new(".")).display(),
            name = self.config.file_name().unwrap_or_default().display(),
        )
    }
}
