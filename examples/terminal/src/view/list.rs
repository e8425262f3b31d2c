//! The list of conversations: two lines each.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Block, Borders, Paragraph},
};

use super::{TYPING, theme};
use crate::{
    app::{App, Focus},
    model::Row,
    text,
};

const ENTRY: usize = 2;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, beside: bool, app: &App) {
    let border = if beside {
        Borders::RIGHT
    } else {
        Borders::NONE
    };
    let block = Block::new().borders(border).border_style(theme::FAINT);
    let inner = block.inner(area);
    frame.render_widget(block, area);

    let entries = app.entries();
    let open = app.open.as_ref().map(|open| open.peer.id);
    let chosen = entries.iter().position(|row| Some(row.peer.id) == open);
    let fitting = usize::from(inner.height) / ENTRY;
    let skip = chosen.map_or(0, |chosen| (chosen + 1).saturating_sub(fitting.max(1)));
    let mut lines = Vec::new();
    for (index, row) in entries.iter().enumerate().skip(skip).take(fitting.max(1)) {
        let selected = Some(index) == chosen;
        let active = selected && app.focus == Focus::List;
        lines.extend(entry(row, usize::from(inner.width), selected, active, app));
    }
    if entries.is_empty() {
        lines.push(Line::styled(" No conversations yet.", theme::FAINT));
        lines.push(Line::styled(" Ctrl-N starts one.", theme::FAINT));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

fn entry(
    row: &Row,
    width: usize,
    selected: bool,
    active: bool,
    app: &App,
) -> [Line<'static>; ENTRY] {
    let (base, faint) = if selected {
        (theme::SELECTED, theme::THEIRS_FAINT)
    } else {
        (Style::new(), theme::FAINT)
    };
    let mark = Span::styled(if active { "▌" } else { " " }, base.patch(theme::NAME));
    let inner = width.saturating_sub(2);

    let at = row.last.as_ref().and_then(|last| last.at_ms);
    let time = at.map(|at| app.clock.brief(at)).unwrap_or_default();
    let name = base.patch(theme::NAME);
    let first = spread(&row.peer.title(), name, &time, faint, inner, base);

    let types = app.is_typing(row.peer.id);
    let said = match &row.last {
        _ if types => TYPING.to_owned(),
        Some(last) if row.request => format!("asks to write: {}", last.text),
        Some(last) if last.mine => format!("you: {}", last.text),
        Some(last) => last.text.to_string(),
        None => "no messages yet".to_owned(),
    };
    let badge = match row.unread {
        0 => String::new(),
        1..=99 => format!(" {} ", row.unread),
        _ => " 99+ ".to_owned(),
    };
    let shade = if types {
        base.patch(theme::LIVELY)
    } else {
        faint
    };
    let second = spread(&said, shade, &badge, theme::BADGE, inner, base);

    let space = Span::styled(" ", base);
    let line = |spans: Vec<Span<'static>>| {
        let mut all = vec![mark.clone()];
        all.extend(spans);
        all.push(space.clone());
        Line::from(all)
    };
    [line(first), line(second)]
}

/// `left`, cut where it must be, and `right` at the other end.
fn spread(
    left: &str,
    left_style: Style,
    right: &str,
    right_style: Style,
    width: usize,
    base: Style,
) -> Vec<Span<'static>> {
    let right_width = text::width(right);
    let gap = usize::from(right_width > 0);
    let left = text::fit(left, width.saturating_sub(right_width + gap));
    let fill = width.saturating_sub(text::width(&left) + right_width);
    vec![
        Span::styled(left, left_style),
        Span::styled(" ".repeat(fill), base),
        Span::styled(right.to_owned(), right_style),
    ]
}
