//! The loop: what happens goes into the state, what the state asks for is done, the screen follows.

use std::{io, time::Duration};

use crossterm::event::{Event as TerminalEvent, EventStream};
use futures_util::StreamExt;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use crate::{
    app::App,
    clock,
    model::{Command, Event},
    screen::Screen,
    session::Session,
    signals::Signals,
};

/// Runs until the user or a signal ends it.
pub(crate) async fn run(
    app: &mut App,
    screen: &mut Screen,
    session: &Session,
    news: &mut mpsc::Receiver<Event>,
) -> io::Result<()> {
    let mut keys = EventStream::new();
    let mut signals = Signals::listen()?;
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (width, height) = crossterm::terminal::size()?;
    app.update(Event::Resize(width, height));
    loop {
        screen.draw(app)?;
        let mut next = tokio::select! {
            key = keys.next() => match key {
                Some(key) => translate(key?),
                // The terminal is gone.
                None => return Ok(()),
            },
            event = news.recv() => event,
            _ = second.tick() => None,
            () = signals.any() => return Ok(()),
        };
        let now_ms = clock::now_ms();
        let mut commands = app.update(Event::Tick { now_ms });
        // All that is there already, before the screen is drawn again.
        while let Some(event) = next {
            commands.extend(app.update(event));
            next = news.try_recv().ok();
        }
        for command in commands {
            match command {
                Command::Quit => return Ok(()),
                Command::Bell => screen.bell()?,
                command => session.perform(command),
            }
        }
    }
}

fn translate(event: TerminalEvent) -> Option<Event> {
    match event {
        TerminalEvent::Key(key) => Some(Event::Key(key)),
        TerminalEvent::Paste(text) => Some(Event::Paste(text)),
        TerminalEvent::Resize(width, height) => Some(Event::Resize(width, height)),
        TerminalEvent::FocusGained => Some(Event::Focus(true)),
        TerminalEvent::FocusLost => Some(Event::Focus(false)),
        TerminalEvent::Mouse(_) => None,
    }
}
