//! Who types and who is there, on both sides: what is due to be said, and what is shown of what others said. It is made of
//! moments: all of it lapses by itself, and without a connection nothing is known of anybody.

mod typing;

use std::collections::{HashMap, VecDeque};

use sordino_protocol::{DeviceId, UserId};

use self::typing::{Typing, Typist};
use crate::{
    events::Event,
    machine::{Heard, Said},
    types::Presence,
};

/// Before somebody is asked who has just come into sight.
const LOOK_MS: u64 = 300;
/// People whose presence is shown are asked for it this often.
const ASK_EVERY_MS: u64 = 30_000;
/// The word that somebody is there, and the question of who wants to know it, hold so long: two questions may be lost.
const THERE_MS: u64 = 75_000;
/// Who does not answer in this time is not there.
const ANSWER_MS: u64 = 5_000;
/// One person is told no more often than this.
const TELL_EVERY_MS: u64 = 3_000;
/// People whose presence is shown at a time.
pub(super) const WATCHED: usize = 8;
/// People who are told at a time that the user is there.
const WATCHERS: usize = 64;
/// So many are told at most that the user goes: as many signals as a relay takes at once.
pub(super) const PARTED: usize = 24;
/// In this time each of so many people may say so much: what comes beyond is not looked at.
const BUDGET_MS: u64 = 10_000;
const BUDGET_PEOPLE: usize = 256;
const BUDGET_SIGNALS: u8 = 20;

const MINUTE_MS: u64 = 60_000;

/// Now, twice: clocks are set, and what lapses must not wait for that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Milliseconds that only ascend.
    pub(crate) ms: u64,
    /// Since the Unix epoch.
    pub(crate) clock_ms: u64,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Life {
    connected: bool,
    /// By the clock, since when the user is not in front of the app; `None`: they are.
    away_since_ms: Option<u64>,
    typing: HashMap<UserId, Typing>,
    typists: HashMap<UserId, Typist>,
    watched: Vec<Watched>,
    watchers: HashMap<UserId, Watcher>,
    budget: HashMap<UserId, u8>,
    budget_until_ms: u64,
    /// To be said once there is a moment for it.
    out: VecDeque<(UserId, Said)>,
    events: Vec<Event>,
    /// When people were last seen, to be kept.
    seen: Vec<(UserId, u64)>,
}

/// Somebody whose presence is shown.
struct Watched {
    user: UserId,
    /// Not at once: who goes through the list looks at nobody.
    since_ms: u64,
    asked_ms: Option<u64>,
    /// They have said something since there is a connection.
    answered: bool,
    /// Devices that are there, and until when they hold for that.
    there: Vec<(DeviceId, u64)>,
    /// By the clock, when they said that they were there, on this connection or before.
    last_seen_ms: Option<u64>,
    /// It was looked up what is known of before.
    looked_up: bool,
    shown: Presence,
}

/// Somebody to whom the user's presence is shown.
struct Watcher {
    until_ms: u64,
    told_ms: Option<u64>,
    /// What they were told is not so any more.
    owed: bool,
}

impl Life {
    /// The people whose presence is shown, from now on.
    pub(crate) fn watch(&mut self, users: &[UserId], now: Now) {
        let mut watched = Vec::new();
        for user in users.iter().take(WATCHED) {
            if watched.iter().any(|one: &Watched| one.user == *user) {
                continue;
            }
            let before = self.watched.iter().position(|one| one.user == *user);
            watched.push(match before {
                Some(at) => self.watched.swap_remove(at),
                None => Watched {
                    user: *user,
                    since_ms: now.ms,
                    asked_ms: None,
                    answered: false,
                    there: Vec::new(),
                    last_seen_ms: None,
                    looked_up: false,
                    shown: Presence::Unknown,
                },
            });
        }
        for left in std::mem::replace(&mut self.watched, watched) {
            if left.shown == Presence::Online {
                self.seen
                    .extend(left.last_seen_ms.map(|at| (left.user, at)));
            }
        }
    }

    /// The people whose presence is shown.
    pub(super) fn watched(&self) -> Vec<UserId> {
        self.watched.iter().map(|one| one.user).collect()
    }

    /// Whether somebody is there, as it is shown.
    pub(crate) fn presence(&self, user: UserId) -> Presence {
        let watched = self.watched.iter().find(|one| one.user == user);
        watched.map_or(Presence::Unknown, |one| one.shown)
    }

    /// The user is in front of the app, or is not any more.
    pub(crate) fn set_active(&mut self, active: bool, now: Now) {
        if active == self.away_since_ms.is_none() {
            return;
        }
        self.away_since_ms = (!active).then_some(now.clock_ms);
        for watcher in self.watchers.values_mut() {
            watcher.owed = true;
        }
    }

    /// There is a connection, and everything is here.
    pub(super) fn connected(&mut self) {
        self.connected = true;
    }

    /// There is none any more.
    pub(super) fn disconnected(&mut self, now: Now) {
        self.connected = false;
        self.watchers.clear();
        self.out.clear();
        self.nobody_types();
        for at in 0..self.watched.len() {
            if let Some(one) = self.watched.get_mut(at) {
                one.there.clear();
                (one.asked_ms, one.answered) = (None, false);
            }
            self.show(at, now);
        }
    }

    /// The user goes: what those who look, and `others` who may look later, are to be told.
    pub(super) fn leaves(&mut self, others: Vec<UserId>, now: Now) -> Vec<(UserId, Said)> {
        if !self.connected {
            return Vec::new();
        }
        let away = Some(self.away(now).unwrap_or(0));
        let gone = Said::There { asks: false, away };
        let mut told: Vec<_> = self.watchers.drain().map(|(user, _)| user).collect();
        for user in others {
            if told.len() < PARTED && !told.contains(&user) {
                told.push(user);
            }
        }
        told.into_iter().map(|user| (user, gone)).collect()
    }

    /// Whether a signal of this person is looked at: before any work is done for it.
    pub(super) fn admits(&mut self, user: UserId, now: Now) -> bool {
        if now.ms >= self.budget_until_ms {
            self.budget.clear();
            self.budget_until_ms = now.ms + BUDGET_MS;
        }
        let known = self.budget.contains_key(&user);
        if !known && self.budget.len() >= BUDGET_PEOPLE {
            return false;
        }
        let used = self.budget.entry(user).or_default();
        *used = used.saturating_add(1);
        *used <= BUDGET_SIGNALS
    }

    /// Takes a signal in.
    pub(super) fn hears(&mut self, heard: Heard, now: Now) {
        if !self.connected {
            return;
        }
        match heard.said {
            Said::Typing(on) => self.hears_typing(heard, on, now),
            Said::There { asks, away } => {
                if asks {
                    self.is_asked(heard.user, now);
                }
                self.hears_presence(heard, away, now);
            }
        }
    }

    fn is_asked(&mut self, user: UserId, now: Now) {
        let known = self.watchers.contains_key(&user);
        if !known && self.watchers.len() >= WATCHERS {
            return;
        }
        let watcher = self.watchers.entry(user).or_insert(Watcher {
            until_ms: 0,
            told_ms: None,
            owed: true,
        });
        watcher.until_ms = now.ms + THERE_MS;
        watcher.owed = true;
    }

    fn hears_presence(&mut self, heard: Heard, away: Option<u32>, now: Now) {
        let ago = u64::from(away.unwrap_or(0)) * MINUTE_MS;
        let seen_ms = now.clock_ms.saturating_sub(ago);
        let Some(at) = self.watched.iter().position(|one| one.user == heard.user) else {
            // Who looks at them later shall know.
            self.seen.push((heard.user, seen_ms));
            return;
        };
        let Some(one) = self.watched.get_mut(at) else {
            return;
        };
        one.there.retain(|(device, _)| *device != heard.device);
        if away.is_none() {
            one.there.push((heard.device, now.ms + THERE_MS));
        }
        one.answered = true;
        one.last_seen_ms = one.last_seen_ms.max(Some(seen_ms));
        self.show(at, now);
    }

    /// Somebody has written: they are there, and may have learnt only now who it is that asks.
    fn ask_anew(&mut self, user: UserId, now: Now) {
        let mut watched = self.watched.iter_mut();
        if let Some(one) = watched.find(|one| one.user == user && !one.answered)
            && one
                .asked_ms
                .is_none_or(|asked| now.ms.saturating_sub(asked) >= ANSWER_MS)
        {
            (one.asked_ms, one.since_ms) = (None, now.ms);
        }
    }

    /// Somebody is not to be asked, or to be shown.
    pub(super) fn refused(&mut self, user: UserId, now: Now) {
        if let Some(at) = self.watched.iter().position(|one| one.user == user) {
            if let Some(one) = self.watched.get_mut(at) {
                one.there.clear();
                one.last_seen_ms = None;
                one.looked_up = false;
                // Here, and soon: they may be written to, or verified, just now.
                (one.asked_ms, one.since_ms) = (None, now.ms + ANSWER_MS);
            }
            self.show(at, now);
        }
    }

    /// People of whom it is to be looked up when they were last seen.
    pub(super) fn take_unknown(&mut self) -> Vec<UserId> {
        let watched = self.watched.iter_mut().filter(|one| !one.looked_up);
        watched
            .map(|one| {
                one.looked_up = true;
                one.user
            })
            .collect()
    }

    /// When somebody was last seen before.
    pub(super) fn was_seen(&mut self, user: UserId, at_ms: u64) {
        if let Some(one) = self.watched.iter_mut().find(|one| one.user == user) {
            one.last_seen_ms = one.last_seen_ms.max(Some(at_ms));
        }
    }

    /// What is to be said now, after what has lapsed.
    pub(super) fn due(&mut self, now: Now) -> Vec<(UserId, Said)> {
        self.lapse(now);
        if !self.connected {
            return Vec::new();
        }
        let away = self.away(now);
        let mut due: Vec<_> = self.out.drain(..).collect();
        for one in &mut self.watched {
            if one.asks_at_ms() <= now.ms {
                one.asked_ms = Some(now.ms);
                due.push((one.user, Said::There { asks: true, away }));
                // Whoever is asked is told in the same breath.
                if let Some(watcher) = self.watchers.get_mut(&one.user) {
                    (watcher.told_ms, watcher.owed) = (Some(now.ms), false);
                }
            }
        }
        for (user, watcher) in &mut self.watchers {
            if watcher.owed && watcher.tells_at_ms() <= now.ms {
                (watcher.told_ms, watcher.owed) = (Some(now.ms), false);
                due.push((*user, Said::There { asks: false, away }));
            }
        }
        due
    }

    fn lapse(&mut self, now: Now) {
        self.watchers.retain(|_, watcher| watcher.until_ms > now.ms);
        self.lapse_typing(now);
        for at in 0..self.watched.len() {
            self.show(at, now);
        }
    }

    /// Shows somebody as they are now.
    fn show(&mut self, at: usize, now: Now) {
        let connected = self.connected;
        let Some(one) = self.watched.get_mut(at) else {
            return;
        };
        one.there.retain(|(_, until_ms)| *until_ms > now.ms);
        let was_online = one.shown == Presence::Online;
        // Who is asked for the first time is given a moment to answer.
        let asked = one.asked_ms;
        let is_answered =
            one.answered || asked.is_some_and(|asked| now.ms.saturating_sub(asked) >= ANSWER_MS);
        let shown = match one.last_seen_ms {
            _ if !connected => Presence::Unknown,
            _ if !one.there.is_empty() => Presence::Online,
            Some(at_ms) if is_answered => Presence::LastSeen { at_ms },
            _ => Presence::Unknown,
        };
        if was_online
            && shown != Presence::Online
            && let Some(seen_ms) = one.last_seen_ms
        {
            self.seen.push((one.user, seen_ms));
        }
        if shown != one.shown {
            one.shown = shown;
            let user = one.user;
            self.events.push(Event::Presence {
                user,
                presence: shown,
            });
        }
    }

    /// When there is something to do next.
    pub(super) fn wakes_at_ms(&self) -> Option<u64> {
        if !self.connected {
            return None;
        }
        let out = (!self.out.is_empty()).then_some(0);
        let typists = self.typists.values();
        let typists = typists.flat_map(|typist| typist.devices.iter().map(|(_, until)| *until));
        let watched = self.watched.iter().flat_map(|one| {
            let there = one.there.iter().map(|(_, until)| *until);
            let shows = one
                .asked_ms
                .filter(|_| one.shown == Presence::Unknown && !one.answered);
            let shows = shows.filter(|_| one.last_seen_ms.is_some());
            let shows = shows.map(|asked| asked + ANSWER_MS);
            there.chain(shows).chain([one.asks_at_ms()])
        });
        let watchers = self.watchers.values().filter(|watcher| watcher.owed);
        let watchers = watchers.map(Watcher::tells_at_ms);
        out.into_iter()
            .chain(typists)
            .chain(watched)
            .chain(watchers)
            .min()
    }

    /// What is to be told to the app since it was last asked.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// When people were last seen, to be kept.
    pub(super) fn take_seen(&mut self) -> Vec<(UserId, u64)> {
        std::mem::take(&mut self.seen)
    }

    /// For how many minutes the user has not been in front of the app.
    fn away(&self, now: Now) -> Option<u32> {
        let away_ms = now.clock_ms.saturating_sub(self.away_since_ms?);
        Some(u32::try_from(away_ms / MINUTE_MS).unwrap_or(u32::MAX))
    }
}

impl Watched {
    fn asks_at_ms(&self) -> u64 {
        match self.asked_ms {
            Some(asked) => asked + ASK_EVERY_MS,
            None => self.since_ms + LOOK_MS,
        }
    }
}

impl Watcher {
    fn tells_at_ms(&self) -> u64 {
        self.told_ms.map_or(0, |told| told + TELL_EVERY_MS)
    }
}

#[cfg(test)]
mod tests;
