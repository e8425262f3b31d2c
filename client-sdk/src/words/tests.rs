use proptest::prelude::*;
use rusqlite::Connection;

use super::*;

/// Whether the index finds a text. Then there is something to be marked in it.
fn finds(text: &str, query: &str) -> bool {
    thread_local!(static INDEX: Connection = {
        let index = Connection::open_in_memory().unwrap();
        index.execute_batch("CREATE VIRTUAL TABLE i USING fts5 (w, content = '', tokenize = 'ascii')").unwrap();
        index
    });
    let Some(terms) = Terms::parse(query) else {
        return false;
    };
    let found = INDEX.with(|index| -> rusqlite::Result<bool> {
        index.execute("INSERT INTO i (i) VALUES ('delete-all')", [])?;
        index.execute("INSERT INTO i (rowid, w) VALUES (1, ?1)", [indexed(text)])?;
        let mut asked = index.prepare_cached("SELECT 1 FROM i WHERE i MATCH ?1")?;
        asked.exists([terms.expression()])
    });
    let found = found.unwrap();
    assert!(
        !found || !terms.ranges(text).is_empty(),
        "{text:?} {query:?}"
    );
    found
}

fn marked<'a>(text: &'a str, query: &str) -> Vec<&'a str> {
    let terms = Terms::parse(query).unwrap();
    let ranges = terms.ranges(text).into_iter();
    ranges.map(|range| &text[range]).collect()
}

#[test]
fn case_accents_and_width_are_all_one() {
    for (text, query) in [
        ("Café", "cafe\u{301} "),
        ("cafe\u{301}", "CAFÉ "),
        ("Straße", "STRASSE "),
        ("STRAẞE", "straße "),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευς "),
        ("Ὀδυσσεύς", "ΟΔΥΣΣΕΥΣ "),
        ("İstanbul", "istanbul "),
        ("ISPARTA", "ısparta "),
        ("ﬁnal", "FINAL "),
        ("Łódź", "lodz "),
        ("søren", "SØREN "),
        ("ёлка", "Елка "),
        ("שָׁלוֹם", "שלום "),
        ("مُحَمَّد", "محمد "),
        ("ســلام", "سلام "),
        ("أحمد", "احمد "),
        ("ＡＢＣ１２", "abc12 "),
        ("ｶﾞｷﾞ", "ガギ"),
        ("co\u{ad}operate", "cooperate "),
        ("हिन्दी", "हिन्दी "),
        ("s\u{336}t\u{336}r\u{336}", "str "),
    ] {
        assert!(finds(text, query), "{text} {query}");
        assert!(finds(query, text), "{query} {text}");
        assert_eq!(indexed(text), indexed(query.trim()), "{text} {query}");
    }
    for (text, query) in [("かき", "がき"), ("กี", "กิ"), ("काम", "कीम"), ("ab", "a ")]
    {
        assert!(!finds(text, query), "{text} {query}");
    }
}

#[test]
fn without_spaces_every_part_is_found() {
    for text in [
        "東京都に住んでいます",
        "カタカナのテスト",
        "我们明天去北京",
        "고등학교에서",
        "ประเทศไทย",
        "𠮷野家",
    ] {
        let chars: Vec<char> = text.chars().collect();
        for length in 1..=chars.len() {
            for part in chars.windows(length) {
                let part: String = part.iter().collect();
                assert!(finds(text, &part), "{text} {part}");
                assert!(finds(text, &format!("\"{part}\"")), "{text} {part}");
            }
        }
        assert_eq!(marked(text, text), [text]);
    }
    assert!(!finds("北海道と東京", "北京"), "not side by side");
    // Typed as an old phone does, and as a Mac names its files.
    assert!(finds(
        "한글",
        "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"
    ));
    assert_eq!(marked("東京tower東", "京Tow"), ["京tower"]);
}

#[test]
fn the_word_that_is_being_typed_is_found_by_its_beginning() {
    assert_eq!(marked("Hello there, hell", "HEL"), ["Hello", "hell"]);
    assert!(!finds("hello", "hel "), "typed to its end");
    assert!(!finds("hello there", "hel there"), "not the last");
    assert!(!finds("hello", "\"hel\""));
    assert!(finds("say hello there", "\"say hel"), "not closed yet");
    assert!(finds("bob@example.com", "bob@exa"));
    assert!(!finds("donut", "don'"), "a word ends there");
}

#[test]
fn a_phrase_stands_together_and_every_term_is_wanted() {
    assert!(finds("at ten past noon", "\"ten past\" at "));
    assert!(!finds("ten at past noon", "\"ten past\""));
    assert!(finds("ten, PAST noon", "“Ten past”"));
    let terms = Terms::parse("b \"c d\" e-f g").unwrap();
    assert_eq!(terms.expression(), r#""b" "c d" "e f" "g" *"#);
    assert_eq!(marked("l'été, oh", "ÉTÉ"), ["été"]);
}

#[test]
fn emoji_are_words_of_their_own() {
    assert_eq!(marked("good👍🏽luck", "👍"), ["👍🏽"]);
    assert!(finds("good👍🏽luck", "luck good"));
    assert_eq!(marked("a ❤\u{fe0f} b", "❤"), ["❤\u{fe0f}"]);
    assert_eq!(marked("👩🏽‍👧 family", "👩‍👧"), ["👩🏽‍👧"]);
    assert!(finds("🇩🇪", "🇩🇪") && !finds("🇩🇪", "🇪🇸"));
}

#[test]
fn what_has_no_word_asks_for_nothing() {
    for query in [
        "", " ", "\"", "\"\"\"", "*", "-", "()", "\0", "\u{301}", "…?!", "“”",
    ] {
        assert_eq!(Terms::parse(query), None, "{query:?}");
    }
    assert_eq!(indexed("\u{301} \0 -- …"), "");
}

#[test]
fn nothing_grows_without_bounds() {
    let long = "x".repeat(100_000);
    assert!(indexed(&long).len() <= WORD_BYTES);
    assert!(finds(&long, &long[..500]), "as far as it is kept");
    let many = "a\"b 字 ".repeat(10_000);
    let terms = Terms::parse(&many).unwrap();
    assert_eq!(terms.phrases.iter().flatten().count(), QUERY_WORDS);
}

fn anything() -> impl Strategy<Value = String> {
    // Plain text, and text of what is handled in a way of its own.
    let odd = prop::sample::select(
        "aZ éßẞİıΣς\u{301}\u{308}\u{3099}日本かガ한\u{1112}\u{1161}กำ\u{e49}👍\u{1f3fd}\u{200d}\u{fe0f}\"“*-'\0\u{ad}שָ"
            .chars()
            .collect::<Vec<_>>(),
    );
    let odd = prop::collection::vec(odd, 0..24).prop_map(String::from_iter);
    prop_oneof![any::<String>(), odd]
}

proptest! {
    /// The index keeps words apart at ASCII that is neither letter nor digit, and a quote would end what it is asked for.
    #[test]
    fn nothing_comes_out_that_means_anything_to_the_index(text in anything()) {
        for word in words(&text) {
            prop_assert!(!word.folded.is_empty());
            let plain = |c: char| !c.is_ascii() || c.is_ascii_lowercase() || c.is_ascii_digit();
            prop_assert!(word.folded.chars().all(plain), "{:?}", word.folded);
        }
    }

    #[test]
    fn ranges_are_pieces_of_the_text_in_its_order(text in anything(), query in anything()) {
        if let Some(terms) = Terms::parse(&query) {
            let mut end = 0;
            for range in terms.ranges(&text) {
                prop_assert!(range.start >= end && range.start < range.end);
                prop_assert!(text.get(range.clone()).is_some());
                end = range.end;
            }
        }
    }

    #[test]
    fn every_word_of_a_text_finds_it(text in anything()) {
        let words = words(&text);
        for (at, word) in words.iter().enumerate() {
            // ¼ is 1 and 4, and the 1 belongs to what stands before it.
            let halved = at > 0 && words[at - 1].range.end > word.range.start;
            let word = &text[word.range.clone()];
            prop_assert!(halved || finds(&text, word), "{word:?}");
        }
    }
}
