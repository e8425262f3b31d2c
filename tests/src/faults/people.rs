//! People who talk all the time, everybody with everybody, and how each message fares.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use sordino::{MessageId, UserId};

use super::Failure;
use crate::contract::{
    note::{Note, Reader},
    outcome::{Outcome, Person},
    process::{ClientPlace, Process},
};

/// More than a run can send.
const ENDLESS: usize = 1_000_000;

/// A message that took longer was not prompt: something was in its way.
pub const PROMPT: Duration = Duration::from_secs(1);

/// Everybody.
pub struct People {
    clients: Vec<Client>,
    trips: BTreeMap<MessageId, Trip>,
    /// Those of `trips` that were sent and not heard.
    under_way: BTreeSet<MessageId>,
}

struct Client {
    place: ClientPlace,
    process: Option<Process>,
    reader: Reader,
    me: Option<UserId>,
    person: Person,
}

/// A message on its way.
#[derive(Debug, Clone, Copy)]
pub struct Trip {
    /// From whom to whom.
    pub pair: (UserId, UserId),
    /// When `send` returned.
    pub sent: Instant,
    /// When it was shown to the other, if it was.
    pub heard: Option<Instant>,
}

impl Trip {
    /// Whether it took, or has taken, longer than it should.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        let end = self.heard.unwrap_or_else(Instant::now);
        end.saturating_duration_since(self.sent) > PROMPT
    }
}

impl People {
    /// Starts a client for each address, where a server is that `authority` (a PEM file) vouches for, with its store, key and notes in a directory of its own below `dir`. Each sends a
    /// message to each of the others every `pace`.
    ///
    /// # Errors
    /// A client cannot be started.
    pub fn start(
        program: &Path,
        dir: &Path,
        fronts: &[SocketAddr],
        authority: &Path,
        pace: Duration,
    ) -> io::Result<Self> {
        let names: Vec<_> = (1..=fronts.len()).map(|n| format!("person{n}")).collect();
        let mut clients = Vec::new();
        for (name, front) in names.iter().zip(fronts) {
            let place = ClientPlace {
                program: program.to_owned(),
                url: format!("https://localhost:{}", front.port()),
                authority: Some(authority.to_owned()),
                name: name.clone(),
                peers: names.iter().filter(|n| *n != name).cloned().collect(),
                messages: ENDLESS,
                pace: u64::try_from(pace.as_millis()).unwrap_or(u64::MAX),
                dir: dir.join(name),
            };
            fs::create_dir_all(&place.dir)?;
            clients.push(Client {
                reader: Reader::open(&place.notes())?,
                process: Some(place.start()?),
                place,
                me: None,
                person: Person {
                    name: name.clone(),
                    ..Person::default()
                },
            });
        }
        Ok(Self {
            clients,
            trips: BTreeMap::new(),
            under_way: BTreeSet::new(),
        })
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// A client has ended.
    pub fn listen(&mut self) -> Result<(), Failure> {
        for client in &mut self.clients {
            if let Some(process) = &mut client.process
                && let Some(status) = process.ended()?
            {
                let log = client.place.log();
                return Err(format!(
                    "{} ended by itself ({status}), see {}",
                    client.person.name,
                    log.display()
                )
                .into());
            }
            for note in client.reader.read()? {
                match (&note, client.me) {
                    (Note::Began { me }, _) => client.me = Some(*me),
                    (Note::Sent { peer, id, .. }, Some(me)) => {
                        // The other may have been quicker with its note.
                        let trip = self.trips.entry(*id).or_insert(Trip {
                            pair: (me, *peer),
                            sent: Instant::now(),
                            heard: None,
                        });
                        if trip.heard.is_none() {
                            self.under_way.insert(*id);
                        }
                    }
                    (Note::Heard { peer, id }, Some(me)) => {
                        let now = Instant::now();
                        let trip = self.trips.entry(*id).or_insert(Trip {
                            pair: (*peer, me),
                            sent: now,
                            heard: None,
                        });
                        trip.heard.get_or_insert(now);
                        self.under_way.remove(id);
                    }
                    _ => {}
                }
                client.person.take(note);
            }
        }
        Ok(())
    }

    /// How many pairs there are, each direction one.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.clients.len() * self.clients.len().saturating_sub(1)
    }

    /// Every message so far.
    #[must_use]
    pub fn trips(&self) -> &BTreeMap<MessageId, Trip> {
        &self.trips
    }

    /// How many were sent and not yet heard.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Whether something has been under way for too long.
    #[must_use]
    pub fn is_anything_slow(&self) -> bool {
        let mut trips = self.under_way.iter().filter_map(|id| self.trips.get(id));
        trips.any(Trip::is_slow)
    }

    /// The pairs of which no message that was sent after `since` has been heard, by name.
    #[must_use]
    pub fn mute_since(&self, since: Instant) -> Vec<String> {
        let heard = self.trips.values().filter(|trip| trip.sent >= since);
        let heard: BTreeSet<_> = heard
            .filter(|trip| trip.heard.is_some())
            .map(|trip| trip.pair)
            .collect();
        let mut mute = Vec::new();
        for one in &self.clients {
            for other in &self.clients {
                let pair = one.me.zip(other.me);
                if one.me.is_none()
                    || (one.me != other.me && !pair.is_some_and(|pair| heard.contains(&pair)))
                {
                    mute.push(format!("{} to {}", one.person.name, other.person.name));
                }
            }
        }
        mute
    }

    /// Nobody says anything more.
    ///
    /// # Errors
    /// A client has ended.
    pub fn hush(&mut self) -> io::Result<()> {
        for process in self.clients.iter_mut().filter_map(|c| c.process.as_mut()) {
            process.say(b".")?;
        }
        Ok(())
    }

    /// Ends the clients in order, and takes their last notes, what each is shown.
    ///
    /// # Errors
    /// One does not end well, or never registered.
    pub fn end(mut self) -> Result<(Outcome, BTreeMap<MessageId, Trip>), Failure> {
        for client in &mut self.clients {
            if let Some(process) = client.process.take() {
                let name = &client.person.name;
                process.end().map_err(|error| format!("{name}: {error}"))?;
            }
        }
        self.listen()?;
        let mut outcome = Outcome::default();
        for client in self.clients {
            let me = client.me.ok_or("a client never registered")?;
            outcome.people.insert(me, client.person);
        }
        Ok((outcome, self.trips))
    }
}
