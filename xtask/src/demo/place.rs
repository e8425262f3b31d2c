//! Where a run works, and where its results go.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::{Builder, TempDir};

use super::who::Who;

/// The relay's data directory, here and in `--out`.
const RELAY: &str = "relay";

/// A temporary directory; results move to `--out` at the very end, so that a run cut short leaves nothing that would have to
/// be told from a result.
pub(super) struct Place {
    temporary: TempDir,
    out: Option<PathBuf>,
    /// Directories that were made for `out`, the innermost first.
    made: Vec<PathBuf>,
}

/// What stays in `--out`.
pub(super) struct Kept {
    /// The relay's data directory.
    pub(super) data: PathBuf,
    /// What Alice and what Bob received.
    pub(super) received: [PathBuf; 2],
}

impl Place {
    /// With `out` it lies within: so that results need not be copied.
    pub(super) fn new(out: Option<&Path>) -> Result<Self, String> {
        let mut builder = Builder::new();
        builder.prefix("sordino-demo-");
        let mut made = Vec::new();
        let temporary = match out {
            None => builder
                .tempdir()
                .map_err(|e| format!("no temporary directory: {e}"))?,
            Some(out) => {
                let result = out.join(RELAY);
                if result.exists() {
                    return Err(format!(
                        "--out: {} is there already, from a run that was finished: name another directory, or remove it",
                        result.display()
                    ));
                }
                let missing = out
                    .ancestors()
                    .take_while(|path| !path.as_os_str().is_empty() && !path.exists());
                made.extend(missing.map(Path::to_owned));
                fs::create_dir_all(out)
                    .and_then(|()| builder.tempdir_in(out))
                    .map_err(|e| format!("--out: cannot write to {}: {e}", out.display()))?
            }
        };
        let place = Self {
            temporary,
            out: out.map(Path::to_owned),
            made,
        };
        let data = place.data();
        fs::create_dir(&data).map_err(|e| format!("cannot create {}: {e}", data.display()))?;
        Ok(place)
    }

    pub(super) fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// Directories that were made for `--out`, the innermost first.
    pub(super) fn made(&self) -> &[PathBuf] {
        &self.made
    }

    /// The relay's data directory during the run.
    pub(super) fn data(&self) -> PathBuf {
        self.temporary().join(RELAY)
    }

    /// Puts the results in `--out`. Where they stay then.
    pub(super) fn finish(&self) -> Result<Option<Kept>, String> {
        let Some(out) = &self.out else {
            return Ok(None);
        };
        // The relay's data last: they are what tells a finished run.
        let received = Who::ALL.map(received_by);
        let names = received.iter().map(String::as_str).chain([RELAY]);
        for name in names {
            fs::rename(self.temporary().join(name), out.join(name))
                .map_err(|e| format!("--out: cannot write {}: {e}", out.join(name).display()))?;
        }
        Ok(Some(Kept {
            data: out.join(RELAY),
            received: received.map(|name| out.join(name)),
        }))
    }

    /// After a failure the stores and logs are what explains it.
    pub(super) fn keep(self, why: &str) -> String {
        format!(
            "{why}\nstores and logs: {}",
            self.temporary.keep().display()
        )
    }
}

/// The file with what this person received.
pub(super) fn received_by(who: Who) -> String {
    format!("received-by-{}.txt", who.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_cut_short_is_simply_repeated_and_a_result_is_not_overwritten() {
        let out = tempfile::tempdir().unwrap();
        let cut_short = Place::new(Some(out.path())).unwrap();
        fs::write(cut_short.data().join("users"), "old").unwrap();
        // As SIGKILL leaves it.
        let _ = cut_short.temporary.keep();

        let run = Place::new(Some(out.path())).unwrap();
        fs::write(run.data().join("users"), "new").unwrap();
        for who in Who::ALL {
            fs::write(run.temporary().join(received_by(who)), who.name()).unwrap();
        }
        let kept = run.finish().unwrap().unwrap();
        drop(run);
        assert_eq!(fs::read_to_string(kept.data.join("users")).unwrap(), "new");
        let [_, bob] = kept.received;
        assert_eq!(bob, out.path().join("received-by-bob.txt"));
        assert_eq!(fs::read_to_string(bob).unwrap(), "bob");
        assert!(Place::new(Some(out.path())).is_err());
    }

    #[test]
    fn only_directories_that_were_made_are_known_as_made() {
        let outer = tempfile::tempdir().unwrap();
        let (inner, innermost) = (outer.path().join("a"), outer.path().join("a/b"));
        let place = Place::new(Some(&innermost)).unwrap();
        assert_eq!(place.made(), [innermost, inner]);
        assert!(Place::new(Some(outer.path())).unwrap().made().is_empty());
    }
}
