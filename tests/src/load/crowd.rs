//! Many pairs that stay connected from one stretch of load to the next, and answer what the server asks in between.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    Error, Result,
    account::Account,
    envelope::Noise,
    pair::{Back, Load, Pair, Span, Stats},
    phase::{self, HANDSHAKES, Phase},
    target::Target,
    wire::Dialect,
};

/// What pairs are to do next.
#[derive(Clone, Copy)]
struct Order {
    /// For the first so many of them; the others keep silent.
    pairs: usize,
    load: Load,
    span: Span,
}

/// What a device does whose connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// That is a failure.
    Stay,
    /// It connects again.
    Return,
}

/// Pairs of devices, each pair driven by a task of its own. They leave with this value.
pub struct Crowd {
    // Ended before the orders are: the end of these is no order.
    _tasks: JoinSet<()>,
    orders: watch::Sender<Option<Order>>,
    answers: mpsc::UnboundedReceiver<Result<Stats>>,
    returned: mpsc::UnboundedReceiver<Back>,
    pairs: usize,
}

impl Crowd {
    /// Connects the accounts, two by two, to the targets by turns.
    ///
    /// # Errors
    /// The first connection that failed.
    pub async fn gather(
        targets: &[Target],
        accounts: &[(Arc<Account>, String)],
        noise: &Noise,
        habit: Habit,
        done: impl Fn(),
    ) -> Result<Self> {
        let (orders, order) = watch::channel(None);
        let (answer, answers) = mpsc::unbounded_channel();
        let (returning, returned) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let mut connecting = stream::iter(accounts.chunks_exact(2).zip(targets.iter().cycle()))
            .enumerate()
            .map(|(at, (two, target))| {
                let (two, target, noise) = (two.to_vec(), target.clone(), noise.clone());
                let source = phase::source(2 * at);
                let pair = async move {
                    phase::pair(Dialect::Sordino, &target, source, &two, &noise).await
                };
                async move { tokio::spawn(pair).await? }
            })
            .buffered(HANDSHAKES);
        let mut pairs = 0;
        while let Some(pair) = connecting.try_next().await? {
            // At once: it must answer the server while the others connect.
            let member = Member {
                pair,
                number: pairs,
                habit,
                returning: returning.clone(),
            };
            tasks.spawn(member.obey(order.clone(), answer.clone()));
            pairs += 1;
            done();
        }
        drop(connecting);
        Ok(Self {
            _tasks: tasks,
            orders,
            answers,
            returned,
            pairs,
        })
    }

    /// Connections.
    pub fn connections(&self) -> usize {
        2 * self.pairs
    }

    /// Loads the first `pairs` of them: `warm` unmeasured, then `measured`, then until everything has arrived. `meter` is
    /// asked at both ends of what is measured; its answers come back with what was measured.
    ///
    /// # Errors
    /// A message came late, twice, out of order or not at all; a connection ended.
    pub async fn run<M>(
        &mut self,
        load: Load,
        pairs: usize,
        warm: Duration,
        measured: Duration,
        meter: impl Fn() -> Result<M>,
    ) -> Result<(Phase, M, M)> {
        let from = Instant::now() + warm;
        let span = Span {
            from,
            until: from + measured,
        };
        self.orders.send_replace(Some(Order { pairs, load, span }));
        sleep_until(span.from).await;
        let before = meter()?;
        sleep_until(span.until).await;
        let after = meter()?;
        let mut phase = Phase {
            seconds: measured.as_secs_f64(),
            ..Phase::default()
        };
        for _ in 0..self.pairs {
            let answer = self.answers.recv().await;
            phase.stats.add(answer.ok_or_else(gone)??);
        }
        phase.stats.micros.sort_unstable();
        Ok((phase, before, after))
    }

    /// The connections that had ended and were made again, since this was asked last.
    pub fn returned(&mut self) -> Vec<Back> {
        std::iter::from_fn(|| self.returned.try_recv().ok()).collect()
    }
}

/// A pair and what it does with orders.
struct Member {
    pair: Pair,
    number: usize,
    habit: Habit,
    returning: mpsc::UnboundedSender<Back>,
}

impl Member {
    /// Carries out orders until one fails.
    async fn obey(
        mut self,
        mut orders: watch::Receiver<Option<Order>>,
        answers: mpsc::UnboundedSender<Result<Stats>>,
    ) {
        loop {
            let mut waited = self.pair.wait(&mut orders).await;
            while waited.is_err() && self.is_back().await {
                waited = self.pair.wait(&mut orders).await;
            }
            if let Err(error) = waited {
                let _ = answers.send(Err(error));
                return;
            }
            let Some(order) = *orders.borrow_and_update() else {
                return;
            };
            let done = self.carry_out(order).await;
            let failed = done.is_err();
            if answers.send(done).is_err() || failed {
                return;
            }
        }
    }

    async fn carry_out(&mut self, order: Order) -> Result<Stats> {
        let load = match self.number < order.pairs {
            true => order.load,
            false => Load::Quiet,
        };
        let mut stats = Stats::default();
        let mut done = self.pair.go_on(load, order.span, &mut stats).await;
        while done.is_err() && self.is_back().await {
            done = self.pair.go_on(load, order.span, &mut stats).await;
        }
        done.map(|()| stats)
    }

    /// After a failure: whether it was the end of a connection, and both ends are connected again.
    async fn is_back(&mut self) -> bool {
        if self.habit == Habit::Stay {
            return false;
        }
        let Some(back) = self.pair.reconnect().await else {
            return false;
        };
        for back in back {
            let _ = self.returning.send(back);
        }
        true
    }
}

fn gone() -> Error {
    Error::Broken("the pairs have left".to_owned())
}
