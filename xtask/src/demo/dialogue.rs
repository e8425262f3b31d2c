//! The built-in conversation: turn by turn, with one of the two away for a while.

use std::{
    io::{IsTerminal, stdout},
    thread,
    time::{Duration, Instant},
};

use super::{
    STALLED,
    person::{People, Said},
    report::Told,
    who::{
        Both,
        Who::{self, Alice, Bob},
    },
};

/// For an eye that follows.
const BREATH: Duration = Duration::from_millis(400);

enum Step {
    Says(Who, &'static str),
    Leaves(Who),
    Returns(Who),
}
use Step::{Leaves, Returns, Says};

const DIALOGUE: &[Step] = &[
    Says(Alice, "Bob? Is this thing muted?"),
    Says(Bob, "Loud and clear. The relay hears only noise."),
    Says(Alice, "Then I can tell you where the violin is."),
    Says(Bob, "Wait, I have to catch a train. Tell me anyway."),
    Leaves(Bob),
    Says(Alice, "Under the stage, third board from the left."),
    Says(Alice, "The key is in the piano. Grüße an Łucja 🎻"),
    Says(Alice, "Are you there?"),
    Returns(Bob),
    Says(Bob, "Back. All three arrived, in order."),
    Says(Alice, "And the relay?"),
    Says(Bob, "It knows that we talked, and how much. Not what."),
];

pub(super) fn run(people: &mut People) -> Result<Told, String> {
    let mut talk = Talk {
        received: Both::default(),
        accepted: Both::default(),
        sent: Both::default(),
        latencies: Vec::new(),
    };
    let began = Instant::now();
    people.start(Alice)?;
    people.start(Bob)?;
    talk.wait(
        people,
        |said| matches!(said, Said::Connection { state } if state == "live"),
    )?;
    let mut away = Both::<bool>::default();
    for step in DIALOGUE {
        match *step {
            Says(who, text) => talk.says(people, who, text, away)?,
            Leaves(who) => {
                people.dismiss(who)?;
                away[who] = true;
                println!("       -- {} goes offline --", who.name());
            }
            Returns(who) => {
                people.start(who)?;
                away[who] = false;
                println!("       -- {} is back --", who.name());
                talk.until_seen(people, who)?;
            }
        }
        if stdout().is_terminal() {
            thread::sleep(BREATH);
        }
    }
    let took = began.elapsed();
    people.until_delivered(talk.sent)?;
    Ok(Told {
        texts: DIALOGUE
            .iter()
            .filter_map(|step| match step {
                Says(_, text) => Some((*text).to_owned()),
                Leaves(_) | Returns(_) => None,
            })
            .collect(),
        latencies: talk.latencies,
        took,
        kills: None,
        compared: false,
    })
}

struct Talk {
    received: Both<usize>,
    accepted: Both<usize>,
    sent: Both<usize>,
    latencies: Vec<Duration>,
}

impl Talk {
    fn says(
        &mut self,
        people: &mut People,
        who: Who,
        text: &str,
        away: Both<bool>,
    ) -> Result<(), String> {
        let other = who.other();
        let began = Instant::now();
        people.tell(who, text)?;
        self.sent[who] += 1;
        while self.accepted[who] < self.sent[who] {
            self.take(people)?;
        }
        let accepted = began.elapsed();
        print!("{:>5}: {text}", who.name());
        if away[other] {
            println!("   (accepted {} ms)", accepted.as_millis());
            return Ok(());
        }
        self.until_seen(people, other)?;
        let seen = self.latencies.last().copied().unwrap_or_default();
        println!("   (seen {} ms)", seen.as_millis());
        Ok(())
    }

    /// Until `who` has everything that the other has sent.
    fn until_seen(&mut self, people: &mut People, who: Who) -> Result<(), String> {
        while self.received[who] < self.sent[who.other()] {
            self.take(people)?;
        }
        Ok(())
    }

    /// Until both have said it.
    fn wait(&mut self, people: &mut People, what: impl Fn(&Said) -> bool) -> Result<(), String> {
        let mut heard = Both::<bool>::default();
        while !(heard.alice && heard.bob) {
            let (who, said) = self.take(people)?;
            heard[who] |= what(&said);
        }
        Ok(())
    }

    fn take(&mut self, people: &mut People) -> Result<(Who, Said), String> {
        let (who, said) = people
            .next(STALLED)
            .ok_or("nothing was heard of the clients for a minute")?;
        match &said {
            Said::Received { n, sent_ms, at_ms } => {
                self.received[who] = *n;
                let latency = at_ms.saturating_sub(*sent_ms);
                self.latencies.push(Duration::from_millis(latency));
            }
            Said::Accepted { n } => self.accepted[who] = *n,
            // Some of it may have come before the client could tell it.
            Said::Resumed { received, .. } => self.received[who] = *received,
            Said::Connection { .. } | Said::Delivered { .. } | Said::Timeline { .. } => {}
        }
        Ok((who, said))
    }
}
