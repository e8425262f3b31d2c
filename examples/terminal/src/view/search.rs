//! What is searched for, and the messages that have it: two lines each.

use ratatui::{
    Frame,
    layout::Position,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{overlay::popup, theme};
use crate::{app::Search, clock::Clock, model::HitLine, text};

const ENTRY: usize = 2;
/// Above the hits: what is typed, and a blank line.
const HEAD: usize = 2;

pub(super) fn draw(frame: &mut Frame<'_>, search: &Search, clock: &Clock) {
    let height = frame.area().height.saturating_sub(4);
    let inner = popup(frame, " Search ", 74, height);
    let columns = usize::from(inner.width);
    let typed = search.input.text();
    let mut lines = vec![
        Line::from(vec![Span::styled("› ", theme::NAME), Span::raw(typed)]),
        Line::raw(""),
    ];
    let said = match &search.hits {
        Some(Err(why)) => Some((why.to_string(), theme::ERROR)),
        Some(Ok(hits)) if hits.is_empty() && !typed.trim().is_empty() => {
            Some(("Nothing was found.".to_owned(), theme::FAINT))
        }
        Some(Ok(hits)) if !hits.is_empty() => None,
        _ => Some((
            "Words, and \"words that stand together\". Enter shows one where it stands. Esc closes."
                .to_owned(),
            theme::FAINT,
        )),
    };
    if let Some((said, style)) = said {
        let ranges = text::wrap(&said, columns.max(2)).into_iter();
        let said = ranges.map(|range| said.get(range).unwrap_or_default().trim_end().to_owned());
        lines.extend(said.map(|said| Line::styled(said, style)));
    } else if let Some(Ok(hits)) = &search.hits {
        let fitting = (usize::from(inner.height).saturating_sub(HEAD) / ENTRY).max(1);
        let skip = (search.at + 1).saturating_sub(fitting);
        for (index, hit) in hits.iter().enumerate().skip(skip).take(fitting) {
            lines.extend(entry(hit, index == search.at, columns, clock));
        }
    }
    frame.render_widget(Paragraph::new(lines), inner);
    let column = search.input.layout(usize::MAX).cursor.0;
    if let Ok(x) = u16::try_from(column) {
        let x = inner.x.saturating_add(2).saturating_add(x);
        frame.set_cursor_position(Position::new(
            x.min(inner.right().saturating_sub(1)),
            inner.y,
        ));
    }
}

fn entry(hit: &HitLine, chosen: bool, columns: usize, clock: &Clock) -> [Line<'static>; ENTRY] {
    let mark = Span::styled(if chosen { "▌ " } else { "  " }, theme::NAME);
    let time = hit.at_ms.map(|at| clock.brief(at)).unwrap_or_default();
    let room = columns.saturating_sub(3);
    let who = match hit.mine {
        true => format!("you to {}", hit.peer.name()),
        false => hit.peer.name().to_owned(),
    };
    let who = text::fit(&who, room.saturating_sub(text::width(&time) + 1));
    let fill = room.saturating_sub(text::width(&who) + text::width(&time));
    let first = vec![
        mark.clone(),
        Span::styled(who, theme::NAME),
        Span::raw(" ".repeat(fill)),
        Span::styled(time, theme::FAINT),
    ];
    let mut second = vec![mark];
    let mut left = room;
    let mut pieces = hit.pieces.iter().peekable();
    while let Some((piece, is_found)) = pieces.next() {
        let more = pieces
            .peek()
            .is_some_and(|(next, _)| !next.as_str().is_empty());
        // One that fills the line is cut as well, where it is not the last.
        let whole = format!("{piece}{}", if more { " " } else { "" });
        let is_cut = text::width(&whole) > left;
        let piece = match is_cut {
            true => text::fit(&whole, left),
            false => piece.to_string(),
        };
        left = left.saturating_sub(text::width(&piece));
        second.push(match is_found {
            true => Span::styled(piece, theme::FOUND),
            false => Span::raw(piece),
        });
        if is_cut {
            break;
        }
    }
    [Line::from(first), Line::from(second)]
}
