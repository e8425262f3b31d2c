//! Three replicas of one partition of the table. Of two values of a cell the one with the higher timestamp stands.

use std::cmp::Ordering;

use super::{Sequence, truth::Log};

/// Two of three.
pub(super) const QUORUMS: [[usize; 2]; 3] = [[0, 1], [0, 2], [1, 2]];

/// Rows and a state, on their way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Write {
    pub(super) id: u8,
    /// The records that become rows, up to the state's last one.
    pub(super) rows: Vec<u8>,
    pub(super) state: Option<Sequence>,
    pub(super) arrived: [bool; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Row {
    time: u8,
    pub(super) record: u8,
    pub(super) empty: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Replica {
    pub(super) rows: [Option<Row>; 4],
    state: Option<(u8, Sequence)>,
}

/// What a read gives.
pub(super) struct Read {
    pub(super) rows: [Option<Row>; 4],
    pub(super) state: Option<Sequence>,
}

/// Timestamps that are not those of the design.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) state: Option<u8>,
    pub(super) rows: Option<u8>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Replicas([Replica; 3]);

impl Replica {
    fn put_row(&mut self, seq: u8, row: Row) {
        let Some(cell) = self.rows.get_mut(usize::from(seq).wrapping_sub(1)) else {
            return;
        };
        let newer = |old: &Row| (row.time, row.record) > (old.time, old.record);
        if cell.as_ref().is_none_or(newer) {
            *cell = Some(row);
        }
    }

    fn put_state(&mut self, time: u8, state: Sequence) {
        if self.state.is_none_or(|(old, _)| time > old) {
            self.state = Some((time, state));
        }
    }
}

impl Replicas {
    pub(super) fn arrive(
        &mut self,
        replica: usize,
        write: &Write,
        times: Times,
        log: &Log,
    ) -> Option<()> {
        let replica = self.0.get_mut(replica)?;
        let last = write.state.map_or_else(
            || write.rows.last().and_then(|record| log.seq(*record)),
            |state| Some(state.last_seq),
        );
        let first = last?.checked_sub(u8::try_from(write.rows.len()).ok()?)? + 1;
        for (seq, record) in (first..).zip(&write.rows) {
            // Ten to a tick: what an erasure writes stands behind the rows of its time.
            let time = times.rows.unwrap_or(*record + 1) * 10;
            let row = Row {
                time,
                record: *record,
                empty: false,
            };
            replica.put_row(seq, row);
            if let Some(erased) = log.erases(*record) {
                let empty = Row {
                    time: time + 9,
                    record: log.row(erased)?,
                    empty: true,
                };
                replica.put_row(erased, empty);
            }
        }
        if let Some(state) = write.state {
            replica.put_state(times.state.unwrap_or(state.last_seq), state);
        }
        Some(())
    }

    pub(super) fn read(&self, quorum: [usize; 2]) -> Read {
        let mut merged = Replica::default();
        for replica in quorum.iter().filter_map(|at| self.0.get(*at)) {
            for (seq, row) in (1..).zip(&replica.rows) {
                if let Some(row) = row {
                    merged.put_row(seq, *row);
                }
            }
            if let Some((time, state)) = replica.state {
                merged.put_state(time, state);
            }
        }
        Read {
            rows: merged.rows,
            state: merged.state.map(|(_, state)| state),
        }
    }

    /// Gives both replicas of a quorum the newer state, and nothing else.
    pub(super) fn repair(&mut self, quorum: [usize; 2]) {
        let states: Vec<_> = quorum
            .iter()
            .filter_map(|at| self.0.get(*at)?.state)
            .collect();
        for at in quorum {
            for (time, state) in &states {
                if let Some(replica) = self.0.get_mut(at) {
                    replica.put_state(*time, *state);
                }
            }
        }
    }

    pub(super) fn compare(&self, one: usize, other: usize) -> Ordering {
        self.0.get(one).cmp(&self.0.get(other))
    }

    pub(super) fn reorder(&mut self, order: [usize; 3]) {
        self.0 = order.map(|at| self.0.get(at).cloned().unwrap_or_default());
    }

    /// Every row that stands anywhere, with its seq.
    pub(super) fn all_rows(&self) -> Vec<(u8, Row)> {
        let rows = self.0.iter().flat_map(|replica| (1..).zip(replica.rows));
        rows.filter_map(|(seq, row)| Some((seq, row?))).collect()
    }
}
