//! What came of it: both views side by side, and what the relay holds between them.

use std::{path::Path, time::Duration};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{leak::Leaks, person::Item, relay::Held, who::Both};

/// Columns of one person's view, and of the relay's.
const VIEW: usize = 46;
const RELAY: usize = 30;
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
}

pub(super) struct Report<'a> {
    pub(super) told: &'a Told,
    pub(super) timelines: &'a Both<Vec<Item>>,
    pub(super) held: &'a [Held],
    pub(super) leaks: &'a Leaks,
    /// Where it stays, if it stays.
    pub(super) data: Option<&'a Path>,
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
        println!();
        row("what alice saw", "what the relay holds", "what bob saw");
        println!(
            "{}┼{}┼{}",
            "─".repeat(VIEW + 1),
            "─".repeat(RELAY + 2),
            "─".repeat(VIEW + 1)
        );
        let messages = self.held.iter().filter(|held| held.class == "message");
        for (at, held) in messages.enumerate().take(ROWS) {
            let relay = format!("{:>3} {:>5} B {}…", held.seq, held.bytes, held.ciphertext);
            row(&line(alice.get(at)), &relay, &line(bob.get(at)));
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
        println!(
            "{} messages in {:.1} s; from send to the other's screen: half within {} ms, 99 % within {} ms{}",
            self.timelines.alice.len(),
            told.took.as_secs_f64(),
            at(50),
            at(99),
            // What comes while a client starts is in its store before it can be timed.
            match told.latencies.len() {
                timed if timed < self.timelines.alice.len() => format!(" ({timed} timed)"),
                _ => String::new(),
            }
        );
        if let Some([relay, alice, bob]) = told.kills {
            println!(
                "killed: the relay {relay} times, alice {alice}, bob {bob}; both texts arrived whole and in order"
            );
        }
        println!(
            "searched {} files of the relay ({} KiB) for {} texts: none found ({} shorter than 8 bytes not searched)",
            leaks.files,
            leaks.bytes / 1024,
            leaks.searched,
            leaks.too_short
        );
        if let Some(data) = self.data {
            println!("the relay's data: {}", data.display());
        }
        println!("all of it took {:.1} s", self.took.as_secs_f64());
    }
}

fn line(item: Option<&Item>) -> String {
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
    let text: String = item.text.chars().filter(|c| !c.is_control()).collect();
    let room = VIEW - 2 - mark.width();
    format!("{arrow} {}{mark}", fit(&text, room).trim_end())
}

fn row(left: &str, middle: &str, right: &str) {
    println!(
        "{} │ {} │ {}",
        fit(left, VIEW),
        fit(middle, RELAY),
        fit(right, VIEW).trim_end()
    );
}

/// Cut or filled to so many columns.
fn fit(text: &str, columns: usize) -> String {
    let mut fitted = String::new();
    let mut used = 0;
    let cut = text.width() > columns;
    let room = if cut { columns - 1 } else { columns };
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if used + width > room {
            break;
        }
        used += width;
        fitted.push(c);
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
    fn texts_are_cut_and_filled_by_columns() {
        assert_eq!(fit("abc", 5), "abc  ");
        assert_eq!(fit("abcdef", 5), "abcd…");
        assert_eq!(fit("提琴在下", 5), "提琴…");
        assert_eq!(fit("提琴", 5), "提琴 ");
    }
}
