#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]
//! From a sender to the log.

use sordino_model::{
    accept::{ACCEPTED, Accept, NO_ALARM, ONCE, Rule},
    explore::{deep, explore},
    rules::Rules,
};

fn bounds(rules: Rules<Rule>) -> [Accept; 5] {
    let more = u8::from(deep());
    let faults = Accept {
        rules,
        written: 3,
        messages: 3,
        held: false,
        faults: 1 + more,
        cuts: 1,
        encryptions: 0,
        rollback: false,
        lag: false,
    };
    let encryptions = Accept {
        written: 2,
        messages: 2,
        faults: 1,
        encryptions: 1,
        lag: deep(),
        ..faults
    };
    let held = Accept {
        written: 0,
        messages: 2,
        held: true,
        faults: 0,
        ..faults
    };
    let rollback = Accept {
        written: 1,
        messages: 3,
        faults: more,
        cuts: more,
        rollback: true,
        lag: true,
        ..faults
    };
    let quiet_rollback = Accept {
        lag: false,
        ..rollback
    };
    [faults, encryptions, held, rollback, quiet_rollback]
}

#[test]
fn the_rules_keep_every_promise() {
    for model in bounds(Rules::all()) {
        let explored = explore(model);
        eprintln!("{model:?}: {} states", explored.states);
        assert_eq!(explored.broken, None);
        assert!(explored.done, "never came to an end");
    }
}

/// Without the rule one of the promises breaks.
fn breaks(rule: Rule, promise: &str) {
    let broken = bounds(Rules::without(rule))
        .into_iter()
        .find_map(|model| explore(model).broken);
    let (name, way) = broken.unwrap_or_else(|| panic!("nothing breaks without {rule:?}"));
    eprintln!("without {rule:?}: {name} breaks: {}", way.join(", "));
    assert_eq!(name, promise);
}

macro_rules! breaks {
    ($($name:ident: $rule:ident, $promise:expr;)*) => {
        $(#[test] fn $name() { breaks(Rule::$rule, $promise) })*
    };
}

breaks! {
    an_early_accepted: WaitForTheLog, ACCEPTED;
    answers_out_of_order: AnswersInOrder, ACCEPTED;
    no_hole_rule: HoleRule, ACCEPTED;
    gaps_sequenced: RefuseGaps, ACCEPTED;
    duplicates_sequenced: KnowDuplicates, ONCE;
    another_counter: SameCounter, ACCEPTED;
    only_the_last_encryption: KeepEveryEncryption, NO_ALARM;
    nothing_kept_once_accepted: KeepUntilItsRow, NO_ALARM;
    sending_before_catching_up: CatchUpFirst, ACCEPTED;
    a_counter_while_held: NoCounterWhileHeld, ACCEPTED;
}
