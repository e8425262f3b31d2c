//! The safety number with a person, and how far they are trusted.

use ratatui::{Frame, layout::Rect, style::Style, text::Line, widgets::Paragraph};

use super::{
    link,
    overlay::{columns, popup, sheet, under, wrapped},
    theme,
};
use crate::{
    app::{App, Number},
    model::Trust,
};

/// Columns of what stands beside the code.
const BESIDE: u16 = 36;
/// Groups of digits in a line.
const GROUPS: usize = 4;
/// On a screen so low, more of them where there is room.
const LOW: u16 = 16;
const GROUPS_LOW: usize = 6;
/// Columns of a group, and of the space after it.
const GROUP: usize = 6;

/// Beside the name.
pub(super) fn short(trust: &Trust) -> (&'static str, Style) {
    if trust.deleted {
        ("  account deleted", theme::ERROR)
    } else if trust.identity_changed {
        ("  other keys than verified: F3", theme::ERROR)
    } else if trust.lists_contradict {
        ("  the relay contradicts itself: F3", theme::ERROR)
    } else if trust.blocked {
        ("  blocked", theme::ERROR)
    } else if !trust.withheld.is_empty() {
        ("  verified, a new device waits: F3", theme::WARNING)
    } else if trust.verified {
        ("  verified", Style::new().fg(theme::GOOD))
    } else {
        ("", theme::FAINT)
    }
}

/// What it means, and what the keys do.
fn long(trust: &Trust) -> (&'static str, Style, String) {
    let (said, style, keys) = if trust.identity_changed {
        (
            "These are other keys than those that you have verified: a new start of theirs, or somebody in between. What you write waits.",
            theme::ERROR,
            "Compare anew. v: the same. u: go on without.",
        )
    } else if trust.lists_contradict {
        (
            "The relay now shows other devices of theirs than before, as if those had never been. It may have lost data, or it lies. What you write waits.",
            theme::ERROR,
            "Compare anew. v: the same; their devices then come as new ones.",
        )
    } else if !trust.withheld.is_empty() {
        (
            "Verified. A device of theirs is new, and no other vouches for it: it gets nothing.",
            theme::WARNING,
            "Ask them. a: it is theirs. u: no longer verified.",
        )
    } else if trust.verified {
        (
            "You have verified this person.",
            Style::new().fg(theme::GOOD),
            "u: no longer verified.",
        )
    } else {
        (
            "Compare it with what they see, in person or over a call.",
            Style::new(),
            "v: it is the same.",
        )
    };
    let block = match trust.blocked {
        true => "Blocked: what they write is not shown. b: show what they write from then on.",
        false => "b: block. Esc closes.",
    };
    (said, style, format!("{keys}\n{block}"))
}

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, shown: &Number) {
    let title = " Safety number ";
    let narrow = columns(frame.area());
    let (digits, qr) = match &shown.number {
        Some(Ok((digits, qr))) => (digits, qr),
        not_there => {
            let said = match not_there {
                Some(Err(why)) => wrapped(why.as_str(), narrow, theme::ERROR),
                _ => wrapped("One moment…", narrow, Style::new()),
            };
            sheet(frame, title, said, 0, Vec::new());
            return;
        }
    };
    let groups: Vec<_> = digits.split(' ').collect();
    let (said, style, keys) = long(&app.trust(shown.peer));
    let lines = |columns: usize, in_a_line: usize| {
        let digits = groups.chunks(in_a_line);
        let mut body: Vec<_> = digits
            .map(|line| Line::styled(line.join(" "), theme::NAME))
            .collect();
        body.push(Line::raw(""));
        body.extend(wrapped(said, columns, style));
        (body, under(&keys, columns, theme::FAINT))
    };
    let drawn = link::drawn(qr).unwrap_or_default();
    let width = drawn.first().map_or(0, |line| line.chars().count());
    let (width, height) = (
        u16::try_from(width).unwrap_or(u16::MAX),
        u16::try_from(drawn.len()).unwrap_or(u16::MAX),
    );
    let area = frame.area();
    if area.width < width.saturating_add(BESIDE + 5) || area.height < height.saturating_add(2) {
        let low = area.height < LOW && narrow + 1 >= GROUP * GROUPS_LOW;
        let (body, foot) = lines(narrow, if low { GROUPS_LOW } else { GROUPS });
        sheet(frame, title, body, 0, foot);
        return;
    }
    let inner = popup(frame, title, width + 1 + BESIDE, height);
    let code: Vec<_> = drawn
        .into_iter()
        .map(|line| Line::styled(line, theme::QR))
        .collect();
    frame.render_widget(Paragraph::new(code), inner);
    let beside = Rect {
        x: inner.x + width + 1,
        width: inner.width.saturating_sub(width + 1),
        ..inner
    };
    let (body, foot) = lines(usize::from(beside.width), GROUPS);
    frame.render_widget(Paragraph::new([body, foot].concat()), beside);
}
