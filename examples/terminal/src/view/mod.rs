//! How the state looks. Drawing changes nothing.

pub(crate) mod areas;
mod link;
mod list;
mod overlay;
#[cfg(test)]
mod pictures;
mod search;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod theme;
pub(crate) mod timeline;
mod trust;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Position, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Borders, Paragraph},
};

pub(crate) use overlay::lines_below;

use crate::{
    app::{App, Focus, Open, Writing, offers},
    model::Presence,
    text,
    words::lasting,
};

/// In place of the newest message, and of whether the person is there.
const TYPING: &str = "typing…";

/// Draws all of it.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &App) {
    let Some(areas) = app.areas() else {
        let short = Paragraph::new("Too small.\nMake this\nwindow larger.");
        frame.render_widget(short, frame.area());
        return;
    };
    if let Some(area) = areas.list {
        list::draw(frame, area, areas.chat.is_some(), app);
    }
    match (&areas.chat, &app.open) {
        (Some(chat), Some(open)) => {
            header(frame, chat.header, open, app);
            timeline::draw(frame, chat.timeline, open, &app.clock);
            input(frame, chat.input, app, open);
        }
        (Some(chat), None) => welcome(frame, chat.timeline),
        (None, _) => {}
    }
    status::draw(frame, areas.status, app);
    let rest = areas.list.unwrap_or(areas.status);
    let notice = areas.chat.map_or(rest, |chat| chat.timeline);
    status::notice(frame, notice, app);
    overlay::draw(frame, app);
    // Whatever is asked, there is nobody any more to answer.
    if app.end.is_some() {
        status::notice(frame, notice, app);
    }
}

fn header(frame: &mut Frame<'_>, area: Rect, open: &Open, app: &App) {
    let trust = app.trust(open.peer.id);
    let (said, style) = match app.is_request(open.peer.id) {
        true => (" asks to write to you: answer, or F3, b", theme::WARNING),
        false => trust::short(&trust),
    };
    let timer = app.timer(open.peer.id);
    let timer = timer.map(|timer| format!(" ⧗ {}", lasting(timer)));
    let timer = timer.unwrap_or_default();
    let taken = text::width(said) + text::width(&timer);
    let room = usize::from(area.width).saturating_sub(2 + taken);
    let (there, shade) = presence(app, open);
    let name = text::fit(&open.peer.title(), room);
    let used = text::width(&name) + taken + 1;
    let free = usize::from(area.width).saturating_sub(used + 1);
    // Where there is no room for both, the name goes before.
    let there = Some(there).filter(|there| text::width(there) < free);
    let there = there.unwrap_or_default();
    let line = Line::from(vec![
        Span::raw(" "),
        Span::styled(name, theme::NAME),
        Span::styled(said, style),
        Span::styled(timer, theme::FAINT),
        Span::raw(" ".repeat(free.saturating_sub(text::width(&there)))),
        Span::styled(there, shade),
    ]);
    let rule = Block::new()
        .borders(Borders::BOTTOM)
        .border_style(theme::FAINT);
    let block = if area.height > 1 { rule } else { Block::new() };
    frame.render_widget(Paragraph::new(line).block(block), area);
}

/// Whether the person of the open conversation is there.
fn presence(app: &App, open: &Open) -> (String, Style) {
    if app.is_typing(open.peer.id) {
        return (TYPING.to_owned(), theme::LIVELY);
    }
    match open.presence {
        Presence::Online => ("online".to_owned(), theme::LIVELY),
        Presence::LastSeen { at_ms } => match i64::try_from(at_ms) {
            Ok(at_ms) => (
                format!("last seen {}", app.clock.brief(at_ms)),
                theme::FAINT,
            ),
            Err(_) => (String::new(), theme::FAINT),
        },
        _ => (String::new(), theme::FAINT),
    }
}

fn welcome(frame: &mut Frame<'_>, area: Rect) {
    let lines = ["Nobody to talk to yet.", "Ctrl-N finds a person by name."];
    let lines: Vec<_> = lines
        .into_iter()
        .map(|l| Line::styled(l, theme::FAINT))
        .collect();
    let top = area.height.saturating_sub(2) / 2;
    let middle = Rect {
        y: area.y + top,
        height: area.height.min(2),
        ..area
    };
    frame.render_widget(Paragraph::new(lines).centered(), middle);
}

/// What the text is for, where it is no new message.
fn said_above(open: &Open, columns: usize) -> Option<Line<'static>> {
    let (said, style) = match &open.writing {
        Writing::New => return None,
        Writing::Points { .. } => (offers(open)?, theme::BAR),
        Writing::Answer(_, quoted) => (format!("↪ {quoted}"), theme::FAINT),
        Writing::Edit(..) => (
            "✎ edits the message; Esc leaves it".to_owned(),
            theme::FAINT,
        ),
    };
    let said = text::fit(&said, columns.saturating_sub(2));
    Some(Line::styled(format!(" {said} "), style))
}

fn input(frame: &mut Frame<'_>, area: Rect, app: &App, open: &Open) {
    let rule = Block::new()
        .borders(Borders::TOP)
        .border_style(theme::FAINT);
    let block = if area.height > 1 && app.screen.height > 8 {
        rule
    } else {
        Block::new()
    };
    let inner = block.inner(area);
    frame.render_widget(block, area);

    let (above, inner) = match said_above(open, usize::from(inner.width)) {
        Some(line) if inner.height > 1 => {
            let rows = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]);
            let [top, rest] = rows.areas(inner);
            (Some((line, top)), rest)
        }
        _ => (None, inner),
    };
    if let Some((line, area)) = above {
        frame.render_widget(line, area);
    }
    let layout = app
        .input
        .layout(usize::from(areas::input_columns(area.width)));
    let rows = usize::from(inner.height);
    let skip = (layout.cursor.1 + 1).saturating_sub(rows);
    let active = app.focus == Focus::Chat && app.overlay.is_none();
    let prompt = Span::styled(" › ", if active { theme::NAME } else { theme::FAINT });
    let lines: Vec<_> = if app.input.is_empty() {
        let hint = format!("Message to {}", open.peer.name());
        let hint = text::fit(&hint, usize::from(area.width.saturating_sub(4)));
        vec![Line::from(vec![prompt, Span::styled(hint, theme::FAINT)])]
    } else {
        let lines = layout.lines.into_iter().enumerate().skip(skip);
        let mark = |index| {
            if index == 0 {
                prompt.clone()
            } else {
                Span::raw("   ")
            }
        };
        lines
            .map(|(i, line)| Line::from(vec![mark(i), Span::raw(line)]))
            .collect()
    };
    frame.render_widget(Paragraph::new(lines), inner);
    if active
        && let (Ok(x), Ok(y)) = (
            u16::try_from(layout.cursor.0),
            u16::try_from(layout.cursor.1 - skip),
        )
    {
        frame.set_cursor_position(Position::new(inner.x + 3 + x, inner.y + y));
    }
}
