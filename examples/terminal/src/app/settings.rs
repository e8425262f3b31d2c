//! What the user has set for all their devices.

use crossterm::event::{KeyCode, KeyEvent};
use sordino::{PresencePolicy, Setting};

use super::{App, Ask, Form, Overlay};
use crate::{
    model::{Command, SettingsShown},
    text::Clean,
};

/// Lines that can be changed: the name, receipts, typing, presence.
const LINES: usize = 4;

/// The settings, and where the eye is.
#[derive(Default)]
pub(crate) struct Settings {
    /// `None` until they came.
    pub(crate) shown: Option<SettingsShown>,
    pub(crate) at: usize,
    pub(crate) said: Option<Clean>,
}

impl Settings {
    /// What Enter sets where the eye is; the name is asked for.
    fn next(&self) -> Option<Setting> {
        let shown = self.shown.as_ref()?;
        Some(match self.at {
            1 => Setting::ReadReceipts(!shown.receipts),
            2 => Setting::Typing(!shown.typing),
            3 => Setting::Presence(match shown.presence {
                PresencePolicy::Everyone => PresencePolicy::Verified,
                PresencePolicy::Verified => PresencePolicy::Nobody,
                _ => PresencePolicy::Everyone,
            }),
            _ => return None,
        })
    }
}

impl App {
    pub(super) fn look_at_settings(&mut self) -> Vec<Command> {
        self.overlay = Some(Overlay::Settings(Settings::default()));
        vec![Command::Settings]
    }

    /// What is set, now; or why it could not be.
    pub(super) fn settings(&mut self, found: Result<SettingsShown, Clean>) {
        let is_named = |form: &Form| form.ask == Ask::DisplayName && form.busy;
        match (&mut self.overlay, found) {
            (Some(Overlay::Settings(settings)), Ok(shown)) => settings.shown = Some(shown),
            (Some(Overlay::Settings(settings)), Err(why)) => settings.said = Some(why),
            (Some(Overlay::Form(form)), Ok(shown)) if is_named(form) => {
                self.overlay = Some(Overlay::Settings(Settings {
                    shown: Some(shown),
                    ..Settings::default()
                }));
            }
            (Some(Overlay::Form(form)), Err(why)) if is_named(form) => self.answer_form(why),
            (_, Err(why)) => self.tell(why),
            (_, Ok(_)) => {}
        }
    }

    pub(super) fn key_in_settings(
        &mut self,
        key: KeyEvent,
        mut settings: Settings,
    ) -> Vec<Command> {
        let mut commands = Vec::new();
        settings.said = None;
        match key.code {
            KeyCode::Esc => return commands,
            KeyCode::Up => settings.at = settings.at.saturating_sub(1),
            KeyCode::Down => settings.at = (settings.at + 1).min(LINES - 1),
            KeyCode::Enter | KeyCode::Char(' ') => match (settings.next(), &settings.shown) {
                (Some(setting), _) => commands.push(Command::Set(setting)),
                (None, Some(shown)) => {
                    let mut form = Form::new(Ask::DisplayName);
                    form.insert(shown.name.as_str());
                    self.overlay = Some(Overlay::Form(form));
                    return commands;
                }
                (None, None) => {}
            },
            _ => {}
        }
        self.overlay = Some(Overlay::Settings(settings));
        commands
    }
}
