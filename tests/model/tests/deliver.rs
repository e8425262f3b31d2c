#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]
//! From the log to an online device.

use sordino_model::{
    deliver::{DELIVERED, Delivery, IN_ORDER, Rule, STORED},
    explore::{deep, explore},
    rules::Rules,
};

fn bounds(rules: Rules<Rule>) -> Delivery {
    let more = u8::from(deep());
    Delivery {
        rules,
        records: 2 + more,
        faults: 2 + more,
    }
}

#[test]
fn the_rules_keep_every_promise() {
    let model = bounds(Rules::all());
    let explored = explore(model);
    eprintln!("{model:?}: {} states", explored.states);
    assert_eq!(explored.broken, None);
    assert!(explored.done, "never came to an end");
}

/// Without the rule one of the promises breaks.
fn breaks(rule: Rule, promise: &str) {
    let explored = explore(bounds(Rules::without(rule)));
    let (name, way) = explored
        .broken
        .unwrap_or_else(|| panic!("nothing breaks without {rule:?}"));
    eprintln!("without {rule:?}: {name} breaks: {}", way.join(", "));
    assert_eq!(name, promise);
}

macro_rules! breaks {
    ($($name:ident: $rule:ident, $promise:expr;)*) => {
        $(#[test] fn $name() { breaks(Rule::$rule, $promise) })*
    };
}

breaks! {
    an_early_push: PersistFirst, STORED;
    registers_behind_the_push: RegistersFirst, DELIVERED;
    a_replay_that_raises_nothing: ReplayRegisters, DELIVERED;
    a_replay_that_tells_nobody: ReplayNudges, DELIVERED;
    an_early_commit: CommitAfterTelling, DELIVERED;
    a_failed_publication_let_go: RepeatUnknown, DELIVERED;
    reading_before_registering: RegisterBeforeRead, DELIVERED;
    no_sync_behind_a_registration: SyncAfterRegistration, DELIVERED;
    a_key_without_a_channel: SubscribeFirst, DELIVERED;
    a_beat_that_sets_the_key: BeatAsks, DELIVERED;
    a_silent_channel_kept: SilenceEnds, DELIVERED;
    a_full_window_forgotten: FullWindowSyncs, DELIVERED;
    every_row_shown_as_it_comes: Cursor, IN_ORDER;
}
