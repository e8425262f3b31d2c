//! The settings of the account.

use ratatui::{
    Frame,
    text::{Line, Span},
    widgets::Paragraph,
};
use sordino::PresencePolicy;

use super::{overlay::popup, theme};
use crate::{app::Settings, text};

const COLUMNS: u16 = 58;

pub(super) fn draw(frame: &mut Frame<'_>, settings: &Settings) {
    let inner = popup(frame, " What others see of you ", COLUMNS, 6);
    let columns = usize::from(inner.width);
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
            let what = text::fit(what, columns.saturating_sub(2));
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
    let said = match (&settings.said, &settings.shown) {
        (Some(said), _) => Line::styled(said.to_string(), theme::ERROR),
        (None, None) => Line::styled("One moment…", theme::FAINT),
        (None, Some(_)) => Line::styled(
            "Enter changes the marked one, for all your devices. Esc.",
            theme::FAINT,
        ),
    };
    lines.extend([Line::raw(""), said]);
    // The one that is chosen is seen, also on a low screen.
    let over = lines.len().saturating_sub(usize::from(inner.height));
    let lines: Vec<_> = lines.into_iter().skip(over.min(settings.at)).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}
