//! What the store asks of the machine, behind one type, so that tests can fill the disk and fail a sync.

use std::{
    fmt,
    io::{self, Write as _},
    path::Path,
    sync::Arc,
};

/// Tells how many bytes may still be written to the file system of a directory.
pub type Available = dyn Fn(&Path) -> io::Result<u64> + Send + Sync;

/// The machine below the store.
#[derive(Clone)]
pub struct Machine {
    /// Asked before every group.
    pub available: Arc<Available>,
    /// Called before every synced commit; an error is the commit's.
    pub before_sync: Arc<dyn Fn() -> io::Result<()> + Send + Sync>,
    /// The store can no longer promise anything. By default the process ends: what a failed fsync left in the page cache
    /// may be dropped by the kernel and reported as clean by the next fsync, so only a restart reads the truth.
    pub fatal: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            available: Arc::new(|path| fs4::available_space(path)),
            before_sync: Arc::new(|| Ok(())),
            fatal: Arc::new(|why| {
                let text = format!(
                    "history cannot be written, the relay ends; acknowledged messages are safe, start it again: {why}"
                );
                tracing::error!("{text}");
                // A subscriber that writes later never will. Not `eprintln!`: it panics when stderr is closed.
                let _ = writeln!(io::stderr(), "{text}");
                std::process::abort()
            }),
        }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").finish_non_exhaustive()
    }
}
