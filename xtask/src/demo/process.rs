//! Processes that an interruption ends, too.

use std::{
    io,
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::Duration,
};

/// Between two looks at a process that is about to end.
const LOOK: Duration = Duration::from_millis(5);

/// Every process that may run; nothing once all were ended for good.
static STARTED: Mutex<Option<Vec<Weak<Mutex<Child>>>>> = Mutex::new(Some(Vec::new()));

/// A process that does not outlive this value, nor [`end_all`].
pub(super) struct Process(Arc<Mutex<Child>>);

impl Process {
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        // Held while it starts: none slips through between the last look of `end_all` and its start.
        let mut started = locked(&STARTED);
        let Some(started) = started.as_mut() else {
            return Err(io::ErrorKind::Interrupted.into());
        };
        let child = Arc::new(Mutex::new(command.spawn()?));
        started.retain(|child| child.strong_count() > 0);
        started.push(Arc::downgrade(&child));
        Ok(Self(child))
    }

    pub(super) fn id(&self) -> u32 {
        locked(&self.0).id()
    }

    pub(super) fn input(&self) -> Option<ChildStdin> {
        locked(&self.0).stdin.take()
    }

    pub(super) fn output(&self) -> Option<ChildStdout> {
        locked(&self.0).stdout.take()
    }

    /// SIGKILL.
    pub(super) fn kill(&self) -> io::Result<()> {
        let mut child = locked(&self.0);
        child.kill()?;
        child.wait().map(drop)
    }

    pub(super) fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        locked(&self.0).try_wait()
    }

    /// Not [`Child::wait`]: it would keep the process from `end_all`.
    pub(super) fn wait(&self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.kill();
    }
}

/// Kills every process, and lets none start any more.
pub(super) fn end_all() {
    for child in locked(&STARTED).take().into_iter().flatten() {
        if let Some(child) = child.upgrade() {
            let mut child = locked(&child);
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_ended_even_while_somebody_waits_for_one_and_none_starts_afterwards() {
        let waited_for = Process::start(Command::new("sleep").arg("600")).unwrap();
        let other = Process::start(Command::new("sleep").arg("600")).unwrap();
        let waiting = thread::spawn(move || waited_for.wait().unwrap());
        end_all();
        assert!(!waiting.join().unwrap().success());
        assert!(other.try_wait().unwrap().is_some());
        let late = Process::start(&mut Command::new("true"));
        assert!(late.is_err_and(|e| e.kind() == io::ErrorKind::Interrupted));
    }
}
