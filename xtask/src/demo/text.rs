//! The text that is to travel.

use std::{fs, path::Path};

/// Reads it, whole: what is wrong with it shows before anything is built or started.
pub(super) fn read(file: &Path) -> Result<String, String> {
    let shown = file.display();
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(_) if file.is_dir() => {
            return Err(format!(
                "--file {shown} is a directory: name a text file in UTF-8"
            ));
        }
        Err(e) => {
            return Err(format!(
                "cannot read --file {shown}: {e}; name a text file in UTF-8"
            ));
        }
    };
    if bytes.is_empty() {
        return Err(format!(
            "--file {shown} is empty: there is nothing to send; name a text file with at least one line"
        ));
    }
    String::from_utf8(bytes).map_err(|e| {
        let wrong = e.utf8_error().valid_up_to();
        let before = e.as_bytes().iter().take(wrong);
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        format!(
            "--file {shown} is not UTF-8 text: line {line}, byte {wrong} of the file; convert it (`iconv -t UTF-8`), or name another"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_text_is_said_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let of = |content: &[u8]| {
            let file = dir.path().join("text");
            fs::write(&file, content).unwrap();
            read(&file)
        };
        assert_eq!(of("Grüße\n🎻".as_bytes()).unwrap(), "Grüße\n🎻");
        assert!(of(b"").unwrap_err().contains("is empty"));
        let wrong = of(b"one\ntwo\nthr\xffee\n").unwrap_err();
        assert!(
            wrong.contains("not UTF-8 text: line 3, byte 11 "),
            "{wrong}"
        );
        let directory = read(dir.path()).unwrap_err();
        assert!(directory.contains("is a directory"), "{directory}");
        assert!(
            read(&dir.path().join("none"))
                .unwrap_err()
                .contains("cannot read")
        );
    }
}
