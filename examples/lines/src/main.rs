//! Sends lines to one person and writes down what comes back.
//!
//! It keeps no notes of its own: how far it has come is what the client's store says, so it may be killed at any moment
//! and started again. What it does is told on standard output, a line of JSON each; when standard input ends, so does it.

mod pieces;
mod transcript;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use serde::Serialize;
use sordino::{Client, ConnectionState, Error, Event, FileKey, Retry, User};
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    time::{MissedTickBehavior, interval, sleep},
};

use transcript::{Item, Transcript};

/// Between two questions that the other side, or the relay, cannot answer yet.
const AGAIN: Duration = Duration::from_millis(100);

/// Sends lines to one person and writes down what comes back.
#[derive(Parser)]
struct Args {
    /// The relay.
    #[arg(long)]
    relay: String,
    /// Where account and messages are kept; made at the first start.
    #[arg(long)]
    store: PathBuf,
    /// The own user name.
    #[arg(long)]
    name: String,
    /// With whom; waits until there is such a user.
    #[arg(long)]
    peer: String,
    /// What the other person sent goes here, as it was sent.
    #[arg(long)]
    received: PathBuf,
    /// Send this file line by line, instead of what stands on standard input.
    #[arg(long)]
    send: Option<PathBuf>,
    /// Milliseconds between two lines of the file.
    #[arg(long, default_value_t = 0)]
    pace: u64,
}

/// What is told on standard output.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Say<'a> {
    /// What the store holds from before, and how many messages the file makes.
    Resumed {
        sent: usize,
        received: usize,
        total: usize,
    },
    /// The connection changed.
    Connection { state: &'static str },
    /// So many own messages were accepted by the relay.
    Accepted { n: usize },
    /// So many own messages are in the other person's store.
    Delivered { n: usize },
    /// A message of the other person.
    Received {
        n: usize,
        text: &'a str,
        sent_ms: u64,
        at_ms: u64,
    },
    /// At the end: the whole conversation.
    Timeline { items: Vec<Item<'a>> },
}

impl Say<'_> {
    fn tell(&self) {
        if let Ok(line) = serde_json::to_string(self) {
            println!("{line}");
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let pieces = args.send.as_deref().map(pieces::read).transpose()?;
    std::fs::create_dir_all(&args.store)?;
    let client = Client::builder(&args.relay)
        .store(&args.store)
        .keys(FileKey::new(args.store.join("key")))
        .open()
        .await?;
    let mut events = client.events();
    if client.me().is_none() {
        again(async || client.register(&args.name, None).await).await?;
    }
    client.connect();

    let peer = find(&client, &args.peer).await?;
    let conversation = client.conversation(peer.id);
    // A list begins with the newest items. A second reader then begins with all that the first one made it load.
    let mut first = conversation.timeline();
    first.next().await;
    while conversation.load_older(500).await? > 0 {}
    let mut timeline = conversation.timeline();
    drop(first);
    let mut transcript = Transcript::create(&args.received)?;
    let total = pieces.as_ref().map_or(0, Vec::len);
    transcript.resume(timeline.next().await, total)?;
    let mut next = transcript.sent();

    let mut input = BufReader::new(stdin()).lines();
    let mut pace = interval(Duration::from_millis(args.pace.max(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let piece = pieces.as_ref().and_then(|pieces| pieces.get(next));
        tokio::select! {
            diff = timeline.next() => match diff {
                Some(diff) => transcript.take(diff)?,
                None => break,
            },
            Some(event) = events.next() => note(&event)?,
            line = input.next_line() => match line? {
                Some(line) if pieces.is_none() => drop(conversation.send(format!("{line}\n")).await?),
                Some(_) => {}
                None => break,
            },
            _ = pace.tick(), if piece.is_some() => if let Some(piece) = piece {
                conversation.send(piece.as_str()).await?;
                next += 1;
            },
        }
    }
    transcript.tell();
    client.close().await;
    Ok(())
}

fn note(event: &Event) -> Result<(), Error> {
    if let Event::Connection(state) = event {
        let state = match state {
            ConnectionState::Connecting => "connecting",
            ConnectionState::CatchingUp { .. } => "catching_up",
            ConnectionState::Live => "live",
            ConnectionState::Degraded { .. } => "degraded",
            ConnectionState::Stopped { why } => return Err(why.clone()),
            _ => "offline",
        };
        Say::Connection { state }.tell();
    }
    Ok(())
}

/// Waits for somebody who may not have registered yet.
async fn find(client: &Client, name: &str) -> Result<User, Error> {
    loop {
        if let Some(user) = again(async || client.find_user(name).await).await? {
            return Ok(user);
        }
        sleep(AGAIN).await;
    }
}

/// Until it succeeds, or fails in a way that no repetition helps.
async fn again<T>(mut call: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match call().await {
            Err(error) if error.retry() != Retry::Never => sleep(AGAIN).await,
            done => return done,
        }
    }
}
