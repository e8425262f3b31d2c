//! A text, line by line, both ways; relay and clients killed on the way if asked.

use std::{
    fs,
    io::{IsTerminal, Write, stderr},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    STALLED,
    kills::{Kills, Victim},
    person::{People, Said, Source},
    report::Told,
    who::{Both, Who},
};

/// Between two lines of one person, with kills: so that the traffic outlives them.
const PACE: Duration = Duration::from_millis(5);

/// Sends `text`, by way of `file`, where the clients read it.
pub(super) fn run(
    people: &mut People,
    text: &str,
    file: &Path,
    kills: u32,
    seed: Option<u64>,
) -> Result<Told, String> {
    // What was examined, and not what a second reading would find: a pipe is empty then.
    fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    let lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
    let seed = seed.unwrap_or_else(rand::random);
    if kills > 0 {
        eprintln!("demo: {kills} kills; the same order again with --seed {seed}");
    }
    for who in Who::ALL {
        let pace = if kills > 0 { PACE } else { Duration::ZERO };
        people.give(
            who,
            Source {
                file: file.to_owned(),
                pace,
            },
        );
        people.start(who)?;
    }
    let mut transfer = Transfer {
        total: None,
        kills: Kills::new(seed, kills, 2 * lines.len()),
        received: Both::default(),
        accepted: Both::default(),
        latencies: Vec::new(),
        shown: 0,
    };
    let began = Instant::now();
    transfer.carry(people)?;
    let took = began.elapsed();
    let total = transfer.total.unwrap_or_default();
    people.until_delivered(Both {
        alice: total,
        bob: total,
    })?;
    for who in Who::ALL {
        people.dismiss(who)?;
        let path = people.received_file(who);
        let received = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        if received != text.as_bytes() {
            return Err(format!("{} differs from the text", path.display()));
        }
    }
    Ok(Told {
        texts: lines,
        latencies: transfer.latencies,
        took,
        kills: (kills > 0).then_some(transfer.kills.done),
        compared: true,
    })
}

struct Transfer {
    /// Messages that the text makes: not known before a client says so.
    total: Option<usize>,
    kills: Kills,
    received: Both<usize>,
    accepted: Both<usize>,
    latencies: Vec<Duration>,
    /// Tenths of the way shown, where there is no terminal.
    shown: usize,
}

impl Transfer {
    fn carry(&mut self, people: &mut People) -> Result<(), String> {
        let mut moved = Instant::now();
        while !self.is_complete() {
            if let Some((who, said)) = people.next(Duration::from_millis(200)) {
                if self.note(who, &said) {
                    moved = Instant::now();
                }
            } else if moved.elapsed() > STALLED {
                return Err(format!(
                    "nothing moved for a minute: {:?} received, {:?} accepted",
                    self.received, self.accepted
                ));
            }
            while let Some(victim) = self.kills.due(self.received.alice + self.received.bob) {
                let absence = Duration::from_millis(self.kills.absence());
                strike(people, victim, absence)?;
            }
            self.show();
        }
        eprintln!();
        match self.kills.left() {
            0 => Ok(()),
            left => Err(format!("{left} kills came too late")),
        }
    }

    fn is_complete(&self) -> bool {
        let all = |counts: &Both<usize>, total| counts.alice.min(counts.bob) >= total;
        self.total
            .is_some_and(|total| all(&self.received, total) && all(&self.accepted, total))
    }

    /// Takes a report in. Whether anything moved.
    fn note(&mut self, who: Who, said: &Said) -> bool {
        let (counts, n) = match said {
            Said::Resumed { received, total } => {
                self.total = Some(*total);
                (&mut self.received, *received)
            }
            Said::Received {
                n, sent_ms, at_ms, ..
            } => {
                let latency = Duration::from_millis(at_ms.saturating_sub(*sent_ms));
                self.latencies.push(latency);
                (&mut self.received, *n)
            }
            Said::Accepted { n } => (&mut self.accepted, *n),
            Said::Connection { .. } | Said::Delivered { .. } | Said::Timeline { .. } => {
                return false;
            }
        };
        let count = &mut counts[who];
        let moved = n > *count;
        // After a kill a client counts again from its store: what it had shown but not yet committed does not exist.
        *count = (*count).max(n);
        moved
    }

    fn show(&mut self) {
        let Some(total) = self.total.map(|total| 2 * total) else {
            return;
        };
        let done = self.received.alice + self.received.bob;
        let tenths = done * 10 / total;
        if stderr().is_terminal() {
            eprint!(
                "\rdemo: {done} of {total} messages, {} killed ",
                self.kills.done.iter().sum::<u32>(),
            );
            let _ = stderr().flush();
        } else if tenths > self.shown {
            self.shown = tenths;
            eprintln!("demo: {tenths}0 % of {total} messages");
        }
    }
}

fn strike(people: &mut People, victim: Victim, absence: Duration) -> Result<(), String> {
    match victim {
        Victim::Relay => people.relay.kill()?,
        Victim::Client(who) => people.kill(who)?,
    }
    thread::sleep(absence);
    match victim {
        Victim::Relay => people.relay.restart(),
        Victim::Client(who) => people.start(who),
    }
}
