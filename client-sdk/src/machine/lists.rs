//! Device lists: every version verified, chained and kept; pins that move forward only.

use sordino_crypto::{
    keys::verify_strict,
    lists::{Advance, Moved, Pin, PinError, parse},
};
use sordino_protocol::{
    Code, DeviceId, UserId, frame, hash,
    list::{DeviceList, ListError},
    pb,
};

use super::contacts::{accepted_since, compared, first_pin, let_in, quiet, seen_elsewhere};
use super::notes::Notes;
use super::own_devices::lists_moved;
use super::sessions::stop_sending;
use super::timeline::key_changed;
use super::trust_news::note_devices;
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{Durability, Tx};

/// Versions before the oldest one held that are fetched at a time: fewer than a fetch gives.
const WAY_BACK: u32 = 1_000;

/// Whether lists could be joined to those that are held.
pub(super) enum Lists {
    Taken,
    /// They are held, and newer ones as well, which the relay does not show.
    Older,
    /// They have taken the place of those that they contradict.
    Replaced,
    /// Versions between are missing.
    Gap,
    /// They contradict what is held of a person; under this identity key.
    Contradict(PinError, [u8; 32]),
}

impl Lists {
    /// Whether they are held now.
    pub(super) const fn are_held(&self) -> bool {
        matches!(self, Self::Taken | Self::Older | Self::Replaced)
    }

    /// What is kept in memory of lists that were replaced is of no use any more.
    pub(super) fn refresh(&self, notes: &Notes) {
        if matches!(self, Self::Replaced) {
            notes.forget_lists();
        }
    }
}

impl Machine {
    /// Takes versions of a user's list as the relay gave them, ascending and without a hole.
    ///
    /// # Errors
    /// `BadKeys` if they do not verify, do not join what is held, or contradict it. At most that is noted then, see
    /// [`Machine::trust`].
    pub fn take_lists(
        &mut self,
        user: UserId,
        lists: Vec<pb::Signed>,
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        let me = registered(self.account.as_ref())?;
        let mut happenings = Vec::new();
        let taken = self.store.transaction(Durability::Relaxed, |tx| {
            let taken = take(
                tx,
                me.user,
                me.device,
                user,
                &lists,
                now_ms,
                &mut happenings,
            )?;
            let is_news = match taken {
                Lists::Contradict(_, offered) => tx.note_contradiction(user, Some(offered))?,
                _ => false,
            };
            Ok((taken, is_news))
        });
        match taken {
            Ok((Lists::Contradict(error, _), is_news)) => {
                if is_news {
                    self.notes.contradictions.insert(user);
                }
                Err(refused(&error))
            }
            Ok((Lists::Gap, _)) => Err(bad("versions between are missing")),
            Ok((taken, _)) => {
                taken.refresh(&self.notes);
                self.notes.stale_lists.remove(&user);
                self.notes.absent_lists.remove(&user);
                Ok(happenings)
            }
            Err(error) => {
                self.notes.forget_lists();
                Err(error)
            }
        }
    }

    /// The same of lists that were asked for from a version on.
    ///
    /// # Errors
    /// Those of [`Self::take_lists`]; `RelayMisbehaved` for others.
    pub fn take_newer_lists(
        &mut self,
        (user, from): (UserId, Option<u32>),
        lists: Vec<pb::Signed>,
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        let first = lists.first().map(|list| list.body.clone());
        let first: Option<pb::DeviceListBody> =
            first.and_then(|body| frame::decode(body, &frame::DEVICE_LIST).ok());
        if first.is_some_and(|first| from.is_some_and(|from| first.version != from)) {
            let detail = "it gives other device lists than those asked for";
            return Err(Error::new(Code::RelayMisbehaved, detail));
        }
        self.take_lists(user, lists, now_ms)
    }

    /// The version of the newest list that is held, and that another one has to join.
    ///
    /// # Errors
    /// Those of the store.
    pub fn pinned_version(&self, user: UserId) -> Result<Option<u32>, Error> {
        let pin = self.store.read(|tx| pin_to_join(tx, user))?;
        Ok(pin.map(|pin| pin.version))
    }

    /// Whether lists of a person were refused that contradict what was seen, and nobody was told yet.
    pub fn take_contradiction(&mut self, user: UserId) -> bool {
        self.notes.contradictions.remove(&user)
    }

    /// The version that a fetch of newer lists has to begin with, itself included: one that this device or another own one has seen, or by
    /// which devices were accepted. `None`: the newest one suffices.
    ///
    /// # Errors
    /// Those of the store.
    pub fn newest_from(&self, user: UserId) -> Result<Option<u32>, Error> {
        self.store.read(|tx| newest_from(tx, user))
    }

    /// The newest version that a relay has to have, for this device or another own one has seen it; 0: any will do.
    ///
    /// # Errors
    /// Those of the store.
    pub fn newest_seen(&self, user: UserId) -> Result<u32, Error> {
        self.store.read(|tx| {
            if compared(tx, user)?.is_some() {
                return Ok(0);
            }
            Ok(match tx.pin(user)? {
                Some((pin, _)) => {
                    let elsewhere = seen_elsewhere(tx, &pin, &[])?.unwrap_or(0);
                    elsewhere.max(pin.version)
                }
                None => tx.seen(user)?.map_or(0, |seen| seen.version),
            })
        })
    }

    /// The relay says that there is no version of a person's list as new as [`Self::newest_seen`], and shows this as the newest.
    ///
    /// # Errors
    /// Those of the store.
    pub fn lists_went_back(
        &mut self,
        user: UserId,
        shown: Option<&pb::Signed>,
    ) -> Result<Vec<Happening>, Error> {
        let me = registered(self.account.as_ref())?.user;
        if user == me {
            return Ok(Vec::new());
        }
        let shown = shown.and_then(|list| parse(list).ok());
        let shown = shown.filter(|list| list.user == user);
        let offered = shown.map(|list| list.identity_key);
        let news = self.store.transaction(Durability::Relaxed, |tx| {
            // It was on its way while the user compared.
            match compared(tx, user)? {
                Some(_) => Ok(false),
                None => tx.note_contradiction(user, offered),
            }
        })?;
        let told = news.then_some(Happening::TrustChanged(user));
        Ok(told.into_iter().collect())
    }

    /// The versions to fetch for a row that names `version`, first and last; of a long way back only the part next to what is
    /// held.
    ///
    /// # Errors
    /// Those of the store.
    pub fn list_range(&self, user: UserId, version: u32) -> Result<(u32, u32), Error> {
        self.store.read(|tx| {
            let Some(pin) = pin_to_join(tx, user)? else {
                let from = newest_from(tx, user)?;
                return Ok((from.map_or(version, |from| from.min(version)), version));
            };
            if version >= pin.version {
                return Ok((pin.version, version));
            }
            let oldest = tx.oldest_list(user)?.unwrap_or(pin.version);
            Ok((version.max(oldest.saturating_sub(WAY_BACK)), oldest))
        })
    }

    /// Takes lists for a row that names `version`, from the first of [`Self::list_range`] on; there may be none, or not yet
    /// that one. Where `newest`, which the relay says is the newest, is before it, there is no such version: the row is bad.
    ///
    /// # Errors
    /// Those of [`Self::take_lists`]; `RelayMisbehaved` if the row is no nearer to being judged, so that asking again leads
    /// nowhere.
    pub fn take_lists_of_row(
        &mut self,
        (user, version): (UserId, u32),
        lists: Vec<pb::Signed>,
        newest: u32,
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        let before = self.list_range(user, version)?;
        let happenings = if lists.is_empty() {
            Vec::new()
        } else {
            self.take_lists(user, lists, now_ms)?
        };
        self.newest_list_is(user, newest)?;
        if newest < version {
            let absent = self.notes.absent_lists.entry(user).or_insert(version);
            *absent = version.min(*absent);
        } else if self.list_range(user, version)? == before
            && self.store.read(|tx| tx.list(user, version))?.is_none()
        {
            let detail = "it gave other device lists than those asked for";
            return Err(Error::new(Code::RelayMisbehaved, detail));
        }
        Ok(happenings)
    }

    /// The relay says that `newest` is a user's newest list. If that is not held, it is fetched before anything is encrypted
    /// for them.
    ///
    /// # Errors
    /// Those of the store.
    pub fn newest_list_is(&mut self, user: UserId, newest: u32) -> Result<(), Error> {
        if self.pinned_version(user)?.is_none_or(|held| held < newest) {
            self.notes.stale_lists.insert(user);
        }
        Ok(())
    }
}

fn bad(detail: impl Into<String>) -> Error {
    Error::new(Code::BadKeys, detail)
}

fn refused(error: &PinError) -> Error {
    bad(error.to_string())
}

/// [`Machine::take_lists`] within a transaction.
pub(super) fn take(
    tx: &Tx<'_>,
    me: UserId,
    my_device: DeviceId,
    user: UserId,
    lists: &[pb::Signed],
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<Lists, Error> {
    let parsed = lists
        .iter()
        .map(parse)
        .collect::<Result<Vec<_>, ListError>>()
        .map_err(|error| bad(error.to_string()))?;
    let (Some(first), Some(last)) = (parsed.first(), parsed.last()) else {
        return Err(bad("no list"));
    };
    if parsed.iter().any(|list| list.user != user) {
        return Err(bad("another user's list"));
    }
    for (before, next) in parsed.iter().zip(parsed.iter().skip(1)) {
        before
            .check_successor(next, verify_strict)
            .map_err(|error| bad(error.to_string()))?;
    }
    let Some((pin, loud)) = tx.pin(user)? else {
        for list in &parsed {
            tx.put_list(list, now_ms)?;
        }
        let (pin, loud) = match first_pin(tx, me, last, now_ms, happenings)? {
            Ok(first) => first,
            Err(error) => {
                tx.forget_lists(user)?;
                return Ok(Lists::Contradict(error, last.identity_key));
            }
        };
        tx.put_pin(&pin, &loud)?;
        end_contradiction(tx, user, happenings)?;
        return Ok(Lists::Taken);
    };
    let elsewhere = seen_elsewhere(tx, &pin, &parsed)?;
    let is_next = first.version == pin.version.saturating_add(1);
    let follows = is_next && first.prev_hash == pin.hash;
    let is_pinned = |list: &DeviceList| (list.version, list.hash) == (pin.version, pin.hash);
    let joins = follows || parsed.iter().any(is_pinned);
    if let Some(compared) = compared(tx, user)?
        && !(joins && elsewhere.is_none())
    {
        if last.identity_key != compared {
            let error = PinError::Fork(pin.version);
            return Ok(Lists::Contradict(error, last.identity_key));
        }
        return replaced(
            tx,
            (me, my_device),
            (&pin, &loud, elsewhere),
            &parsed,
            now_ms,
            happenings,
        );
    }
    // It shows what was seen elsewhere, and otherwise.
    if let Some(version) = elsewhere.filter(|version| last.version >= *version) {
        let fork = PinError::Fork(version);
        return Ok(Lists::Contradict(fork, last.identity_key));
    }
    let oldest = tx.oldest_list(user)?.unwrap_or(pin.version);
    if first.version > pin.version.saturating_add(1) || last.version < oldest.saturating_sub(1) {
        return Ok(Lists::Gap);
    }
    for list in &parsed {
        // A version that is held must be the same one.
        if let Some(held) = tx.list(user, list.version)?
            && held.hash != list.hash
        {
            return contradict(me, last, list.version);
        }
    }
    if is_next && !follows {
        return contradict(me, last, pin.version);
    }
    let pin = take_older(tx, pin, &parsed, oldest, now_ms)?;
    let newest = last.version;
    let mut chain: Vec<DeviceList> = Vec::new();
    chain.extend(tx.list(user, pin.version)?);
    chain.extend(parsed.into_iter().filter(|l| l.version > pin.version));
    let advance = pin
        .advance(&chain, &loud)
        .map_err(|error| refused(&error))?;
    let moved = match advance {
        Advance::Same => {
            tx.put_pin(&pin, &loud)?;
            // Older ones may say that a device has been there since it was accepted.
            if let_in(tx, user)?.len() < loud.len() {
                happenings.push(Happening::TrustChanged(user));
            }
            if newest < pin.version {
                return Ok(Lists::Older);
            }
            if elsewhere.is_none() {
                end_contradiction(tx, user, happenings)?;
            }
            return Ok(Lists::Taken);
        }
        Advance::Moved(moved) => moved,
    };
    for list in chain.iter().skip(1) {
        tx.put_list(list, now_ms)?;
    }
    if elsewhere.is_none() {
        end_contradiction(tx, user, happenings)?;
    }
    moved_to(tx, (me, my_device), &chain, &moved, now_ms, happenings)?;
    Ok(Lists::Taken)
}

/// What is held of a user, unless it is to be replaced by what the relay shows next.
fn pin_to_join(tx: &Tx<'_>, user: UserId) -> Result<Option<Pin>, Error> {
    match compared(tx, user)? {
        Some(_) => Ok(None),
        None => Ok(tx.pin(user)?.map(|(pin, _)| pin)),
    }
}

/// See [`Machine::newest_from`].
fn newest_from(tx: &Tx<'_>, user: UserId) -> Result<Option<u32>, Error> {
    let newest = match tx.pin(user)? {
        Some((pin, _)) => Some(pin.version),
        None if compared(tx, user)?.is_some() => None,
        None => tx.seen(user)?.map(|seen| seen.version),
    };
    let since = accepted_since(tx, user)?;
    Ok(newest.map(|newest| since.map_or(newest, |since| since.min(newest))))
}

/// Of oneself the devices know what they signed.
fn contradict(me: UserId, offered: &DeviceList, version: u32) -> Result<Lists, Error> {
    let fork = PinError::Fork(version);
    match offered.user == me {
        true => Err(refused(&fork)),
        false => Ok(Lists::Contradict(fork, offered.identity_key)),
    }
}

/// The relay shows what is held, or that was replaced.
fn end_contradiction(
    tx: &Tx<'_>,
    user: UserId,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    if tx.forget_contradiction(user)? {
        happenings.push(Happening::TrustChanged(user));
    }
    Ok(())
}

/// Takes lists in place of those that they contradict: a relay that lost its newest data, or lied before, has no others. Who is in both with
/// the same keys is known; whoever else is in these is as loud as if nobody vouched for them.
fn replaced(
    tx: &Tx<'_>,
    of_me: (UserId, DeviceId),
    (pin, loud, elsewhere): (&Pin, &[DeviceId], Option<u32>),
    lists: &[DeviceList],
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<Lists, Error> {
    let held = tx.lists_after(pin.user, 0)?;
    let mut before = held.iter().map(|(list, _)| list);
    let before = before
        .find(|list| list.version == pin.version)
        .ok_or_else(|| Error::new(Code::StoreDamaged, "a device list"))?;
    let Some(last) = lists.last() else {
        return Err(bad("no list"));
    };
    let mut moved = pin.replaced(before, last, loud);
    if moved.identity_reset {
        let under = held.iter().map(|(list, _)| list);
        let under = under.filter(|list| list.identity_key == last.identity_key);
        let newest = under.map(|list| list.version).max().unwrap_or(0);
        moved.pin.floor = moved.pin.floor.max(newest);
    } else if let Some(seen) = elsewhere {
        // Nobody knows here whom that one names no more.
        moved.pin.floor = moved.pin.floor.max(seen);
        moved.loud = last.devices.iter().map(|device| device.device).collect();
    }
    tx.forget_lists(pin.user)?;
    tx.forget_accepted(pin.user)?;
    tx.put_accepted(pin.user, &quiet(last, &moved.pin, &moved.loud))?;
    for list in lists {
        // Those that stay were seen when they were: that a device has left is told by it.
        let stays = held.iter().find(|(held, _)| held.hash == list.hash);
        tx.put_list(list, stays.map_or(now_ms, |(_, seen_ms)| *seen_ms))?;
    }
    end_contradiction(tx, pin.user, happenings)?;
    moved_to(tx, of_me, lists, &moved, now_ms, happenings)?;
    Ok(Lists::Replaced)
}

/// What follows from another newest list.
fn moved_to(
    tx: &Tx<'_>,
    (me, my_device): (UserId, DeviceId),
    chain: &[DeviceList],
    moved: &Moved,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    let user = moved.pin.user;
    tx.put_pin(&moved.pin, &moved.loud)?;
    let loud = let_in(tx, user)?;
    for device in &moved.removed {
        stop_sending(tx, user, *device, now_ms)?;
    }
    if user == me {
        lists_moved(tx, chain, moved.identity_reset, now_ms, happenings)?;
        // After a reset every device is another, also the one that made it.
        if moved.removed.contains(&my_device) && !still_listed(chain, my_device) {
            happenings.push(Happening::OwnDeviceRemoved);
        }
    } else if let (Some(account), Some(newest)) = (tx.account()?, chain.last()) {
        note_devices(tx, &account, newest, &moved.added, now_ms)?;
    }
    tell(tx, me, (moved, &loud), now_ms, happenings)
}

/// Keeps versions before the oldest that is held. What they replaced is retired, too.
fn take_older(
    tx: &Tx<'_>,
    mut pin: Pin,
    parsed: &[DeviceList],
    oldest: u32,
    now_ms: u64,
) -> Result<Pin, Error> {
    let mut older: Vec<&DeviceList> = parsed.iter().filter(|l| l.version < oldest).collect();
    let Some(newest_older) = older.pop() else {
        return Ok(pin);
    };
    older.push(newest_older);
    let held = tx
        .list(pin.user, oldest)?
        .ok_or_else(|| Error::new(Code::StoreDamaged, "a device list"))?;
    newest_older
        .check_successor(&held, verify_strict)
        .map_err(|error| bad(error.to_string()))?;
    for list in older {
        tx.put_list(list, now_ms)?;
        if list.identity_key != pin.identity_key && !pin.retired.contains(&list.identity_key) {
            pin.retired.push(list.identity_key);
        }
    }
    Ok(pin)
}

/// Whether the newest list names a device with the keys that it had before.
fn still_listed(chain: &[DeviceList], device: DeviceId) -> bool {
    let keys = |list: Option<&DeviceList>| {
        let listed = list?.device(device)?;
        Some((listed.signing_key, listed.identity_key))
    };
    keys(chain.last()).is_some_and(|now| keys(chain.first()) == Some(now))
}

fn tell(
    tx: &Tx<'_>,
    me: UserId,
    (moved, loud): (&Moved, &[DeviceId]),
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    let user = moved.pin.user;
    if moved.identity_reset {
        happenings.push(Happening::IdentityChanged(user));
    } else {
        for device in &moved.added {
            happenings.push(Happening::DeviceAdded {
                user,
                device: *device,
                loud: loud.contains(device),
            });
        }
    }
    let shown = moved.identity_reset || !moved.added.is_empty();
    if user != me && shown {
        let conversation = hash::conversation_id(me, user);
        let item = key_changed(tx, conversation, user, moved.identity_reset, now_ms)?;
        happenings.extend(item.map(Happening::Added));
    }
    Ok(())
}
