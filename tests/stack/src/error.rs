use std::{io, path::PathBuf};

/// Why the stack could not do what was asked; each text says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused something.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, with the path.
        what: String,
        /// What the system answered.
        source: io::Error,
    },
    /// Programs are missing and could not be installed.
    #[error("please install: {0}")]
    Missing(String),
    /// A program that prepares something failed.
    #[error("{what} failed: {detail}")]
    Failed {
        /// What it should have done.
        what: String,
        /// The end of what it said.
        detail: String,
    },
    /// A server ended instead of getting ready.
    #[error("{name} ended at its start; the end of {}:\n{tail}", log.display())]
    Ended {
        /// The process.
        name: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A server runs and does not answer as it should.
    #[error("{name} was not ready after {seconds} s; see {}", log.display())]
    Late {
        /// The process.
        name: String,
        /// How long it was waited for.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// Something else listens where a server of the stack should.
    #[error(
        "{address}, where {name} should listen, is taken by another program: choose another base port"
    )]
    Taken {
        /// The process that needs it.
        name: String,
        /// The address.
        address: String,
    },
    /// The plan cannot be carried out.
    #[error("{0}")]
    Plan(String),
    /// There is no stack here.
    #[error("there is no stack in {}", .0.display())]
    NoStack(PathBuf),
    /// Another program is starting or stopping this stack.
    #[error("another program is at work on the stack in {}", .0.display())]
    Busy(PathBuf),
    /// No process of the stack has this name.
    #[error("the stack has no process {0}")]
    Unknown(String),
    /// A process does not run.
    #[error("{0} does not run")]
    Down(String),
    /// A process could not be ended, not even by SIGKILL.
    #[error("{0} does not end")]
    Immortal(String),
    /// [`Progress::interrupted`](crate::Progress::interrupted) said so.
    #[error("interrupted; what was started runs on until `down`")]
    Interrupted,
}

impl Error {
    /// For `map_err`: `what` completes "cannot …".
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
