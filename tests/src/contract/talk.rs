//! What the clients say: texts that tell who says the how-manieth message to whom.

/// The text of message `n`, counted from 1. Lengths differ, so that padding and batches do.
#[must_use]
pub fn text(from: &str, to: &str, n: usize) -> String {
    let filler = "·".repeat(n * 37 % 400);
    format!("{from} to {to} {n} {filler}")
}

/// Who, to whom, which: of a whole text, as [`text`] makes it.
#[must_use]
pub fn parse(said: &str) -> Option<(&str, &str, usize)> {
    let mut words = said.split(' ');
    let (from, _, to, n) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let n = n.parse().ok()?;
    (text(from, to, n) == said).then_some((from, to, n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_what_it_is_and_a_changed_one_says_nothing() {
        for n in [1, 7, 240] {
            assert_eq!(parse(&text("alice", "bob", n)), Some(("alice", "bob", n)));
        }
        let cut = text("alice", "bob", 7);
        assert_eq!(parse(cut.strip_suffix('·').unwrap()), None);
        assert_eq!(parse(""), None);
        assert_eq!(parse("alice to bob"), None);
    }
}
