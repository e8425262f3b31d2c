use proptest::prelude::*;

use super::*;

fn with(text: &str) -> Input {
    let mut input = Input::new(1000);
    input.set(text);
    input
}

#[test]
fn one_key_takes_a_whole_grapheme() {
    let mut input = with("a👩🏽‍👧e\u{301}");
    input.backspace();
    assert_eq!(input.text(), "a👩🏽‍👧");
    input.left();
    input.delete();
    assert_eq!(input.text(), "a");
    input.backspace();
    input.backspace();
    assert!(input.is_empty());
}

#[test]
fn words() {
    let mut input = with("one two, three");
    input.delete_word();
    assert_eq!(input.text(), "one two, ");
    input.word_left();
    input.word_left();
    input.insert("2");
    assert_eq!(input.text(), "one 2two, ");
    input.word_right();
    input.insert("!");
    assert_eq!(input.text(), "one 2two!, ");
    input.delete_to_start();
    input.delete_to_end();
    assert!(input.is_empty());
}

#[test]
fn lines_and_columns() {
    let mut input = with("wide 日本\nab\nlonger line");
    input.up();
    input.insert("!");
    assert_eq!(input.text(), "wide 日本\nab!\nlonger line");
    input.up();
    input.insert("?");
    assert_eq!(input.text(), "wid?e 日本\nab!\nlonger line");
    input.end();
    input.down();
    input.home();
    input.down();
    input.insert("#");
    assert_eq!(input.text(), "wid?e 日本\nab!\n#longer line");
}

#[test]
fn what_was_typed_before_comes_back_and_the_draft_is_kept() {
    let mut input = with("first");
    assert_eq!(input.take().as_deref(), Some("first"));
    input.set("second ");
    assert_eq!(input.take().as_deref(), Some("second"));
    input.set("draft");
    input.up();
    assert_eq!(input.text(), "second");
    input.up();
    input.up();
    assert_eq!(input.text(), "first");
    input.down();
    input.down();
    assert_eq!(input.text(), "draft");
    input.set(" \n ");
    assert_eq!(input.take(), None);
}

#[test]
fn a_paste_is_cut_at_the_limit_and_loses_control_characters() {
    let mut input = Input::new(6);
    assert!(input.insert("a\u{1b}"));
    assert!(!input.insert("日本"));
    assert_eq!(input.text(), "a\u{fffd}");
}

#[test]
fn the_cursor_is_where_the_next_letter_comes() {
    let mut input = with("日本語 abc");
    assert_eq!(input.layout(20).cursor, (10, 0));
    assert_eq!(input.layout(8).cursor, (3, 1));
    input.home();
    assert_eq!(input.layout(8).cursor, (0, 0));
    assert_eq!(with("ab\n").layout(8).cursor, (0, 1));
}

type Key = fn(&mut Input);

const KEYS: &[Key] = &[
    Input::backspace,
    Input::delete,
    Input::delete_word,
    Input::delete_to_start,
    Input::delete_to_end,
    Input::left,
    Input::right,
    Input::word_left,
    Input::word_right,
    Input::home,
    Input::end,
    Input::up,
    Input::down,
    |input| drop(input.take()),
];

proptest! {
    #[test]
    fn any_keys_leave_it_whole(
        steps in prop::collection::vec((any::<String>(), 0..KEYS.len()), 1..40),
        columns in 2usize..30,
    ) {
        let mut input = Input::new(200);
        for (typed, key) in steps {
            input.insert(&typed);
            KEYS[key](&mut input);
            prop_assert!(input.text.len() <= 200);
            prop_assert!(input.text.chars().all(|c| c == '\n' || !c.is_control()));
            let on_boundary = input.cursor == input.text.len()
                || input.text.grapheme_indices(true).any(|(at, _)| at == input.cursor);
            prop_assert!(on_boundary);
            let layout = input.layout(columns);
            prop_assert!(layout.cursor.0 <= columns);
            prop_assert!(layout.cursor.1 < layout.lines.len());
        }
    }

    #[test]
    fn left_and_right_are_opposites(text in any::<String>(), steps in 0usize..20) {
        let mut input = with(&text);
        for _ in 0..steps {
            input.left();
        }
        let cursor = input.cursor;
        input.left();
        if input.cursor < cursor {
            input.right();
        }
        prop_assert_eq!(input.cursor, cursor);
    }
}
