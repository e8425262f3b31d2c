//! One process of the stack: how it is started, and how it ends.
use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    Error, Event,
    pid::Identity,
    place::{self, Place},
    probe::Probe,
    up::Context,
};

/// What a started process has to be.
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// What has to happen each time before it starts.
    pub(crate) before: fn(&Place) -> Result<(), Error>,
    /// Another user and its group, if not our own.
    pub(crate) user: Option<(u32, u32)>,
    /// Where it listens for what it is for.
    pub(crate) address: SocketAddr,
    /// Where its health check asks.
    pub(crate) health: SocketAddr,
    pub(crate) probe: Probe,
    pub(crate) ready_within: Duration,
}

impl Process {
    /// Starts it unless it runs, and waits until it answers.
    pub(crate) fn ensure(&self, context: &Context<'_>) -> Result<(), Error> {
        let recorded = Identity::read(&context.place.pid(&self.name));
        if let Some(identity) = recorded.filter(Identity::runs) {
            signal_tree(&identity, Signal::CONT); // SIGSTOP may hold it
            match self.wait(&identity, context) {
                // It was about to end.
                Err(Error::Ended { .. }) => {}
                Err(other) => return Err(other),
                Ok(()) => {
                    let name = self.name.clone();
                    context.tell(Event::Running { name });
                    return Ok(());
                }
            }
        }
        if context.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let began = Instant::now();
        let identity = self.start(&context.place)?;
        let name = || self.name.clone();
        context.tell(Event::Started {
            name: name(),
            address: self.address.to_string(),
        });
        self.wait(&identity, context)?;
        context.tell(Event::Ready {
            name: name(),
            took: began.elapsed(),
        });
        Ok(())
    }

    /// In a session of its own: neither Ctrl-C nor the end of the terminal is meant for it.
    fn start(&self, place: &Place) -> Result<Identity, Error> {
        (self.before)(place)?;
        TcpListener::bind(self.address).map_err(|_| Error::Taken {
            name: self.name.clone(),
            address: self.address.to_string(),
        })?;
        let log = place.log(&self.name);
        let home = place.data(&self.name);
        place::make(&home)?;
        // Not by way of a directory that another user may not be allowed to pass.
        let home = home
            .canonicalize()
            .map_err(Error::io(format!("find {}", home.display())))?;
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(Error::io(format!("open {}", log.display())))?;
        let errors = output.try_clone().map_err(Error::io("use the log"))?;
        let mut command = Command::new("setsid");
        command
            .arg(&self.program)
            .args(&self.args)
            .current_dir(&home)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        let failed = || format!("start {} ({})", self.name, self.program.display());
        let child = command.spawn().map_err(Error::io(failed()))?;
        let identity = Identity::of(child.id()).ok_or_else(|| self.ended(place))?;
        identity.write(place, &place.pid(&self.name))?;
        Ok(identity)
    }

    fn wait(&self, identity: &Identity, context: &Context<'_>) -> Result<(), Error> {
        let began = Instant::now();
        while !self.probe.answers(self.health) {
            if context.is_cancelled() {
                return Err(Error::Interrupted);
            }
            if identity.ended_within(Duration::ZERO) {
                return Err(self.ended(&context.place));
            }
            if began.elapsed() > self.ready_within {
                return Err(Error::Late {
                    name: self.name.clone(),
                    seconds: self.ready_within.as_secs(),
                    log: context.place.log(&self.name),
                });
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn ended(&self, place: &Place) -> Error {
        let log = place.log(&self.name);
        let text = fs::read(&log).unwrap_or_default();
        Error::Ended {
            name: self.name.clone(),
            tail: tail(&String::from_utf8_lossy(&text)),
            log,
        }
    }
}

/// Sends a signal to a process and to those it started: PostgreSQL serves with one for each connection.
pub(crate) fn signal_tree(identity: &Identity, signal: Signal) -> Vec<Identity> {
    let mut tree = identity.children();
    tree.insert(0, identity.clone());
    for member in &tree {
        member.signal(signal);
    }
    tree
}

/// Kills a process and those it started, and waits for their end.
pub(crate) fn kill(name: &str, identity: &Identity) -> Result<(), Error> {
    for member in signal_tree(identity, Signal::KILL) {
        if !member.ended_within(Duration::from_secs(10)) {
            return Err(Error::Immortal(name.to_owned()));
        }
    }
    Ok(())
}

/// Runs a tool to its end. `what` it does, for the error, which has the last of what it said.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<(), Error> {
    let output = command.output().map_err(Error::io(what))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Error::Failed {
        what: what.to_owned(),
        detail: tail(&String::from_utf8_lossy(&said)),
    })
}

/// A text's last lines.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let last = lines.len().saturating_sub(15);
    lines.get(last..).unwrap_or_default().join("\n")
}
