//! Whether plaintext stands anywhere in the relay's data directory.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use aho_corasick::AhoCorasick;

/// A shorter text is found in random bytes by chance: of three bytes a megabyte has every sixteenth one.
const SHORTEST: usize = 8;
/// So much of each text is searched for, from its beginning. Whatever holds a text holds this much of it, and 64 bytes are not
/// found by chance; a longer text is not even stored in one piece, but over several pages of a database.
const WINDOW: usize = 64;
/// In `users.sqlite`: a search that does not find it does not search.
const CONTROL: &str = "alice";

/// What a search found.
pub(super) struct Leaks {
    pub(super) files: usize,
    pub(super) bytes: u64,
    pub(super) searched: usize,
    pub(super) too_short: usize,
    found: Option<(String, PathBuf)>,
    control: bool,
}

/// What is searched for of a text. Blanks around it are not: a relay's files have as many of them as one likes.
fn window(text: &str) -> Option<&str> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let window = text.get(..text.floor_char_boundary(WINDOW));
    window.filter(|window| window.len() >= SHORTEST)
}

/// Searches every file below `data` for every text.
pub(super) fn search(data: &Path, texts: &[String]) -> Result<Leaks, String> {
    let mut needles: Vec<&str> = texts.iter().filter_map(|text| window(text)).collect();
    let mut leaks = Leaks {
        files: 0,
        bytes: 0,
        searched: needles.len(),
        too_short: texts.len() - needles.len(),
        found: None,
        control: false,
    };
    // Patterns that begin alike, thousands of times, would make the search slow.
    needles.sort_unstable();
    needles.dedup();
    needles.push(CONTROL);
    let needle = AhoCorasick::new(&needles).map_err(|e| format!("the text: {e}"))?;
    let mut directories = vec![data.to_owned()];
    let failed = |path: &Path, e| format!("{}: {e}", path.display());
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).map_err(|e| failed(&directory, e))? {
            let path = entry.map_err(|e| failed(&directory, e))?.path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let mut content = Vec::new();
            File::open(&path)
                .and_then(|mut file| file.read_to_end(&mut content))
                .map_err(|e| failed(&path, e))?;
            leaks.files += 1;
            leaks.bytes += content.len() as u64;
            for found in needle.find_overlapping_iter(&content) {
                match needles.get(found.pattern().as_usize()) {
                    Some(&CONTROL) => leaks.control = true,
                    Some(text) if leaks.found.is_none() => {
                        leaks.found = Some(((*text).to_owned(), path.clone()));
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(leaks)
}

impl Leaks {
    /// An error if a text was found, or if the search proves nothing.
    pub(super) fn verdict(&self) -> Result<(), String> {
        if let Some((text, path)) = &self.found {
            return Err(format!("plaintext in {}: {text:?}", path.display()));
        }
        if !self.control {
            return Err("the search did not even find the user name in the relay's files".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_the_beginning_of_what_is_more_than_blanks() {
        assert_eq!(window("\t a secret\r\n"), Some("a secret"));
        let long = format!("{}{}", "ä".repeat(31), "提".repeat(5000));
        assert_eq!(window(&long), Some("ä".repeat(31).as_str()));
        for short in ["", "\n", "ok\n", "1234567\n", "       \0\0\0\0       7\n"] {
            assert_eq!(window(short), None, "{short:?}");
        }
    }

    #[test]
    fn a_long_text_is_found_by_its_beginning_among_many_that_repeat() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("users"), b"..alice..").unwrap();
        let mut texts: Vec<_> = ('a'..='z').map(|c| c.to_string().repeat(15_000)).collect();
        texts.resize(1000, "y".repeat(10_000));
        search(dir.path(), &texts).unwrap().verdict().unwrap();
        fs::write(dir.path().join("rows"), "x".repeat(100)).unwrap();
        assert!(search(dir.path(), &texts).unwrap().verdict().is_err());
    }

    #[test]
    fn a_text_in_a_file_is_found_and_a_search_of_nothing_proves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let texts = ["a secret line\n".to_owned(), "short\n".to_owned()];
        fs::write(dir.path().join("users"), b"..alice..").unwrap();
        let clean = search(dir.path(), &texts).unwrap();
        assert_eq!((clean.searched, clean.too_short, clean.files), (1, 1, 1));
        clean.verdict().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        fs::write(dir.path().join("below/rows"), b"\0\x01a secret line\x7f").unwrap();
        assert!(search(dir.path(), &texts).unwrap().verdict().is_err());
        fs::remove_file(dir.path().join("users")).unwrap();
        fs::remove_file(dir.path().join("below/rows")).unwrap();
        assert!(search(dir.path(), &texts).unwrap().verdict().is_err());
    }
}
