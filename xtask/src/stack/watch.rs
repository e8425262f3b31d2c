//! Progress on stderr, a line for each thing that happens; Ctrl-C.
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};
use sordino_stack::{Addresses, Event, Progress};

pub(crate) struct Watch {
    began: Instant,
    interrupted: Arc<AtomicBool>,
}

impl Watch {
    /// From now on Ctrl-C is noted instead of ending us: a server that was just started is to have its pid file.
    pub(crate) fn new() -> Result<Self, String> {
        let watch = Self::uninterruptible();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register(signal, watch.interrupted.clone())
                .map_err(|e| format!("cannot listen to signals: {e}"))?;
        }
        Ok(watch)
    }

    pub(super) fn uninterruptible() -> Self {
        Self {
            began: Instant::now(),
            interrupted: Arc::default(),
        }
    }

    pub(super) fn all_ready(&self, addresses: &Addresses) {
        eprintln!("stack: all ready, {}", seconds(self.began.elapsed()));
        if let Some(front) = &addresses.front {
            eprintln!("stack: clients connect to {front}");
            if let Some(authority) = &addresses.authority {
                eprintln!(
                    "stack: for instance: target/debug/sordino-terminal --relay {front} --authority {} --store DIR",
                    authority.display()
                );
            }
        }
    }
}

impl Progress for Watch {
    fn event(&mut self, event: &Event) {
        let line = match event {
            Event::Preparing(what) => what.clone(),
            Event::Started { name, address } => format!("{name} starts on {address}"),
            Event::Ready { name, took } => format!("{name} is ready, {}", seconds(*took)),
            Event::Running { name } => format!("{name} runs already"),
            Event::Stopped { name, took, killed } => {
                let how = if *killed {
                    "did not end, killed"
                } else {
                    "has ended"
                };
                format!("{name} {how}, {}", seconds(*took))
            }
            Event::Warning(what) => format!("careful: {what}"),
            _ => return,
        };
        eprintln!("stack: {line}");
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
