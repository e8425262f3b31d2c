//! A certificate with its key, as an operator gives it: two PEM files.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{
    CertificateError, Error, InconsistentKeys, RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use crate::config::Problem;

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and after it those that vouch for it, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// A certificate and the key that belongs to it.
#[derive(Debug)]
pub struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    /// Seconds since 1970 from which it holds.
    pub not_before: u64,
    /// Seconds since 1970 until which it holds.
    pub not_after: u64,
}

const RENEW: &str = "renew it";

impl Pair {
    /// Reads both files. Whatever keeps them from being used is said with the file's name.
    pub fn load(files: &Files) -> Result<Self, Problem> {
        let certificate = |what| problem("tls.certificate", &files.certificate, what);
        let text = read("tls.certificate", &files.certificate)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| certificate(error.to_string()))?;
        let Some(first) = chain.first() else {
            return Err(certificate("it holds no certificate in PEM".to_owned()));
        };
        let (not_before, not_after) =
            validity(first).map_err(|error| certificate(error.to_string()))?;

        let key = |what| problem("tls.key", &files.key, what);
        let text = read("tls.key", &files.key)?;
        let private = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            pem::Error::NoItemsFound => key("it holds no private key in PEM".to_owned()),
            // What the others say may hold a piece of the file.
            _ => key("it is not PEM".to_owned()),
        })?;
        let provider = aws_lc_rs::default_provider();
        let pair = CertifiedKey::from_der(chain, private, &provider).map_err(|error| {
            key(match error {
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    format!("it is not the key of {}", files.certificate.display())
                }
                other => other.to_string(),
            })
        })?;
        Ok(Self {
            key: Arc::new(pair),
            not_before,
            not_after,
        })
    }

    /// An error if it does not hold now.
    pub fn in_time(&self, files: &Files) -> Result<(), Problem> {
        let now = now();
        let what = if now > self.not_after {
            format!("it expired {} ago", span(now - self.not_after))
        } else if now < self.not_before {
            format!("it holds only in {}", span(self.not_before - now))
        } else {
            return Ok(());
        };
        let what = format!("{}: {what}", files.certificate.display());
        Err(Problem {
            key: "tls.certificate",
            what,
            fix: RENEW,
        })
    }

    /// How long it still holds.
    pub fn left(&self) -> Duration {
        Duration::from_secs(self.not_after.saturating_sub(now()))
    }

    /// Whether it was issued for this name.
    pub fn is_for(&self, name: &str) -> bool {
        let Ok(name) = ServerName::try_from(name) else {
            return false;
        };
        let certificate = self.key.end_entity_cert();
        let parsed = certificate.and_then(ParsedCertificate::try_from);
        parsed.is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
    }
}

fn read(key: &'static str, file: &Path) -> Result<Zeroizing<Vec<u8>>, Problem> {
    fs::read(file).map(Zeroizing::new).map_err(|error| {
        let what = match error.kind() {
            ErrorKind::NotFound => "there is no such file".to_owned(),
            _ => error.to_string(),
        };
        problem(key, file, what)
    })
}

fn problem(key: &'static str, file: &Path, what: String) -> Problem {
    Problem {
        key,
        what: format!("{}: {what}", file.display()),
        fix: match key {
            "tls.key" => {
                "name the private key of the certificate, in PEM and not encrypted, that the relay's user may read"
            }
            _ => {
                "name a file with the certificate and those that vouch for it, in PEM, that the relay's user may read"
            }
        },
    }
}

/// From when until when a certificate holds, seconds since 1970. The library tells it of a certificate only when it refuses
/// it for that reason, which it checks before anything else.
fn validity(certificate: &CertificateDer<'_>) -> Result<(u64, u64), Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    let refused_at = |seconds| {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let nobody = RootCertStore::empty();
        verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], now, &[]).err()
    };
    let not_before = match refused_at(0) {
        Some(Error::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before,
            ..
        })) => not_before.as_secs(),
        _ => 0,
    };
    match refused_at(u64::MAX) {
        Some(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Ok((not_before, not_after.as_secs()))
        }
        other => Err(other.unwrap_or(CertificateError::BadEncoding.into())),
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// A length of time, for people.
fn span(seconds: u64) -> String {
    match seconds {
        0..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    pub(in crate::ops) struct Made {
        pub(in crate::ops) dir: tempfile::TempDir,
        pub(in crate::ops) files: Files,
    }

    /// A certificate for `relay.example`, valid in these years.
    pub(in crate::ops) fn made(from: i32, until: i32) -> Made {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Files {
            certificate: dir.path().join("fullchain.pem"),
            key: dir.path().join("key.pem"),
        };
        let mut params = CertificateParams::new(vec!["relay.example".to_owned()]).expect("a name");
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        fs::write(&files.certificate, certificate.pem()).expect("written");
        fs::write(&files.key, key.serialize_pem()).expect("written");
        Made { dir, files }
    }

    #[test]
    fn a_certificate_says_when_it_holds_and_for_whom() {
        let made = made(2001, 2099);
        let pair = Pair::load(&made.files).expect("a pair");
        assert_eq!(pair.not_before, 978_307_200);
        assert_eq!(pair.not_after, 4_070_908_800);
        assert_eq!(pair.in_time(&made.files), Ok(()));
        assert!(pair.left() > Duration::from_secs(1));
        assert!(pair.is_for("relay.example"));
        assert!(!pair.is_for("other.example") && !pair.is_for("no name"));
    }

    #[test]
    fn one_that_does_not_hold_now_is_told() {
        for (from, until, what) in [(2001, 2002, "expired"), (2097, 2099, "only in")] {
            let made = made(from, until);
            let pair = Pair::load(&made.files).expect("a pair");
            let problem = pair.in_time(&made.files).expect_err("not now");
            assert_eq!(problem.key, "tls.certificate");
            let text = problem.to_string();
            assert!(
                text.contains(what) && text.contains("fullchain.pem"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_file() {
        let good = made(2001, 2099);
        let other = made(2001, 2099);
        let garbled = good.dir.path().join("garbled.pem");
        fs::write(
            &garbled,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .expect("written");
        let absent = good.dir.path().join("absent.pem");
        for (certificate, key, of, what) in [
            (&absent, &good.files.key, "tls.certificate", "no such file"),
            (&good.files.certificate, &absent, "tls.key", "no such file"),
            (
                &good.files.key,
                &good.files.key,
                "tls.certificate",
                "no certificate",
            ),
            (&garbled, &good.files.key, "tls.certificate", "garbled.pem"),
            (
                &good.files.certificate,
                &good.files.certificate,
                "tls.key",
                "no private key",
            ),
            (
                &good.files.certificate,
                &other.files.key,
                "tls.key",
                "is not the key of",
            ),
        ] {
            let files = Files {
                certificate: certificate.clone(),
                key: key.clone(),
            };
            let problem = Pair::load(&files).expect_err(what);
            assert_eq!(problem.key, of, "{problem}");
            assert!(problem.to_string().contains(what), "{problem}");
        }
    }
}
