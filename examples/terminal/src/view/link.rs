//! A device that is linked: its code, drawn, and the digits that are compared.

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::{Paragraph, Wrap},
};

use super::{overlay::popup, theme};
use crate::app::Link;

/// Columns of what stands beside the code.
const BESIDE: u16 = 34;
/// Around the code.
const BORDER: u16 = 1;

pub(super) fn draw(frame: &mut Frame<'_>, link: &Link) {
    match link {
        Link::Code { code: None, .. } => {
            say(frame, " Link this device ", &[Line::raw("One moment…")])
        }
        Link::Code {
            code: Some(code), ..
        } => show(frame, code),
        Link::Compare { digits, busy, said } => {
            let (keys, style) = match said {
                Some(said) => (said.to_string(), theme::ERROR),
                None if *busy => ("One moment…".to_owned(), theme::FAINT),
                None => {
                    let keys = "y: the new device has taken them. Esc: it has not, or I did not ask for this.";
                    (keys.to_owned(), theme::FAINT)
                }
            };
            say(
                frame,
                " Link a device ",
                &[
                    Line::raw("Type these digits on the new device:"),
                    Line::raw(""),
                    large(digits),
                    Line::raw(""),
                    Line::raw("It gets the keys of your account, and all of your messages."),
                    Line::raw(""),
                    Line::styled(keys, style),
                ],
            );
        }
    }
}

fn large(digits: &str) -> Line<'_> {
    let (first, second) = digits.split_at_checked(3).unwrap_or((digits, ""));
    Line::styled(format!("{first} {second}"), theme::NAME).centered()
}

fn say(frame: &mut Frame<'_>, title: &'static str, lines: &[Line<'_>]) {
    let columns = 58;
    let height: usize = lines
        .iter()
        .map(|line| line.width().div_ceil(usize::from(columns) - 4).max(1))
        .sum();
    let inner = popup(
        frame,
        title,
        columns,
        u16::try_from(height).unwrap_or(u16::MAX),
    );
    let text = Paragraph::new(lines.to_vec()).wrap(Wrap { trim: true });
    frame.render_widget(text, inner);
}

/// The code as letters, and beside it drawn, where there is room.
fn show(frame: &mut Frame<'_>, code: &str) {
    let drawn = drawn(code).unwrap_or_default();
    let width = drawn.first().map_or(0, |line| line.chars().count());
    let (width, height) = (
        u16::try_from(width).unwrap_or(u16::MAX),
        u16::try_from(drawn.len()).unwrap_or(u16::MAX),
    );
    let fits = frame.area().width >= width.saturating_add(BESIDE + 5)
        && frame.area().height >= height.saturating_add(2 * BORDER);
    let (columns, rows) = match fits {
        true => (width + 1 + BESIDE, height),
        false => (58, 10),
    };
    let inner = popup(frame, " Link this device ", columns, rows);
    let beside = match fits {
        true => {
            let lines: Vec<_> = drawn
                .into_iter()
                .map(|line| Line::styled(line, theme::QR))
                .collect();
            frame.render_widget(Paragraph::new(lines), inner);
            let left = width + 1;
            Rect {
                x: inner.x + left,
                width: inner.width.saturating_sub(left),
                ..inner
            }
        }
        false => inner,
    };
    let lines = [
        Line::raw(
            "On a device of yours that is logged in: F2, then l. It reads this code, or you paste it there:",
        ),
        Line::raw(""),
        Line::from(Span::styled(code, theme::NAME)),
        Line::raw(""),
        Line::styled("Good for five minutes. Esc goes back.", theme::FAINT),
    ];
    // A code has no spaces to break at.
    let text = Paragraph::new(lines.to_vec()).wrap(Wrap { trim: true });
    frame.render_widget(text, beside);
}

/// Two rows of it in each line, and the light border that a camera needs.
pub(super) fn drawn(code: &str) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(code, EcLevel::L).ok()?;
    let image = code.render::<Dense1x2>().quiet_zone(false).build();
    let lines: Vec<_> = image.lines().map(|line| format!("  {line}  ")).collect();
    let border = " ".repeat(lines.first().map_or(0, |line| line.chars().count()));
    Some([vec![border.clone()], lines, vec![border]].concat())
}
