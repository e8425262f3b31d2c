//! A device that is linked: its code, drawn, and the digits that are compared.

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use ratatui::{Frame, layout::Rect, style::Style, text::Line, widgets::Paragraph};

use super::{
    overlay::{columns, popup, sheet, under, wrapped},
    theme,
};
use crate::app::Link;

/// Columns of what stands beside the code.
const BESIDE: u16 = 34;
/// Around the code.
const BORDER: u16 = 1;
const LINK_THIS: &str = " Link this device ";

pub(super) fn draw(frame: &mut Frame<'_>, link: &Link) {
    match link {
        Link::Code { code: None, .. } => {
            sheet(
                frame,
                LINK_THIS,
                vec![Line::raw("One moment…")],
                0,
                Vec::new(),
            );
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
            let columns = columns(frame.area());
            let given = "It gets the keys of your account, and all of your messages.";
            let body = [
                wrapped(
                    "Type these digits on the new device:\n",
                    columns,
                    Style::new(),
                ),
                vec![large(digits), Line::raw("")],
                wrapped(given, columns, Style::new()),
            ];
            sheet(
                frame,
                " Link a device ",
                body.concat(),
                0,
                under(&keys, columns, style),
            );
        }
    }
}

fn large(digits: &str) -> Line<'static> {
    let (first, second) = digits.split_at_checked(3).unwrap_or((digits, ""));
    Line::styled(format!("{first} {second}"), theme::NAME).centered()
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
    let how = "On a device of yours that is logged in: F2, then l. It reads this code, or you paste it there:\n";
    let keys = "Good for five minutes. Esc goes back.";
    // A code has no spaces to break at.
    let lines = |columns| {
        let how = wrapped(how, columns, Style::new());
        (
            [how, wrapped(code, columns, theme::NAME)].concat(),
            under(keys, columns, theme::FAINT),
        )
    };
    if !fits {
        let (body, foot) = lines(columns(frame.area()));
        // The code itself before how it is used.
        let end = body.len().saturating_sub(1);
        sheet(frame, LINK_THIS, body, end, foot);
        return;
    }
    let inner = popup(frame, LINK_THIS, width + 1 + BESIDE, height);
    let drawn: Vec<_> = drawn
        .into_iter()
        .map(|line| Line::styled(line, theme::QR))
        .collect();
    frame.render_widget(Paragraph::new(drawn), inner);
    let left = width + 1;
    let beside = Rect {
        x: inner.x + left,
        width: inner.width.saturating_sub(left),
        ..inner
    };
    let (body, foot) = lines(usize::from(beside.width));
    frame.render_widget(Paragraph::new([body, foot].concat()), beside);
}

/// Two rows of it in each line, and the light border that a camera needs.
pub(super) fn drawn(code: &str) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(code, EcLevel::L).ok()?;
    let image = code.render::<Dense1x2>().quiet_zone(false).build();
    let lines: Vec<_> = image.lines().map(|line| format!("  {line}  ")).collect();
    let border = " ".repeat(lines.first().map_or(0, |line| line.chars().count()));
    Some([vec![border.clone()], lines, vec![border]].concat())
}
