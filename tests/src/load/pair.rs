//! Two devices that write to each other, driven by one task.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{
    Error, Result,
    end::{Arrived, End, MOST_IN_FLIGHT},
};

/// Frames taken from a socket before others have their turn.
const TURN: usize = 32;
/// How long the last messages may take to arrive.
const DRAIN: Duration = Duration::from_secs(60);

/// How to load.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// Each device keeps so many messages on the way: as fast as the server goes.
    Closed(usize),
    /// Each device sends one message every so often, whatever the server does.
    Paced(Duration),
    /// Each device sends so many messages, one after the other.
    Exactly(u64),
    /// Nothing is sent.
    Quiet,
}

/// When to measure.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Measured from here
    pub from: Instant,
    /// to here; then no new messages are made.
    pub until: Instant,
}

/// What was measured.
#[derive(Debug, Default)]
pub struct Stats {
    /// Messages that became both accepted and delivered within the span.
    pub messages: u64,
    /// From sending to arrival at the other device, of those that were sent within the span, however late they arrived.
    pub micros: Vec<u32>,
    /// Answers that said "not now".
    pub refusals: u64,
    /// Rows that were asked for because no push came.
    pub pulls: u64,
    /// The longest that a message took to arrive after its sender had been told that it is accepted, in microseconds.
    pub longest_after_accepted: u32,
    /// Messages that were sent, within the span and outside it; all of them arrived.
    pub sent: u64,
}

/// A connection that had ended and was made again.
#[derive(Debug, Clone, Copy)]
pub struct Back {
    /// When.
    pub at: Instant,
    /// How long it was away.
    pub away: Duration,
}

/// Two devices.
pub struct Pair {
    /// One.
    pub a: End,
    /// The other.
    pub b: End,
    /// When the next message is due, in the load that ends then.
    due: Option<(Instant, Instant)>,
}

impl Pair {
    /// Of two connected devices.
    pub fn new(a: End, b: End) -> Self {
        Self { a, b, due: None }
    }

    /// Loads until the span is over and everything that was sent has arrived, in order and once.
    pub async fn run(&mut self, load: Load, span: Span) -> Result<Stats> {
        let mut stats = Stats::default();
        self.go_on(load, span, &mut stats).await?;
        Ok(stats)
    }

    /// The same, in pieces: after a failure, once both ends are connected again, the next call goes on.
    pub(super) async fn go_on(&mut self, load: Load, span: Span, stats: &mut Stats) -> Result<()> {
        let made = (self.a.made, self.b.made);
        let done = self.load(load, span, made, stats).await;
        stats.sent += self.a.made - made.0 + self.b.made - made.1;
        for end in [&mut self.a, &mut self.b] {
            stats.refusals += std::mem::take(&mut end.refusals);
            stats.pulls += std::mem::take(&mut end.pulls);
        }
        done
    }

    async fn load(
        &mut self,
        load: Load,
        span: Span,
        made: (u64, u64),
        stats: &mut Stats,
    ) -> Result<()> {
        let mut due = match (load, self.due) {
            // What was due while a connection was away still is.
            (Load::Paced(_), Some((until, due))) if until == span.until => due,
            // Not all at once.
            (Load::Paced(every), _) => Instant::now() + every.mul_f64(rand::random()),
            _ => Instant::now(),
        };
        let mut timer = pin!(sleep_until(span.until));
        loop {
            let now = Instant::now();
            let done = self.a.complete() + self.b.complete();
            if span.from <= now && now < span.until {
                stats.messages += done;
            }
            let mut over = now >= span.until;
            match load {
                Load::Closed(most) if !over => {
                    for end in [&mut self.a, &mut self.b] {
                        for _ in end.in_flight()..most.min(MOST_IN_FLIGHT) {
                            end.send(now).await?;
                        }
                    }
                }
                Load::Paced(every) => {
                    while due <= now && due < span.until && self.has_room() {
                        // A late timer is not the server's delay; having had to wait for it is.
                        let waited = now.duration_since(due) > Duration::from_millis(5);
                        let began = if waited { due } else { now };
                        self.a.send(began).await?;
                        self.b.send(began).await?;
                        due += every;
                        self.due = Some((span.until, due));
                    }
                }
                Load::Exactly(count) => {
                    for (end, before) in [(&mut self.a, made.0), (&mut self.b, made.1)] {
                        if end.in_flight() == 0 && end.made - before < count {
                            end.send(now).await?;
                        }
                    }
                    over = self.a.made - made.0 == count && self.b.made - made.1 == count;
                }
                Load::Closed(_) | Load::Quiet => {}
            }
            let finished = over && self.a.in_flight() + self.b.in_flight() == 0;
            for end in [&mut self.a, &mut self.b] {
                end.upkeep(now, finished).await?;
                end.flush().await?;
            }
            if finished {
                break;
            }
            if now >= span.until + DRAIN {
                let (a, b) = (self.a.state(), self.b.state());
                return Err(Error::Broken(format!(
                    "messages of a pair did not arrive; one end: {a}; the other: {b}"
                )));
            }
            let end = if over { span.until + DRAIN } else { span.until };
            let mut wake = end;
            if matches!(load, Load::Paced(_)) && !over && self.has_room() {
                wake = wake.min(due);
            }
            for at in self.a.wakes().chain(self.b.wakes()) {
                // A retry that waits for answers is woken by them.
                if at > now {
                    wake = wake.min(at);
                }
            }
            if timer.deadline() != wake {
                timer.as_mut().reset(wake);
            }
            tokio::select! {
                taken = self.receive(span, stats) => taken?,
                () = timer.as_mut() => {}
            }
        }
        Ok(())
    }

    /// Does what a client does that has nothing to say, until there is an order that it has not seen.
    pub(super) async fn wait<T>(&mut self, orders: &mut watch::Receiver<T>) -> Result<()> {
        // Nothing of it is measured.
        let (now, mut stats) = (Instant::now(), Stats::default());
        let never = Span {
            from: now,
            until: now,
        };
        loop {
            for end in [&mut self.a, &mut self.b] {
                end.upkeep(Instant::now(), false).await?;
                end.flush().await?;
            }
            tokio::select! {
                taken = self.receive(never, &mut stats) => taken?,
                _ = orders.changed() => return Ok(()),
            }
        }
    }

    /// Connects the ends again whose connections have ended, with a client's patience; when each was back. `None`: none had.
    pub(super) async fn reconnect(&mut self) -> Option<Vec<Back>> {
        if !self.a.is_down() && !self.b.is_down() {
            return None;
        }
        let (a, b) = tokio::join!(patiently(&mut self.a), patiently(&mut self.b));
        Some(a.into_iter().chain(b).collect())
    }

    fn has_room(&self) -> bool {
        self.a.in_flight().max(self.b.in_flight()) < MOST_IN_FLIGHT
    }

    /// Waits for frames, and takes what is there.
    async fn receive(&mut self, span: Span, stats: &mut Stats) -> Result<()> {
        poll_fn(|cx| {
            let now = Instant::now();
            let micros = |since: Instant| {
                let micros = now.saturating_duration_since(since).as_micros();
                u32::try_from(micros).unwrap_or(u32::MAX)
            };
            let mut arrived = |arrived: Arrived| {
                if span.from <= arrived.began && arrived.began < span.until {
                    stats.micros.push(micros(arrived.began));
                }
                let late = arrived.accepted.map_or(0, micros);
                stats.longest_after_accepted = stats.longest_after_accepted.max(late);
            };
            let mut any = false;
            for flipped in [false, true] {
                let (from, to) = if flipped {
                    (&mut self.b, &mut self.a)
                } else {
                    (&mut self.a, &mut self.b)
                };
                for _ in 0..TURN {
                    match from.poll(to, cx, &mut arrived) {
                        Poll::Ready(taken) => taken?,
                        Poll::Pending => break,
                    }
                    any = true;
                }
            }
            if any {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        })
        .await
    }
}

/// The client's own waits: full jitter up to half a second at first (half of that if the server moved it), then up to a second,
/// and twice that after each failure.
async fn patiently(end: &mut End) -> Option<Back> {
    if !end.is_down() {
        return None;
    }
    let gone = Instant::now();
    let mut longest = Duration::from_millis(500);
    let first = if end.is_moved() { longest / 2 } else { longest };
    sleep(first.mul_f64(rand::random())).await;
    while end.reconnect().await.is_err() {
        longest = (longest * 2).min(Duration::from_secs(30));
        sleep(longest.mul_f64(rand::random())).await;
    }
    let at = Instant::now();
    Some(Back {
        at,
        away: at - gone,
    })
}
