//! A conversation: days, groups, bubbles; one's own at the right.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::theme;
use crate::{
    app::{Older, Open, place},
    clock::Clock,
    model::{Beside, Body, Item, State},
    text::{self, Clean},
};

/// Messages of one person within this time stand in one group.
const GROUP_MS: i64 = 5 * 60_000;
/// Longer lines are hard to read.
const WIDEST: usize = 72;

/// Draws the end of the timeline, or up to the line that was scrolled to. Only what is visible is laid out.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, open: &Open, clock: &Clock) {
    let rows = usize::from(area.height);
    let count = open.items().len();
    if count == 0 {
        let said = match open.items {
            Some(_) => "No messages yet. What you write here, only the two of you can read.",
            None => "Loading…",
        };
        let lines = centered(said, usize::from(area.width), theme::FAINT);
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    let mut end = place(open);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for index in (0..count).rev() {
        if end.is_some_and(|(last, _)| index > last) {
            continue;
        }
        let mut block = item(open, index, clock, area.width);
        if let Some((_, line)) = end.take_if(|(last, _)| *last == index) {
            block.truncate(line + 1);
        }
        lines.extend(block.into_iter().rev());
        if lines.len() >= rows {
            break;
        }
    }
    lines.truncate(rows);
    lines.reverse();
    // Few messages stand at the bottom, next to where the next one is typed.
    let height = u16::try_from(lines.len()).unwrap_or(area.height);
    let bottom = Rect {
        y: area.bottom().saturating_sub(height),
        height,
        ..area
    };
    frame.render_widget(Paragraph::new(lines), bottom);
    if open.position.is_some() {
        let more = Line::from(Span::styled(" ↓ newer: Esc ", theme::BAR)).right_aligned();
        let last = Rect {
            y: area.bottom().saturating_sub(1),
            height: 1,
            ..area
        };
        frame.render_widget(more, last);
    }
}

/// The lines of one entry, with what stands above it: the day, the name, a blank line between groups.
pub(crate) fn item(open: &Open, index: usize, clock: &Clock, columns: u16) -> Vec<Line<'static>> {
    let columns = usize::from(columns);
    let Some(item) = open.items().get(index) else {
        return Vec::new();
    };
    let before = index
        .checked_sub(1)
        .and_then(|index| open.items().get(index));
    let mut lines = Vec::new();
    if before.is_none() {
        lines.extend(beginning(open.older, columns));
    }
    // Some entries have no time; they begin no day.
    let earlier = open.items().get(..index).unwrap_or_default();
    let last = earlier.iter().rev().find_map(|item| item.at_ms);
    let day = item
        .at_ms
        .filter(|at| last.is_none_or(|last| clock.date(last) != clock.date(*at)));
    if let Some(at) = day {
        if before.is_some() {
            lines.push(Line::raw(""));
        }
        lines.push(rule(&clock.day(at), columns));
    }
    let grouped = day.is_none() && before.is_some_and(|before| is_grouped(before, item));
    let speaks = matches!(
        item.body,
        Body::Theirs { .. } | Body::Mine { .. } | Body::Erased { .. }
    );
    if speaks && !grouped && day.is_none() {
        lines.push(Line::raw(""));
    }
    let found = open.found == Some(item.id);
    match &item.body {
        Body::Theirs {
            text: said,
            doubt,
            beside,
            ..
        } => {
            if !grouped {
                let name = text::fit(open.peer.name(), columns.saturating_sub(2));
                lines.push(Line::from(vec![
                    Span::raw(" "),
                    Span::styled(name, theme::NAME),
                ]));
            }
            let drawn = Drawn {
                said,
                beside,
                at_ms: item.at_ms,
                state: None,
                found,
            };
            lines.extend(bubble(&drawn, clock, columns));
            if let Some(doubt) = doubt {
                let doubt = text::fit(&format!(" ⚠ {doubt}"), columns);
                lines.push(Line::styled(doubt, theme::WARNING));
            }
        }
        Body::Mine {
            text: said,
            state,
            beside,
            ..
        } => {
            if !grouped {
                lines.push(right("you", theme::FAINT, columns));
            }
            let drawn = Drawn {
                said,
                beside,
                at_ms: item.at_ms,
                state: Some(state),
                found,
            };
            lines.extend(bubble(&drawn, clock, columns));
            if let State::Failed(why) = state {
                lines.extend(failure(why, columns));
            }
        }
        Body::Erased { mine: true } => lines.push(right("(erased)", theme::FAINT, columns)),
        Body::Erased { mine: false } => lines.push(Line::styled(" (erased)", theme::FAINT)),
        Body::Notice(said) => lines.extend(centered(said.as_str(), columns, theme::FAINT)),
        Body::Warning(said) => {
            lines.extend(centered(&format!("⚠ {said}"), columns, theme::WARNING))
        }
    }
    lines
}

fn is_grouped(before: &Item, item: &Item) -> bool {
    let same = matches!(
        (&before.body, &item.body),
        (Body::Theirs { .. }, Body::Theirs { .. }) | (Body::Mine { .. }, Body::Mine { .. })
    );
    let apart = before
        .at_ms
        .zip(item.at_ms)
        .map(|(before, at)| at.saturating_sub(before).saturating_abs());
    same && apart.is_some_and(|apart| apart < GROUP_MS)
}

fn beginning(older: Older, columns: usize) -> Vec<Line<'static>> {
    let said = match older {
        Older::Unknown => "PageUp for older messages",
        Older::Loading => "Loading older messages…",
        Older::None => "The conversation begins here.",
    };
    centered(said, columns, theme::FAINT)
}

/// A message, as it is drawn; of an own one how far it has come.
struct Drawn<'a> {
    said: &'a Clean,
    beside: &'a Beside,
    at_ms: Option<i64>,
    state: Option<&'a State>,
    found: bool,
}

/// The text with its time, on a coloured ground: under what it answers, over what people say of it.
fn bubble(drawn: &Drawn<'_>, clock: &Clock, columns: usize) -> Vec<Line<'static>> {
    let Drawn {
        said,
        beside,
        state,
        found,
        ..
    } = *drawn;
    let inner = if columns < 48 {
        columns.saturating_sub(6)
    } else {
        columns * 3 / 4
    };
    let inner = inner.clamp(2, WIDEST);
    let (style, faint) = if found {
        (theme::FOUND, theme::FOUND)
    } else if state.is_some() {
        (theme::MINE, theme::MINE_FAINT)
    } else {
        (theme::THEIRS, theme::THEIRS_FAINT)
    };
    let said = said.as_str();
    let mut lines: Vec<String> = text::wrap(said, inner)
        .into_iter()
        .map(|range| said.get(range).unwrap_or_default().trim_end().to_owned())
        .collect();
    let quote = beside.quote.as_ref().map(|quote| {
        let quote = format!("┃ {quote}");
        text::fit(&quote, inner)
    });
    let quotes = usize::from(quote.is_some());
    lines.splice(0..0, quote);
    let meta = meta(drawn, clock);
    let meta_width = text::width(&meta);
    // The time stands behind the last line if there is room, else on a line of its own.
    let last = lines.last().map_or(0, |line| text::width(line));
    if last + 2 + meta_width > inner {
        lines.push(String::new());
    }
    let ends = lines.len() - 1;
    let taken = |(index, line): (usize, &String)| {
        let gap = if line.is_empty() { 0 } else { 2 };
        text::width(line) + if index == ends { gap + meta_width } else { 0 }
    };
    let width = lines.iter().enumerate().map(taken).max().unwrap_or(0);
    let margin = if state.is_some() {
        columns.saturating_sub(width + 3)
    } else {
        1
    };
    let draw = |(index, line): (usize, String)| {
        let fill = width.saturating_sub(taken((index, &line)));
        let gap = if index == ends && !line.is_empty() {
            2
        } else {
            0
        };
        let ground = if index < quotes { faint } else { style };
        let mut spans = vec![
            Span::raw(" ".repeat(margin)),
            Span::styled(format!(" {line}{}", " ".repeat(fill + gap)), ground),
        ];
        if index == ends {
            let style = match state {
                Some(State::Failed(_)) => faint.fg(theme::BAD),
                Some(State::Read) => faint.fg(theme::GOOD),
                _ => faint,
            };
            spans.push(Span::styled(meta.clone(), style));
        }
        spans.push(Span::styled(" ", style));
        Line::from(spans)
    };
    let mut lines: Vec<_> = lines.into_iter().enumerate().map(draw).collect();
    if !beside.reactions.is_empty() {
        let given: Vec<_> = beside.reactions.iter().map(Clean::as_str).collect();
        let given = text::fit(&given.join(" "), inner);
        lines.push(match state {
            Some(_) => right(&format!("{given} "), Style::new(), columns),
            None => Line::raw(format!("  {given}")),
        });
    }
    lines
}

fn meta(drawn: &Drawn<'_>, clock: &Clock) -> String {
    let Drawn {
        beside,
        at_ms,
        state,
        ..
    } = *drawn;
    let mut time = String::new();
    if beside.edited {
        time += "edited ";
    }
    if beside.fades {
        time += "⧗ ";
    }
    time += &at_ms.map(|at| clock.time(at)).unwrap_or_default();
    let mark = match state {
        Some(State::Pending) => " ◷",
        Some(State::Accepted) => " ✓",
        Some(State::Delivered | State::Read) => " ✓✓",
        Some(State::Failed(_)) => " ✗",
        None => "",
    };
    time + mark
}

fn failure(why: &Clean, columns: usize) -> Vec<Line<'static>> {
    let said = format!("not sent: {why}");
    let lines = text::wrap(&said, columns.saturating_sub(2).max(2));
    lines
        .into_iter()
        .map(|range| {
            right(
                said.get(range).unwrap_or_default().trim_end(),
                theme::ERROR,
                columns,
            )
        })
        .collect()
}

fn right(said: &str, style: Style, columns: usize) -> Line<'static> {
    let margin = columns.saturating_sub(text::width(said) + 1);
    Line::from(vec![
        Span::raw(" ".repeat(margin)),
        Span::styled(said.to_owned(), style),
    ])
}

fn centered(said: &str, columns: usize, style: Style) -> Vec<Line<'static>> {
    let lines = text::wrap(said, columns.saturating_sub(4).max(2));
    lines
        .into_iter()
        .map(|range| {
            let line = said.get(range).unwrap_or_default().trim_end();
            let margin = columns.saturating_sub(text::width(line)) / 2;
            Line::from(vec![
                Span::raw(" ".repeat(margin)),
                Span::styled(line.to_owned(), style),
            ])
        })
        .collect()
}

fn rule(said: &str, columns: usize) -> Line<'static> {
    let free = columns.saturating_sub(text::width(said) + 4);
    let (left, right) = (free / 2, free - free / 2);
    Line::styled(
        format!(" {} {said} {} ", "─".repeat(left), "─".repeat(right)),
        theme::FAINT,
    )
}
