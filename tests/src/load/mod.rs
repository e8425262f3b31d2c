//! A load generator for relays: real accounts, real frames, random ciphertext.
//!
//! It drives two servers alike: the relay, and a bare one that forwards frames and stores nothing
//! (`src/bin/raw_relay.rs`). What the second does not know (rows, acknowledgements, pulls) it is not asked.

pub mod account;
pub mod crowd;
mod end;
pub mod envelope;
pub mod machine;
pub mod memory;
pub mod pair;
pub mod phase;
pub mod progress;
pub mod report;
pub mod server;
pub mod target;
pub mod throughput;
pub mod wire;

/// A relay's settings for a measurement. All load comes from one machine: what keeps a single address from taking a relay over is raised, nothing else.
pub const NO_LIMITS: &str = "
[rates]
address_per_second = 1000000
address_burst = 1000000
address_sign_ups_per_hour = 1000000
address_sign_ups_burst = 1000000
sign_ups_per_second = 1000000
sign_ups_burst = 1000000
user_frames_per_second = 1000000
user_frames_burst = 1000000
address_handshakes_per_second = 1000000
address_handshakes_burst = 1000000
handshakes_per_second = 1000000
handshakes_burst = 1000000
[limits]
sockets_per_address = 1000000
[log]
filter = 'warn'
";

/// Why a measurement cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, a process or an address.
    #[error("{0}: {1}")]
    Io(&'static str, std::io::Error),
    /// The server is not there, or not in time.
    #[error("{0}")]
    Server(String),
    /// An HTTP request failed.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// An HTTP request was refused.
    #[error("{path}: {status}, {body}")]
    Refused {
        /// What was asked for.
        path: String,
        /// The answer's status.
        status: u16,
        /// The answer.
        body: String,
    },
    /// A connection failed.
    #[error("socket: {0}")]
    Socket(#[from] Box<tokio_tungstenite::tungstenite::Error>),
    /// A message came late, twice, out of order or not at all, or a frame makes no sense.
    #[error("{0}")]
    Broken(String),
    /// A task of the generator ended early.
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}

impl From<tokio_tungstenite::tungstenite::Error> for Error {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        Self::Socket(Box::new(error))
    }
}

/// Short for the errors of this module.
pub type Result<T> = std::result::Result<T, Error>;
