//! Backups of a relay that runs: the engine lets one process at a time read its files, so that process writes them, to
//! whoever connects to a socket in the data directory.

use std::{
    io,
    os::unix::net::UnixStream as Blocking,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::process::geteuid;
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{BackupError, remove, take::take};
use crate::history::embedded::Store;

/// The socket, in the data directory.
const SOCKET: &str = "backup.sock";

/// How long whoever takes a backup may take nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// The door for backups. Dropped, it closes in its own time.
pub(crate) struct Backups {
    task: JoinHandle<()>,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl Backups {
    /// Listens. Where that is not possible, the relay says so and goes on.
    pub(crate) fn start(data: &Path, store: Arc<Store>) -> Self {
        let stop = CancellationToken::new();
        let data = data.to_owned();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move {
                let socket = data.join(SOCKET);
                // Of a relay that was killed: this one has the directory's lock.
                match remove(&socket).and_then(|()| UnixListener::bind(&socket)) {
                    Ok(listener) => {
                        serve(&listener, &data, &store, &stop).await;
                        let _ = remove(&socket);
                    }
                    Err(error) => tracing::warn!(
                        %error,
                        "no backup can be taken while this relay runs: {} cannot be listened on",
                        socket.display()
                    ),
                }
            }
        });
        Self {
            task,
            _guard: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Ends a backup under way, and waits until it has let go of the store.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// One backup at a time: others wait in the kernel's queue.
async fn serve(listener: &UnixListener, data: &Path, store: &Arc<Store>, stop: &CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else {
            // No file is left to open: others will be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        tracing::info!("a backup begins");
        match answer(stream, data, store, stop).await {
            Ok(()) => tracing::info!("the backup is done"),
            Err(error) => tracing::warn!(%error, "the backup did not come to its end"),
        }
    }
}

async fn answer(
    stream: UnixStream,
    data: &Path,
    store: &Arc<Store>,
    stop: &CancellationToken,
) -> Result<(), BackupError> {
    // The socket's own mode is the umask's, and a backup holds the key that signs tokens.
    let peer = stream.peer_cred()?.uid();
    if peer != 0 && peer != geteuid().as_raw() {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied).into());
    }
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    take(data, Arc::clone(store), stream, stop.clone()).await?;
    Ok(())
}

/// Connects to the relay that runs on a data directory; it begins to write at once.
pub(super) fn ask(data: &Path) -> io::Result<Blocking> {
    let socket: PathBuf = data.join(SOCKET);
    Blocking::connect(socket)
}
