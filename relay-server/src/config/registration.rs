//! Who may make an account.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Config, Problem, push::may_carry_secrets};
use crate::{auth::issuer::Issuer, http::Registration as Registers};

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Everybody.
    #[default]
    Open,
    /// Who has an invite of the operator's.
    Invite,
    /// Nobody. Who has an account logs in.
    Closed,
    /// Whom the app's own login vouches for; it is also what they log in with.
    External,
}

/// Whether accounts have an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Emails {
    /// Who wants to.
    #[default]
    Optional,
    /// Every new one.
    Required,
    /// None: addresses are refused.
    Off,
}

/// Who may make an account, and who says so.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// Who may.
    pub policy: Policy,
    /// Whether accounts have an e-mail address.
    pub email: Emails,
    /// Who makes the tokens of the app's own login: their `iss`.
    pub issuer: Option<String>,
    /// Whom they are for: their `aud`.
    pub audience: Option<String>,
    /// The address of the keys that sign them.
    pub jwks_url: Option<String>,
    /// A file with these keys.
    pub jwks_file: Option<PathBuf>,
}

impl Config {
    /// Who may make an account, at work. Nothing is connected.
    pub(crate) fn registration(&self) -> Result<Registers, Problem> {
        let set = &self.registration;
        Ok(match set.policy {
            Policy::Open => Registers::Open,
            Policy::Invite => Registers::Invite,
            Policy::Closed => Registers::Closed,
            Policy::External => Registers::External(self.issuer()?),
        })
    }

    /// Reads the keys of the app's own login, if there is one, as the first login would.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn dial_issuer(&self) -> Result<(), Problem> {
        if self.registration.policy != Policy::External {
            return Ok(());
        }
        let key = match self.registration.jwks_file {
            Some(_) => "registration.jwks_file",
            None => "registration.jwks_url",
        };
        self.issuer()?.dial().await.map_err(|what| Problem {
            key,
            what,
            fix: "name the set of public keys (JWKS) of whoever makes the app's tokens, and see that this machine reaches it",
        })
    }

    fn issuer(&self) -> Result<Issuer, Problem> {
        let set = &self.registration;
        let (issuer, audience) = (text(&set.issuer), text(&set.audience));
        match (&set.jwks_file, &set.jwks_url) {
            (Some(file), _) => Ok(Issuer::with_file(issuer, audience, file)),
            (None, url) => Issuer::at_url(issuer, audience, text(url)).map_err(|what| Problem {
                key: "registration.jwks_url",
                what,
                fix: "name an https address",
            }),
        }
    }

    pub(super) fn registration_problems(&self) -> Vec<Problem> {
        let set = &self.registration;
        let mut problems = Vec::new();
        if set.policy != Policy::External {
            return problems;
        }
        let mut need = |good: bool, key, what: &str, fix| {
            let what = what.to_owned();
            if !good {
                problems.push(Problem { key, what, fix });
            }
        };
        for (key, value) in [
            ("registration.issuer", &set.issuer),
            ("registration.audience", &set.audience),
        ] {
            need(
                !text(value).is_empty(),
                key,
                "it is not set, and registration.policy is external",
                "set what the app's tokens have there: another token would be as good",
            );
        }
        need(
            set.jwks_url.is_some() != set.jwks_file.is_some(),
            "registration.jwks_url",
            "not one of registration.jwks_url and registration.jwks_file is set",
            "name where the public keys of the app's login are, once",
        );
        need(
            set.jwks_url.as_deref().is_none_or(may_carry_secrets),
            "registration.jwks_url",
            "it is no https address",
            "use https (http for this machine alone): whoever changes the keys on their way can log in as anybody",
        );
        problems
    }
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(change: impl FnOnce(&mut Registration)) -> Vec<&'static str> {
        let mut config = Config::new("data");
        change(&mut config.registration);
        config.problems().iter().map(|p| p.key).collect()
    }

    #[test]
    fn an_external_login_needs_an_issuer_an_audience_and_keys() {
        let text = |text: &str| Some(text.to_owned());
        for policy in [Policy::Open, Policy::Invite, Policy::Closed] {
            assert_eq!(keys(|r| r.policy = policy), [""; 0]);
        }
        let external = |jwks_url: Option<&str>, jwks_file: Option<&str>| {
            keys(|r| {
                r.policy = Policy::External;
                r.issuer = text("https://app.example");
                r.audience = text("chat");
                r.jwks_url = jwks_url.map(str::to_owned);
                r.jwks_file = jwks_file.map(Into::into);
            })
        };
        assert_eq!(external(Some("https://app.example/keys"), None), [""; 0]);
        assert_eq!(external(Some("http://127.0.0.1/keys"), None), [""; 0]);
        assert_eq!(external(None, Some("keys.json")), [""; 0]);
        for (url, file) in [
            (None, None),
            (Some("http://app.example/keys"), None),
            (Some("https://app.example/keys"), Some("keys.json")),
        ] {
            assert_eq!(external(url, file), ["registration.jwks_url"]);
        }
        assert_eq!(
            keys(|r| r.policy = Policy::External),
            [
                "registration.issuer",
                "registration.audience",
                "registration.jwks_url"
            ]
        );
    }

    #[tokio::test]
    async fn keys_that_cannot_be_read_are_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("keys.json");
        let mut config = Config::new(dir.path());
        config.registration.policy = Policy::External;
        config.registration.jwks_file = Some(file.clone());
        for content in [None, Some("{}"), Some("{\"keys\":[]}")] {
            if let Some(content) = content {
                std::fs::write(&file, content).expect("written");
            }
            let problem = config.dial_issuer().await.expect_err("no keys");
            assert_eq!(problem.key, "registration.jwks_file");
        }
        config.registration.policy = Policy::Open;
        assert_eq!(config.dial_issuer().await, Ok(()));
    }
}
