#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]
//! From the log into history.

use sordino_model::{
    explore::{deep, explore},
    rules::Rules,
    takeover::{COMMITTED, ERASED, Log, READABLE, Rule, SAME_ROWS, Takeover},
};

fn bounds(rules: Rules<Rule>, log: Log, assignments: u8) -> Takeover {
    Takeover {
        rules,
        log,
        assignments: assignments + u8::from(deep()),
        // An owner that does nothing any more is as one that died: crashes add states, and no ways to lose.
        crashes: u8::from(deep()),
    }
}

#[test]
fn the_rules_keep_every_promise() {
    for (log, assignments) in [
        (Log::Gap, 1),
        (Log::Repeated, 1),
        (Log::Epochs, 1),
        (Log::Erasure, 1),
    ] {
        let model = bounds(Rules::all(), log, assignments);
        let explored = explore(model);
        eprintln!("{model:?}: {} states", explored.states);
        assert_eq!(explored.broken, None);
        assert!(explored.done, "never came to an end");
    }
}

/// Without the rule one of the promises breaks.
fn breaks(rule: Rule, log: Log, assignments: u8, promise: &str) {
    let explored = explore(bounds(Rules::without(rule), log, assignments));
    let (name, way) = explored
        .broken
        .unwrap_or_else(|| panic!("nothing breaks without {rule:?}"));
    eprintln!("without {rule:?}: {name} breaks: {}", way.join(", "));
    assert_eq!(name, promise);
}

macro_rules! breaks {
    ($($name:ident: $rule:ident, $log:ident, $assignments:literal, $promise:expr;)*) => {
        $(#[test] fn $name() { breaks(Rule::$rule, Log::$log, $assignments, $promise) })*
    };
}

breaks! {
    state_and_rows_apart: OneMutation, Erasure, 1, READABLE;
    several_batches: OneBatch, Repeated, 1, READABLE;
    a_failed_batch_let_go: UntilAcknowledged, Repeated, 1, READABLE;
    one_replica_is_enough: Quorum, Repeated, 1, READABLE;
    no_write_back: WriteBack, Repeated, 1, READABLE;
    a_repairing_read: NoReadRepair, Erasure, 2, READABLE;
    the_last_state_wins: StateBySeq, Plain, 2, COMMITTED;
    the_last_row_wins: RowByAppendTime, Erasure, 1, ERASED;
    a_stale_state: DropCache, Plain, 2, COMMITTED;
    decided_again: ComparePlaces, Gap, 1, SAME_ROWS;
    offsets_of_another_log: CompareEpochs, Epochs, 1, COMMITTED;
    an_early_commit: CommitAfterPersist, Repeated, 1, COMMITTED;
}
