//! What came of it: both views side by side, and what the relay holds between them.

use std::{io::stdout, time::Duration};

use rustix::termios::tcgetwinsize;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::{
    leak::Leaks,
    person::Item,
    place::Kept,
    relay::Held,
    who::{Both, Who},
};

/// Columns where there is no terminal to ask.
const PIPED: usize = 128;
/// A narrower table says nothing, a wider one is hard to follow.
const COLUMNS: std::ops::RangeInclusive<usize> = 60..=160;
/// Rows shown; of a longer conversation the beginning.
const ROWS: usize = 24;

/// What the run itself knows.
pub(super) struct Told {
    pub(super) texts: Vec<String>,
    /// From the sender's commit to the reader's screen, message by message.
    pub(super) latencies: Vec<Duration>,
    pub(super) took: Duration,
    /// Of the relay, of Alice, of Bob.
    pub(super) kills: Option<[u32; 3]>,
    /// The files received were compared with the one sent, and are equal.
    pub(super) compared: bool,
}

pub(super) struct Report<'a> {
    pub(super) told: &'a Told,
    pub(super) timelines: &'a Both<Vec<Item>>,
    pub(super) held: &'a [Held],
    pub(super) leaks: &'a Leaks,
    /// What stays, if it stays.
    pub(super) kept: Option<&'a Kept>,
    pub(super) took: Duration,
}

impl Report<'_> {
    pub(super) fn print(&self) {
        self.views();
        self.figures();
    }

    /// Both see one order, and it is the relay's: so the three columns stand row by row.
    fn views(&self) {
        let Both { alice, bob } = self.timelines;
        let table = Table::of(columns());
        println!();
        println!(
            "{}",
            table.row("what alice saw", "what the relay holds", "what bob saw")
        );
        println!("{}", table.rule());
        let messages = self.held.iter().filter(|held| held.class == "message");
        for (at, held) in messages.enumerate().take(ROWS) {
            let relay = format!("{:>3} {:>5} B {}…", held.seq, held.bytes, held.ciphertext);
            let [left, right] = [alice, bob].map(|items| table.line(items.get(at)));
            println!("{}", table.row(&left, &relay, &right));
        }
        let more = alice.len().max(bob.len()).saturating_sub(ROWS);
        if more > 0 {
            println!("… and {more} more");
        }
        println!();
    }

    fn figures(&self) {
        let Self { told, leaks, .. } = self;
        let mut latencies = told.latencies.clone();
        latencies.sort_unstable();
        let at = |share: usize| {
            let at = latencies.len().saturating_sub(1) * share / 100;
            latencies.get(at).copied().unwrap_or_default().as_millis()
        };
        // Each line below 80 columns, paths aside.
        println!(
            "{} messages in {:.1} s{}",
            self.timelines.alice.len(),
            told.took.as_secs_f64(),
            // What comes while a client starts is in its store before it can be timed.
            match told.latencies.len() {
                timed if timed < self.timelines.alice.len() => format!(", {timed} of them timed"),
                _ => String::new(),
            }
        );
        println!(
            "from send to the other's screen: half within {} ms, 99 % within {} ms",
            at(50),
            at(99),
        );
        if let Some([relay, alice, bob]) = told.kills {
            println!("killed: the relay {relay} times, alice {alice}, bob {bob}");
        }
        if told.compared {
            println!("what alice and bob received is the text that was sent, byte for byte");
        }
        println!(
            "searched {} files of the relay ({} KiB) for {}: not found",
            leaks.files,
            leaks.bytes / 1024,
            counted(leaks.searched),
        );
        if leaks.too_short > 0 {
            println!(
                "not searched for: {} below 8 bytes, which chance alone would find",
                counted(leaks.too_short)
            );
        }
        if let Some(kept) = self.kept {
            for (who, received) in Who::ALL.into_iter().zip(&kept.received) {
                println!("received by {}: {}", who.name(), received.display());
            }
            println!("the relay's data: {}", kept.data.display());
        }
        println!("all of it took {:.1} s", self.took.as_secs_f64());
    }
}

fn counted(texts: usize) -> String {
    match texts {
        1 => "1 text".to_owned(),
        _ => format!("{texts} texts"),
    }
}

/// The terminal's width.
fn columns() -> usize {
    tcgetwinsize(stdout()).map_or(PIPED, |size| match size.ws_col {
        0 => PIPED,
        columns => columns.into(),
    })
}

/// The columns of one person's view, and of the relay's.
struct Table {
    view: usize,
    relay: usize,
}

impl Table {
    fn of(columns: usize) -> Self {
        let columns = columns.clamp(*COLUMNS.start(), *COLUMNS.end()) - 2 * " │ ".width();
        let relay = (columns / 4).clamp(20, 30);
        Self {
            view: (columns - relay) / 2,
            relay,
        }
    }

    fn line(&self, item: Option<&Item>) -> String {
        let Some(item) = item else {
            return String::new();
        };
        let arrow = if item.mine { '→' } else { '←' };
        let mark = match (item.mine, item.state.as_str()) {
            (false, _) => "",
            (true, "delivered") => " ✓✓",
            (true, "accepted") => " ✓",
            (true, _) => " …",
        };
        let text: String = item.text.chars().filter(|c| !steers(*c)).collect();
        let room = self.view - 2 - mark.width();
        format!("{arrow} {}{mark}", fit(&text, room).trim_end())
    }

    fn row(&self, left: &str, middle: &str, right: &str) -> String {
        let [left, right] = [left, right].map(|view| fit(view, self.view));
        format!(
            "{left} │ {} │ {}",
            fit(middle, self.relay),
            right.trim_end()
        )
    }

    fn rule(&self) -> String {
        let view = "─".repeat(self.view + 1);
        format!("{view}┼{}┼{view}", "─".repeat(self.relay + 2))
    }
}

/// What would move the cursor or turn the direction of the text, and with it the table.
fn steers(c: char) -> bool {
    let bidirectional = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || bidirectional || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Cut or filled to so many columns.
fn fit(text: &str, columns: usize) -> String {
    let widths = || {
        text.graphemes(true)
            .map(|cluster| (cluster, cluster.width()))
    };
    let mut whole = 0;
    let cut = widths().any(|(_, width)| {
        whole += width;
        whole > columns
    });
    let room = if cut {
        columns.saturating_sub(1)
    } else {
        columns
    };
    let mut fitted = String::new();
    let mut used = 0;
    for (cluster, width) in widths() {
        if used + width > room {
            break;
        }
        used += width;
        fitted.push_str(cluster);
    }
    if cut {
        fitted.push('…');
        used += 1;
    }
    fitted.push_str(&" ".repeat(columns.saturating_sub(used)));
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_is_one() {
        assert_eq!(
            (counted(1), counted(2)),
            ("1 text".into(), "2 texts".into())
        );
    }

    #[test]
    fn texts_are_cut_and_filled_by_columns() {
        assert_eq!(fit("abc", 5), "abc  ");
        assert_eq!(fit("abcdef", 5), "abcd…");
        assert_eq!(fit("提琴在下", 5), "提琴…");
        assert_eq!(fit("提琴", 5), "提琴 ");
        // One cluster of two columns.
        assert_eq!(fit("👩\u{200d}🚀👩\u{200d}🚀", 3), "👩\u{200d}🚀…");
    }

    #[test]
    fn a_table_is_as_wide_as_its_terminal_whatever_stands_in_it() {
        let line = |table: &Table, text: &str| {
            table.line(Some(&Item {
                mine: true,
                text: text.to_owned(),
                state: "delivered".to_owned(),
            }))
        };
        for columns in 60..=160 {
            let table = Table::of(columns);
            let text = line(&table, &"提琴 violin ".repeat(40));
            let row = table.row(&text, "1 2 3", &text);
            assert!(row.ends_with("… ✓✓"), "{row}");
            assert!((columns - 3..=columns).contains(&row.width()), "{row}");
            assert!((columns - 1..=columns).contains(&table.rule().width()));
        }
        let turned = "a\u{202e}b\u{2066}c\u{200f}d\u{61c}e\x1b[2Jf\n";
        assert_eq!(line(&Table::of(80), turned), "→ abcde[2Jf ✓✓");
    }
}
