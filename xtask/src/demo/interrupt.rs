//! Ctrl-C and SIGTERM: the processes end, the temporary directory goes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::exit,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
    iterator::Signals,
};

use super::process;

/// 128 and SIGINT, as shells have it.
const INTERRUPTED: i32 = 130;

/// Whether a signal came.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on a signal ends every [`process::Process`], removes `temporary`, and `made` where that leaves them empty, and
    /// exits.
    pub(super) fn removes(temporary: &Path, made: &[PathBuf]) -> Result<Self, String> {
        let came = Arc::new(AtomicBool::new(false));
        let failed = |e| format!("cannot listen to signals: {e}");
        let listened = [SIGINT, SIGTERM, SIGHUP];
        for signal in listened {
            // Within the handler: processes that the same Ctrl-C ended must not be taken for a failure before.
            flag::register(signal, came.clone()).map_err(failed)?;
        }
        let mut signals = Signals::new(listened).map_err(failed)?;
        let (temporary, made) = (temporary.to_owned(), made.to_owned());
        thread::spawn(move || {
            if signals.forever().next().is_some() {
                process::end_all();
                let _ = fs::remove_dir_all(&temporary);
                for directory in made {
                    let _ = fs::remove_dir(directory);
                }
                eprintln!("\ndemo: interrupted; nothing was kept");
                exit(INTERRUPTED);
            }
        });
        Ok(Self(came))
    }

    /// Does not return after a signal: whatever failed then is its consequence, and the exit is under way.
    pub(super) fn goes_first(&self) {
        while self.0.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}
