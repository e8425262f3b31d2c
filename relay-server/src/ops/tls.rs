//! TLS that the relay ends itself. Its certificate is exchanged while it runs; connections that stand keep theirs.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{net::TcpStream, task::spawn_blocking, time::interval};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use super::certificate::{Files, Pair};
use crate::config::Problem;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(60);
/// What a connection may hold of what its peer does not take, in bytes. The library's own is 64 KiB.
const UNSENT: usize = 16 * 1024;

/// Ends TLS with the certificate of two files.
pub struct Tls {
    files: Files,
    config: Arc<ServerConfig>,
    current: Arc<Current>,
    /// As the files were when they were last read, whether that went well or not.
    seen: Mutex<Seen>,
    /// Why they were not taken then.
    refused: Mutex<Option<String>>,
}

/// The certificate that the next connection gets.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

/// What changes when a file is written to, renamed, or another put in its place. Of symbolic links: what they lead to.
type Seen = [Option<(SystemTime, u64, u64)>; 2];

impl Tls {
    /// Reads the files. A certificate that has expired is used: a renewed one will take its place.
    pub fn load(files: Files) -> Result<Self, Problem> {
        let seen = look(&files);
        let pair = Pair::load(&files)?;
        if let Err(problem) = pair.in_time(&files) {
            tracing::error!("{problem}");
        }
        record(&pair);
        let current = Arc::new(Current(RwLock::new(pair.key)));
        let config = config(Arc::clone(&current)).map_err(|error| Problem {
            key: "tls.certificate",
            what: format!("TLS cannot be set up ({error})"),
            fix: "report it: it is a fault of the program or of the system",
        })?;
        Ok(Self {
            files,
            config: Arc::new(config),
            current,
            seen: Mutex::new(seen),
            refused: Mutex::default(),
        })
    }

    /// Shakes hands. Not bounded in time.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let bounded =
            |connection: &mut rustls::ServerConnection| connection.set_buffer_limit(Some(UNSENT));
        acceptor.accept_with(stream, bounded).await
    }

    /// Reads the files again. What cannot be used, or does not hold now, changes nothing.
    pub fn reload(&self) -> Result<(), Problem> {
        *self.seen() = look(&self.files);
        let loaded = Pair::load(&self.files).and_then(|pair| {
            pair.in_time(&self.files)?;
            Ok(pair)
        });
        let outcome = match &loaded {
            Ok(_) => "done",
            Err(_) => "refused",
        };
        ::metrics::counter!("sordino_tls_reloads_total", "outcome" => outcome).increment(1);
        let pair = loaded?;
        record(&pair);
        let current = self.current.0.write();
        *current.unwrap_or_else(PoisonError::into_inner) = pair.key;
        Ok(())
    }

    /// [`Self::reload`], and says in the log what came of it.
    pub fn reload_and_tell(&self) {
        match self.reload() {
            Ok(()) => tracing::info!("new connections get the certificate as it is on disk now"),
            Err(problem) => {
                tracing::error!("the certificate is not exchanged: {problem}");
                *self.refused() = Some(problem.to_string());
            }
        }
    }

    /// [`Self::reload_and_tell`] if the files have changed. What was refused is tried again: rights, clocks and a lack of open
    /// files change without them; that is told only when another thing is wrong then.
    fn look_again(&self) {
        let before = self.refused().take();
        if self.is_outdated() {
            return self.reload_and_tell();
        }
        let Some(before) = before else {
            return;
        };
        match self.reload() {
            Err(problem) if problem.to_string() == before => *self.refused() = Some(before),
            Err(problem) => {
                tracing::error!("the certificate is not exchanged: {problem}");
                *self.refused() = Some(problem.to_string());
            }
            Ok(()) => tracing::info!("new connections get the certificate that was refused before"),
        }
    }

    /// Whether the files have changed since they were last read.
    fn is_outdated(&self) -> bool {
        let now = look(&self.files);
        *self.seen() != now
    }

    fn refused(&self) -> MutexGuard<'_, Option<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// TLS 1.2 and 1.3. A session can be resumed with a ticket, which costs the relay no memory: after a restart of the network
/// all devices come back at once.
fn config(current: Arc<Current>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(current);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

/// Reads the files again when they have changed, until told to stop.
pub(super) async fn watch(tls: Arc<Tls>, stop: CancellationToken) {
    let mut tick = interval(LOOK);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let tls = Arc::clone(&tls);
        let looked = spawn_blocking(move || tls.look_again());
        let _ = looked.await;
    }
}

fn look(files: &Files) -> Seen {
    let one = |file| {
        let about = fs::metadata(file).ok()?;
        Some((about.modified().ok()?, about.ino(), about.len()))
    };
    [one(&files.certificate), one(&files.key)]
}

fn record(pair: &Pair) {
    ::metrics::gauge!("sordino_tls_certificate_expiry_timestamp_seconds")
        .set(pair.not_after as f64);
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::{Made, made};
    use super::*;

    fn put(made: &Made, files: &Files) {
        // As certbot does: another file takes the name.
        for (from, to) in [
            (&made.files.certificate, &files.certificate),
            (&made.files.key, &files.key),
        ] {
            let new = to.with_extension("new");
            fs::copy(from, &new).expect("copied");
            fs::rename(new, to).expect("renamed");
        }
    }

    fn serves(tls: &Tls, made: &Made) -> bool {
        let current = tls.current.0.read().expect("not poisoned");
        let wanted = Pair::load(&made.files).expect("a pair");
        current.cert == wanted.key.cert
    }

    #[test]
    fn a_changed_pair_is_noticed_and_a_bad_one_changes_nothing() {
        let (first, second, expired) = (made(2001, 2099), made(2001, 2099), made(2001, 2002));
        let place = made(2001, 2099);
        put(&first, &place.files);
        let tls = Tls::load(place.files.clone()).expect("loaded");
        assert!(!tls.is_outdated() && serves(&tls, &first));

        // Only one of the two has been exchanged yet.
        fs::copy(&second.files.certificate, &place.files.certificate).expect("copied");
        assert!(tls.is_outdated());
        let problem = tls.reload().expect_err("they do not belong together");
        assert_eq!(problem.key, "tls.key");
        assert!(serves(&tls, &first));
        // Once told, it is not told again until something changes.
        assert!(!tls.is_outdated());

        put(&second, &place.files);
        assert!(tls.is_outdated());
        tls.reload().expect("exchanged");
        assert!(!tls.is_outdated() && serves(&tls, &second));

        put(&expired, &place.files);
        tls.reload().expect_err("expired");
        fs::remove_file(&place.files.key).expect("removed");
        assert!(tls.is_outdated());
        tls.reload().expect_err("no key");
        assert!(serves(&tls, &second));
    }

    #[test]
    fn what_was_refused_is_tried_again_though_the_files_are_the_same() {
        let place = made(2001, 2099);
        let tls = Tls::load(place.files.clone()).expect("loaded");
        *tls.refused() = Some("it could not be read then".to_owned());
        assert!(!tls.is_outdated());
        tls.look_again();
        assert_eq!(*tls.refused(), None);
        fs::remove_file(&place.files.key).expect("removed");
        tls.look_again();
        let told = tls.refused().clone();
        assert!(told.is_some());
        tls.look_again();
        assert_eq!(*tls.refused(), told);
    }

    #[test]
    fn a_symbolic_link_is_followed() {
        let (first, second, place) = (made(2001, 2099), made(2001, 2099), made(2001, 2099));
        let link = |to: &Made| {
            for (from, to) in [
                (&to.files.certificate, &place.files.certificate),
                (&to.files.key, &place.files.key),
            ] {
                fs::remove_file(to).expect("removed");
                std::os::unix::fs::symlink(from, to).expect("linked");
            }
        };
        link(&first);
        let tls = Tls::load(place.files.clone()).expect("loaded");
        link(&second);
        assert!(tls.is_outdated());
        tls.reload().expect("exchanged");
        assert!(serves(&tls, &second));
    }
}
