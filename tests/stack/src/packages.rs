//! Programs that must be there, and Debian's packages that bring them.
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::Error;

/// A program, and the packages that bring it.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Where it is, if it is there.
    pub find: fn(&str) -> Option<PathBuf>,
    /// Debian's packages, separated by spaces.
    pub packages: &'static str,
}

impl Program {
    /// One that is looked for in `PATH` and where Debian keeps what is for administrators.
    pub const fn in_path(name: &'static str, packages: &'static str) -> Self {
        Self {
            name,
            find: in_path,
            packages,
        }
    }

    /// Its path.
    ///
    /// # Errors
    /// [`Error::Missing`] names the packages.
    pub fn path(&self) -> Result<PathBuf, Error> {
        (self.find)(self.name).ok_or_else(|| Error::Missing(self.packages.to_owned()))
    }
}

pub(crate) const JAVA: Program = Program {
    name: "java",
    find: java,
    packages: "openjdk-17-jre-headless",
};
pub(crate) const MAVEN: Program = Program::in_path("mvn", "maven");
pub(crate) const POSTGRES: Program = Program {
    name: "postgres",
    find: postgres,
    packages: "postgresql",
};
pub(crate) const REDIS: Program = Program::in_path("redis-server", "redis-server");
pub(crate) const HAPROXY: Program = Program::in_path("haproxy", "haproxy");
pub(crate) const OPENSSL: Program = Program::in_path("openssl", "openssl");
pub(crate) const SETSID: Program = Program::in_path("setsid", "util-linux");

/// Installs what is missing with apt-get; `tell` hears of it first.
///
/// # Errors
/// [`Error::Missing`] names what is still missing.
pub fn ensure(programs: &[Program], mut tell: impl FnMut(String)) -> Result<(), Error> {
    let missing = || {
        let missing = programs.iter().filter(|p| p.path().is_err());
        let mut packages: Vec<_> = missing.flat_map(|p| p.packages.split(' ')).collect();
        packages.dedup();
        packages
    };
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    tell(format!("installing {}", packages.join(" ")));
    if apt_get(&["update"]) {
        let options = ["install", "-y", "--no-install-recommends"];
        apt_get(&[&options, &packages[..]].concat());
    }
    match missing() {
        left if left.is_empty() => Ok(()),
        left => Err(Error::Missing(left.join(" "))),
    }
}

fn apt_get(args: &[&str]) -> bool {
    let quiet = Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut dirs = std::env::split_paths(&path).chain(more);
    dirs.find_map(|dir| file(dir.join(name)))
}

/// Java 17, whichever `java` comes first in `PATH`: Cassandra 5.0 runs on no later one.
fn java(name: &str) -> Option<PathBuf> {
    let debian = newest(
        Path::new("/usr/lib/jvm"),
        &Path::new("bin").join(name),
        |dir| {
            let dir = dir.to_str()?;
            dir.contains("-17").then_some(17)
        },
    );
    debian.or_else(|| in_path(name).filter(|java| is_java_17(java)))
}

fn is_java_17(java: &Path) -> bool {
    let said = Command::new(java).arg("-version").output();
    // openjdk version "17.0.17" 2025-10-21
    said.is_ok_and(|said| String::from_utf8_lossy(&said.stderr).contains("version \"17."))
}

/// The newest PostgreSQL: Debian keeps its programs out of `PATH`.
fn postgres(name: &str) -> Option<PathBuf> {
    let program = Path::new("bin").join(name);
    newest(Path::new("/usr/lib/postgresql"), &program, |dir| {
        dir.to_str()?.parse().ok()
    })
    .or_else(|| in_path(name))
}

/// `program` in that folder of `dir` which has it and the highest number.
fn newest(dir: &Path, program: &Path, number: impl Fn(&OsStr) -> Option<u32>) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    let numbered = entries.filter_map(|entry| {
        let number = number(&entry.file_name())?;
        Some((number, file(entry.path().join(program))?))
    });
    numbered.max().map(|(_, path)| path)
}

fn file(path: PathBuf) -> Option<PathBuf> {
    path.is_file().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_installed() {
        ensure(&[Program::in_path("sh", "dash"), SETSID], |said| {
            panic!("{said}")
        })
        .unwrap();
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = Program::in_path("no-such-program", "no-such-package");
        let error = missing.path().unwrap_err();
        assert_eq!(error.to_string(), "please install: no-such-package");
    }

    #[test]
    fn the_highest_number_is_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["9/bin", "15/bin", "16/lib", "common/bin"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for program in ["9/bin/postgres", "15/bin/postgres", "common/bin/postgres"] {
            fs::write(dir.path().join(program), "").unwrap();
        }
        let found = newest(dir.path(), Path::new("bin/postgres"), |name| {
            name.to_str()?.parse().ok()
        });
        assert_eq!(found, Some(dir.path().join("15/bin/postgres")));
    }
}
