//! Text as it is searched: cut into words that are the same whatever case, accents and width they were written in.
//!
//! What is indexed and what is asked for both come through here, so that they are alike by construction; and what comes out holds no
//! character that means anything to the index, so that no query is an error there.

use std::ops::Range;

use unicode_normalization::char::{
    canonical_combining_class, compose, decompose_compatible, is_combining_mark,
};

/// Bytes that are kept of a word: the rest of a key or a link pasted whole tells nothing apart.
const WORD_BYTES: usize = 64;
/// Bytes that are looked at of a query, and words that are searched for. A phrase or a line of CJK has many.
const QUERY_BYTES: usize = 1024;
const QUERY_WORDS: usize = 64;
/// What begins and ends a phrase. Phones type the curved ones by themselves.
const QUOTES: [char; 4] = ['"', '“', '”', '„'];

/// A word of a text.
pub(crate) struct Word {
    /// As it is compared.
    pub(crate) folded: String,
    /// Where it stands.
    pub(crate) range: Range<usize>,
}

/// The words of a text, in its order.
///
/// Where words are written without spaces between them, each character is one: a run of them is then found as a phrase, wherever it
/// begins.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut goes_on = false;
    for (letter, range) in letters(text) {
        let alone = stands_alone(letter);
        if !alone && !letter.is_alphanumeric() && !is_combining_mark(letter) {
            goes_on = false;
            continue;
        }
        match words.last_mut() {
            Some(word) if goes_on && !alone => {
                if word.folded.len() < WORD_BYTES {
                    word.folded.push(letter);
                }
                word.range.end = range.end;
            }
            _ => words.push(Word {
                folded: letter.into(),
                range,
            }),
        }
        goes_on = !alone;
    }
    words
}

/// The words of a text, a space between each two: what is given to the index.
pub(crate) fn indexed(text: &str) -> String {
    join(words(text).into_iter().map(|word| word.folded))
}

fn join(words: impl IntoIterator<Item = String>) -> String {
    words.into_iter().collect::<Vec<_>>().join(" ")
}

/// The characters of a text as they are compared, and where each stands in it.
fn letters(text: &str) -> Vec<(char, Range<usize>)> {
    let mut letters: Vec<(char, Range<usize>)> = Vec::with_capacity(text.len());
    for (start, whole) in text.char_indices() {
        let end = start + whole.len_utf8();
        decompose_compatible(whole, |part| {
            if is_ignored(part) {
                // It belongs to what it stands on: half a letter is not to be marked.
                if let Some((_, range)) = letters.last_mut() {
                    range.end = end;
                }
                return;
            }
            // ẞ has no upper case but itself, ß has; ς, ı and ſ are told from σ, i and s by lower case alone.
            let folded = part.to_lowercase().flat_map(char::to_uppercase);
            for letter in folded.flat_map(char::to_lowercase).map(without_stroke) {
                // Korean syllables and voiced kana, which have come apart or were typed so.
                if let Some((before, range)) = letters.last_mut()
                    && let Some(both) = compose(*before, letter)
                {
                    *before = both;
                    range.end = end;
                } else {
                    letters.push((letter, start..end));
                }
            }
        });
    }
    letters
}

/// Accents, points and strokes over, under and through a letter. Not what makes another letter or syllable of it: vowel signs and
/// viramas of Indic scripts, Thai tones, the voicing of kana.
fn is_ignored(letter: char) -> bool {
    matches!(canonical_combining_class(letter), 1 | 10..=36 | 200..)
        || matches!(letter,
            // Soft hyphen, Arabic tatweel, joiners and marks of direction, variation selectors, skin tones.
            '\u{ad}' | '\u{640}' | '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{1f3fb}'..='\u{1f3ff}')
}

/// Unicode does not take the stroke for an accent; who has no key for it does.
const fn without_stroke(letter: char) -> char {
    match letter {
        'ł' => 'l',
        'ø' => 'o',
        'đ' => 'd',
        other => other,
    }
}

/// Whether it is a word by itself: of a script without spaces, of Korean, whose words have others within them, or an emoji.
fn stands_alone(letter: char) -> bool {
    match letter {
        // Thai and Lao, Burmese, Hangul, Khmer; kana and Han.
        '\u{e00}'..='\u{eff}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1100}'..='\u{11ff}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}' => letter.is_alphanumeric() || is_combining_mark(letter),
        '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}' => true,
        _ => false,
    }
}

/// What is searched for: every phrase, each the words of it one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    phrases: Vec<Vec<String>>,
    /// The last word is still being typed.
    typing: bool,
}

impl Terms {
    /// Of what somebody typed. `None`: there is no word in it.
    pub(crate) fn parse(query: &str) -> Option<Self> {
        let query = query
            .get(..query.floor_char_boundary(QUERY_BYTES))
            .unwrap_or_default();
        let mut left = QUERY_WORDS;
        let mut phrases = Vec::new();
        let mut typing = false;
        let mut add = |piece: &str| {
            let mut words = words(piece);
            words.truncate(left);
            left -= words.len();
            if let Some(last) = words.last() {
                typing = last.range.end == piece.len();
                phrases.push(words.into_iter().map(|word| word.folded).collect());
            }
        };
        for (at, part) in query.split(QUOTES).enumerate() {
            if at % 2 == 1 {
                add(part);
            } else {
                part.split_whitespace().for_each(&mut add);
            }
        }
        // What ends in a space or a quote is typed to its end.
        let ends = query.ends_with(char::is_whitespace) || query.ends_with(QUOTES);
        (!phrases.is_empty()).then_some(Self {
            phrases,
            typing: typing && !ends,
        })
    }

    /// As the index is asked.
    pub(crate) fn expression(&self) -> String {
        let phrases = self.phrases.iter();
        let phrases = phrases.map(|phrase| format!("\"{}\"", phrase.join(" ")));
        join(phrases) + if self.typing { " *" } else { "" }
    }

    /// Where a text has what is searched for, in its order; what stands side by side is one.
    pub(crate) fn ranges(&self, text: &str) -> Vec<Range<usize>> {
        let words = words(text);
        let mut found: Vec<Range<usize>> = Vec::new();
        for (index, phrase) in self.phrases.iter().enumerate() {
            let typing = self.typing && index + 1 == self.phrases.len();
            let places = words.windows(phrase.len()).filter(|place| {
                place.iter().zip(phrase).enumerate().all(|(at, pair)| {
                    let (word, wanted) = (&pair.0.folded, pair.1);
                    word == wanted
                        || typing && at + 1 == phrase.len() && word.starts_with(wanted.as_str())
                })
            });
            found.extend(places.filter_map(|place| {
                let (first, last) = (place.first()?, place.last()?);
                Some(first.range.start..last.range.end)
            }));
        }
        found.sort_unstable_by_key(|range| (range.start, range.end));
        found.dedup_by(|next, before| {
            let touches = next.start <= before.end;
            if touches {
                before.end = before.end.max(next.end);
            }
            touches
        });
        found
    }
}

#[cfg(test)]
mod tests;
