//! One device: its socket, what it has sent, what it has been shown.

use std::{
    collections::VecDeque,
    net::Ipv4Addr,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sordino_protocol::{
    SUBPROTOCOL,
    close::CloseCode,
    frame,
    pb::{Ack, ListConversations, Pull, client_frame::Frame},
};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::Instant,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{
        Error as SocketError, Message, client::IntoClientRequest, http::HeaderValue,
        protocol::WebSocketConfig,
    },
};

use super::{
    Error, Result,
    envelope::Lane,
    target::Target,
    wire::{self, Dialect, Incoming, Place},
};

/// Rows that a device takes before it acknowledges them, or this long after the last time.
const ACK_ROWS: u64 = 8;
const ACK_AFTER: Duration = Duration::from_millis(100);
/// A client keeps no more messages of a conversation on the way.
pub(super) const MOST_IN_FLIGHT: usize = sordino_protocol::limits::IN_FLIGHT;
const LEAST_WAIT: Duration = Duration::from_millis(20);
/// A client waits so long before it asks again what the relay could not answer.
const LEAST_PROBLEM: Duration = Duration::from_secs(1);

/// A message on its way.
struct Flight {
    frame: Bytes,
    began: Instant,
    accepted: Option<Instant>,
}

/// A message that has arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived {
    /// Since when it counts as waiting.
    pub(super) began: Instant,
    /// When its sender was told that it is accepted, if that came first.
    pub(super) accepted: Option<Instant>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One device, connected.
pub struct End {
    socket: Socket,
    way: Way,
    /// The next connection, while this one is still served.
    moving: JoinSet<Result<(Socket, Way)>>,
    /// The connection has ended.
    down: bool,
    /// It ended because the server moved it: it may come back at once.
    moved: bool,
    dialect: Dialect,
    lane: Lane,
    /// The counter of the last message made.
    pub(super) made: u64,
    /// Not yet both accepted and delivered, by counter; the last one is `made`.
    flights: VecDeque<Flight>,
    /// The highest counter that reached the other end.
    delivered: u64,
    /// The highest seq that was shown, all before it included.
    cursor: u64,
    /// The highest seq that was heard of.
    last_seq: u64,
    pulling: bool,
    ask: bool,
    acked: u64,
    acked_at: Instant,
    unanswered: usize,
    retry_at: Option<Instant>,
    /// When to ask again what could not be answered.
    ask_at: Option<Instant>,
    unflushed: bool,
    /// How often the server refused for now or had no answer, and how often rows had to be asked for.
    pub(super) refusals: u64,
    pub(super) pulls: u64,
}

impl End {
    /// Connects the sending device of `lane`.
    pub async fn connect(
        dialect: Dialect,
        target: &Target,
        source: Ipv4Addr,
        token: &str,
        lane: Lane,
    ) -> Result<Self> {
        let mut way = Way::new(target, source, token);
        Ok(Self {
            socket: way.dial().await?,
            way,
            moving: JoinSet::new(),
            down: false,
            moved: false,
            dialect,
            lane,
            made: 0,
            flights: VecDeque::new(),
            delivered: 0,
            cursor: 0,
            last_seq: 0,
            pulling: false,
            ask: false,
            acked: 0,
            acked_at: Instant::now(),
            unanswered: 0,
            retry_at: None,
            ask_at: None,
            unflushed: false,
            refusals: 0,
            pulls: 0,
        })
    }

    /// Whether its connection has ended.
    pub(super) fn is_down(&self) -> bool {
        self.down
    }

    /// Whether the server ended the connection and said to come back at once.
    pub(super) fn is_moved(&self) -> bool {
        self.moved
    }

    /// Connects again, and sends again what was not accepted. What it missed the server tells it, as it tells every new
    /// connection.
    pub(super) async fn reconnect(&mut self) -> Result<()> {
        let socket = self.way.dial().await?;
        self.begin(socket);
        Ok(())
    }

    /// Goes on with this connection; the one before.
    fn begin(&mut self, socket: Socket) -> Socket {
        (self.down, self.moved) = (false, false);
        (self.unanswered, self.unflushed) = (0, false);
        (self.pulling, self.ask, self.ask_at) = (false, false, None);
        self.retry_at = Some(Instant::now());
        self.moving.abort_all();
        std::mem::replace(&mut self.socket, socket)
    }

    /// Goes on with the connection that the server asked for, once it serves.
    fn poll_move(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(Some(Ok(Ok((socket, way))))) = self.moving.poll_join_next(cx) {
            self.way = way;
            let mut old = self.begin(socket);
            self.ask = true;
            tokio::spawn(async move { old.close(None).await });
        }
    }

    /// Messages on the way.
    pub(super) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// What it waits for, to be read by a person.
    pub(super) fn state(&self) -> String {
        let of = |what: fn(&Flight) -> bool| self.flights.iter().filter(|one| what(one)).count();
        format!(
            "{} sent, {} of them on the way ({} not accepted, {} unanswered, to be sent again: {}); shown {} of {} rows, pulling: {}, \
             told to ask later: {}",
            self.made,
            self.in_flight(),
            of(|flight| flight.accepted.is_none()),
            self.unanswered,
            self.retry_at.is_some(),
            self.cursor,
            self.last_seq,
            self.pulling,
            self.ask_at.is_some(),
        )
    }

    /// When something is to be done without being told.
    pub(super) fn wakes(&self) -> impl Iterator<Item = Instant> {
        self.retry_at.into_iter().chain(self.ask_at)
    }

    /// Takes a frame, if one is there. `to` made the messages that arrive here; `arrived` is told when each of them began.
    pub(super) fn poll(
        &mut self,
        to: &mut Self,
        cx: &mut Context<'_>,
        arrived: &mut impl FnMut(Arrived),
    ) -> Poll<Result<()>> {
        self.poll_move(cx);
        let message = match self.socket.poll_next_unpin(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => Err(SocketError::ConnectionClosed),
            Poll::Ready(Some(message)) => message,
        };
        Poll::Ready(match message {
            Ok(Message::Binary(bytes)) => self.take(to, bytes, arrived),
            Ok(Message::Close(why)) => {
                self.down = true;
                let code = why.as_ref().map(|why| u16::from(why.code));
                self.moved = code == Some(CloseCode::RetryNow as u16);
                Err(Error::Broken(format!(
                    "the server closed the socket: {why:?}"
                )))
            }
            Ok(_) => Ok(()),
            Err(error) => {
                self.down = true;
                Err(error.into())
            }
        })
    }

    fn take(
        &mut self,
        to: &mut Self,
        bytes: Bytes,
        arrived: &mut impl FnMut(Arrived),
    ) -> Result<()> {
        match wire::read(self.dialect, bytes)? {
            Incoming::Accepted { counter } => {
                self.unanswered = self.unanswered.saturating_sub(1);
                if let Some(flight) = self.flight(counter) {
                    flight.accepted.get_or_insert_with(Instant::now);
                }
            }
            Incoming::Refused {
                code,
                detail,
                after,
            } => {
                self.unanswered = self.unanswered.saturating_sub(1);
                self.refusals += 1;
                if !matches!(code.as_str(), "busy" | "gap" | "rate_limited") {
                    return Err(Error::Broken(format!("refused as {code}: {detail}")));
                }
                let retry = Instant::now() + after.max(LEAST_WAIT);
                self.retry_at = Some(self.retry_at.unwrap_or(retry).max(retry));
            }
            Incoming::Forwarded { counter } => to.reached(counter, arrived)?,
            Incoming::Row(place) => self.show(to, &place, arrived)?,
            Incoming::Pulled(rows) => {
                self.pulling = false;
                for place in &rows {
                    self.show(to, place, arrived)?;
                }
            }
            Incoming::Reached(conversations) => {
                // Others are of an earlier measurement.
                let own = self.lane.conversation().to_pb();
                let reached = conversations.iter().filter(|(id, _)| *id == own);
                let reached = reached.map(|(_, last_seq)| *last_seq).max();
                self.last_seq = self.last_seq.max(reached.unwrap_or(0));
            }
            Incoming::Unanswered { after } => {
                self.refusals += 1;
                self.ask_at = Some(Instant::now() + after.max(LEAST_PROBLEM));
            }
            Incoming::Sync => self.ask = true,
            Incoming::Moving => {
                let (way, dialect) = (self.way.clone(), self.dialect);
                self.moving.spawn(way.dial_another(dialect));
            }
            Incoming::Other => {}
        }
        Ok(())
    }

    fn show(
        &mut self,
        to: &mut Self,
        place: &Place,
        arrived: &mut impl FnMut(Arrived),
    ) -> Result<()> {
        self.last_seq = self.last_seq.max(place.seq);
        if place.seq != self.cursor + 1 {
            return Ok(()); // A repeat, or behind a hole: what is ahead is pulled with the hole.
        }
        self.cursor += 1;
        if place.sender == to.lane.from().device {
            to.reached(place.counter, arrived)?;
        }
        Ok(())
    }

    /// The message with this counter has reached the other end.
    fn reached(&mut self, counter: u64, arrived: &mut impl FnMut(Arrived)) -> Result<()> {
        if counter != self.delivered + 1 {
            let after = self.delivered;
            return Err(Error::Broken(format!(
                "message {counter} was delivered after {after}"
            )));
        }
        self.delivered = counter;
        if let Some(flight) = self.flight(counter) {
            arrived(Arrived {
                began: flight.began,
                accepted: flight.accepted,
            });
        }
        Ok(())
    }

    fn flight(&mut self, counter: u64) -> Option<&mut Flight> {
        let first = self.made + 1 - self.flights.len() as u64;
        let at = counter.checked_sub(first)?;
        self.flights.get_mut(usize::try_from(at).ok()?)
    }

    /// Forgets what is accepted and delivered; how many.
    pub(super) fn complete(&mut self) -> u64 {
        let mut done = 0;
        while let Some(flight) = self.flights.front() {
            let counter = self.made + 1 - self.flights.len() as u64;
            if flight.accepted.is_none() || counter > self.delivered {
                break;
            }
            self.flights.pop_front();
            done += 1;
        }
        done
    }

    /// Makes the next message. `began`: since when it counts as waiting.
    pub(super) async fn send(&mut self, began: Instant) -> Result<()> {
        self.made += 1;
        let frame = self.lane.frame(self.made);
        self.flights.push_back(Flight {
            frame: frame.clone(),
            began,
            accepted: None,
        });
        if self.retry_at.is_some() {
            // Behind those that are to be sent again: out of order it would be accepted, and never delivered.
            return Ok(());
        }
        self.unanswered += 1;
        self.write(frame).await
    }

    /// What a client does beside sending: resends, asks for what is missing, acknowledges.
    pub(super) async fn upkeep(&mut self, now: Instant, finishing: bool) -> Result<()> {
        if self.dialect == Dialect::Raw {
            return Ok(());
        }
        if self.retry_at.is_some_and(|at| at <= now) && self.unanswered == 0 {
            self.retry_at = None;
            let again: Vec<_> = (self
                .flights
                .iter()
                .filter(|flight| flight.accepted.is_none()))
            .map(|flight| flight.frame.clone())
            .collect();
            for frame in again {
                self.unanswered += 1;
                self.write(frame).await?;
            }
        }
        if self.ask_at.is_some_and(|at| at <= now) {
            // Which of the two it was does not matter: what has grown leads to the rows.
            (self.pulling, self.ask, self.ask_at) = (false, true, None);
        }
        if std::mem::take(&mut self.ask) {
            let frame = Frame::ListConversations(ListConversations::default());
            self.write(frame::encode_client(frame)).await?;
        }
        let conversation = self.lane.conversation();
        if self.last_seq > self.cursor && !self.pulling {
            self.pulling = true;
            self.pulls += 1;
            let pull = Frame::Pull(Pull {
                request: 1,
                conversation: conversation.to_pb(),
                from_seq: self.cursor + 1,
                to_seq: self.last_seq,
            });
            self.write(frame::encode_client(pull)).await?;
        }
        let unacked = self.cursor - self.acked;
        let late = now.duration_since(self.acked_at) >= ACK_AFTER;
        if unacked >= ACK_ROWS || (unacked > 0 && (late || finishing)) {
            (self.acked, self.acked_at) = (self.cursor, now);
            let ack = Frame::Ack(Ack {
                conversation: conversation.to_pb(),
                seq: self.cursor,
            });
            self.write(frame::encode_client(ack)).await?;
        }
        Ok(())
    }

    async fn write(&mut self, frame: Bytes) -> Result<()> {
        self.unflushed = true;
        let fed = self.socket.feed(Message::Binary(frame)).await;
        self.down |= fed.is_err();
        Ok(fed?)
    }

    /// Sends what was written.
    pub(super) async fn flush(&mut self) -> Result<()> {
        if std::mem::take(&mut self.unflushed) {
            let flushed = self.socket.flush().await;
            self.down |= flushed.is_err();
            flushed?;
        }
        Ok(())
    }
}

/// How a device connects, the first time and again.
#[derive(Clone)]
struct Way {
    target: Target,
    source: Ipv4Addr,
    token: String,
    /// What a load balancer gave it, to be recognised by.
    cookie: Option<HeaderValue>,
}

impl Way {
    fn new(target: &Target, source: Ipv4Addr, token: &str) -> Self {
        Self {
            target: target.clone(),
            source,
            token: token.to_owned(),
            cookie: None,
        }
    }

    async fn dial(&mut self) -> Result<Socket> {
        let io = |what| move |error| Error::Io(what, error);
        let socket = TcpSocket::new_v4().map_err(io("socket"))?;
        socket
            .bind((self.source, 0).into())
            .map_err(io("binding a loopback address"))?;
        let stream = socket.connect(self.target.addr).await;
        let stream = stream.map_err(io("connecting"))?;
        stream.set_nodelay(true).map_err(io("TCP_NODELAY"))?;
        let url = format!("{}/v1/socket", self.target.socket);
        let mut request = url.into_client_request()?;
        let token = HeaderValue::from_str(&format!("Bearer {}", self.token));
        let token = token.map_err(|_| Error::Broken("a token that is no header".to_owned()))?;
        let headers = request.headers_mut();
        headers.insert("authorization", token);
        headers.insert(
            "sec-websocket-protocol",
            HeaderValue::from_static(SUBPROTOCOL),
        );
        if let Some(cookie) = &self.cookie {
            headers.insert("cookie", cookie.clone());
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(16 * 1024);
        let tls = self.target.connector();
        let (socket, response) =
            client_async_tls_with_config(request, stream, Some(config), Some(tls)).await?;
        if let Some(set) = response.headers().get("set-cookie") {
            // Name and value, without what else is said of it.
            let named = set.as_bytes().split(|byte| *byte == b';').next();
            self.cookie = named.and_then(|named| HeaderValue::from_bytes(named).ok());
        }
        Ok(socket)
    }

    /// Connects, and waits until the server has taken the connection.
    async fn dial_another(mut self, dialect: Dialect) -> Result<(Socket, Self)> {
        let mut socket = self.dial().await?;
        while let Some(message) = socket.next().await {
            if let Message::Binary(bytes) = message?
                && matches!(wire::read(dialect, bytes)?, Incoming::Sync)
            {
                return Ok((socket, self));
            }
        }
        Err(Error::Broken(
            "the next connection ended at once".to_owned(),
        ))
    }
}
