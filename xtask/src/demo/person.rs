//! The two people: clients that are processes, and what they say of themselves.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{
    STALLED,
    place::received_by,
    process::Process,
    relay::Relay,
    who::{Both, Who},
};

/// What a client says on its standard output, a line each.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Said {
    /// It runs; what its store holds from before, and how many messages its file makes.
    Resumed { received: usize, total: usize },
    /// The connection changed.
    Connection { state: String },
    /// So many of its messages were accepted by the relay.
    Accepted { n: usize },
    /// So many of its messages are in the other person's store.
    Delivered { n: usize },
    /// A message of the other person, shown for the first time.
    Received { n: usize, sent_ms: u64, at_ms: u64 },
    /// The last thing: the whole conversation as this person saw it.
    Timeline { items: Vec<Item> },
}

/// A line of a conversation as one person sees it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Item {
    pub(super) mine: bool,
    pub(super) text: String,
    pub(super) state: String,
}

/// Where a person's text comes from, if it does not come from the one who calls.
pub(super) struct Source {
    pub(super) file: PathBuf,
    pub(super) pace: Duration,
}

#[derive(Default)]
struct Person {
    process: Option<(Process, ChildStdin)>,
    /// Counts starts: what an earlier process still had in its pipe is not news.
    life: u32,
    source: Option<Source>,
}

/// Both, and the relay between them.
pub(super) struct People {
    pub(super) relay: Relay,
    program: PathBuf,
    temporary: PathBuf,
    people: Both<Person>,
    say: Sender<(Who, u32, Said)>,
    said: Receiver<(Who, u32, Said)>,
    delivered: Both<usize>,
    timelines: Both<Vec<Item>>,
}

impl People {
    pub(super) fn new(program: &Path, relay: Relay, temporary: &Path) -> Self {
        let (say, said) = channel();
        Self {
            relay,
            program: program.to_owned(),
            temporary: temporary.to_owned(),
            people: Both::default(),
            say,
            said,
            delivered: Both::default(),
            timelines: Both::default(),
        }
    }

    pub(super) fn received_file(&self, who: Who) -> PathBuf {
        self.temporary.join(received_by(who))
    }

    /// What this person sends from now on, from its next start on.
    pub(super) fn give(&mut self, who: Who, source: Source) {
        self.people[who].source = Some(source);
    }

    pub(super) fn start(&mut self, who: Who) -> Result<(), String> {
        let received = self.received_file(who);
        let (name, peer) = (who.name(), who.other().name());
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log(who));
        let mut command = Command::new(&self.program);
        command
            .args(["--relay", &self.relay.url(), "--name", name, "--peer", peer])
            .arg("--store")
            .arg(self.temporary.join(name))
            .arg("--received")
            .arg(received)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.map_or_else(|_| Stdio::inherit(), Stdio::from));
        let say = self.say.clone();
        let person = &mut self.people[who];
        if let Some(source) = &person.source {
            command
                .arg("--send")
                .arg(&source.file)
                .args(["--pace", &source.pace.as_millis().to_string()]);
        }
        person.life += 1;
        let life = person.life;
        let process =
            Process::start(&mut command).map_err(|e| format!("{name} does not start: {e}"))?;
        let (Some(input), Some(output)) = (process.input(), process.output()) else {
            return Err(format!("{name} has no pipes"));
        };
        person.process = Some((process, input));
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // A line cut off by a kill does not parse.
                if let Ok(said) = serde_json::from_str(&line) {
                    let _ = say.send((who, life, said));
                }
            }
        });
        Ok(())
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self, who: Who) -> Result<(), String> {
        if let Some((process, _)) = self.people[who].process.take() {
            process
                .kill()
                .map_err(|e| format!("a client cannot be killed: {e}"))?;
        }
        Ok(())
    }

    /// A text for the client's standard input.
    pub(super) fn tell(&mut self, who: Who, text: &str) -> Result<(), String> {
        let Some((_, input)) = &mut self.people[who].process else {
            return Err("a client that is away cannot send".to_owned());
        };
        writeln!(input, "{text}").map_err(|e| format!("a client's input: {e}"))
    }

    /// The next thing that a living client says.
    pub(super) fn next(&mut self, within: Duration) -> Option<(Who, Said)> {
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok((who, life, said)) = self.said.recv_timeout(left) else {
                return None;
            };
            if life != self.people[who].life {
                continue;
            }
            match said {
                Said::Timeline { items } => self.timelines[who] = items,
                Said::Delivered { n } => self.delivered[who] = n,
                said => return Some((who, said)),
            }
        }
    }

    /// Waits until both know that so many of their messages are delivered. What else they say until then is not of interest.
    pub(super) fn until_delivered(&mut self, sent: Both<usize>) -> Result<(), String> {
        let began = Instant::now();
        while Who::ALL.iter().any(|who| self.delivered[*who] < sent[*who]) {
            if began.elapsed() > STALLED {
                return Err(format!(
                    "after a minute the clients know of {:?} delivered messages only, of {sent:?}",
                    self.delivered
                ));
            }
            // Returns only after its time: it does not return for a report of deliveries.
            let _ = self.next(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Lets go of a client: it says what it saw, closes its store and ends.
    pub(super) fn dismiss(&mut self, who: Who) -> Result<(), String> {
        let Some((process, input)) = self.people[who].process.take() else {
            return Ok(());
        };
        drop(input);
        let status = process.wait().map_err(|e| format!("a client: {e}"))?;
        if !status.success() {
            return Err(format!("a client did not end well: {status}"));
        }
        Ok(())
    }

    /// Ends all three, in the order in which they would be ended in earnest.
    pub(super) fn stop(&mut self) -> Result<(), String> {
        for who in Who::ALL {
            self.dismiss(who)?;
        }
        self.relay.stop()?;
        // The readers' last lines: their pipes are closed, so this ends.
        while self.next(Duration::from_millis(200)).is_some() {}
        Ok(())
    }

    /// The conversation as each saw it. Known after [`Self::dismiss`].
    pub(super) fn timelines(&self) -> &Both<Vec<Item>> {
        &self.timelines
    }

    /// The ends of the logs, for a failure.
    pub(super) fn last_words(&self) -> String {
        let mut words = String::new();
        let logs = [
            ("relay", self.relay.log().to_owned()),
            ("alice", self.log(Who::Alice)),
            ("bob", self.log(Who::Bob)),
        ];
        for (name, path) in logs {
            let log = fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            for line in lines.iter().skip(lines.len().saturating_sub(5)) {
                words.push_str(&format!("\n  {name}: {line}"));
            }
        }
        words
    }

    fn log(&self, who: Who) -> PathBuf {
        self.temporary.join(format!("{}.log", who.name()))
    }
}
