//! A program in a terminal of its own.
#![allow(dead_code, reason = "each test needs a part of it")]

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize},
};

/// Far longer than anything takes; a hang becomes a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// The terminal and the program in it.
pub struct Pty {
    keyboard: File,
    line: File,
    before: Termios,
    child: Child,
    output: mpsc::Receiver<Vec<u8>>,
    shown: String,
}

impl Pty {
    /// Runs `command` in a terminal of 80 columns and 24 lines.
    pub fn run(command: &mut Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pty");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let name = name.into_string().expect("UTF-8");
        let line = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .expect("its line");
        let size = Winsize {
            ws_col: 80,
            ws_row: 24,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&line, size).expect("a size");
        let end = || Stdio::from(line.try_clone().expect("a clone"));
        let child = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("started");

        let mut screen = File::from(master);
        let keyboard = screen.try_clone().expect("a clone");
        let (send, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                if send.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            before: tcgetattr(&line).expect("its modes"),
            keyboard,
            line,
            child,
            output,
            shown: String::new(),
        }
    }

    /// Waits until `text` was written.
    pub fn wait_for(&mut self, text: &str) {
        let began = Instant::now();
        while !self.shown.contains(text) {
            let left = PATIENCE.saturating_sub(began.elapsed());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("{error}: no {text:?} in {:?}", self.shown),
            }
        }
    }

    /// All that was written so far.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("pressed");
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signalled");
    }

    /// Waits for the end, and that the terminal is as it was.
    pub fn wait_for_clean_end(&mut self) -> ExitStatus {
        // Leaves the other screen.
        self.wait_for("\u{1b}[?1049l");
        self.wait_for("\u{1b}[?2004l");
        self.wait_for("\u{1b}[?25h");
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it did not end");
            thread::sleep(Duration::from_millis(10));
        };
        let after = tcgetattr(&self.line).expect("its modes");
        assert_eq!(after.local_modes, self.before.local_modes);
        assert!(
            after
                .local_modes
                .contains(LocalModes::ICANON | LocalModes::ECHO)
        );
        status
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
