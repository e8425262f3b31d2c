//! The program starts without a network and leaves the terminal as it was.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod pty;

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    thread,
};

use pty::Pty;
use rustix::process::Signal;
use tempfile::TempDir;

/// With a relay that nobody answers for.
fn start(store: &TempDir) -> Pty {
    start_at("http://127.0.0.1:9", store)
}

fn start_at(relay: &str, store: &TempDir) -> Pty {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sordino-terminal"));
    command.arg("--store").arg(store.path());
    Pty::run(command.args(["--relay", relay]))
}

// Only single words: between words, a terminal's cursor jumps instead of drawing the space that is there.

#[test]
fn a_first_start_without_a_network_asks_for_a_name_and_says_what_is_wrong() {
    let store = TempDir::new().expect("a directory");
    let mut pty = start(&store);
    pty.wait_for("Choose");
    // The name, and a password twice.
    pty.press("alice\rfour-random-words\rfour-random-words\r");
    pty.wait_for("reached.");
    pty.press("\u{3}");
    assert!(pty.wait_for_clean_end().success());

    // The store was released, and is one window's at a time.
    let mut again = start(&store);
    again.wait_for("Choose");
    let mut third = start(&store);
    third.wait_for("another window");
}

#[test]
fn a_server_that_is_no_relay_is_said_to_be_none() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let relay = format!("http://{}", server.local_addr().expect("an address"));
    thread::spawn(move || {
        for client in server.incoming() {
            let mut client = client.expect("accepted");
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(
                b"HTTP/1.0 501 Unsupported method ('POST')\r\ncontent-length: 0\r\n\r\n",
            );
        }
    });
    let store = TempDir::new().expect("a directory");
    let mut pty = start_at(&relay, &store);
    pty.wait_for("Choose");
    pty.press("alice\rfour-random-words\rfour-random-words\r");
    pty.wait_for("(--relay)?");
    pty.press("\u{3}");
    assert!(pty.wait_for_clean_end().success());
}

#[test]
fn signals_end_it_cleanly() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let store = TempDir::new().expect("a directory");
        let mut pty = start(&store);
        pty.wait_for("Choose");
        pty.signal(signal);
        assert!(pty.wait_for_clean_end().success());
    }
}
