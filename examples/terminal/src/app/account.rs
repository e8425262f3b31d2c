//! The account itself: its password, recovery key and identity, and its end.

use crossterm::event::{KeyCode, KeyEvent};

use super::{App, Ask, Form, Overlay};
use crate::{
    model::{Change, Command, Typed},
    text::Clean,
};

/// The shortest password.
pub(super) const PASSWORD_CHARS: usize = 8;

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Somebody wants another identity for the account.
    Refuse,
    Password,
    RecoveryKey,
    Identity,
    Delete,
}

impl Entry {
    /// As the list has it.
    pub(crate) const fn line(self) -> &'static str {
        match self {
            Self::Refuse => "Refuse the new identity that somebody asks for",
            Self::Password => "Change the password",
            Self::RecoveryKey => "Make another recovery key",
            Self::Identity => "New identity: for who has lost the recovery key",
            Self::Delete => "Delete the account",
        }
    }
}

/// The list, and where the eye is.
pub(crate) struct Account {
    pub(crate) entries: Vec<Entry>,
    pub(crate) at: usize,
}

/// What a change of the account still takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Needs {
    OldPassword,
    NewPassword {
        old: Typed,
    },
    NewAgain {
        old: Typed,
        new: Typed,
    },
    /// The recovery key, for another one.
    OldKey,
    /// The recovery key, for other keys of the devices.
    Keys,
    /// The password, for another identity.
    Identity,
    /// The recovery key, for the end of the account.
    Delete,
}

impl Needs {
    /// Whether what is typed is not for everybody's eyes.
    pub(crate) const fn is_password(&self) -> bool {
        !matches!(self, Self::OldKey | Self::Keys | Self::Delete)
    }
}

impl App {
    pub(super) fn look_at_account(&mut self) {
        if self.me.is_none() {
            return;
        }
        let refuse = self.reset.then_some(Entry::Refuse);
        let always = [
            Entry::Password,
            Entry::RecoveryKey,
            Entry::Identity,
            Entry::Delete,
        ];
        self.overlay = Some(Overlay::Account(Account {
            entries: refuse.into_iter().chain(always).collect(),
            at: 0,
        }));
    }

    pub(super) fn key_in_account(&mut self, key: KeyEvent, mut account: Account) -> Vec<Command> {
        let last = account.entries.len().saturating_sub(1);
        match key.code {
            KeyCode::Esc => return Vec::new(),
            KeyCode::Up => account.at = account.at.saturating_sub(1),
            KeyCode::Down => account.at = (account.at + 1).min(last),
            KeyCode::Enter => {
                let needs = match account.entries.get(account.at) {
                    Some(Entry::Refuse) => return vec![Command::Change(Change::RefuseReset)],
                    Some(Entry::Password) => Needs::OldPassword,
                    Some(Entry::RecoveryKey) => Needs::OldKey,
                    Some(Entry::Identity) => Needs::Identity,
                    Some(Entry::Delete) => Needs::Delete,
                    None => return Vec::new(),
                };
                self.overlay = Some(Overlay::Form(Form::new(Ask::Change(needs))));
                return Vec::new();
            }
            _ => {}
        }
        self.overlay = Some(Overlay::Account(account));
        Vec::new()
    }

    /// What follows what was typed: another question, or the change.
    pub(super) fn change(needs: Needs, typed: String) -> Result<Form, Change> {
        let typed = Typed(typed);
        let ask = |needs| Form::new(Ask::Change(needs));
        match needs {
            Needs::OldPassword => Ok(ask(Needs::NewPassword { old: typed })),
            Needs::NewPassword { old } if typed.0.chars().count() < PASSWORD_CHARS => {
                let why = Clean::line("A password has 8 characters or more.");
                Ok(ask(Needs::NewPassword { old }).because(why))
            }
            Needs::NewPassword { old } => Ok(ask(Needs::NewAgain { old, new: typed })),
            Needs::NewAgain { old, new } if new == typed => Err(Change::Password { old, new }),
            Needs::NewAgain { old, .. } => {
                let why = Clean::line("That was not the same; choose it again.");
                Ok(ask(Needs::NewPassword { old }).because(why))
            }
            Needs::OldKey => Err(Change::RecoveryKey(typed)),
            Needs::Keys => Err(Change::Keys(typed)),
            Needs::Identity => Err(Change::Identity(typed)),
            Needs::Delete => Err(Change::Delete(typed)),
        }
    }

    /// A change was made, or not.
    pub(super) fn changed(&mut self, outcome: Result<Clean, Clean>) {
        let asks = matches!(
            &self.overlay,
            Some(Overlay::Form(Form {
                ask: Ask::Change(_),
                ..
            }))
        );
        match outcome {
            Ok(said) => {
                // A new recovery key may stand there already.
                if asks {
                    self.overlay = None;
                }
                self.tell(said);
            }
            Err(why) if asks => {
                // The present password may be the wrong one: from that on.
                if let Some(Overlay::Form(form)) = &mut self.overlay
                    && matches!(form.ask, Ask::Change(Needs::NewAgain { .. }))
                {
                    *form = Form::new(Ask::Change(Needs::OldPassword));
                }
                self.answer_form(why);
            }
            Err(why) => self.tell(why),
        }
    }

    /// Somebody wants another identity for the account, or does not any more.
    pub(super) fn reset_is(&mut self, said: Option<Clean>) {
        self.reset = said.is_some();
        match said {
            Some(said) => self.alarm(said),
            None => {
                self.notice = None;
                self.tell(Clean::line(
                    "Nobody asks for a new identity for your account any more.",
                ));
            }
        }
    }
}
