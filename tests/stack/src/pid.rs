//! Which process is meant by a pid file. A number alone does not say: the system gives it again.
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde::{Deserialize, Serialize};

use crate::{Error, place::Place};

/// A process, as long as the machine runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pid: i32,
    /// Its start, in clock ticks since the machine's.
    start: u64,
    /// Which start of the machine.
    boot: String,
}

/// What `/proc/PID/stat` says.
struct Stat {
    state: char,
    parent: i32,
    start: u64,
}

impl Identity {
    /// Of a process that runs.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        Some(Self {
            pid,
            start: stat(pid)?.start,
            boot: boot()?,
        })
    }

    /// What the pid file holds, if there is one and it can be read.
    pub(crate) fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    pub(crate) fn write(&self, place: &Place, file: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec(self).map_err(|e| Error::Plan(e.to_string()))?;
        place.write(file, &text)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether this very process runs: not another under its number, and not one that has ended and waits for its parent.
    pub(crate) fn runs(&self) -> bool {
        match self.state() {
            None | Some('X') => false,
            // Its first thread has ended. As long as others have not, its ports are taken.
            Some('Z') => threads(self.pid) > 1,
            Some(_) => true,
        }
    }

    /// Whether SIGSTOP holds it.
    pub(crate) fn is_held(&self) -> bool {
        self.state() == Some('T')
    }

    fn state(&self) -> Option<char> {
        let stat = stat(self.pid)?;
        (stat.start == self.start && boot().as_ref() == Some(&self.boot)).then_some(stat.state)
    }

    /// Sends a signal; `false` if the process no longer runs.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let pid = Pid::from_raw(self.pid).filter(|_| self.runs());
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    /// Waits for its end. `false` if it still runs after `time`.
    pub(crate) fn ended_within(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            self.reap();
            if !self.runs() {
                return true;
            }
            if Instant::now() > until {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// If it is our own child and has ended, the system may forget it.
    fn reap(&self) {
        if self.state() == Some('Z') {
            let _ = waitpid(Pid::from_raw(self.pid), WaitOptions::NOHANG);
        }
    }

    /// The processes that it started and that run.
    pub(crate) fn children(&self) -> Vec<Self> {
        if !self.runs() {
            return Vec::new();
        }
        every_pid()
            .filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == self.pid))
            .filter_map(|pid| Self::of(pid.unsigned_abs()))
            .collect()
    }

    /// Processor time of it and its children, those that have ended included.
    pub(crate) fn cpu(&self) -> Duration {
        let children = self.children();
        let ticks: u64 = (children.iter().map(|c| c.pid))
            .chain([self.pid])
            .filter_map(ticks)
            .sum();
        Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
    }

    /// Resident memory of it and its children, in bytes; pages they share count more than once.
    pub(crate) fn memory(&self) -> u64 {
        let own = resident(self.pid).unwrap_or(0);
        let children = self.children();
        own + children.iter().filter_map(|c| resident(c.pid)).sum::<u64>()
    }
}

/// Every process whose working directory is `dir`, and whose program's name is `program`.
pub(crate) fn working_in(dir: &Path, program: &str) -> Vec<Identity> {
    let Ok(dir) = dir.canonicalize() else {
        return Vec::new();
    };
    every_pid()
        .filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == dir))
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == program)
        })
        .filter_map(|pid| Identity::of(pid.unsigned_abs()))
        .filter(Identity::runs)
        .collect()
}

fn every_pid() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold brackets and spaces itself.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some(Stat {
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        start: fields.nth(17)?.parse().ok()?,
    })
}

/// User and system time, its own and of the children that it has waited for.
fn ticks(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = text.rsplit_once(')')?.1.split_whitespace();
    let times = fields.skip(11).take(4);
    Some(times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum())
}

fn threads(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

fn resident(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

fn boot() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn sleeper() -> (Child, Identity) {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        (child, identity)
    }

    #[test]
    fn a_process_is_known_by_more_than_its_number() {
        let (mut child, identity) = sleeper();
        assert!(identity.runs());
        let recycled = Identity {
            start: identity.start - 1,
            ..identity.clone()
        };
        assert!(!recycled.runs());
        assert!(!recycled.signal(Signal::KILL), "another process's number");
        let of_another_boot = Identity {
            boot: "another".to_owned(),
            ..identity.clone()
        };
        assert!(!of_another_boot.signal(Signal::KILL));
        assert!(identity.runs());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!identity.runs());
    }

    #[test]
    fn an_ended_child_that_nobody_waited_for_does_not_run() {
        let (_child, identity) = sleeper();
        assert!(!identity.ended_within(Duration::ZERO));
        assert!(identity.signal(Signal::STOP));
        let until = Instant::now() + Duration::from_secs(10);
        while !identity.is_held() && Instant::now() < until {
            thread::yield_now();
        }
        assert!(identity.is_held());
        assert!(identity.signal(Signal::KILL));
        assert!(identity.ended_within(Duration::from_secs(10)));
        assert!(!identity.signal(Signal::KILL));
        assert!(
            Identity::of(identity.pid.unsigned_abs()).is_none(),
            "reaped"
        );
    }

    #[test]
    fn a_pid_file_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path());
        let own = Identity::of(std::process::id()).unwrap();
        let file = place.pid("own");
        assert!(Identity::read(&file).is_none());
        own.write(&place, &file).unwrap();
        assert_eq!(Identity::read(&file), Some(own.clone()));
        assert!(own.memory() > 100_000);
        let before = own.cpu();
        while own.cpu() == before {
            std::hint::spin_loop();
        }
        fs::write(&file, "{\"pid\":1").unwrap();
        assert!(Identity::read(&file).is_none(), "torn");
    }

    #[test]
    fn children_are_found() {
        let (mut child, identity) = sleeper();
        let own = Identity::of(std::process::id()).unwrap();
        assert!(own.children().contains(&identity));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
