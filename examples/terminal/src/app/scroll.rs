//! Moving through a timeline line by line, though its entries differ in height. The place is tied to an entry: what arrives below or
//! is loaded above does not move what is being read.

use super::{App, Open};
use crate::model::{Command, ItemId};

/// The last line shown: a line of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) item: ItemId,
    pub(crate) line: usize,
}

/// Where `position` is among `open`'s entries, as index and line; nothing if it follows the newest or its entry is gone.
pub(crate) fn place(open: &Open) -> Option<(usize, usize)> {
    let position = open.position?;
    let index = open
        .items()
        .iter()
        .rposition(|item| item.id == position.item)?;
    Some((index, position.line))
}

/// `lines` up from index and line, or the very first line.
fn up(
    mut place: (usize, usize),
    mut lines: usize,
    height: impl Fn(usize) -> usize,
) -> (usize, usize) {
    while lines > place.1 {
        let Some(index) = place.0.checked_sub(1) else {
            return (0, 0);
        };
        lines -= place.1 + 1;
        place = (index, height(index).saturating_sub(1));
    }
    (place.0, place.1 - lines)
}

/// `lines` down from index and line; nothing if that is the last line or beyond.
fn down(
    mut place: (usize, usize),
    mut lines: usize,
    count: usize,
    height: impl Fn(usize) -> usize,
) -> Option<(usize, usize)> {
    loop {
        let below = height(place.0).saturating_sub(place.1 + 1);
        if lines <= below {
            let last = place.0 + 1 == count && lines == below;
            return (!last).then_some((place.0, place.1 + lines));
        }
        lines -= below + 1;
        place = (place.0 + 1, 0);
        if place.0 >= count {
            return None;
        }
    }
}

impl App {
    /// Scrolls by `lines`, or by pages less a line of overlap; up if negative. Asks for older messages at the top.
    pub(super) fn scroll(&mut self, amount: isize, pages: bool) -> Vec<Command> {
        let Some((area, peer)) = self.chat_area().zip(self.open.as_ref().map(|o| o.peer.id)) else {
            return Vec::new();
        };
        let (columns, rows) = (area.timeline.width, usize::from(area.timeline.height));
        let step = if pages {
            rows.saturating_sub(1).max(1)
        } else {
            1
        };
        let lines = amount.unsigned_abs() * step;
        self.with_open(peer, |app, open| {
            open.seeks = false;
            let height = |index| app.height(open, index, columns);
            let count = open.items().len();
            let Some(last) = count.checked_sub(1) else {
                return Vec::new();
            };
            let from = place(open).unwrap_or_else(|| (last, height(last).saturating_sub(1)));
            let mut at_top = false;
            let to = if amount > 0 {
                down(from, lines, count, height)
            } else {
                // The page must stay filled: its last line is at least a page below the first.
                let full = down((0, 0), rows.saturating_sub(1), count, height);
                let to = up(from, lines, height);
                at_top = full.is_none_or(|full| to <= full);
                full.map(|full| to.max(full))
            };
            let tie = |(index, line): (usize, usize)| {
                let item = open.items().get(index)?.id;
                Some(Position { item, line })
            };
            open.position = to.and_then(tie);
            if at_top {
                app.load_older(open)
            } else {
                Vec::new()
            }
        })
    }

    /// Whether all of what is loaded fits on the screen.
    pub(super) fn fits(&self, open: &Open) -> bool {
        self.chat_area().is_some_and(|area| {
            let mut left = usize::from(area.timeline.height);
            (0..open.items().len()).all(|index| {
                let height = self.height(open, index, area.timeline.width);
                let fits = height <= left;
                left = left.saturating_sub(height);
                fits
            })
        })
    }
}

/// Goes to the message that was searched for, with half a page below it; whether it is loaded.
pub(super) fn go_to_found(app: &App, open: &mut Open) -> bool {
    let mut items = open.items().iter();
    let Some(index) = items.rposition(|item| Some(item.id) == open.found) else {
        return false;
    };
    let Some(area) = app.chat_area() else {
        return true;
    };
    let (columns, rows) = (area.timeline.width, usize::from(area.timeline.height));
    let count = open.items().len();
    let height = |index| app.height(open, index, columns);
    let end = (index, height(index).saturating_sub(1));
    let to = down(end, rows / 2, count, height);
    // As far as the page stays filled.
    let full = down((0, 0), rows.saturating_sub(1), count, height);
    let to = to.zip(full).map(|(to, full)| to.max(full));
    let position = to.and_then(|(index, line)| {
        let item = open.items().get(index)?.id;
        Some(Position { item, line })
    });
    open.position = position;
    true
}

/// Falls back to the newest message when the entry that was being read is gone.
pub(super) fn settle(open: &mut Open) {
    if place(open).is_none() {
        open.position = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEIGHTS: [usize; 3] = [2, 3, 1];

    #[test]
    fn up_and_down_by_lines() {
        let height = |index: usize| HEIGHTS[index];
        assert_eq!(up((2, 0), 0, height), (2, 0));
        assert_eq!(up((2, 0), 1, height), (1, 2));
        assert_eq!(up((2, 0), 4, height), (0, 1));
        assert_eq!(up((2, 0), 9, height), (0, 0));
        assert_eq!(down((0, 0), 1, 3, height), Some((0, 1)));
        assert_eq!(down((0, 0), 4, 3, height), Some((1, 2)));
        assert_eq!(down((0, 0), 5, 3, height), None);
        assert_eq!(down((1, 0), 9, 3, height), None);
    }
}
