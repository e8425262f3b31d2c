//! The line being typed: text, cursor, and what was typed before.

#[cfg(test)]
mod tests;

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::text::{self, Clean};

/// Lines remembered for the up key.
const HISTORY: usize = 100;

/// An editor. The cursor stands between two graphemes, so that one key never takes half an emoji.
#[derive(Default)]
pub(crate) struct Input {
    text: String,
    /// In bytes.
    cursor: usize,
    limit: usize,
    history: Vec<String>,
    /// The place in the history, and the text that was there before leafing through it.
    leaf: Option<(usize, String)>,
}

/// The text as it stands on the screen.
pub(crate) struct Layout {
    pub(crate) lines: Vec<String>,
    /// Column and line.
    pub(crate) cursor: (usize, usize),
}

impl Input {
    /// Takes at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Replaces the text; the cursor goes to its end.
    pub(crate) fn set(&mut self, text: &str) {
        self.clear();
        self.insert(text);
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.cursor = 0;
        self.leaf = None;
    }

    /// Takes the text out and remembers it; nothing if there is only blank space.
    pub(crate) fn take(&mut self) -> Option<String> {
        let text = self.text.trim_start_matches('\n').trim_end().to_owned();
        if text.is_empty() {
            return None;
        }
        self.clear();
        if self.history.last() != Some(&text) {
            self.history.push(text.clone());
        }
        if self.history.len() > HISTORY {
            self.history.remove(0);
        }
        Some(text)
    }

    /// Types or pastes. Returns whether all of it had room.
    pub(crate) fn insert(&mut self, pasted: &str) -> bool {
        let clean = Clean::text(pasted);
        let room = self.limit.saturating_sub(self.text.len());
        let mut end = 0;
        for (at, grapheme) in clean.as_str().grapheme_indices(true) {
            if at + grapheme.len() > room {
                break;
            }
            end = at + grapheme.len();
        }
        let fitting = clean.as_str().get(..end).unwrap_or_default();
        self.text.insert_str(self.cursor, fitting);
        self.cursor += fitting.len();
        // What was typed may have joined the grapheme after it.
        self.cursor = self.boundary_from(self.cursor);
        end == clean.as_str().len()
    }

    pub(crate) fn backspace(&mut self) {
        self.delete_to(self.before(self.cursor));
    }

    pub(crate) fn delete(&mut self) {
        self.delete_to(self.after(self.cursor));
    }

    pub(crate) fn delete_word(&mut self) {
        self.delete_to(self.word_before());
    }

    pub(crate) fn delete_to_start(&mut self) {
        self.delete_to(self.line_start());
    }

    pub(crate) fn delete_to_end(&mut self) {
        self.delete_to(self.line_end());
    }

    pub(crate) fn left(&mut self) {
        self.cursor = self.before(self.cursor);
    }

    pub(crate) fn right(&mut self) {
        self.cursor = self.after(self.cursor);
    }

    pub(crate) fn word_left(&mut self) {
        self.cursor = self.word_before();
    }

    pub(crate) fn word_right(&mut self) {
        let rest = self.tail();
        let word = rest
            .split_word_bound_indices()
            .find(|(_, word)| !word.trim().is_empty());
        let end = word.map_or(rest.len(), |(at, word)| at + word.len());
        self.cursor = self.boundary_from(self.cursor + end);
    }

    pub(crate) fn home(&mut self) {
        self.cursor = self.line_start();
    }

    pub(crate) fn end(&mut self) {
        self.cursor = self.line_end();
    }

    /// A line up; from the first one, to what was typed before.
    pub(crate) fn up(&mut self) {
        let start = self.line_start();
        if start == 0 {
            let place = self.leaf.as_ref().map_or(self.history.len(), |leaf| leaf.0);
            if let Some(place) = place.checked_sub(1) {
                self.turn_to(place);
            }
            return;
        }
        let column = text::width(self.text.get(start..self.cursor).unwrap_or_default());
        self.cursor = start - 1;
        let start = self.line_start();
        self.seek(start, column);
    }

    /// A line down; from the last one, back to what is being typed.
    pub(crate) fn down(&mut self) {
        let end = self.line_end();
        if end == self.text.len() {
            if let Some(place) = self.leaf.as_ref().map(|leaf| leaf.0 + 1) {
                self.turn_to(place);
            }
            return;
        }
        let before = self.text.get(self.line_start()..self.cursor);
        let column = text::width(before.unwrap_or_default());
        self.seek(end + 1, column);
    }

    /// A dot for each grapheme, and the column of the cursor.
    pub(crate) fn masked(&self) -> (String, usize) {
        let count = |text: &str| text.graphemes(true).count();
        ("•".repeat(count(&self.text)), count(self.head()))
    }

    /// Wrapped to `columns`, with the place of the cursor.
    pub(crate) fn layout(&self, columns: usize) -> Layout {
        let ranges = text::wrap(&self.text, columns);
        let line = ranges
            .iter()
            .rposition(|range| range.start <= self.cursor)
            .unwrap_or(0);
        let start = ranges.get(line).map_or(0, |range| range.start);
        let column = text::width(self.text.get(start..self.cursor).unwrap_or_default());
        let slice = |range: Range<usize>| self.text.get(range).unwrap_or_default().to_owned();
        Layout {
            lines: ranges.into_iter().map(slice).collect(),
            cursor: (column.min(columns), line),
        }
    }

    fn turn_to(&mut self, place: usize) {
        let kept = match self.leaf.take() {
            Some((_, kept)) => kept,
            None => self.text.clone(),
        };
        match self.history.get(place) {
            Some(line) => {
                self.text.clone_from(line);
                self.leaf = Some((place, kept));
            }
            None => self.text = kept,
        }
        self.cursor = self.text.len();
    }

    /// Moves into the line that starts at `start`, as far as `column`.
    fn seek(&mut self, start: usize, column: usize) {
        self.cursor = start;
        let end = self.line_end();
        while self.cursor < end {
            let next = self.after(self.cursor);
            if text::width(self.text.get(start..next).unwrap_or_default()) > column {
                break;
            }
            self.cursor = next;
        }
    }

    fn delete_to(&mut self, other: usize) {
        let (from, to) = (self.cursor.min(other), self.cursor.max(other));
        self.text.replace_range(from..to, "");
        self.cursor = self.boundary_from(from);
    }

    fn head(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    fn tail(&self) -> &str {
        self.text.get(self.cursor..).unwrap_or_default()
    }

    fn before(&self, cursor: usize) -> usize {
        let mut starts = self.text.grapheme_indices(true).map(|(at, _)| at);
        starts.rfind(|at| *at < cursor).unwrap_or(0)
    }

    fn after(&self, cursor: usize) -> usize {
        self.boundary_from(cursor + 1)
    }

    /// The first boundary between graphemes at or after `at`.
    fn boundary_from(&self, at: usize) -> usize {
        let mut starts = self.text.grapheme_indices(true).map(|(start, _)| start);
        starts.find(|start| *start >= at).unwrap_or(self.text.len())
    }

    fn word_before(&self) -> usize {
        let words = self.head().split_word_bound_indices();
        let word = words.rev().find(|(_, word)| !word.trim().is_empty());
        let at = word.map_or(0, |(at, _)| at);
        // Words and graphemes do not always break at the same places.
        if at == 0 { 0 } else { self.before(at + 1) }
    }

    fn line_start(&self) -> usize {
        self.head().rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.tail()
            .find('\n')
            .map_or(self.text.len(), |at| self.cursor + at)
    }
}
