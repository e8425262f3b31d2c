//! Programs that are started, killed and started again.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, RngExt};

/// How long an orderly end may take.
const END: Duration = Duration::from_secs(60);

/// A running program. It ends when its standard input does, and with this value.
pub struct Process(Child);

impl Process {
    /// Starts it; what it says on standard error is appended to `log`.
    pub fn start(program: &Path, args: &[OsString], log: &Path) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map(Self)
    }

    /// Writes to its standard input.
    pub fn say(&mut self, what: &[u8]) -> io::Result<()> {
        let input = self.0.stdin.as_mut();
        input.ok_or(io::ErrorKind::BrokenPipe)?.write_all(what)
    }

    /// SIGKILL. Returns when the process is gone, its locks and sockets with it.
    pub fn kill(mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(|_| ())
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// Waits for it to end by itself.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if begun.elapsed() > END {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not end"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lets go of it and waits until it has ended in an orderly way.
    pub fn end(mut self) -> io::Result<()> {
        drop(self.0.stdin.take());
        let status = self.wait()?;
        if !status.success() {
            return Err(io::Error::other(format!("it did not end well: {status}")));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a relay is started, again and again: the same port and the same data.
#[derive(Debug, Clone)]
pub struct RelayPlace {
    /// The program, and what stands before its own arguments.
    pub program: PathBuf,
    /// What stands before the relay's own arguments, where another program starts it.
    pub before: Vec<OsString>,
    /// Where it keeps its data.
    pub data: PathBuf,
    /// Its port.
    pub port: u16,
    /// The port of its metrics, if they are wanted.
    pub ops: Option<u16>,
    /// New messages are refused when the disk has less than this left.
    pub reserve: u64,
    /// What it says.
    pub log: PathBuf,
}

impl RelayPlace {
    /// A relay on a port of its own.
    #[must_use]
    pub fn new(program: &Path, dir: &Path, port: u16) -> Self {
        Self {
            program: program.to_owned(),
            before: Vec::new(),
            data: dir.join("data"),
            port,
            ops: None,
            reserve: 0,
            log: dir.join("relay.log"),
        }
    }

    /// What clients connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts it. It may not listen yet when this returns.
    pub fn start(&self) -> io::Result<Process> {
        let mut args = self.before.clone();
        args.extend(["--data".into(), self.data.clone().into_os_string()]);
        args.extend(["--port".into(), self.port.to_string().into()]);
        args.extend(["--reserve".into(), self.reserve.to_string().into()]);
        if let Some(ops) = self.ops {
            args.extend(["--ops".into(), ops.to_string().into()]);
        }
        Process::start(&self.program, &args, &self.log)
    }
}

/// How a client is started, again and again: the same store and the same notes.
#[derive(Debug, Clone)]
pub struct ClientPlace {
    /// The program.
    pub program: PathBuf,
    /// The relay.
    pub url: String,
    /// Who vouches for it, as a PEM file, if that is nobody the machine trusts.
    pub authority: Option<PathBuf>,
    /// The user name.
    pub name: String,
    /// With whom to talk.
    pub peers: Vec<String>,
    /// How much to say to each, and to hear of each.
    pub messages: usize,
    /// Milliseconds between two messages to the same person.
    pub pace: u64,
    /// Store, notes and log are here.
    pub dir: PathBuf,
}

impl ClientPlace {
    /// The directory of the store; its key is beside it.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// The file with the key of the store.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.dir.join("key")
    }

    /// The file with the notes.
    #[must_use]
    pub fn notes(&self) -> PathBuf {
        self.dir.join("notes")
    }

    /// What it says on standard error.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("client.log")
    }

    /// Starts it.
    pub fn start(&self) -> io::Result<Process> {
        fs::create_dir_all(&self.dir)?;
        let mut args: Vec<OsString> = vec!["--dir".into(), self.dir.clone().into()];
        args.extend(["--relay".into(), self.url.clone().into()]);
        args.extend(["--name".into(), self.name.clone().into()]);
        args.extend(["--messages".into(), self.messages.to_string().into()]);
        args.extend(["--pace".into(), self.pace.to_string().into()]);
        if let Some(authority) = &self.authority {
            args.extend(["--authority".into(), authority.into()]);
        }
        for peer in &self.peers {
            args.extend(["--peer".into(), peer.into()]);
        }
        Process::start(&self.program, &args, &self.log())
    }
}

/// A port that is free now and that the system gives to nobody by itself: while its relay is away, a client's own
/// connection must not take it.
pub fn free_port(random: &mut impl Rng) -> io::Result<u16> {
    for _ in 0..1000 {
        let port = random.random_range(20_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other("no port is free"))
}
