//! What the user sets for all devices of the account, and what they call themselves.
//!
//! Each setting is decided by itself, with its time, as is what was decided about people: of two the later counts, on all devices. Until
//! one is, the app's own default counts on each device.

use sordino_protocol::{
    Code, DeviceId, limits,
    pb::{self, content::Body},
};

use super::own_devices::tell;
use super::records::put_record;
use super::signals::{PresencePolicy, SignalPolicy};
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{self, Decided, Durability, StoredAccount, Tx};

/// What the user has set, for all devices of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// People learn what was read of what they wrote, and the user learns it of them.
    pub read_receipts: bool,
    /// People see that the user types, and the user sees it of them.
    pub typing: bool,
    /// Who sees that the user is there and when they last were, and whose presence the user sees.
    pub presence: PresencePolicy,
    /// What the user calls themselves; empty: nothing. Whoever they write to sees it.
    pub display_name: String,
}

/// One of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// [`Settings::read_receipts`].
    ReadReceipts(bool),
    /// [`Settings::typing`].
    Typing(bool),
    /// [`Settings::presence`].
    Presence(PresencePolicy),
    /// [`Settings::display_name`]: up to 64 bytes, without control characters and what turns the direction of writing.
    DisplayName(String),
}

/// What counts on this device where the user has set nothing.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// Read receipts are sent, and shown.
    pub receipts: bool,
    /// What is told of who types and who is there.
    pub signals: SignalPolicy,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            receipts: true,
            signals: SignalPolicy::default(),
        }
    }
}

impl Defaults {
    /// What counts.
    pub(super) fn settings(&self, tx: &Tx<'_>) -> Result<Settings, Error> {
        let set = tx.settings()?;
        Ok(Settings {
            read_receipts: !chosen(set.receipts_off, !self.receipts),
            typing: !chosen(set.typing_off, !self.signals.typing),
            presence: policy(chosen(set.presence, number(self.signals.presence)))
                .unwrap_or(PresencePolicy::Nobody),
            display_name: set.display_name.what,
        })
    }

    pub(super) fn receipts(&self, tx: &Tx<'_>) -> Result<bool, Error> {
        Ok(self.settings(tx)?.read_receipts)
    }

    pub(super) fn signals(&self, tx: &Tx<'_>) -> Result<SignalPolicy, Error> {
        let Settings {
            typing, presence, ..
        } = self.settings(tx)?;
        Ok(SignalPolicy { typing, presence })
    }
}

fn chosen<T>(decided: Decided<T>, default: T) -> T {
    match decided.at_ms {
        0 => default,
        _ => decided.what,
    }
}

const fn number(presence: PresencePolicy) -> u32 {
    match presence {
        PresencePolicy::Everyone => 0,
        PresencePolicy::Verified => 1,
        PresencePolicy::Nobody => 2,
    }
}

const fn policy(number: u32) -> Option<PresencePolicy> {
    match number {
        0 => Some(PresencePolicy::Everyone),
        1 => Some(PresencePolicy::Verified),
        2 => Some(PresencePolicy::Nobody),
        _ => None,
    }
}

impl Machine {
    /// What counts where the user has set nothing: everything is told, unless it is said.
    #[must_use]
    pub fn with_defaults(mut self, defaults: Defaults) -> Self {
        self.defaults = defaults;
        self
    }

    /// What is set.
    ///
    /// # Errors
    /// Those of the store.
    pub fn settings(&self) -> Result<Settings, Error> {
        self.store.read(|tx| self.defaults.settings(tx))
    }

    /// The user sets something, for all devices.
    ///
    /// # Errors
    /// `BadRequest` for what is no name; `NotRegistered`; those of the store.
    pub fn set(&mut self, setting: Setting, now_ms: u64) -> Result<(), Error> {
        let me = registered(self.account.as_ref())?;
        let setting = match setting {
            Setting::DisplayName(name) => {
                let name = name.trim();
                check_display_name(name)?;
                Setting::DisplayName(name.to_owned())
            }
            other => other,
        };
        self.store.transaction(Durability::Synced, |tx| {
            let mut set = tx.settings()?;
            let is_new = match setting {
                Setting::ReadReceipts(on) => decide(&mut set.receipts_off, !on, now_ms),
                Setting::Typing(on) => decide(&mut set.typing_off, !on, now_ms),
                Setting::Presence(policy) => decide(&mut set.presence, number(policy), now_ms),
                Setting::DisplayName(name) => decide(&mut set.display_name, name, now_ms),
            };
            if !is_new {
                return Ok(());
            }
            tx.put_settings(&set)?;
            put_record(tx, me, Body::Settings(said(set)), now_ms)
        })
    }
}

/// Also what is so by default is told when it is decided: another device may have another default.
fn decide<T: PartialEq>(decided: &mut Decided<T>, what: T, now_ms: u64) -> bool {
    let is_new = decided.at_ms == 0 || decided.what != what;
    if is_new {
        decided.decide(what, now_ms);
    }
    is_new
}

fn said(set: store::Settings) -> pb::Settings {
    pb::Settings {
        receipts_off: set.receipts_off.what,
        receipts_ms: set.receipts_off.at_ms,
        typing_off: set.typing_off.what,
        typing_ms: set.typing_off.at_ms,
        presence: set.presence.what,
        presence_ms: set.presence.at_ms,
        display_name: set.display_name.what,
        display_name_ms: set.display_name.at_ms,
    }
}

/// What is set, to a device that is new.
pub(super) fn tell_new_device(
    tx: &Tx<'_>,
    me: &StoredAccount,
    to: DeviceId,
    now_ms: u64,
) -> Result<(), Error> {
    let set = tx.settings()?;
    if set == store::Settings::default() {
        return Ok(());
    }
    tell(tx, me, Some(to), Body::Settings(said(set)), now_ms)
}

/// Another own device has set something, or says what is set.
pub(super) fn heard(
    tx: &Tx<'_>,
    said: &pb::Settings,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    let mut set = tx.settings()?;
    let mut changed = set.receipts_off.hear(Decided {
        at_ms: said.receipts_ms,
        what: said.receipts_off,
    });
    changed |= set.typing_off.hear(Decided {
        at_ms: said.typing_ms,
        what: said.typing_off,
    });
    // What a later version may say this one does not know how to keep.
    if policy(said.presence).is_some() {
        changed |= set.presence.hear(Decided {
            at_ms: said.presence_ms,
            what: said.presence,
        });
    }
    if is_display_name(&said.display_name) {
        changed |= set.display_name.hear(Decided {
            at_ms: said.display_name_ms,
            what: said.display_name.clone(),
        });
    }
    if changed {
        tx.put_settings(&set)?;
        happenings.push(Happening::SettingsChanged);
    }
    Ok(())
}

/// What somebody may call themselves; empty: nothing.
pub(super) fn is_display_name(name: &str) -> bool {
    // What stands beside it must not be turned around, nor come on another line.
    let is_refused = |c: char| {
        let turns = matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
    };
    name.len() <= limits::DISPLAY_NAME_BYTES && name.trim() == name && !name.contains(is_refused)
}

fn check_display_name(name: &str) -> Result<(), Error> {
    if is_display_name(name) {
        return Ok(());
    }
    let detail = "a name has up to 64 bytes, and neither control characters nor such as turn the direction of writing";
    Err(Error::new(Code::BadRequest, detail))
}
