//! Traffic between several people while relay and clients are killed at random.

use std::{
    collections::BTreeMap,
    error::Error,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use sordino::UserId;

use super::{
    note::{Note, Reader},
    outcome::{Outcome, Person, Rows},
    process::{ClientPlace, Process, RelayPlace, free_port},
};

/// Between two looks.
const TICK: Duration = Duration::from_millis(2);
/// Without a new note for so long, nothing more will come.
const STALLED: Duration = Duration::from_secs(60);
/// The longest that a victim stays away, in milliseconds.
const AWAY_MS: u64 = 200;
/// The longest between a kill that is due and its deed, in microseconds: so that it hits any step of a message.
const AIM_US: u64 = 20_000;
/// One kill of so many hits the relay and a client at once.
const TWICE: usize = 4;

/// The programs that take part.
#[derive(Debug, Clone, Copy)]
pub struct Programs<'a> {
    /// The relay.
    pub relay: &'a Path,
    /// Its first arguments.
    pub relay_args: &'a [OsString],
    /// The client.
    pub client: &'a Path,
}

/// What is to happen.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Says who is killed when.
    pub seed: u64,
    /// Everybody talks with everybody.
    pub people: Vec<String>,
    /// Messages of each to each.
    pub messages: usize,
    /// How often somebody is killed.
    pub kills: usize,
}

/// What happened.
#[derive(Debug)]
pub struct Report {
    /// For the checker.
    pub outcome: Outcome,
    /// How often the relay was killed.
    pub relay_kills: usize,
    /// How often a client was killed.
    pub client_kills: usize,
    /// Not everything was said and heard.
    pub stalled: bool,
}

/// Lets everybody talk, kills at random, waits until everything is delivered, and collects what is known. The relay ends
/// with a kill, too; then `rows` reads what the stores hold of what these people said, or, of an embedded relay, what its data
/// directory holds.
pub fn run(
    programs: Programs<'_>,
    plan: &Plan,
    dir: &Path,
    rows: impl FnOnce(&Path, &[UserId]) -> Result<Rows, Box<dyn Error>>,
) -> Result<Report, Box<dyn Error>> {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let mut place = RelayPlace::new(programs.relay, dir, free_port(&mut random)?);
    place.before = programs.relay_args.to_vec();
    let mut world = World::new(programs, plan, dir, place, random)?;
    world.talk(plan)?;
    let data = world.relay.place.data.clone();
    let mut report = world.end()?;
    let people: Vec<_> = report.outcome.people.keys().copied().collect();
    report.outcome.rows = rows(&data, &people)?;
    Ok(report)
}

struct World {
    relay: Party<RelayPlace>,
    clients: Vec<Client>,
    random: StdRng,
    relay_kills: usize,
    client_kills: usize,
    stalled: bool,
}

/// Somebody who runs, or will be back.
struct Party<P> {
    place: P,
    process: Option<Process>,
    back_at: Instant,
}

struct Client {
    party: Party<ClientPlace>,
    reader: Reader,
    me: Option<UserId>,
    person: Person,
    /// In this life.
    done: bool,
}

/// What can be started.
trait Place {
    fn start(&self) -> io::Result<Process>;
    fn log(&self) -> PathBuf;
}

impl Place for RelayPlace {
    fn start(&self) -> io::Result<Process> {
        Self::start(self)
    }
    fn log(&self) -> PathBuf {
        self.log.clone()
    }
}

impl Place for ClientPlace {
    fn start(&self) -> io::Result<Process> {
        Self::start(self)
    }
    fn log(&self) -> PathBuf {
        Self::log(self)
    }
}

impl<P: Place> Party<P> {
    fn new(place: P) -> Self {
        Self {
            place,
            process: None,
            back_at: Instant::now(),
        }
    }

    /// Whether it was there to be killed.
    fn kill(&mut self, away: Duration) -> io::Result<bool> {
        let Some(process) = self.process.take() else {
            return Ok(false);
        };
        process.kill()?;
        self.back_at = Instant::now() + away;
        Ok(true)
    }

    /// Starts it when its time has come; whether it did. Nobody ends by itself.
    fn mind(&mut self) -> Result<bool, Box<dyn Error>> {
        if let Some(process) = &mut self.process {
            if let Some(status) = process.ended()? {
                let log = fs::read_to_string(self.place.log()).unwrap_or_default();
                let last: Vec<_> = log.lines().rev().take(5).collect();
                return Err(format!("it ended by itself ({status}): {last:?}").into());
            }
            return Ok(false);
        }
        if Instant::now() < self.back_at {
            return Ok(false);
        }
        self.process = Some(self.place.start()?);
        Ok(true)
    }
}

impl World {
    fn new(
        programs: Programs<'_>,
        plan: &Plan,
        dir: &Path,
        relay: RelayPlace,
        random: StdRng,
    ) -> Result<Self, Box<dyn Error>> {
        let mut clients = Vec::new();
        for name in &plan.people {
            let others = plan.people.iter().filter(|other| *other != name);
            let place = ClientPlace {
                program: programs.client.to_owned(),
                url: relay.url(),
                authority: None,
                name: name.clone(),
                peers: others.cloned().collect(),
                messages: plan.messages,
                pace: 20,
                dir: dir.join(name),
            };
            fs::create_dir_all(&place.dir)?;
            clients.push(Client {
                reader: Reader::open(&place.notes())?,
                party: Party::new(place),
                me: None,
                person: Person {
                    name: name.clone(),
                    ..Person::default()
                },
                done: false,
            });
        }
        Ok(Self {
            relay: Party::new(relay),
            clients,
            random,
            relay_kills: 0,
            client_kills: 0,
            stalled: false,
        })
    }

    /// Until all kills are done and everything is delivered, or nothing moves any more.
    fn talk(&mut self, plan: &Plan) -> Result<(), Box<dyn Error>> {
        let people = plan.people.len();
        let total = people * people.saturating_sub(1) * plan.messages;
        let mut due = self.deadlines(plan.kills, total);
        let mut moved = Instant::now();
        loop {
            self.mind()?;
            if self.read()? {
                moved = Instant::now();
            }
            let accepted = self.clients.iter().map(|c| c.person.accepted.len()).sum();
            if due.last().is_some_and(|at| *at <= accepted) {
                due.pop();
                self.kill()?;
            }
            if due.is_empty() && self.clients.iter().all(|c| c.done) {
                return Ok(());
            }
            if moved.elapsed() > STALLED {
                self.stalled = true;
                return Ok(());
            }
            thread::sleep(TICK);
        }
    }

    /// After how many accepted messages to kill, the next one last. The first three hit the start, registration included.
    fn deadlines(&mut self, kills: usize, total: usize) -> Vec<usize> {
        let mut due: Vec<_> = (3..kills)
            .map(|_| self.random.random_range(0..total.max(1)))
            .chain([0; 3].into_iter().take(kills))
            .collect();
        due.sort_unstable_by(|a, b| b.cmp(a));
        due
    }

    /// Starts whoever is due.
    fn mind(&mut self) -> Result<(), Box<dyn Error>> {
        self.relay
            .mind()
            .map_err(|error| format!("the relay: {error}"))?;
        for client in &mut self.clients {
            let begun = client.party.mind();
            if begun.map_err(|error| format!("{}: {error}", client.person.name))? {
                client.done = false;
            }
        }
        Ok(())
    }

    /// Reads what is new; whether there was something.
    fn read(&mut self) -> io::Result<bool> {
        let mut new = false;
        for client in &mut self.clients {
            for note in client.reader.read()? {
                new = true;
                client.take(note);
            }
        }
        Ok(new)
    }

    /// Kills somebody, at a random moment of the next milliseconds.
    fn kill(&mut self) -> io::Result<()> {
        thread::sleep(Duration::from_micros(self.random.random_range(0..AIM_US)));
        let away = |random: &mut StdRng| Duration::from_millis(random.random_range(0..AWAY_MS));
        let victim = self.random.random_range(0..=self.clients.len());
        let both = self.random.random_range(0..TWICE) == 0;
        if both || victim == 0 {
            let away = away(&mut self.random);
            self.relay_kills += usize::from(self.relay.kill(away)?);
        }
        if let Some(client) = victim.checked_sub(1).and_then(|n| self.clients.get_mut(n)) {
            let killed = client.party.kill(away(&mut self.random))?;
            // Whatever it wrote before it died belongs to the life that has ended.
            for note in client.reader.read()? {
                client.take(note);
            }
            client.done = false;
            self.client_kills += usize::from(killed);
        }
        Ok(())
    }

    /// Lets go of the clients, reads their last notes, and kills the relay.
    fn end(mut self) -> Result<Report, Box<dyn Error>> {
        for client in &mut self.clients {
            if let Some(process) = client.party.process.take() {
                let name = &client.person.name;
                process.end().map_err(|error| format!("{name}: {error}"))?;
            }
        }
        self.read()?;
        self.relay.kill(Duration::ZERO)?;
        let mut people = BTreeMap::new();
        for client in self.clients {
            let me = client.me.ok_or("a client never registered")?;
            people.insert(me, client.person);
        }
        Ok(Report {
            outcome: Outcome {
                people,
                rows: Rows::new(),
            },
            relay_kills: self.relay_kills,
            client_kills: self.client_kills,
            stalled: self.stalled,
        })
    }
}

impl Client {
    fn take(&mut self, note: Note) {
        match &note {
            Note::Began { me } => self.me = Some(*me),
            Note::Done => self.done = true,
            _ => {}
        }
        self.person.take(note);
    }
}
