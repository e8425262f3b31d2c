//! How many files the process may have open. Every connection is one, and the usual limit is made for interactive programs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the stores and listeners open besides.
const OTHERS: u64 = 512;

/// Raises the limit as far as the system lets it, if it is too low for so many connections. Returns how many connections
/// it is enough for, if that is fewer.
pub fn raise_limit(connections: usize) -> Option<u64> {
    let needed = u64::try_from(connections).ok()?.saturating_add(OTHERS);
    let limit = getrlimit(Resource::Nofile);
    // `None` is no limit.
    if limit.current.is_none_or(|current| current >= needed) {
        return None;
    }
    let current = limit.maximum.map_or(needed, |most| needed.min(most));
    let raised = Rlimit {
        current: Some(current),
        maximum: limit.maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
    let current = getrlimit(Resource::Nofile).current?;
    (current < needed).then(|| current.saturating_sub(OTHERS))
}
