//! What the machine is and what a process uses, from `/proc`.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use super::{Error, Result};

/// The machine a measurement was made on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Cores that may be used.
    pub cores: usize,
    /// Memory, in GiB.
    pub ram_gib: u64,
    /// The file system under the relay's data.
    pub file_system: String,
    /// Median of appending 4 KiB and syncing them there.
    pub fsync_ms: f64,
}

impl Machine {
    /// This one, with the data in `dir`.
    pub fn new(dir: &Path) -> Result<Self> {
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            ram_gib: field("/proc/meminfo", "MemTotal:")?.div_ceil(1024 * 1024),
            file_system: file_system(dir),
            fsync_ms: fsync_ms(dir)?,
        })
    }
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Resident memory of a process, in KiB.
pub fn resident_kib(pid: u32) -> Result<u64> {
    field(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// Processor time of a process so far, user and system, in seconds.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).map_err(|e| Error::Io("reading /proc", e))?;
    // The second field is the program's name, in parentheses; it may hold spaces.
    let ticks = stat.rsplit_once(')').map_or(0, |(_, rest)| {
        let fields = rest.split_ascii_whitespace();
        fields
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum()
    });
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Raises the number of files this process and its children may open as far as is allowed; how many that is.
pub fn raise_file_limit(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let current = now.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return current;
    }
    for maximum in [
        now.maximum.unwrap_or(u64::MAX).max(wanted),
        now.maximum.unwrap_or(wanted),
    ] {
        let limit = Rlimit {
            current: Some(wanted.min(maximum)),
            maximum: Some(maximum),
        };
        if setrlimit(Resource::Nofile, limit).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn field(path: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path).map_err(|e| Error::Io("reading /proc", e))?;
    text.lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .split_ascii_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .ok_or_else(|| Error::Broken(format!("{path} has no {name}")))
}

/// The type of the mount with the longest path above `dir`.
fn file_system(dir: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut best = (0, "unknown");
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        if let (Some(at), Some(kind)) = (words.next(), words.next())
            && dir.starts_with(at)
            && at.len() >= best.0
        {
            best = (at.len(), kind);
        }
    }
    best.1.to_owned()
}

fn fsync_ms(dir: &Path) -> Result<f64> {
    let io = |error| Error::Io("the probe of the disk", error);
    let path = dir.join("probe");
    let mut file = File::create(&path).map_err(io)?;
    let mut times = Vec::new();
    for _ in 0..101 {
        let begun = Instant::now();
        file.write_all(&[7; 4096]).map_err(io)?;
        file.sync_data().map_err(io)?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    fs::remove_file(path).map_err(io)?;
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok((median * 100.0).round() / 100.0)
}
