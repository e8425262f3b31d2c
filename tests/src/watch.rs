//! Progress of a program that drives a cluster, and its end in order when a signal comes.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use sordino_stack::{Error, Event, Progress, Silent};
use tokio::signal::unix::{SignalKind, signal};

/// Says on stderr what is done, with the seconds since the start, and notes SIGINT, SIGTERM and SIGHUP.
pub struct Watch {
    program: &'static str,
    begun: Instant,
    /// A signal has come: the run should end.
    pub interrupted: Arc<AtomicBool>,
}

impl Watch {
    /// From now on a signal no longer ends the program. Within a runtime.
    ///
    /// # Errors
    /// The signals cannot be listened for.
    pub fn new(program: &'static str) -> io::Result<Self> {
        let watch = Self {
            program,
            begun: Instant::now(),
            interrupted: Arc::default(),
        };
        for kind in [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ] {
            let mut signals = signal(kind)?;
            let interrupted = watch.interrupted.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    interrupted.store(true, Ordering::SeqCst);
                }
            });
        }
        Ok(watch)
    }

    /// A line.
    pub fn say(&self, what: &str) {
        let seconds = self.begun.elapsed().as_secs_f64();
        eprintln!("{}: {seconds:4.0} s  {what}", self.program);
    }
}

impl Progress for Watch {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Preparing(what) | Event::Warning(what) => self.say(what),
            Event::Ready { name, .. } => self.say(&format!("{name} is ready")),
            _ => {}
        }
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }
}

/// Stops and removes the cluster that an earlier run left in `dir`, if there is one.
///
/// # Errors
/// It cannot be stopped or removed.
pub fn remove(dir: &Path) -> Result<(), Error> {
    sordino_stack::down(dir, &mut Silent)?;
    match sordino_stack::wipe(dir) {
        Err(Error::NoStack(_)) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    }
}
