//! The safety number with a person, and how far they are trusted.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Paragraph, Wrap},
};

use super::{link, overlay::popup, theme};
use crate::{
    app::{App, Number},
    model::Trust,
};

/// Columns of what stands beside the code.
const BESIDE: u16 = 36;
/// Groups of digits in a line.
const GROUPS: usize = 4;

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
fn long(trust: &Trust) -> Vec<Line<'static>> {
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
        true => "Blocked: what they write is not shown. b: show it again.",
        false => "b: block. Esc closes.",
    };
    vec![
        Line::styled(said, style),
        Line::raw(""),
        Line::styled(keys, theme::FAINT),
        Line::styled(block, theme::FAINT),
    ]
}

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, shown: &Number) {
    let title = " Safety number ";
    let (digits, qr) = match &shown.number {
        None => return say(frame, title, vec![Line::raw("One moment…")]),
        Some(Err(why)) => {
            return say(
                frame,
                title,
                vec![Line::styled(why.to_string(), theme::ERROR)],
            );
        }
        Some(Ok((digits, qr))) => (digits, qr),
    };
    let groups: Vec<_> = digits.split(' ').collect();
    let mut lines: Vec<_> = groups
        .chunks(GROUPS)
        .map(|line| Line::from(Span::styled(line.join(" "), theme::NAME)))
        .collect();
    lines.push(Line::raw(""));
    lines.extend(long(&app.trust(shown.peer)));
    let drawn = link::drawn(qr).unwrap_or_default();
    let width = drawn.first().map_or(0, |line| line.chars().count());
    let (width, height) = (
        u16::try_from(width).unwrap_or(u16::MAX),
        u16::try_from(drawn.len()).unwrap_or(u16::MAX),
    );
    let area = frame.area();
    if area.width < width.saturating_add(BESIDE + 5) || area.height < height.saturating_add(2) {
        return say(frame, title, lines);
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
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), beside);
}

fn say(frame: &mut Frame<'_>, title: &'static str, lines: Vec<Line<'_>>) {
    let inner = popup(frame, title, 58, 12);
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), inner);
}
