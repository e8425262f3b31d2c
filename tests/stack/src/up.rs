//! Starting what is missing.
use std::{
    fs, io, panic,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use crate::{
    Addresses, Error, Event, Plan, Progress,
    down::{recorded, stop},
    packages,
    place::Place,
    process::Process,
    service::{Kind, cassandra, certificate, haproxy, kafka, postgres, redis, relay},
};

/// What those who start servers share.
pub(crate) struct Context<'a> {
    pub(crate) place: Place,
    cancelled: &'a AtomicBool,
    events: Sender<Event>,
}

impl Context<'_> {
    pub(crate) fn tell(&self, event: Event) {
        // Nobody listens any more: then nobody wants to know.
        let _ = self.events.send(event);
    }

    /// Says what comes next, unless nothing should any more.
    pub(crate) fn prepare(&self, what: &str) -> Result<(), Error> {
        if self.is_cancelled() {
            return Err(Error::Interrupted);
        }
        self.tell(Event::Preparing(what.to_owned()));
        Ok(())
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Starts them at the same time.
    pub(crate) fn all(
        &self,
        processes: impl Iterator<Item = Result<Process, Error>>,
    ) -> Result<(), Error> {
        let tasks = processes.map(|process| -> Task<'_> { Box::new(|| process?.ensure(self)) });
        self.together(tasks.collect())
    }

    /// Does everything at the same time. The first that fails ends the others' waiting.
    fn together(&self, tasks: Vec<Task<'_>>) -> Result<(), Error> {
        let outcomes: Vec<_> = thread::scope(|scope| {
            let started = tasks.into_iter().map(|task| {
                scope.spawn(move || {
                    task().inspect_err(|_| self.cancelled.store(true, Ordering::SeqCst))
                })
            });
            let running: Vec<_> = started.collect();
            running.into_iter().map(finish).collect()
        });
        let mut failures: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        // Those that gave up for the sake of another's failure come last.
        failures.sort_by_key(|failure| matches!(failure, Error::Interrupted));
        failures.into_iter().next().map_or(Ok(()), Err)
    }
}

type Task<'a> = Box<dyn FnOnce() -> Result<(), Error> + Send + 'a>;

/// Starts whatever of the plan does not run, and returns when all of it answers. Relay nodes beyond the plan's number are
/// stopped.
///
/// # Errors
/// What failed first. What was started runs on; `up` again continues, [`down`](crate::down()) stops it.
pub fn up(plan: &Plan, progress: &mut dyn Progress) -> Result<Addresses, Error> {
    plan.check()?;
    let place = plan.place();
    place.make()?;
    let _lock = place.lock()?;
    let unwanted = place.unwanted();
    match fs::remove_file(&unwanted) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io(format!("remove {}", unwanted.display()))(error));
        }
        _ => {}
    }
    let mut needed = vec![packages::SETSID, packages::JAVA, packages::MAVEN];
    needed.extend([packages::POSTGRES, packages::REDIS]);
    if plan.relays.is_some() {
        needed.extend([packages::HAPROXY, packages::OPENSSL]);
    }
    packages::ensure(&needed, |what| progress.event(&Event::Preparing(what)))?;
    plan.record()?;
    warn_of_memory(plan, progress);
    stop_surplus(plan, progress)?;
    watched(&place, progress, |context| {
        if plan.relays.is_some() {
            certificate::ensure(&context.place)?;
            // Before those who need it start at the same time.
            relay::password(&context.place)?;
        }
        context.together(vec![
            Box::new(|| postgres::bring_up(plan, context)),
            Box::new(|| redis::bring_up(plan, context)),
            Box::new(|| kafka::bring_up(plan, context)),
            Box::new(|| cassandra::bring_up(plan, context)),
        ])?;
        let Some(relays) = &plan.relays else {
            return Ok(());
        };
        relay::bring_up(plan, relays, context)?;
        // After them: it takes servers for ready until it has asked them, and asks again only a second later.
        haproxy::bring_up(plan, context)
    })?;
    Addresses::of(plan)
}

/// Does the work on another thread, and reports and asks on this one.
pub(crate) fn watched(
    place: &Place,
    progress: &mut dyn Progress,
    work: impl FnOnce(&Context<'_>) -> Result<(), Error> + Send,
) -> Result<(), Error> {
    let cancelled = AtomicBool::new(false);
    let (sender, events) = mpsc::channel();
    let context = Context {
        place: place.clone(),
        cancelled: &cancelled,
        events: sender,
    };
    thread::scope(|scope| {
        let worker = scope.spawn(move || work(&context));
        loop {
            match events.recv_timeout(Duration::from_millis(100)) {
                Ok(event) => progress.event(&event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if progress.interrupted() {
                cancelled.store(true, Ordering::SeqCst);
            }
        }
        // What failed then is most likely a helper that the same Ctrl-C ended.
        finish(worker).map_err(|error| match progress.interrupted() {
            true => Error::Interrupted,
            false => error,
        })
    })
}

fn finish<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|payload| panic::resume_unwind(payload))
}

/// Relay nodes, and HAProxy before them, that the plan no longer has.
fn stop_surplus(plan: &Plan, progress: &mut dyn Progress) -> Result<(), Error> {
    let place = plan.place();
    let mut wanted: Vec<_> = plan.relay_numbers().map(relay::name).collect();
    wanted.extend(plan.front_numbers().map(haproxy::name));
    let mut surplus = recorded(&place)?;
    surplus.retain(|name| match Kind::of(name) {
        Some(Kind::Relay | Kind::Haproxy) => !wanted.contains(name),
        _ => false,
    });
    stop(&place, &surplus, progress)
}

fn warn_of_memory(plan: &Plan, progress: &mut dyn Progress) {
    const MIB: u64 = 1 << 20;
    let relays = plan.relays.as_ref().map_or(0, |relays| relays.count);
    let needed = 300
        + 450 * u64::from(plan.brokers)
        + 1000 * u64::from(plan.nodes)
        + 100 * u64::from(relays);
    let Some(free) = available_memory() else {
        return;
    };
    if free < needed * MIB {
        progress.event(&Event::Warning(format!(
            "the whole stack takes about {needed} MiB of memory, and {} are available",
            free / MIB
        )));
    }
}

fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
