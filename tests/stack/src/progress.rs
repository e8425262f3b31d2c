use std::time::Duration;

/// Something that happened while the stack came up or went down.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A preparation that takes seconds has begun.
    Preparing(String),
    /// The process has been started.
    Started {
        /// The process.
        name: String,
        /// Where it will listen.
        address: String,
    },
    /// It answers.
    Ready {
        /// The process.
        name: String,
        /// Since its start.
        took: Duration,
    },
    /// It ran before and answers.
    Running {
        /// The process.
        name: String,
    },
    /// It has ended.
    Stopped {
        /// The process.
        name: String,
        /// Since it was told to.
        took: Duration,
        /// It did not end by itself in time.
        killed: bool,
    },
    /// Something to know that is no error.
    Warning(String),
}

/// Who watches.
pub trait Progress {
    /// Called on the thread that called [`up`](crate::up()) or [`down`](crate::down()).
    fn event(&mut self, event: &Event);

    /// Asked several times a second; `true` makes [`up`](crate::up()) give up with [`Error::Interrupted`](crate::Error::Interrupted).
    fn interrupted(&self) -> bool {
        false
    }
}

/// Nobody watches.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn event(&mut self, _: &Event) {}
}
