//! What a client writes down: lines of JSON in a file that is only ever appended to.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    sync::Mutex,
};

use serde::{Deserialize, Serialize};
use sordino::{MessageId, UserId};

/// One thing that a client knew at that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// It runs.
    Began {
        /// Who it is.
        me: UserId,
    },
    /// `send` returned.
    Sent {
        /// To whom.
        peer: UserId,
        /// What it returned.
        id: MessageId,
        /// What was sent.
        text: String,
    },
    /// An own message was seen as accepted by the relay.
    Accepted {
        /// To whom.
        peer: UserId,
        /// Which.
        id: MessageId,
    },
    /// A message of the peer was shown, for the first time in this life.
    Heard {
        /// Whose.
        peer: UserId,
        /// Which.
        id: MessageId,
    },
    /// Everything that was to be sent is delivered, and everything that was to come is here.
    Done,
    /// The client noticed something that a kill is no excuse for.
    Alarm {
        /// What.
        what: String,
    },
    /// At the end: a conversation as it is shown.
    Timeline {
        /// With whom.
        peer: UserId,
        /// Everything that is shown, oldest first.
        items: Vec<Item>,
    },
}

/// An item of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The seq of its row.
    pub place: u64,
    /// What stands there.
    pub shown: Shown,
}

/// What stands in a place of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// A message.
    Message {
        /// Its name.
        id: MessageId,
        /// Who wrote it.
        author: UserId,
        /// What it says.
        text: String,
    },
    /// The device was told that something is missing.
    Gap,
    /// Anything else.
    Other(String),
}

/// Where notes go. A line is handed to the kernel before the call returns: it survives a kill of the process.
pub struct Notes(Mutex<File>);

impl Notes {
    /// Goes on in this file, on a new line: a kill may have cut the last one off.
    pub fn append(path: &Path) -> io::Result<Self> {
        let mut file = File::options().create(true).append(true).open(path)?;
        file.write_all(b"\n")?;
        Ok(Self(Mutex::new(file)))
    }

    /// Writes a line.
    pub fn write(&self, note: &Note) -> io::Result<()> {
        let mut line = serde_json::to_vec(note)?;
        line.push(b'\n');
        let mut file = self
            .0
            .lock()
            .map_err(|_| io::Error::other("a writer failed"))?;
        file.write_all(&line)
    }
}

/// Reads notes while they are being written.
pub struct Reader {
    file: File,
    /// The beginning of a line whose end is not there yet.
    rest: Vec<u8>,
}

impl Reader {
    /// From the beginning of the file, which is made if there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .read(true)
            .open(path)?;
        Ok(Self {
            file,
            rest: Vec::new(),
        })
    }

    /// What was written since the last call.
    pub fn read(&mut self) -> io::Result<Vec<Note>> {
        self.file.read_to_end(&mut self.rest)?;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n');
        let lines: Vec<u8> = self.rest.drain(..whole.map_or(0, |at| at + 1)).collect();
        // One that was cut off by a kill is no note.
        let notes = lines.split(|byte| *byte == b'\n');
        Ok(notes
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_come_and_a_cut_line_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes");
        let mut reader = Reader::open(&path).unwrap();
        let notes = Notes::append(&path).unwrap();
        let began = Note::Began {
            me: UserId::from_bytes([1; 16]),
        };
        assert_eq!(reader.read().unwrap(), []);
        notes.write(&began).unwrap();
        assert_eq!(reader.read().unwrap(), std::slice::from_ref(&began));
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(br#"{"note":"do"#).unwrap();
        assert_eq!(reader.read().unwrap(), []);
        let again = Notes::append(&path).unwrap();
        again.write(&Note::Done).unwrap();
        again.write(&began).unwrap();
        assert_eq!(reader.read().unwrap(), [Note::Done, began]);
    }
}
