//! What lies over the conversations: the help and the question for a name.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    text::{Line, Span},
    widgets::{Block, BorderType, Clear, Padding, Paragraph, Wrap},
};

use super::theme;
use crate::{
    app::{App, KEYS, NameForm, Overlay},
    text,
};

/// From this width on a key and what it does stand in one line.
const WIDE: usize = 76;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App) {
    match &app.overlay {
        Some(Overlay::Help(skip)) => help(frame, *skip),
        Some(Overlay::Name(form)) => name(frame, form),
        None => {}
    }
}

fn help(frame: &mut Frame<'_>, skip: usize) {
    let keys = KEYS
        .iter()
        .map(|(key, _)| text::width(key))
        .max()
        .unwrap_or(0);
    let narrow = usize::from(frame.area().width) < WIDE;
    let mut lines = Vec::new();
    for (key, does) in KEYS.iter().skip(skip) {
        let key_span = Span::styled(*key, theme::NAME);
        if narrow && !key.is_empty() {
            lines.push(Line::from(key_span));
            lines.push(Line::raw(format!("  {does}")));
        } else {
            let pad = " ".repeat(keys + 2 - text::width(key));
            lines.push(Line::from(vec![key_span, Span::raw(pad), Span::raw(*does)]));
        }
    }
    let height = KEYS.len() * if narrow { 2 } else { 1 };
    let height = u16::try_from(height).unwrap_or(u16::MAX);
    let inner = popup(frame, " Keys — Esc closes, Down goes on ", 74, height);
    let lines = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(lines, inner);
}

fn name(frame: &mut Frame<'_>, form: &NameForm) {
    let (title, question) = if form.mine {
        (" Welcome to Sordino ", "Choose your user name:")
    } else {
        (
            " New conversation ",
            "Whom do you want to write to? User name:",
        )
    };
    let inner = popup(frame, title, 54, 6);
    let typed = form.input.text();
    let (said, style) = match &form.error {
        Some(error) => (error.to_string(), theme::ERROR),
        None if form.busy => ("One moment…".to_owned(), theme::FAINT),
        None if form.mine => (
            "Enter registers it with the relay. Ctrl-C quits.".to_owned(),
            theme::FAINT,
        ),
        None => ("Enter looks it up. Esc closes.".to_owned(), theme::FAINT),
    };
    let lines = vec![
        Line::raw(question),
        Line::from(vec![Span::styled("› ", theme::NAME), Span::raw(typed)]),
        Line::raw(""),
        Line::styled(said, style),
    ];
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), inner);
    let asked = text::wrap(question, usize::from(inner.width)).len();
    let (column, _) = form.input.layout(usize::MAX).cursor;
    if let (false, Ok(x), Ok(y)) = (form.busy, u16::try_from(column), u16::try_from(asked)) {
        let x = (inner.x + 2 + x).min(inner.right().saturating_sub(1));
        let y = (inner.y + y).min(inner.bottom().saturating_sub(1));
        frame.set_cursor_position(Position::new(x, y));
    }
}

/// A framed place in the middle, as large as asked or as the screen allows. Returns its inside.
fn popup(frame: &mut Frame<'_>, title: &'static str, width: u16, height: u16) -> Rect {
    let screen = frame.area();
    let (width, height) = (
        (width + 4).min(screen.width),
        (height + 2).min(screen.height),
    );
    let area = Rect::new(
        (screen.width - width) / 2,
        (screen.height - height) / 2,
        width,
        height,
    );
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme::FAINT)
        .title(Span::styled(title, theme::NAME))
        .padding(Padding::horizontal(1));
    let inner = block.inner(area);
    // A wide letter that begins left of it would be drawn over the frame.
    let clear = Rect {
        x: area.x.saturating_sub(1),
        width: area.width + u16::from(area.x > 0),
        ..area
    };
    frame.render_widget(Clear, clear);
    frame.render_widget(block, area);
    inner
}
