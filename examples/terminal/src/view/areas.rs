//! Where what stands.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::app::Focus;

/// Below this width one pane is shown at a time.
const TWO_PANES: u16 = 64;

/// The smallest terminal in which anything can be read.
const LEAST: (u16, u16) = (20, 5);

/// The parts of the screen; a part that has no room is absent.
pub(crate) struct Areas {
    pub(crate) list: Option<Rect>,
    pub(crate) chat: Option<Chat>,
    pub(crate) status: Rect,
}

/// The parts of the open conversation.
#[derive(Clone, Copy)]
pub(crate) struct Chat {
    pub(crate) header: Rect,
    pub(crate) timeline: Rect,
    pub(crate) input: Rect,
}

impl Areas {
    /// Nothing if the terminal is too small. `input_lines` is asked for the lines that the text being typed takes at a width.
    pub(crate) fn of(
        screen: Rect,
        focus: Focus,
        input_lines: impl Fn(u16) -> usize,
    ) -> Option<Self> {
        if screen.width < LEAST.0 || screen.height < LEAST.1 {
            return None;
        }
        let rows = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]);
        let [main, status] = rows.areas(screen);
        let (list, chat) = if screen.width < TWO_PANES {
            match focus {
                Focus::List => (Some(main), None),
                Focus::Chat => (None, Some(main)),
            }
        } else {
            let list = (screen.width / 3).clamp(22, 34);
            let columns = Layout::horizontal([Constraint::Length(list), Constraint::Fill(1)]);
            let [list, chat] = columns.areas(main);
            (Some(list), Some(chat))
        };
        let chat = chat.map(|area| Chat::of(area, input_lines));
        Some(Self { list, chat, status })
    }
}

impl Chat {
    fn of(area: Rect, input_lines: impl Fn(u16) -> usize) -> Self {
        let most = (area.height / 3).clamp(1, 8);
        let lines = u16::try_from(input_lines(input_columns(area.width))).unwrap_or(most);
        let [header, timeline, input] = Layout::vertical([
            Constraint::Length(if area.height < 8 { 1 } else { 2 }),
            Constraint::Fill(1),
            Constraint::Length(lines.clamp(1, most) + u16::from(area.height >= 8)),
        ])
        .areas(area);
        Self {
            header,
            timeline,
            input,
        }
    }
}

/// The columns for what is being typed: without the prompt, and with room for the cursor behind the last letter.
pub(crate) const fn input_columns(width: u16) -> u16 {
    width.saturating_sub(5)
}
