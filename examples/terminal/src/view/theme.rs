//! The colours. Where a background is set, so is the text on it: it must be readable on light terminals too.

use ratatui::style::{Color, Modifier, Style};

pub(super) const FAINT: Style = Style::new().fg(Color::Indexed(244));
pub(super) const NAME: Style = Style::new()
    .fg(Color::Indexed(74))
    .add_modifier(Modifier::BOLD);
pub(super) const WARNING: Style = Style::new().fg(Color::Indexed(172));
pub(super) const ERROR: Style = Style::new().fg(Color::Indexed(167));

pub(super) const MINE: Style = Style::new().fg(Color::Indexed(255)).bg(Color::Indexed(24));
pub(super) const MINE_FAINT: Style = Style::new().fg(Color::Indexed(152)).bg(Color::Indexed(24));
pub(super) const THEIRS: Style = Style::new().fg(Color::Indexed(255)).bg(Color::Indexed(238));
pub(super) const THEIRS_FAINT: Style = Style::new().fg(Color::Indexed(250)).bg(Color::Indexed(238));

/// Dark on light, whatever the terminal's own colours: a camera wants it so.
pub(super) const QR: Style = Style::new().fg(Color::Indexed(16)).bg(Color::Indexed(231));
pub(super) const BAR: Style = Style::new().fg(Color::Indexed(252)).bg(Color::Indexed(236));
pub(super) const SELECTED: Style = Style::new().fg(Color::Indexed(255)).bg(Color::Indexed(238));
pub(super) const BADGE: Style = Style::new().fg(Color::Indexed(231)).bg(Color::Indexed(161));
/// What was searched for.
pub(super) const FOUND: Style = Style::new().fg(Color::Indexed(16)).bg(Color::Indexed(179));
pub(super) const NOTICE: Style = Style::new().fg(Color::Indexed(231)).bg(Color::Indexed(124));

/// What happens just now.
pub(super) const LIVELY: Style = Style::new().fg(GOOD);

pub(super) const GOOD: Color = Color::Indexed(78);
pub(super) const WAITING: Color = Color::Indexed(179);
pub(super) const BAD: Color = Color::Indexed(203);
