//! Questions in a window of their own: for an account at the first start, for a person to write to later.

use sordino::Setting;

use super::{App, Focus, Needs, Overlay, account::PASSWORD_CHARS};
use crate::{
    input::Input,
    model::{Command, DeviceId, Peer, Typed},
    text::Clean,
    words::typed_time,
};

/// Longest user name.
const NAME_BYTES: usize = 32;
/// Longest name of a device, and of who has it.
const OWN_NAME_BYTES: usize = 64;
/// Longest password and recovery key.
const SECRET_BYTES: usize = 1024;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Whom to write to.
    Peer,
    /// The own name: of a new account, or of one that there is.
    Name { login: bool },
    /// Its password.
    Password { name: String, login: bool },
    /// A new password once more.
    Again { name: String, password: Typed },
    /// What opens an account whose password was right.
    RecoveryKey { name: String },
    /// The last group of a recovery key, by whoever has written it down.
    Written { key: Typed },
    /// Whether the account is to have another identity, where nothing opens it: a word that nobody types by mistake.
    Reset { name: String },
    /// What a change of the account takes.
    Change(Needs),
    /// What another device shows that is to be linked.
    LinkCode,
    /// What the device shows that has read this one's code.
    LinkDigits { name: String },
    /// What this device is to be called.
    DeviceName,
    /// What the user calls themselves.
    DisplayName,
    /// How long messages with the person of the open conversation are to last.
    Timer,
    /// Whether a device is to leave, and the recovery key, if that is at hand. `anyway`: also where another still waits for messages of it.
    Remove {
        device: DeviceId,
        name: Clean,
        anyway: bool,
    },
}

/// A question, and what was typed so far.
pub(crate) struct Form {
    pub(crate) ask: Ask,
    pub(crate) input: Input,
    /// An answer is on its way.
    pub(crate) busy: bool,
    pub(crate) error: Option<Clean>,
    /// On a low screen, how far down one has gone in what leads up to the question.
    pub(crate) down: usize,
}

impl Form {
    pub(crate) fn new(ask: Ask) -> Self {
        let limit = match ask {
            Ask::Peer | Ask::Name { .. } => NAME_BYTES,
            Ask::DeviceName | Ask::DisplayName => OWN_NAME_BYTES,
            _ => SECRET_BYTES,
        };
        Self {
            ask,
            input: Input::new(limit),
            busy: false,
            error: None,
            down: 0,
        }
    }

    /// The question for the own name, where it stands already.
    pub(super) fn named(name: &str, login: bool) -> Self {
        let mut form = Self::new(Ask::Name { login });
        form.input.set(name);
        form
    }

    pub(super) fn because(mut self, error: Clean) -> Self {
        self.error = Some(error);
        self
    }

    /// Whether what is typed is not for everybody's eyes.
    pub(crate) const fn is_masked(&self) -> bool {
        match &self.ask {
            Ask::Password { .. } | Ask::Again { .. } => true,
            Ask::Change(needs) => needs.is_password(),
            _ => false,
        }
    }

    /// Types or pastes. Names have no capitals.
    pub(crate) fn insert(&mut self, text: &str) {
        let whole = match self.ask {
            Ask::Peer | Ask::Name { .. } => self.input.insert(&text.trim().to_lowercase()),
            _ => self.input.insert(text),
        };
        if !whole {
            self.error = Some(Clean::line("That is too long; the rest was left out."));
        }
    }

    /// The question before this one; `None`: there is none, and the conversations are behind it.
    pub(super) fn back(self) -> Option<Self> {
        match self.ask {
            // The key is shown again at the next start.
            Ask::Peer
            | Ask::Written { .. }
            | Ask::LinkCode
            | Ask::DeviceName
            | Ask::DisplayName
            | Ask::Timer
            | Ask::Change(_)
            | Ask::Remove { .. } => None,
            Ask::Name { .. } => Some(self),
            Ask::Password { name, login } => Some(Self::named(&name, login)),
            Ask::Again { name, .. } => Some(Self::named(&name, false)),
            Ask::RecoveryKey { name } => Some(Self::named(&name, true)),
            Ask::LinkDigits { name } | Ask::Reset { name } => {
                Some(Self::new(Ask::RecoveryKey { name }))
            }
        }
    }

    /// Whether Esc leaves it, although an answer may be on its way.
    pub(super) const fn may_be_left(&self) -> bool {
        !self.busy || matches!(self.ask, Ask::Peer | Ask::LinkDigits { .. })
    }

    /// A new account, or one that there is.
    pub(super) fn turn(&mut self) {
        if let Ask::Name { login } = &mut self.ask {
            *login = !*login;
            self.error = None;
        }
    }
}

impl App {
    /// Asks for the rest, as if this name had been typed.
    pub(crate) fn begin_as(&mut self, name: &str) {
        let Some(Overlay::Form(form)) = &mut self.overlay else {
            return;
        };
        form.input.set(name);
        self.submit();
    }

    pub(super) fn submit(&mut self) -> Vec<Command> {
        let Some(Overlay::Form(form)) = &mut self.overlay else {
            return Vec::new();
        };
        let typed = form.input.text().to_owned();
        let may_be_empty = matches!(
            form.ask,
            Ask::Remove { .. } | Ask::DeviceName | Ask::DisplayName
        );
        if form.busy || (typed.is_empty() && !may_be_empty) {
            return Vec::new();
        }
        form.error = None;
        let (next, command) = match form.ask.clone() {
            Ask::Peer => {
                if self.me.as_ref().is_some_and(|me| me.as_str() == typed) {
                    form.error = Some(Clean::line("That is your own name."));
                    return Vec::new();
                }
                (None, Some(Command::Find(typed)))
            }
            Ask::Name { login } => {
                let name = typed;
                (Some(Form::new(Ask::Password { name, login })), None)
            }
            Ask::Password { name, login: true } => {
                let password = Typed(typed);
                (None, Some(Command::Login { name, password }))
            }
            Ask::Password { login: false, .. } if typed.chars().count() < PASSWORD_CHARS => {
                form.input.clear();
                form.error = Some(Clean::line("A password has 8 characters or more."));
                return Vec::new();
            }
            Ask::Password { name, login: false } => {
                let password = Typed(typed);
                (Some(Form::new(Ask::Again { name, password })), None)
            }
            Ask::Again { name, password } if password.0 == typed => {
                (None, Some(Command::Register { name, password }))
            }
            Ask::Again { name, .. } => {
                let form = Form::new(Ask::Password { name, login: false });
                let why = Clean::line("That was not the same; choose it again.");
                (Some(form.because(why)), None)
            }
            Ask::RecoveryKey { .. } => {
                let (key, instead_of) = (Typed(typed), None);
                (None, Some(Command::Unlock { key, instead_of }))
            }
            Ask::Reset { .. } if typed.trim().eq_ignore_ascii_case("new") => {
                (None, Some(Command::Reset))
            }
            Ask::Reset { .. } => {
                form.error = Some(Clean::line("Type new, or press Esc."));
                return Vec::new();
            }
            Ask::Change(needs) => match Self::change(needs, typed) {
                Ok(next) => (Some(next), None),
                Err(change) => (None, Some(Command::Change(change))),
            },
            Ask::LinkCode => (None, Some(Command::ReadCode(typed))),
            Ask::LinkDigits { .. } => (None, Some(Command::TypedDigits(typed))),
            Ask::DeviceName => (None, Some(Command::NameDevice(typed))),
            Ask::DisplayName => (None, Some(Command::Set(Setting::DisplayName(typed)))),
            Ask::Timer => {
                let (Some(timer), Some(open)) = (typed_time(&typed), &self.open) else {
                    form.error = Some(Clean::line(
                        "Such as 30s, 5m, 8h, 1d, 2w, up to a year; or off.",
                    ));
                    return Vec::new();
                };
                let command = Command::SetTimer(open.peer.id, timer);
                self.overlay = None;
                return vec![command];
            }
            Ask::Remove { device, anyway, .. } => {
                let key = (!typed.trim().is_empty()).then_some(Typed(typed));
                let remove = Command::RemoveDevice {
                    device,
                    key,
                    anyway,
                };
                (None, Some(remove))
            }
            Ask::Written { key } => {
                let last = key.0.rsplit('-').next().unwrap_or_default();
                if !last.eq_ignore_ascii_case(typed.trim()) {
                    form.input.clear();
                    form.error = Some(Clean::line("Its last group is another one."));
                    return Vec::new();
                }
                self.overlay = None;
                return vec![Command::RecoveryKeyKept(key)];
            }
        };
        match next {
            Some(next) => *form = next,
            None => form.busy = true,
        }
        command.into_iter().collect()
    }

    /// A registration came to its end.
    pub(super) fn registered(&mut self, outcome: Result<Clean, Clean>) {
        match outcome {
            Ok(name) => self.is_in(name),
            Err(why) => self.ask_anew(why),
        }
    }

    /// The password was right or not: the recovery key is still asked for, unless the name comes along.
    pub(super) fn logged_in(&mut self, outcome: Result<Option<Clean>, Clean>) {
        match (outcome, &mut self.overlay) {
            (Ok(Some(name)), _) => self.is_in(name),
            (Ok(None), Some(Overlay::Form(form))) => {
                if let Ask::Password { name, .. } = &form.ask {
                    *form = Form::new(Ask::RecoveryKey { name: name.clone() });
                }
            }
            (Ok(None), _) => {}
            // Whoever mistyped it types it again: not where everybody sees it, and what is typed is sent.
            (
                Err(why),
                Some(Overlay::Form(Form {
                    ask: Ask::Password { .. },
                    ..
                })),
            ) => self.answer_form(why),
            (Err(why), _) => self.ask_anew(why),
        }
    }

    /// The recovery key was right or not. `again`: the login has ended.
    pub(super) fn unlocked(&mut self, outcome: Result<Clean, (Clean, bool)>) {
        match (outcome, &mut self.overlay) {
            (Ok(name), _) => self.is_in(name),
            (Err((why, true)), Some(Overlay::Devices(_))) => {
                let form = Form::new(Ask::Name { login: true }).because(why);
                self.overlay = Some(Overlay::Form(form));
            }
            (Err((why, false)), Some(Overlay::Devices(devices))) => devices.said = Some(why),
            (Err((why, true)), _) => self.ask_anew(why),
            (Err((why, false)), _) => self.answer_form(why),
        }
    }

    fn is_in(&mut self, name: Clean) {
        self.me = Some(name);
        self.overlay = None;
    }

    /// Something was not taken: from the name on.
    fn ask_anew(&mut self, why: Clean) {
        if let Some(Overlay::Form(form)) = &mut self.overlay {
            let (name, login) = match &form.ask {
                Ask::Password { name, login } => (name.clone(), *login),
                Ask::Again { name, .. } => (name.clone(), false),
                Ask::RecoveryKey { name } | Ask::Reset { name } => (name.clone(), true),
                Ask::Peer
                | Ask::Name { .. }
                | Ask::Written { .. }
                | Ask::LinkCode
                | Ask::LinkDigits { .. }
                | Ask::DeviceName
                | Ask::DisplayName
                | Ask::Timer
                | Ask::Change(_)
                | Ask::Remove { .. } => return self.answer_form(why),
            };
            *form = Form::named(&name, login).because(why);
        }
    }

    pub(super) fn found(&mut self, name: &str, peer: Result<Option<Peer>, Clean>) -> Vec<Command> {
        let waiting = matches!(&self.overlay, Some(Overlay::Form(form))
            if form.busy && form.ask == Ask::Peer && form.input.text() == name);
        if !waiting {
            return Vec::new();
        }
        match peer {
            Ok(Some(peer)) => {
                self.overlay = None;
                self.focus = Focus::Chat;
                return self.open(peer);
            }
            Ok(None) => self.answer_form(Clean::line(&format!("Nobody is called {name} here."))),
            Err(why) => self.answer_form(why),
        }
        Vec::new()
    }

    pub(super) fn answer_form(&mut self, error: Clean) {
        if let Some(Overlay::Form(form)) = &mut self.overlay {
            if matches!(
                form.ask,
                Ask::Password { .. }
                    | Ask::RecoveryKey { .. }
                    | Ask::LinkCode
                    | Ask::LinkDigits { .. }
                    | Ask::Change(_)
                    | Ask::Reset { .. }
            ) {
                form.input.clear();
            }
            form.busy = false;
            form.error = Some(error);
        }
    }
}
