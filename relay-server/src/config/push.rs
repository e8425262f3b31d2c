//! Waking devices that sleep.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use sordino_protocol::http::PushProvider;

use super::{Config, Problem};
use crate::notify::{
    Providers,
    fcm::{self, Fcm},
};

const ACCOUNT: &str = "push.fcm_service_account_file";

/// Who wakes devices that sleep. With none, nobody does: they hear of messages when they connect.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Push {
    /// The key file of a service account of the Firebase project that the app belongs to.
    pub fcm_service_account_file: Option<PathBuf>,
    /// Where messages go.
    pub fcm_endpoint: String,
}

impl Default for Push {
    fn default() -> Self {
        Self {
            fcm_service_account_file: None,
            fcm_endpoint: fcm::ENDPOINT.to_owned(),
        }
    }
}

impl Push {
    /// Whether anybody is to be woken.
    pub(crate) fn is_set(&self) -> bool {
        self.fcm_service_account_file.is_some()
    }
}

/// Whether a secret may be sent there: encrypted, or to this machine.
pub(crate) fn may_carry_secrets(address: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(address) else {
        return false;
    };
    let loopback = match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        None => false,
    };
    url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && loopback))
}

impl Config {
    /// The providers that are configured.
    pub(crate) fn push_providers(&self) -> Result<Providers, Problem> {
        let providers = Providers::default();
        Ok(match self.fcm()? {
            Some(fcm) => providers.with(PushProvider::Fcm, Arc::new(fcm)),
            None => providers,
        })
    }

    /// Asks the provider, if there is one, to let the relay in, as the first wake would. Wakes nobody.
    ///
    /// # Errors
    /// It does not.
    pub async fn dial_push(&self) -> Result<(), Problem> {
        let Some(fcm) = self.fcm()? else {
            return Ok(());
        };
        fcm.dial().await.map_err(|why| Problem {
            key: ACCOUNT,
            what: why,
            fix: "see that the account's key stands in the Firebase console, that this machine's clock is right, and that the relay reaches the token_uri in the file",
        })
    }

    fn fcm(&self) -> Result<Option<Fcm>, Problem> {
        let Some(file) = &self.push.fcm_service_account_file else {
            return Ok(None);
        };
        let fcm = Fcm::open(file, &self.push.fcm_endpoint);
        fcm.map(Some).map_err(|error| Problem {
            key: ACCOUNT,
            what: format!("{}: {error}", file.display()),
            fix: "name the JSON file that the Firebase console gives for a service account, readable by the relay",
        })
    }

    pub(super) fn push_problems(&self) -> Vec<Problem> {
        let endpoint = &self.push.fcm_endpoint;
        if may_carry_secrets(endpoint) {
            return Vec::new();
        }
        vec![Problem {
            key: "push.fcm_endpoint",
            what: format!("{endpoint:?} is no https address"),
            fix: "leave it out, or use https (http for this machine alone)",
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_travel_encrypted_or_stay_on_the_machine() {
        for good in [
            fcm::ENDPOINT,
            "https://oauth2.googleapis.com/token",
            "http://127.0.0.1:99",
            "http://[::1]:99/x",
            "http://localhost:1",
        ] {
            assert!(may_carry_secrets(good), "{good}");
        }
        for bad in [
            "",
            "fcm.googleapis.com",
            "http://fcm.googleapis.com",
            "http://localhost.example",
            "ftp://127.0.0.1",
            "https://",
        ] {
            assert!(!may_carry_secrets(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_no_account_is_a_problem_that_quotes_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("account.json");
        let mut config = Config::new(dir.path());
        config.push.fcm_service_account_file = Some(file.clone());
        assert!(config.push_providers().is_err());
        for text in [
            "hunter2",
            "{\"private_key\": \"hunter2\"}",
            "{\"project_id\":\"p\",\"private_key_id\":\"k\",\"private_key\":\"hunter2\",\"client_email\":\"e\",\"token_uri\":\"https://t\"}",
        ] {
            std::fs::write(&file, text).expect("written");
            let Err(problem) = config.push_providers() else {
                panic!("taken: {text}");
            };
            assert_eq!(problem.key, "push.fcm_service_account_file");
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
            assert_eq!(config.check(), [problem]);
        }
        config.push.fcm_endpoint = "http://fcm.example".to_owned();
        assert_eq!(config.problems().len(), 1);
    }
}
