//! A file system of a few megabytes that a test can fill.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// What the holder runs: mounts, says so, and stays as long as its standard input.
const HOLD: &str = "mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && echo mounted && exec cat";

/// A small file system in memory, in a mount namespace of its own: it needs no root where user namespaces are allowed, and
/// nothing of it is left when this value is dropped.
pub struct SmallDisk {
    /// Its process keeps the namespace.
    holder: Child,
    mounted: PathBuf,
}

impl SmallDisk {
    /// Mounts one on an empty directory; an error where the system does not allow it.
    pub fn mount(at: &Path, bytes: u64) -> io::Result<Self> {
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount"])
            .args(["sh", "-c", HOLD, "sh", &bytes.to_string()])
            .arg(at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut said = String::new();
        if let Some(out) = holder.stdout.take() {
            BufReader::new(out).read_line(&mut said)?;
        }
        let disk = Self {
            holder,
            mounted: at.to_owned(),
        };
        if said.trim() != "mounted" {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the system mounts nothing for us",
            ));
        }
        Ok(disk)
    }

    /// What to start instead of a program that is to see this disk, and what to put before its arguments.
    #[must_use]
    pub fn enter(&self, program: &Path) -> (PathBuf, Vec<OsString>) {
        let mut before: Vec<OsString> = vec!["--target".into()];
        before.push(self.holder.id().to_string().into());
        before.extend(["--user", "--mount", "--preserve-credentials", "--"].map(Into::into));
        before.push(program.into());
        ("nsenter".into(), before)
    }

    /// A path on this disk, as this process reaches it.
    #[must_use]
    pub fn seen_from_outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn ballast(&self) -> PathBuf {
        self.seen_from_outside(&self.mounted).join("ballast")
    }

    /// Fills it until only so many bytes are left.
    pub fn fill(&self, left: u64) -> io::Result<()> {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.ballast())?;
        let block = [7; 4096];
        while fs4::available_space(self.seen_from_outside(&self.mounted))? > left {
            file.write_all(&block)?;
        }
        Ok(())
    }

    /// Gives back what was taken.
    pub fn empty(&self) -> io::Result<()> {
        fs::remove_file(self.ballast())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
