//! The relay as a process.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::process::Process;

/// How long it may take to listen, recovery included.
const START: Duration = Duration::from_secs(60);

/// A relay that listens, or was killed.
pub(super) struct Relay {
    program: PathBuf,
    data: PathBuf,
    port_file: PathBuf,
    log: PathBuf,
    port: u16,
    process: Process,
}

impl Relay {
    pub(super) fn start(program: &Path, data: &Path, temporary: &Path) -> Result<Self, String> {
        let (port_file, log) = (temporary.join("port"), temporary.join("relay.log"));
        let (process, port) = spawn(program, data, &port_file, &log, 0)?;
        Ok(Self {
            program: program.to_owned(),
            data: data.to_owned(),
            port_file,
            log,
            port,
            process,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    pub(super) fn kill(&mut self) -> Result<(), String> {
        self.process
            .kill()
            .map_err(|e| format!("the relay cannot be killed: {e}"))
    }

    /// After a kill, on the same port.
    pub(super) fn restart(&mut self) -> Result<(), String> {
        (self.process, _) = spawn(
            &self.program,
            &self.data,
            &self.port_file,
            &self.log,
            self.port,
        )?;
        Ok(())
    }

    /// As an operator ends it.
    pub(super) fn stop(&mut self) -> Result<(), String> {
        let asked = Command::new("kill")
            .args(["-TERM", &self.process.id().to_string()])
            .status();
        if !asked.is_ok_and(|status| status.success()) {
            return self.kill();
        }
        match self.process.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("the relay did not end well: {status}")),
            Err(e) => Err(format!("the relay: {e}")),
        }
    }
}

fn spawn(
    program: &Path,
    data: &Path,
    port_file: &Path,
    log: &Path,
    port: u16,
) -> Result<(Process, u16), String> {
    // Of an earlier start.
    let _ = fs::remove_file(port_file);
    let log = File::options().create(true).append(true).open(log);
    let mut command = Command::new(program);
    command
        .arg("serve")
        .arg("--data")
        .arg(data)
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .arg("--port-file")
        .arg(port_file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.map_or_else(|_| Stdio::inherit(), Stdio::from));
    let process =
        Process::start(&mut command).map_err(|e| format!("the relay does not start: {e}"))?;
    let began = Instant::now();
    loop {
        let port = fs::read_to_string(port_file).unwrap_or_default();
        if let Ok(port) = port.parse() {
            return Ok((process, port));
        }
        if let Ok(Some(status)) = process.try_wait() {
            return Err(format!("the relay ended at its start: {status}"));
        }
        if began.elapsed() > START {
            return Err("the relay does not listen after a minute".to_owned());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// What the relay holds of one message.
#[derive(Deserialize)]
pub(super) struct Held {
    sender: String,
    recipient: String,
    pub(super) seq: u64,
    pub(super) class: String,
    /// Bytes of ciphertext, wraps included.
    pub(super) bytes: usize,
    /// The first bytes of C, hex.
    pub(super) ciphertext: String,
}

/// Every row in a stopped relay's store of what people say to each other, by seq. What somebody notes for their own devices is shown nowhere.
pub(super) fn rows(program: &Path, data: &Path) -> Result<Vec<Held>, String> {
    let output = Command::new(program)
        .arg("rows")
        .arg("--data")
        .arg(data)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("the relay's store cannot be listed: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "the relay's store cannot be listed: {}",
            output.status
        ));
    }
    let parse = |line: &str| {
        let held = serde_json::from_str::<Held>(line);
        held.map_err(|e| format!("the relay's rows: {e}"))
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(parse)
        .filter(|held| !matches!(held, Ok(held) if held.sender == held.recipient))
        .collect()
}
