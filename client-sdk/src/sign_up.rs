//! What an account is made with, and what a person of an app with a login of its own is known by.

use std::fmt;

use zeroize::Zeroizing;

use crate::password::Password;

/// A token of the app's own login (a JWT), for relays whose operator lets that decide
/// ([`Client::register`](crate::Client::register), [`Client::login_external`](crate::Client::login_external)). It goes to the relay
/// alone, which checks it. Wiped when dropped, and not printed.
#[derive(Clone)]
pub struct ExternalToken(Zeroizing<String>);

impl ExternalToken {
    /// As the app's own server made it.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(Zeroizing::new(token.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ExternalToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExternalToken")
    }
}

/// What an account is made with, for [`Client::register`](crate::Client::register). Where a password is all, or nothing is needed, an
/// `Option<&Password>` will do.
#[derive(Debug, Clone, Default)]
pub struct SignUp {
    pub(crate) password: Option<Password>,
    pub(crate) invite: Option<Invite>,
    pub(crate) external: Option<ExternalToken>,
    pub(crate) email: Option<Email>,
}

impl SignUp {
    /// With nothing: the account stays on this device.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A password, with which its owner logs in on other devices.
    #[must_use]
    pub fn password(mut self, password: &Password) -> Self {
        self.password = Some(password.clone());
        self
    }

    /// The operator's invite, as it was typed, for a relay that asks for one. Others do not look at it.
    #[must_use]
    pub fn invite(mut self, typed: impl Into<String>) -> Self {
        self.invite = Some(Invite(Zeroizing::new(typed.into())));
        self
    }

    /// The token of the app's own login, for a relay that asks for one: in place of a password.
    #[must_use]
    pub fn external(mut self, token: &ExternalToken) -> Self {
        self.external = Some(token.clone());
        self
    }

    /// An e-mail address, as it was typed, by which the relay's operator may reach the person. Nobody else learns it, and of an account
    /// that an earlier attempt has made it stays what it was ([`Client::set_email`](crate::Client::set_email)).
    #[must_use]
    pub fn email(mut self, typed: &str) -> Self {
        self.email = Some(Email(typed.trim().to_owned()));
        self
    }
}

impl From<Option<&Password>> for SignUp {
    fn from(password: Option<&Password>) -> Self {
        Self {
            password: password.cloned(),
            ..Self::default()
        }
    }
}

/// Makes an account for whoever has it.
#[derive(Clone)]
pub(crate) struct Invite(Zeroizing<String>);

impl Invite {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invite")
    }
}

/// Whoever reads a log has no need of it.
#[derive(Clone)]
pub(crate) struct Email(pub(crate) String);

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email")
    }
}
