//! The last line: who and whether connected; and what just happened.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Style},
    text::{Line, Span},
    widgets::{Clear, Paragraph},
};

use super::theme;
use crate::{
    app::App,
    model::{Connection, Lost},
    text,
};

/// Longest notice; the events' words are made for it.
const NOTICE_LINES: usize = 5;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let (dot, colour, said) = connection(app);
    let me = app.me.as_ref().map_or("not registered", |me| me.as_str());
    let me = text::fit(me, usize::from(area.width) / 2);
    let spans = vec![
        Span::raw(" "),
        Span::styled(me, theme::BAR.patch(theme::NAME)),
        Span::raw("  "),
        Span::styled(dot, Style::new().fg(colour)),
        Span::raw(" "),
        Span::raw(said),
    ];
    let line = Line::from(spans);
    let used = line
        .spans
        .iter()
        .map(|span| text::width(&span.content))
        .sum::<usize>();
    frame.render_widget(Paragraph::new(line).style(theme::BAR), area);

    let free = usize::from(area.width).saturating_sub(used + 2);
    let hints = [
        "F1 help  Ctrl-N new  Tab list  Ctrl-C quit ",
        "F1 help  Ctrl-C quit ",
        "F1 help ",
    ];
    if let Some(hint) = hints.into_iter().find(|hint| text::width(hint) <= free) {
        let hint = Span::styled(hint, theme::BAR.patch(theme::FAINT));
        frame.render_widget(Line::from(hint).right_aligned(), area);
    }
}

fn connection(app: &App) -> (&'static str, Color, String) {
    match &app.connection {
        Connection::Offline => ("○", theme::WAITING, "offline".to_owned()),
        Connection::Connecting => ("◌", theme::WAITING, "connecting…".to_owned()),
        Connection::CatchingUp { left: 0 } => ("◐", theme::WAITING, "catching up…".to_owned()),
        Connection::CatchingUp { left } => {
            ("◐", theme::WAITING, format!("catching up, {left} to go"))
        }
        Connection::Live => ("●", theme::GOOD, "live".to_owned()),
        Connection::Degraded => (
            "◐",
            theme::WAITING,
            "relay has trouble, messages wait".to_owned(),
        ),
        Connection::Lost { retry_at_ms, by } => {
            // Rounded up: "in 0 s" would look stuck.
            let left = (retry_at_ms - app.clock.now_ms()).max(0).div_euclid(1000) + 1;
            let what = match by {
                Lost::Network => "no connection",
                Lost::Relay => "relay not ready",
                Lost::Certificate => "relay's certificate not trusted",
            };
            ("○", theme::BAD, format!("{what}, next try in {left} s"))
        }
        // Why is in the notice: here it would take the keys' place.
        Connection::Stopped(_) => ("■", theme::BAD, "stopped".to_owned()),
    }
}

/// A bar of a few lines over the beginning of `area`: the newest messages, and what is being typed, stay in sight.
pub(super) fn notice(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let Some(notice) = app.notice() else {
        return;
    };
    let said = notice.as_str();
    let columns = usize::from(area.width).saturating_sub(2);
    let lines: Vec<_> = text::wrap(said, columns)
        .into_iter()
        .take(NOTICE_LINES)
        .map(|range| {
            Line::raw(format!(
                " {}",
                said.get(range).unwrap_or_default().trim_end()
            ))
        })
        .collect();
    let height = u16::try_from(lines.len()).unwrap_or(1).min(area.height);
    let area = Rect { height, ..area };
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).style(theme::NOTICE), area);
}
