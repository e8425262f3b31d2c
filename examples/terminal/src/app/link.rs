//! Linking a device: the code that a new one shows, and the digits that are compared.

use crossterm::event::{KeyCode, KeyEvent};

use super::{App, Ask, Form, Overlay};
use crate::{model::Command, text::Clean};

/// How far the link is.
pub(crate) enum Link {
    /// On the new device: `None` until the code is there.
    Code { name: String, code: Option<String> },
    /// On a device of the account, which has read the code: to be compared.
    Compare {
        digits: String,
        busy: bool,
        said: Option<Clean>,
    },
}

impl App {
    /// A new device shows its code instead of asking for the recovery key.
    pub(super) fn show_code(&mut self, name: String) -> Vec<Command> {
        self.overlay = Some(Overlay::Link(Link::Code { name, code: None }));
        vec![Command::ShowCode]
    }

    pub(super) fn code_is(&mut self, text: String) {
        if let Some(Overlay::Link(Link::Code { code, .. })) = &mut self.overlay {
            *code = Some(text);
        }
    }

    /// The other device has read the code, and shows digits: they are to be typed here.
    pub(super) fn code_was_read(&mut self) {
        if let Some(Overlay::Link(Link::Code { name, .. })) = &self.overlay {
            let name = name.clone();
            self.overlay = Some(Overlay::Form(Form::new(Ask::LinkDigits { name })));
        }
    }

    /// The link came to nothing: the recovery key is asked for, or, where the login has ended, the name.
    pub(super) fn link_failed(&mut self, why: Clean, again: bool) {
        let name = match &self.overlay {
            Some(Overlay::Link(Link::Code { name, .. })) => name.clone(),
            Some(Overlay::Form(form)) => match &form.ask {
                Ask::LinkDigits { name } => name.clone(),
                _ => return,
            },
            _ => return,
        };
        let form = match again {
            true => Form::named(&name, true),
            false => Form::new(Ask::RecoveryKey { name }),
        };
        self.overlay = Some(Overlay::Form(form.because(why)));
    }

    /// Other digits were typed.
    pub(super) fn other_digits(&mut self, why: Clean) {
        let waits = matches!(&self.overlay, Some(Overlay::Form(form)) if matches!(form.ask, Ask::LinkDigits { .. }));
        if waits {
            self.answer_form(why);
        }
    }

    /// A device of the account has met the one whose code was typed, or not.
    pub(super) fn met(&mut self, outcome: Result<String, Clean>) {
        let waits = matches!(&self.overlay, Some(Overlay::Form(form)) if form.ask == Ask::LinkCode);
        match outcome {
            _ if !waits => {}
            Ok(digits) => {
                self.overlay = Some(Overlay::Link(Link::Compare {
                    digits,
                    busy: false,
                    said: None,
                }));
            }
            Err(why) => self.answer_form(why),
        }
    }

    /// The new device is on the account, or not.
    pub(super) fn linked(&mut self, outcome: Result<(), Clean>) -> Vec<Command> {
        match (outcome, &mut self.overlay) {
            (Ok(()), Some(Overlay::Link(Link::Compare { .. }))) => self.look_at_devices(),
            (Err(why), Some(Overlay::Link(Link::Compare { busy, said, .. }))) => {
                *busy = false;
                *said = Some(why);
                Vec::new()
            }
            (Err(why), _) => {
                self.tell(why);
                Vec::new()
            }
            (Ok(()), _) => Vec::new(),
        }
    }

    pub(super) fn key_in_link(&mut self, key: KeyEvent, mut link: Link) -> Vec<Command> {
        let mut commands = Vec::new();
        match (key.code, &mut link) {
            (KeyCode::Esc, Link::Code { name, .. }) => {
                let name = std::mem::take(name);
                self.overlay = Some(Overlay::Form(Form::new(Ask::RecoveryKey { name })));
                return vec![Command::LeaveLink];
            }
            (KeyCode::Esc, Link::Compare { busy: false, .. }) => {
                commands.push(Command::LeaveLink);
                commands.extend(self.look_at_devices());
                return commands;
            }
            // After an error a link is over.
            (
                KeyCode::Char('y'),
                Link::Compare {
                    busy, said: None, ..
                },
            ) if !*busy => {
                *busy = true;
                commands.push(Command::ConfirmLink);
            }
            _ => {}
        }
        self.overlay = Some(Overlay::Link(link));
        commands
    }
}
