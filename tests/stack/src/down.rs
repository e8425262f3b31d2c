//! Ending the processes of a stack. Only pid files count here: it works whatever the plan says, and after an interrupted start.
use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    Error, Event, Plan, Progress,
    pid::Identity,
    place::Place,
    process,
    service::{Kind, postgres},
};

/// Stops everything, who depends on others first: relay nodes, HAProxy, Kafka, Cassandra, Redis, PostgreSQL. Nothing to stop
/// is fine.
///
/// # Errors
/// [`Error::Busy`]; or a process that not even SIGKILL ends.
pub fn down(dir: &Path, progress: &mut dyn Progress) -> Result<(), Error> {
    let place = Plan::new(dir)?.place();
    if !place.dir().exists() {
        return Ok(());
    }
    let _lock = place.lock()?;
    if place.run().exists() {
        place.write(&place.unwanted(), b"")?;
    }
    stop(&place, &recorded(&place)?, progress)?;
    // What somebody who had not seen that yet started again meanwhile.
    stop(&place, &recorded(&place)?, progress)
}

/// Removes everything that a stopped stack keeps.
///
/// # Errors
/// [`Error::Plan`] if something of it runs.
pub fn wipe(dir: &Path) -> Result<(), Error> {
    let place = Plan::new(dir)?.place();
    if !place.dir().exists() {
        return Ok(());
    }
    let _lock = place.lock()?;
    if !recorded(&place)?.is_empty() {
        return Err(Error::Plan("stop the stack first".to_owned()));
    }
    // Ours to remove only if we made it: a directory may have been named by mistake.
    if !place.plan().exists() && !place.run().exists() {
        return Err(Error::NoStack(place.dir().to_owned()));
    }
    postgres::wipe(&place)?;
    fs::remove_dir_all(place.dir()).map_err(Error::io(format!("remove {}", place.dir().display())))
}

/// The processes that have a pid file.
pub(crate) fn recorded(place: &Place) -> Result<Vec<String>, Error> {
    let failed = || format!("read {}", place.run().display());
    let entries = match fs::read_dir(place.run()) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io(failed()))?,
    };
    let names = entries.map(|entry| Ok(entry.map_err(Error::io(failed()))?.file_name()));
    let mut recorded = Vec::new();
    for name in names.collect::<Result<Vec<_>, Error>>()? {
        let name = name.to_str().and_then(|name| name.strip_suffix(".pid"));
        recorded.extend(
            name.filter(|name| Kind::of(name).is_some())
                .map(str::to_owned),
        );
    }
    recorded.sort();
    Ok(recorded)
}

/// Stops these, kind by kind.
pub(crate) fn stop(
    place: &Place,
    names: &[String],
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    for kind in Kind::ALL {
        let of_kind = names.iter().filter(|name| Kind::of(name) == Some(kind));
        let mut running = Vec::new();
        for name in of_kind {
            match Identity::read(&place.pid(name)).filter(Identity::runs) {
                Some(identity) => running.push((name, identity)),
                None => forget(place, name)?,
            }
        }
        stop_kind(place, kind, &running, progress)?;
    }
    Ok(())
}

fn stop_kind(
    place: &Place,
    kind: Kind,
    running: &[(&String, Identity)],
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let began = Instant::now();
    for (_, identity) in running {
        identity.signal(kind.stop_signal());
        // SIGSTOP may hold it.
        process::signal_tree(identity, Signal::CONT);
    }
    for (name, identity) in running {
        let left = kind.stop_within().saturating_sub(began.elapsed());
        let killed = !identity.ended_within(left.max(Duration::from_millis(100)));
        if killed {
            process::kill(name, identity)?;
        }
        forget(place, name)?;
        progress.event(&Event::Stopped {
            name: (*name).clone(),
            took: began.elapsed(),
            killed,
        });
    }
    Ok(())
}

fn forget(place: &Place, name: &str) -> Result<(), Error> {
    match fs::remove_file(place.pid(name)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {name}'s pid file"))(e))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;
    use std::process::Command;

    #[derive(Default)]
    struct Stopped(Vec<(String, bool)>);

    impl Progress for Stopped {
        fn event(&mut self, event: &Event) {
            if let Event::Stopped { name, killed, .. } = event {
                self.0.push((name.clone(), *killed));
            }
        }
    }

    #[expect(clippy::zombie_processes, reason = "what is tested collects it")]
    fn start(place: &Place, name: &str, script: &str) -> Identity {
        let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        identity.write(place, &place.pid(name)).unwrap();
        identity
    }

    #[test]
    fn all_ends_in_order_and_a_foreign_pid_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path());
        place.make().unwrap();
        let postgres = start(&place, "postgres", "exec sleep 60");
        let relay = start(&place, "relay-1", "exec sleep 60");
        let held = start(&place, "kafka-1", "exec sleep 60");
        held.signal(Signal::STOP);
        let mut foreign = Command::new("sleep").arg("60").spawn().unwrap();
        let stale = format!("{{\"pid\":{},\"start\":1,\"boot\":\"b\"}}", foreign.id());
        fs::write(place.pid("redis"), stale).unwrap();
        let mut stopped = Stopped::default();
        down(dir.path(), &mut stopped).unwrap();
        let order: Vec<_> = stopped.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(order, ["relay-1", "kafka-1", "postgres"]);
        assert!(![postgres, relay, held].iter().any(Identity::runs));
        assert!(foreign.try_wait().unwrap().is_none());
        assert!(recorded(&place).unwrap().is_empty());
        down(dir.path(), &mut Silent).unwrap();
        foreign.kill().unwrap();
        foreign.wait().unwrap();
    }

    #[test]
    fn who_does_not_listen_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path());
        place.make().unwrap();
        // Redis has the shortest patience.
        let ready = dir.path().join("ready");
        let script = format!(
            "trap '' TERM; touch {}; while :; do sleep 1; done",
            ready.display()
        );
        let deaf = start(&place, "redis", &script);
        while !ready.exists() {
            std::thread::yield_now();
        }
        let mut stopped = Stopped::default();
        down(dir.path(), &mut stopped).unwrap();
        assert_eq!(stopped.0, [("redis".to_owned(), true)]);
        assert!(!deaf.runs());
    }

    #[test]
    fn only_a_stack_is_wiped() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letters"), "dear").unwrap();
        assert!(matches!(wipe(dir.path()), Err(Error::NoStack(_))));
        let stack = dir.path().join("stack");
        let place = Place::new(&stack);
        place.make().unwrap();
        wipe(&stack).unwrap();
        assert!(!stack.exists() && dir.path().join("letters").exists());
    }
}
