//! The terminal itself: taken over whole, given back whole, whatever happens.

use std::{
    io::{self, IsTerminal, Stdout, Write},
    panic, process,
};

use crossterm::{
    event::{DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange},
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use ratatui::{Terminal, backend::CrosstermBackend};

use crate::{app::App, view};

/// The terminal while the chat is on it. Dropping gives it back.
pub(crate) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes the terminal over. From here on a panic anywhere gives it back and ends the program: the store survives that, and a
    /// chat that goes on half would not be noticed.
    pub(crate) fn enter() -> io::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::Error::other("it needs a terminal to run in"));
        }
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            report(info);
            process::exit(101);
        }));
        enable_raw_mode()?;
        let taken = Self(Terminal::new(CrosstermBackend::new(io::stdout()))?);
        execute!(
            io::stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            EnableFocusChange
        )?;
        Ok(taken)
    }

    pub(crate) fn draw(&mut self, app: &App) -> io::Result<()> {
        self.0.draw(|frame| view::draw(frame, app))?;
        Ok(())
    }

    /// Rings, or whatever the terminal does instead.
    pub(crate) fn bell(&mut self) -> io::Result<()> {
        let out = self.0.backend_mut();
        out.write_all(b"\x07")?;
        Write::flush(out)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Nobody could be told of a failure: the terminal is gone then.
fn give_back() {
    let _ = execute!(
        io::stdout(),
        DisableFocusChange,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        crossterm::cursor::Show
    );
    let _ = disable_raw_mode();
}

#[cfg(test)]
#[path = "../tests/pty/mod.rs"]
mod pty;

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use super::{Screen, pty::Pty};

    const CHILD: &str = "SORDINO_PANIC_IN_A_TERMINAL";

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_reports() {
        if env::var_os(CHILD).is_some() {
            let _screen = Screen::enter().expect("a terminal");
            panic!("as planned");
        }
        let name = "screen::tests::a_panic_gives_the_terminal_back_before_it_reports";
        let mut again = Command::new(env::current_exe().expect("this test"));
        again.args([name, "--exact", "--nocapture"]).env(CHILD, "1");
        let mut pty = Pty::run(&mut again);
        pty.wait_for("\u{1b}[?1049h");
        assert_eq!(pty.wait_for_clean_end().code(), Some(101));
        pty.wait_for("as planned");
    }
}
