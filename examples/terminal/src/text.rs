//! Text as a terminal may show it: nothing that a peer wrote can move the cursor, change colours or reorder what stands beside it.

use std::{fmt, ops::Range};

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// The longest emoji sequence in use has eleven scalars; what is longer only stacks marks over the lines above.
const SCALARS_IN_A_GRAPHEME: usize = 12;
const REPLACEMENT: char = '\u{fffd}';

/// Text that came through the filter: line breaks are its only control characters.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Clean(String);

impl Clean {
    /// Text of any number of lines.
    pub(crate) fn text(raw: &str) -> Self {
        let mut filtered = String::with_capacity(raw.len());
        let mut chars = raw.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\r' if chars.peek() == Some(&'\n') => {}
                '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                    filtered.push('\n');
                }
                '\t' => filtered.push_str("    "),
                // Embeddings, overrides and isolates would reach beyond the message.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
                c if c.is_control() => filtered.push(REPLACEMENT),
                c => filtered.push(c),
            }
        }
        let mut clean = String::with_capacity(filtered.len());
        for grapheme in filtered.graphemes(true) {
            clean.extend(grapheme.chars().take(SCALARS_IN_A_GRAPHEME));
        }
        Self(clean)
    }

    /// The same on one line.
    pub(crate) fn line(raw: &str) -> Self {
        Self(Self::text(raw).0.replace('\n', " "))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Clean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Clean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Columns that `text` takes. Summed by grapheme, as the terminal's cells are filled, not as a whole: ligatures would shrink it.
pub(crate) fn width(text: &str) -> usize {
    text.graphemes(true).map(UnicodeWidthStr::width).sum()
}

/// `text` cut to `columns`, with an ellipsis where something is missing.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        used += grapheme.width();
        if used >= columns {
            break;
        }
        cut.push_str(grapheme);
    }
    if columns > 0 {
        cut.push('…');
    }
    cut
}

/// The part of a line that has `columns` columns at most and the cursor, which stands after `cursor` of its columns, in it; and where
/// the cursor stands there.
pub(crate) fn around(text: &str, cursor: usize, columns: usize) -> (String, usize) {
    let (mut before, mut shown, mut used) = (0, String::new(), 0);
    for grapheme in text.graphemes(true) {
        let width = grapheme.width();
        // What stands so far before the cursor that there is no room for it.
        if cursor.saturating_sub(before) > columns {
            before += width;
            continue;
        }
        if used + width > columns {
            break;
        }
        used += width;
        shown.push_str(grapheme);
    }
    (shown, cursor.saturating_sub(before))
}

/// Breaks `text` into lines of at most `columns`, between words where it can. The ranges cover everything but the line breaks;
/// a space that did not fit hangs over the end of its range.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut offset = 0;
    for line in text.split('\n') {
        wrap_line(line, offset, columns, &mut lines);
        offset += line.len() + 1;
    }
    lines
}

fn wrap_line(line: &str, offset: usize, columns: usize, lines: &mut Vec<Range<usize>>) {
    let (mut start, mut used) = (0, 0);
    // Where the current line could be broken, and the columns up to there.
    let mut fold = None;
    for (at, grapheme) in line.grapheme_indices(true) {
        let space = grapheme.chars().all(char::is_whitespace);
        let end = at + grapheme.len();
        if used + grapheme.width() > columns && at > start {
            if space {
                lines.push(offset + start..offset + end);
                (start, used, fold) = (end, 0, None);
                continue;
            }
            let (cut, before) = fold.unwrap_or((at, used));
            lines.push(offset + start..offset + cut);
            (start, used, fold) = (cut, used - before, None);
            // What follows the last space fills the line by itself.
            if used + grapheme.width() > columns && at > start {
                lines.push(offset + start..offset + at);
                (start, used) = (at, 0);
            }
        }
        used += grapheme.width();
        if space {
            fold = Some((end, used));
        }
    }
    if start < line.len() || line.is_empty() {
        lines.push(offset + start..offset + line.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrapped(text: &str, columns: usize) -> Vec<&str> {
        wrap(text, columns)
            .into_iter()
            .map(|range| &text[range])
            .collect()
    }

    #[test]
    fn escape_sequences_lose_their_teeth() {
        assert_eq!(
            Clean::text("\u{1b}[2J\u{9b}31mhi\u{7}\0").as_str(),
            "\u{fffd}[2J\u{fffd}31mhi\u{fffd}\u{fffd}"
        );
        assert_eq!(Clean::text("pay \u{202e}001$\u{202c}").as_str(), "pay 001$");
        assert_eq!(
            Clean::text("a\r\nb\rc\u{2028}d\te").as_str(),
            "a\nb\nc\nd    e"
        );
        assert_eq!(Clean::line("a\nb").as_str(), "a b");
    }

    #[test]
    fn stacked_marks_are_cut_and_emoji_families_are_not() {
        let zalgo = format!("a{}b", "\u{301}".repeat(400));
        assert_eq!(Clean::text(&zalgo).as_str().chars().count(), 13);
        let family = "👩🏽‍👩🏽‍👧🏽‍👦🏽";
        assert_eq!(Clean::text(family).as_str(), family);
    }

    #[test]
    fn it_breaks_between_words_and_long_words_anywhere() {
        assert_eq!(wrapped("the quick fox", 9), ["the quick ", "fox"]);
        assert_eq!(wrapped("the quick fox", 6), ["the ", "quick ", "fox"]);
        assert_eq!(wrapped("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrapped(" abcd日", 5), [" ", "abcd", "日"]);
        assert_eq!(wrapped("日本語", 5), ["日本", "語"]);
        assert_eq!(wrapped("a\n\nb\n", 5), ["a", "", "b", ""]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn the_cursor_is_seen_in_a_line_that_is_too_long() {
        assert_eq!(around("hello", 5, 9), ("hello".to_owned(), 5));
        assert_eq!(around("hello", 5, 3), ("llo".to_owned(), 3));
        assert_eq!(around("hello", 0, 3), ("hel".to_owned(), 0));
        assert_eq!(around("hello", 4, 3), ("ell".to_owned(), 3));
        assert_eq!(around("日本語", 6, 3), ("語".to_owned(), 2));
        assert_eq!(around("", 0, 3), (String::new(), 0));
    }

    #[test]
    fn it_fits() {
        assert_eq!(fit("hello", 5), "hello");
        assert_eq!(fit("hello", 4), "hel…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("hello", 0), "");
    }

    proptest! {
        #[test]
        fn no_control_character_passes(raw in any::<String>()) {
            let clean = Clean::text(&raw);
            prop_assert!(clean.as_str().chars().all(|c| c == '\n' || !c.is_control()));
            prop_assert!(!Clean::line(&raw).as_str().chars().any(char::is_control));
        }

        #[test]
        fn lines_fit_and_nothing_is_lost(raw in any::<String>(), columns in 2usize..40) {
            let clean = Clean::text(&raw);
            let text = clean.as_str();
            let lines = wrap(text, columns);
            for range in &lines {
                let line = text[range.clone()].trim_end();
                // Some letters of themselves take more than two columns.
                prop_assert!(width(line) <= columns || line.graphemes(true).count() == 1);
            }
            let joined: String = lines.iter().map(|range| &text[range.clone()]).collect();
            prop_assert_eq!(joined, text.replace('\n', ""));
        }

        #[test]
        fn fitted_text_fits(raw in any::<String>(), columns in 0usize..40) {
            prop_assert!(width(&fit(Clean::line(&raw).as_str(), columns)) <= columns);
        }
    }
}
