//! Linking a device: the code that a new one shows, and the digits that are compared.

use crossterm::event::{KeyCode, KeyEvent};

use super::{App, Ask, Form, Overlay};
use crate::{model::Command, text::Clean};

/// How far the link is.
pub(crate) enum Link {
    /// On the new device: `None` until the code is there.
    Code { name: String, code: Option<String> },
    /// On the new device: the same digits are to stand on the other one.
    Digits { name: String, digits: String },
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

    pub(super) fn digits_are(&mut self, digits: String) {
        if let Some(Overlay::Link(link @ Link::Code { .. })) = &mut self.overlay
            && let Link::Code { name, .. } = link
        {
            *link = Link::Digits {
                name: name.clone(),
                digits,
            };
        }
    }

    /// The link came to nothing: the recovery key is asked for, or, where the login has ended, the name.
    pub(super) fn link_failed(&mut self, why: Clean, again: bool) {
        if let Some(Overlay::Link(Link::Code { name, .. } | Link::Digits { name, .. })) =
            &self.overlay
        {
            let name = name.clone();
            let form = match again {
                true => Form::named(&name, true),
                false => Form::new(Ask::RecoveryKey { name }),
            };
            self.overlay = Some(Overlay::Form(form.because(why)));
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
            (KeyCode::Esc, Link::Code { name, .. } | Link::Digits { name, .. }) => {
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
