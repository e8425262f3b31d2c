//! The socket: opened with a token, bounded frames, and an end that says what to do next.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use sordino_protocol::{
    Code, Retry, SUBPROTOCOL,
    close::CloseCode,
    frame::{FrameError, decode_relay, encode_client},
    limits,
    pb::{client_frame, relay_frame},
};
use tokio::{
    net::TcpStream,
    sync::{
        mpsc::{self, error::TrySendError},
        watch,
    },
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderValue, header},
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use super::{
    RelayUrl,
    auth::AccessToken,
    http::{LONGEST_WAIT, is_untrusted, refusal},
};
use crate::error::Error;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A frame that cannot be written for so long ends the connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// A question to the relay whether it is still there.
const PING: Duration = Duration::from_secs(20);
/// So soon after something was written: whoever waits for an answer should not wait long for a dead connection.
const PING_AFTER_WRITE: Duration = Duration::from_secs(3);
/// No word, not even an answer to a ping, for so long: the connection is dead. On a slow one the ping stands behind messages,
/// each of which is answered: the largest takes so long at 26 kbit/s.
const ANSWER: Duration = Duration::from_secs(20);
/// What the relay said before the writer gave up is here by then.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Frames that wait to be written.
const QUEUE: usize = 256;

/// Why a connection ended or was not made, as far as it tells what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Connect again, not before `floor`.
    Again {
        /// What the relay asked for; zero where it did not.
        floor: Duration,
        /// Whether to grow the wait with each attempt; not when the relay says "now".
        backoff: bool,
        /// What was met.
        why: Code,
    },
    /// Log in again, then connect.
    Login,
    /// Do not connect again.
    Stop(Error),
}

impl End {
    /// Connect again after the usual wait.
    pub(crate) const LOST: Self = Self::Again {
        floor: Duration::ZERO,
        backoff: true,
        why: Code::Unreachable,
    };

    /// What a failed call on the way to the connection means for it.
    pub(crate) fn from_error(error: &Error) -> Self {
        match (error.code(), error.retry()) {
            (Code::TokenExpired | Code::NotAuthenticated | Code::ChallengeExpired, _) => {
                Self::Login
            }
            (_, Retry::Never) => Self::Stop(error.clone()),
            (_, Retry::Now) => Self::LOST,
            (why, Retry::After(floor)) => Self::Again {
                // The code's own wait is what the backoff begins with anyway.
                floor: if error.retry() == error.code().retry() {
                    Duration::ZERO
                } else {
                    floor
                },
                backoff: true,
                why,
            },
        }
    }

    fn from_close(close: Option<&CloseFrame>) -> Self {
        let Some(close) = close else {
            return Self::LOST;
        };
        let reason = close.reason.as_str();
        match CloseCode::from_u16(close.code.into()) {
            Some(code @ (CloseCode::RetryNow | CloseCode::TooSlow)) => Self::Again {
                floor: Duration::ZERO,
                backoff: false,
                why: match code {
                    CloseCode::TooSlow => Code::Timeout,
                    _ => Code::Draining,
                },
            },
            Some(CloseCode::RetryLater) => Self::Again {
                floor: Duration::from_millis(reason.parse().unwrap_or(0)).min(LONGEST_WAIT),
                backoff: true,
                why: Code::Busy,
            },
            Some(CloseCode::RefreshToken) => Self::Login,
            Some(CloseCode::Stop) => {
                let code = Code::from_name(reason)
                    .filter(|code| matches!(code, Code::AccountDeleted | Code::AccountDisabled));
                let code = code.unwrap_or(Code::DeviceRevoked);
                Self::Stop(Error::new(code, "the relay ended the session"))
            }
            // With the same bytes it would happen again: the wait grows, and what is broken can be mended meanwhile.
            Some(CloseCode::ProtocolError | CloseCode::Replaced) | None => Self::LOST,
        }
    }
}

/// A connection and the token that opened it.
pub(crate) struct Open {
    pub(crate) token: Arc<AccessToken>,
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    /// The relay has said that it passes signals on.
    pub(crate) signals: bool,
    /// What it has said of a reset that waits.
    pub(crate) reset: Option<u64>,
}

/// Opens a socket.
pub(crate) async fn connect(
    relay: &RelayUrl,
    tls: &Arc<rustls::ClientConfig>,
    token: &AccessToken,
) -> Result<(Reader, Writer), End> {
    let request = request(relay, token).map_err(End::Stop)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(limits::FRAME_BYTES))
        .max_frame_size(Some(limits::FRAME_BYTES));
    let connector = Connector::Rustls(tls.clone());
    let opening = connect_async_tls_with_config(request, Some(config), true, Some(connector));
    let (stream, _) = timeout(CONNECT_TIMEOUT, opening)
        .await
        .map_err(|_| End::LOST)?
        .map_err(|error| not_opened(&error))?;
    let (write, read) = stream.split();
    let (queue, queued) = mpsc::channel(QUEUE);
    let (asks, asked) = watch::channel(());
    let writing = tokio::spawn(write_all(write, queued, asks));
    let reader = Reader {
        stream: read,
        asked,
        asked_at: None,
        mute_at: None,
    };
    Ok((reader, Writer { queue, writing }))
}

fn request(
    relay: &RelayUrl,
    token: &AccessToken,
) -> Result<tungstenite::handshake::client::Request, Error> {
    let bad = |what: &str| Error::new(Code::RelayMisbehaved, what);
    let mut request = relay
        .socket()
        .into_client_request()
        .map_err(|_| Error::new(Code::BadRequest, "relay address"))?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
        .map_err(|_| bad("a token that no header can carry"))?;
    bearer.set_sensitive(true);
    let headers = request.headers_mut();
    headers.insert(header::AUTHORIZATION, bearer);
    headers.insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(SUBPROTOCOL),
    );
    Ok(request)
}

fn not_opened(error: &tungstenite::Error) -> End {
    match error {
        tungstenite::Error::Http(answer) => {
            let body = answer.body().as_deref().unwrap_or_default();
            End::from_error(&refusal(answer.status().as_u16(), body))
        }
        tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::SecWebSocketSubProtocolError(_),
        ) => End::Stop(Error::new(Code::UnsupportedVersion, "")),
        _ if is_untrusted(error) => End::from_error(&Error::new(Code::UntrustedRelay, "")),
        _ => End::LOST,
    }
}

/// The side that reads.
pub(crate) struct Reader {
    stream: SplitStream<Stream>,
    /// Told of every ping.
    asked: watch::Receiver<()>,
    /// The first ping since anything last came. Kept here and not in [`Self::next`], which is called anew whenever anything
    /// else happens.
    asked_at: Option<Instant>,
    /// Since when there is no writer any more, which gives up where nothing can be written: half a connection is none.
    mute_at: Option<Instant>,
}

impl Reader {
    /// The next frame. Frames of later versions are passed over. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<relay_frame::Frame, End> {
        loop {
            let unanswered = self.asked_at.map(|at| at + ANSWER);
            let mute = self.mute_at.map(|at| at + LAST_WORDS);
            let dead = unanswered.into_iter().chain(mute).min();
            let message = tokio::select! {
                biased;
                // Before what came: else the answer is taken first, and the question seems to come after it.
                asked = self.asked.changed(), if self.mute_at.is_none() => {
                    let since = match asked {
                        Ok(()) => &mut self.asked_at,
                        Err(_) => &mut self.mute_at,
                    };
                    since.get_or_insert_with(Instant::now);
                    continue;
                }
                message = self.stream.next() => match message {
                    Some(Ok(message)) => message,
                    Some(Err(_)) | None => return Err(End::LOST),
                },
                () = sleep_until(dead.unwrap_or_else(Instant::now)), if dead.is_some() => {
                    return Err(End::LOST);
                }
            };
            self.asked_at = None;
            match message {
                Message::Binary(bytes) => match decode_relay(bytes) {
                    Ok(frame) => return Ok(frame),
                    Err(FrameError::Unknown) => {}
                    Err(_) => return Err(End::LOST),
                },
                Message::Close(close) => return Err(End::from_close(close.as_ref())),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                Message::Text(_) => return Err(End::LOST),
            }
        }
    }
}

/// The side that writes. Dropping it closes the connection.
pub(crate) struct Writer {
    queue: mpsc::Sender<Bytes>,
    writing: JoinHandle<()>,
}

impl Writer {
    /// Queues a frame. False if the queue is full or the connection has ended: the caller keeps what it had to say.
    #[must_use]
    pub(crate) fn send(&self, frame: client_frame::Frame) -> bool {
        self.send_encoded(encode_client(frame))
    }

    /// The same, of a frame that is encoded already.
    #[must_use]
    pub(crate) fn send_encoded(&self, frame: Bytes) -> bool {
        match self.queue.try_send(frame) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => false,
        }
    }

    /// How many more frames there is room for.
    pub(crate) fn room(&self) -> usize {
        self.queue.capacity()
    }

    /// Writes out what is queued and takes leave.
    pub(crate) async fn close(self) {
        drop(self.queue);
        let _ = timeout(Duration::from_secs(2), self.writing).await;
    }
}

async fn write_all(
    mut stream: SplitSink<Stream, Message>,
    mut queue: mpsc::Receiver<Bytes>,
    asks: watch::Sender<()>,
) {
    let mut ping_at = Instant::now() + PING;
    loop {
        let message = tokio::select! {
            frame = queue.recv() => match frame {
                Some(frame) => Message::Binary(frame),
                None => break,
            },
            () = sleep_until(ping_at) => Message::Ping(Bytes::new()),
        };
        let asking = message.is_ping();
        if asking {
            // Before it is written: its answer must not come before it is known.
            asks.send_replace(());
        }
        let write = async {
            stream.feed(message).await?;
            // What is queued goes out together.
            for _ in 0..QUEUE {
                match queue.try_recv() {
                    Ok(frame) => stream.feed(Message::Binary(frame)).await?,
                    Err(_) => break,
                }
            }
            stream.flush().await
        };
        if !matches!(timeout(WRITE_TIMEOUT, write).await, Ok(Ok(()))) {
            return;
        }
        let now = Instant::now();
        ping_at = match asking {
            true => now + PING,
            false => ping_at.min(now + PING_AFTER_WRITE),
        };
    }
    let _ = timeout(Duration::from_secs(1), stream.close()).await;
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_certificate_that_is_not_trusted_is_no_lack_of_a_network() {
        let failed = |inner: rustls::Error| {
            let error = io::Error::new(io::ErrorKind::InvalidData, inner);
            match not_opened(&tungstenite::Error::Io(error)) {
                End::Again { why, .. } => why,
                End::Login | End::Stop(_) => panic!("given up"),
            }
        };
        let unknown = rustls::CertificateError::UnknownIssuer;
        let found = failed(rustls::Error::InvalidCertificate(unknown));
        assert_eq!(found, Code::UntrustedRelay);
        assert_eq!(failed(rustls::Error::DecryptError), Code::Unreachable);
    }
}
