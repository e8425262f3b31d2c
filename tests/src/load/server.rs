//! A server under load: a process of its own.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::{Error, Result};

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(30);

/// A running server; it ends with this value.
pub struct Server {
    child: Child,
    log: PathBuf,
    /// Where it listens.
    pub addr: SocketAddr,
}

/// All load comes from one address, in a hurry: what the relay grants one address is not what is measured.
const UNLIMITED: [&str; 10] = [
    "SORDINO__RATES__ADDRESS_PER_SECOND",
    "SORDINO__RATES__ADDRESS_BURST",
    "SORDINO__RATES__ADDRESS_SIGN_UPS_PER_HOUR",
    "SORDINO__RATES__ADDRESS_SIGN_UPS_BURST",
    "SORDINO__RATES__USER_PER_SECOND",
    "SORDINO__RATES__USER_BURST",
    "SORDINO__RATES__ADDRESS_HANDSHAKES_PER_SECOND",
    "SORDINO__RATES__ADDRESS_HANDSHAKES_BURST",
    "SORDINO__RATES__HANDSHAKES_PER_SECOND",
    "SORDINO__RATES__HANDSHAKES_BURST",
];

impl Server {
    /// Starts `program`, which writes its port to `--port-file`. What it says goes to `dir/<name>.log`.
    pub async fn start(program: &Path, args: &[&str], dir: &Path, name: &str) -> Result<Self> {
        let port_file = dir.join(format!("{name}.port"));
        let log = dir.join(format!("{name}.log"));
        let _ = fs::remove_file(&port_file);
        let output = File::create(&log).map_err(|e| Error::Io("creating a log file", e))?;
        let child = Command::new(program)
            .args(args)
            .envs(UNLIMITED.map(|key| (key, "1000000")))
            .arg("--port-file")
            .arg(&port_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .map_err(|e| Error::Server(format!("{}: {e}", program.display())))?;
        let mut server = Self {
            child,
            log,
            addr: (Ipv4Addr::LOCALHOST, 0).into(),
        };
        let deadline = Instant::now() + START;
        loop {
            let port = fs::read_to_string(&port_file);
            if let Some(port) = port.ok().and_then(|port| port.trim().parse::<u16>().ok()) {
                server.addr.set_port(port);
                return Ok(server);
            }
            let ended = server.child.try_wait();
            if !matches!(ended, Ok(None)) || Instant::now() > deadline {
                return Err(Error::Server(format!(
                    "{name} did not start: {}",
                    server.last_words()
                )));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of what it said.
    pub fn last_words(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = said.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// SIGTERM, and waits.
    pub async fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).map_err(|e| Error::Io("ending a server", e.into()))?;
        }
        let deadline = Instant::now() + STOP;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                return Err(Error::Server("a server did not end on SIGTERM".to_owned()));
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
