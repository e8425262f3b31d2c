//! A text in pieces that fit a message each and make the same text again, byte for byte.

use std::{fs, io, path::Path};

/// The largest text of a message, in bytes.
const LARGEST: usize = 16 * 1024;

/// The lines of a file with their ends, so that an empty line is a text, too.
pub(crate) fn read(file: &Path) -> io::Result<Vec<String>> {
    Ok(pieces(&fs::read_to_string(file)?))
}

fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    for mut line in text.split_inclusive('\n') {
        while line.len() > LARGEST {
            let (piece, rest) = line.split_at(line.floor_char_boundary(LARGEST));
            pieces.push(piece.to_owned());
            line = rest;
        }
        pieces.push(line.to_owned());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fit_a_message_and_make_the_text_again() {
        let long = "é".repeat(LARGEST);
        let text = format!("one\n\ntwo\r\n{long}\nthe end");
        let pieces = pieces(&text);
        assert_eq!(pieces.concat(), text);
        assert!(
            pieces
                .iter()
                .all(|piece| (1..=LARGEST).contains(&piece.len()))
        );
        assert_eq!(
            pieces.get(..3),
            Some(&["one\n".into(), "\n".into(), "two\r\n".into()][..])
        );
    }
}
