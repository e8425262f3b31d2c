//! The devices of the account: named, removed; one of ten chosen to leave when another comes.

use crossterm::event::{KeyCode, KeyEvent};

use super::{App, Ask, Form, Needs, Overlay};
use crate::{
    model::{Command, DeviceLine, Typed},
    text::Clean,
};

/// What a list of devices is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be looked after.
    Manage,
    /// One has to leave so that this one can come: what opens the account.
    MakeRoom(Typed),
}

/// The list, and where the eye is.
pub(crate) struct Devices {
    pub(crate) purpose: Purpose,
    /// `None` until they came.
    pub(crate) lines: Option<Vec<DeviceLine>>,
    /// One that has left knows keys that are in use.
    pub(crate) renewal_is_due: bool,
    pub(crate) at: usize,
    pub(crate) said: Option<Clean>,
}

impl Devices {
    const fn new(purpose: Purpose) -> Self {
        Self {
            purpose,
            lines: None,
            renewal_is_due: false,
            at: 0,
            said: None,
        }
    }

    /// Shows them, those of one name told apart.
    fn show(&mut self, mut lines: Vec<DeviceLine>) {
        let names: Vec<_> = lines.iter().map(|line| line.name.clone()).collect();
        for line in &mut lines {
            line.has_twin = names.iter().filter(|name| **name == line.name).count() > 1;
        }
        self.at = self.at.min(lines.len().saturating_sub(1));
        self.lines = Some(lines);
    }

    fn chosen(&self) -> Option<&DeviceLine> {
        self.lines.as_ref()?.get(self.at)
    }

    fn step(&mut self, by: isize) {
        let last = self.lines.as_ref().map_or(0, Vec::len).saturating_sub(1);
        self.at = self.at.saturating_add_signed(by).min(last);
        self.said = None;
    }
}

impl App {
    pub(super) fn look_at_devices(&mut self) -> Vec<Command> {
        self.overlay = Some(Overlay::Devices(Devices::new(Purpose::Manage)));
        vec![Command::Devices]
    }

    /// What was asked for has come.
    pub(super) fn devices(&mut self, found: Result<(Vec<DeviceLine>, bool), Clean>) {
        if let Some(Overlay::Devices(devices)) = &mut self.overlay {
            match found {
                Ok((lines, renewal_is_due)) => {
                    devices.show(lines);
                    devices.renewal_is_due = renewal_is_due;
                }
                Err(why) => devices.said = Some(why),
            }
        }
    }

    /// The account has as many devices as it may have.
    pub(super) fn make_room(&mut self, key: Typed, lines: Vec<DeviceLine>) {
        let mut devices = Devices::new(Purpose::MakeRoom(key));
        devices.show(lines);
        self.overlay = Some(Overlay::Devices(devices));
    }

    /// A device was named or removed, or not.
    pub(super) fn devices_changed(&mut self, outcome: Result<(), Clean>) -> Vec<Command> {
        match (outcome, &mut self.overlay) {
            (
                Ok(()),
                Some(Overlay::Form(Form {
                    ask: Ask::Remove { .. } | Ask::DeviceName,
                    ..
                })),
            ) => self.look_at_devices(),
            (Err(why), Some(Overlay::Form(_))) => {
                self.answer_form(why);
                Vec::new()
            }
            (Err(why), _) => {
                self.tell(why);
                Vec::new()
            }
            (Ok(()), _) => Vec::new(),
        }
    }

    /// A new device would miss older messages: really?
    pub(super) fn history_owed(&mut self) {
        if let Some(Overlay::Form(form)) = &mut self.overlay
            && let Ask::Remove { anyway, .. } = &mut form.ask
        {
            *anyway = true;
            let why = "A new device still waits for older messages from it, and would miss them. Enter again removes it all the same.";
            self.answer_form(Clean::line(why));
        }
    }

    pub(super) fn key_in_devices(&mut self, key: KeyEvent, mut devices: Devices) -> Vec<Command> {
        let chosen = devices.chosen().cloned();
        match (key.code, &devices.purpose, chosen) {
            (KeyCode::Esc, Purpose::Manage, _) => return Vec::new(),
            (KeyCode::Esc, Purpose::MakeRoom(_), _) => {
                self.overlay = Some(Overlay::Form(Form::new(Ask::Name { login: true })));
                return Vec::new();
            }
            (KeyCode::Up, ..) => devices.step(-1),
            (KeyCode::Down, ..) => devices.step(1),
            (KeyCode::Enter, Purpose::MakeRoom(key), Some(chosen)) => {
                let key = key.clone();
                devices.said = Some(Clean::line("One moment…"));
                self.overlay = Some(Overlay::Devices(devices));
                let instead_of = Some(chosen.id);
                return vec![Command::Unlock { key, instead_of }];
            }
            (KeyCode::Char('l'), Purpose::Manage, _) => {
                self.overlay = Some(Overlay::Form(Form::new(Ask::LinkCode)));
                return Vec::new();
            }
            (KeyCode::Char('n'), Purpose::Manage, _) => {
                self.overlay = Some(Overlay::Form(Form::new(Ask::DeviceName)));
                return Vec::new();
            }
            (KeyCode::Char('k'), Purpose::Manage, _) if devices.renewal_is_due => {
                self.overlay = Some(Overlay::Form(Form::new(Ask::Change(Needs::Keys))));
                return Vec::new();
            }
            (KeyCode::Char('d') | KeyCode::Delete, Purpose::Manage, Some(chosen)) => {
                let ask = Ask::Remove {
                    device: chosen.id,
                    name: Clean::line(&format!("{}{}", chosen.name, chosen.told_apart())),
                    anyway: false,
                };
                self.overlay = Some(Overlay::Form(Form::new(ask)));
                return Vec::new();
            }
            _ => {}
        }
        self.overlay = Some(Overlay::Devices(devices));
        Vec::new()
    }
}
