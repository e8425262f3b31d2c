//! What is being done, on stderr: a spinner on a terminal, else a line for each step.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// A step under way.
pub struct Step(ProgressBar);

/// Begins a step of `len` parts; 0: not counted.
pub fn step(name: &str, len: usize) -> Step {
    let bar = if std::io::stderr().is_terminal() {
        let style = if len > 0 {
            "{spinner} {msg} {bar:30} {pos}/{len}"
        } else {
            "{spinner} {msg} {elapsed}"
        };
        ProgressBar::new(len as u64)
            .with_style(
                ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
            .with_message(name.to_owned())
    } else {
        eprintln!("bench: {name}");
        ProgressBar::hidden()
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    Step(bar)
}

impl Step {
    /// One part is done.
    pub fn one(&self) {
        self.0.inc(1);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
