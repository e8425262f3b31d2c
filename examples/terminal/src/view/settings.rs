//! The settings of the account.

use ratatui::{
    Frame,
    text::{Line, Span},
};
use sordino::PresencePolicy;

use super::{
    overlay::{columns, sheet, under},
    theme,
};
use crate::{app::Settings, text};

pub(super) fn draw(frame: &mut Frame<'_>, settings: &Settings) {
    let columns = columns(frame.area());
    let mut lines = Vec::new();
    if let Some(shown) = &settings.shown {
        let name = match shown.name.as_str() {
            "" => "none".to_owned(),
            name => name.to_owned(),
        };
        let on = |on: bool| if on { "yes" } else { "no" }.to_owned();
        let presence = match shown.presence {
            PresencePolicy::Everyone => "whom you write to",
            PresencePolicy::Verified => "people you have verified",
            _ => "nobody",
        };
        let all = [
            ("Your name, beside your user name", name),
            ("That you have read; you see it of them", on(shown.receipts)),
            ("That you type; you see it of them", on(shown.typing)),
            ("That you are online", presence.to_owned()),
        ];
        for (at, (what, is)) in all.into_iter().enumerate() {
            let mark = if at == settings.at { "› " } else { "  " };
            // On a narrow screen what is set goes before what it is for.
            let least = text::width(&is).min((columns / 3).max(12));
            let what = text::fit(what, columns.saturating_sub(3 + least));
            let room = columns.saturating_sub(text::width(&what) + 3);
            let is = text::fit(&is, room);
            let pad = " ".repeat(room.saturating_sub(text::width(&is)) + 1);
            lines.push(Line::from(vec![
                Span::styled(mark, theme::NAME),
                Span::raw(what),
                Span::raw(pad),
                Span::styled(is, theme::NAME),
            ]));
        }
    }
    let keys = "Enter changes the marked one, for all your devices. Esc.";
    let (said, style) = match (&settings.said, &settings.shown) {
        (Some(said), _) => (said.as_str(), theme::ERROR),
        (None, None) => ("One moment…", theme::FAINT),
        (None, Some(_)) => (keys, theme::FAINT),
    };
    let foot = under(said, columns, style);
    sheet(frame, " What others see of you ", lines, settings.at, foot);
}
