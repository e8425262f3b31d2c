//! How far a page of rows may go, the same for every store.

use super::{Rows, StoredRow};

/// A page as it fills.
pub(super) struct Page {
    rows: Rows,
    bytes: usize,
    max_rows: usize,
    max_bytes: usize,
}

impl Page {
    pub(super) fn new(last_seq: u64, max_rows: usize, max_bytes: usize) -> Self {
        let rows = Rows {
            last_seq,
            ..Rows::default()
        };
        Self {
            rows,
            bytes: 0,
            max_rows,
            max_bytes,
        }
    }

    /// `false`: it is full without this row. At least one fits, whatever its size: a reader with small limits still moves.
    pub(super) fn push(&mut self, row: StoredRow) -> bool {
        self.bytes += row.size();
        let rows = &mut self.rows.rows;
        if !rows.is_empty() && (rows.len() >= self.max_rows || self.bytes > self.max_bytes) {
            return false;
        }
        rows.push(row);
        true
    }

    /// Ends where it was full.
    pub(super) fn cut(self) -> Rows {
        self.rows
    }

    /// Ends where the range does.
    pub(super) fn complete(mut self) -> Rows {
        self.rows.complete = true;
        self.rows
    }
}
