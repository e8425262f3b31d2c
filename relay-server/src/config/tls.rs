//! TLS that the relay ends itself.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Config, Problem};
use crate::ops::certificate::{Files, Pair};

/// From when on `check` warns of a certificate's end. What renews itself has done so by then.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// The relay's certificate. Without it the relay speaks plain text.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// A PEM file with the certificate, and after it those that vouch for it.
    pub certificate: Option<PathBuf>,
    /// A PEM file with its private key, not encrypted.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// Both files, if both are set.
    pub(crate) fn files(&self) -> Option<Files> {
        Some(Files {
            certificate: self.certificate.clone()?,
            key: self.key.clone()?,
        })
    }
}

impl Config {
    /// What is wrong with the section alone.
    pub(super) fn tls_problem(&self) -> Option<Problem> {
        let (key, what) = match (&self.tls.certificate, &self.tls.key) {
            (Some(_), None) => ("tls.key", "it is not set, and tls.certificate is"),
            (None, Some(_)) => ("tls.certificate", "it is not set, and tls.key is"),
            _ => return None,
        };
        Some(Problem {
            key,
            what: what.to_owned(),
            fix: "set both, or none of them for a relay behind a proxy that ends TLS",
        })
    }

    /// What is wrong with the files, which are read.
    pub(super) fn certificate_problem(&self) -> Option<Problem> {
        let files = self.tls.files()?;
        let pair = Pair::load(&files);
        pair.and_then(|pair| pair.in_time(&files)).err()
    }

    /// What is not wrong with the certificate, but will be, or surprise.
    pub(super) fn certificate_warnings(&self) -> Vec<Problem> {
        let mut warnings = Vec::new();
        let mut warn = |what, fix| {
            warnings.push(Problem {
                key: "tls.certificate",
                what,
                fix,
            });
        };
        let Some(files) = self.tls.files() else {
            return warnings;
        };
        let Ok(pair) = Pair::load(&files) else {
            return warnings;
        };
        let file = files.certificate.display();
        if pair.in_time(&files).is_ok() && pair.left() < SOON {
            let days = pair.left().as_secs() / 86_400;
            warn(
                format!("{file}: it expires in {days} days"),
                "renew it; a running relay takes the new one by itself",
            );
        }
        let name = &self.server.name;
        if !pair.is_for(name) {
            warn(
                format!("{file}: it was not issued for {name} (server.name)"),
                "clients refuse it if that is the name in the address they use",
            );
        }
        warnings
    }
}
