//! A client for the tests of the delivery contract.
//!
//! It talks with several people until so much was said and heard, and writes down what it knows. It may be killed at any
//! moment and started again: how far it has come is what its store says. A byte on its standard input makes it say no more;
//! when its standard input ends, so does it.

use std::{error::Error, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use sordino::{
    Client, ConnectionState, Conversation, Event, FileKey, ListDiff, Retry, SendState,
    TimelineItem, User,
};
use sordino_tests::contract::{
    note::{Item, Note, Notes, Shown},
    talk,
};
use tokio::{
    io::{AsyncReadExt, stdin},
    sync::{mpsc, watch},
    task::{JoinSet, LocalSet},
    time::{MissedTickBehavior, interval, sleep},
};

/// Between two questions that cannot be answered yet.
const AGAIN: Duration = Duration::from_millis(50);
/// Items that are read at a time.
const PAGE: u32 = 500;

type Failure = Box<dyn Error + Send + Sync>;

/// A client that may be killed.
#[derive(Parser)]
struct Args {
    /// The relay.
    #[arg(long)]
    relay: String,
    /// Who vouches for the relay, as a PEM file, if that is nobody the machine trusts.
    #[arg(long)]
    authority: Option<PathBuf>,
    /// Where store, key and notes are.
    #[arg(long)]
    dir: PathBuf,
    /// The own user name.
    #[arg(long)]
    name: String,
    /// With whom to talk.
    #[arg(long = "peer")]
    peers: Vec<String>,
    /// Messages to send to each, and to get of each.
    #[arg(long)]
    messages: usize,
    /// Milliseconds between two messages to the same person.
    #[arg(long)]
    pace: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    match LocalSet::new().run_until(run(Args::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Failure> {
    let notes = Arc::new(Notes::append(&args.dir.join("notes"))?);
    let mut builder = Client::builder(&args.relay);
    if let Some(authority) = &args.authority {
        builder = builder.authorities(std::fs::read(authority)?);
    }
    let client = builder
        .store(args.dir.join("store"))
        .keys(FileKey::new(args.dir.join("key")))
        .open()
        .await?;
    let mut events = client.events();
    let me = match client.me() {
        Some(me) => me,
        None => again(async || client.register(&args.name, None).await).await?,
    };
    notes.write(&Note::Began { me: me.id })?;
    client.connect();

    let (quiet, silence) = watch::channel(false);
    let (complete, mut completed) = mpsc::channel(args.peers.len().max(1));
    let mut talks = JoinSet::new();
    for peer in args.peers.iter().cloned() {
        let talk = Talk {
            client: client.clone(),
            me: me.clone(),
            notes: notes.clone(),
            messages: args.messages,
            pace: Duration::from_millis(args.pace.max(1)),
            quiet: silence.clone(),
        };
        talks.spawn_local(talk.with(peer, complete.clone()));
    }

    let mut left = args.peers.len();
    let mut input = stdin();
    let mut byte = [0];
    loop {
        tokio::select! {
            read = input.read(&mut byte) => match read? {
                0 => break,
                _ => drop(quiet.send_replace(true)),
            },
            Some(()) = completed.recv() => {
                left -= 1;
                if left == 0 {
                    notes.write(&Note::Done)?;
                }
            }
            Some(event) = events.next() => if let Some(what) = alarm(&event) {
                notes.write(&Note::Alarm { what })?;
            },
            Some(ended) = talks.join_next() => ended??,
        }
    }
    talks.shutdown().await;
    for row in args.peers {
        if let Some(peer) = client.find_user(&row).await? {
            let items = whole(&client.conversation(peer.id)).await?;
            let peer = peer.id;
            notes.write(&Note::Timeline { peer, items })?;
        }
    }
    client.close().await;
    Ok(())
}

/// What a kill, of whomever, is no excuse for.
fn alarm(event: &Event) -> Option<String> {
    match event {
        Event::RelayMisbehaved { .. }
        | Event::ViewsDiffer { .. }
        | Event::RolledBack
        | Event::TwoCopies
        | Event::SignedOut
        | Event::IdentityChanged(_)
        | Event::Connection(ConnectionState::Stopped { .. }) => Some(format!("{event:?}")),
        _ => None,
    }
}

struct Talk {
    client: Client,
    me: User,
    notes: Arc<Notes>,
    messages: usize,
    pace: Duration,
    /// Whether to say no more.
    quiet: watch::Receiver<bool>,
}

impl Talk {
    /// Sends as long as there is something to send, notes what was accepted, and tells once when all is said and heard.
    async fn with(self, name: String, complete: mpsc::Sender<()>) -> Result<(), Failure> {
        let peer = find(&self.client, &name).await?;
        let conversation = self.client.conversation(peer.id);
        let mut shown = Transcript::default();
        // A list begins with the newest items. A second reader then begins with all that the first one made it load.
        let mut first = conversation.timeline();
        first.next().await;
        while conversation.load_older(PAGE).await? > 0 {}
        let mut timeline = conversation.timeline();
        drop(first);
        let whole = timeline.next().await.ok_or("no timeline")?;
        self.take(&mut shown, peer.id, whole)?;
        let mut sent = shown.count(true);
        let mut complete = Some(complete);
        let mut pace = interval(self.pace);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if shown.is_complete(self.messages)
                && let Some(complete) = complete.take()
            {
                complete.send(()).await?;
            }
            tokio::select! {
                diff = timeline.next() => match diff {
                    Some(diff) => self.take(&mut shown, peer.id, diff)?,
                    None => return Ok(()),
                },
                _ = pace.tick(), if sent < self.messages => {
                    // Asked here: when this began to wait for its turn it was not yet to be quiet.
                    if *self.quiet.borrow() {
                        continue;
                    }
                    let text = talk::text(&self.me.username, &name, sent + 1);
                    let id = conversation.send(text.as_str()).await?;
                    self.notes.write(&Note::Sent { peer: peer.id, id, text })?;
                    sent += 1;
                }
            }
        }
    }

    fn take(
        &self,
        shown: &mut Transcript,
        peer: sordino::UserId,
        diff: ListDiff<TimelineItem>,
    ) -> Result<(), Failure> {
        for (mine, id) in shown.take(diff) {
            self.notes.write(&match mine {
                true => Note::Accepted { peer, id },
                false => Note::Heard { peer, id },
            })?;
        }
        Ok(())
    }
}

/// A timeline as it is shown, and what of it was noted in this life.
#[derive(Default)]
struct Transcript {
    items: Vec<TimelineItem>,
    noted: std::collections::HashSet<sordino::MessageId>,
}

impl Transcript {
    /// Applies a change; which messages it says for the first time to be accepted, the own ones, or to be there.
    fn take(&mut self, diff: ListDiff<TimelineItem>) -> Vec<(bool, sordino::MessageId)> {
        diff.apply(&mut self.items);
        let messages = self.items.iter().filter_map(TimelineItem::message);
        let certain = messages.filter(|m| {
            !m.mine
                || matches!(
                    m.state,
                    SendState::Accepted | SendState::Delivered | SendState::Read
                )
        });
        certain
            .map(|message| (message.mine, message.id))
            .filter(|(_, id)| self.noted.insert(*id))
            .collect()
    }

    fn count(&self, mine: bool) -> usize {
        let messages = self.items.iter().filter_map(TimelineItem::message);
        messages.filter(|message| message.mine == mine).count()
    }

    fn is_complete(&self, messages: usize) -> bool {
        let delivered = |m: &sordino::Message| {
            !m.mine || matches!(m.state, SendState::Delivered | SendState::Read)
        };
        self.count(true) >= messages
            && self.count(false) >= messages
            && self
                .items
                .iter()
                .filter_map(TimelineItem::message)
                .all(delivered)
    }
}

/// Everything that a conversation shows.
async fn whole(conversation: &Conversation) -> Result<Vec<Item>, sordino::Error> {
    let mut items: Vec<TimelineItem> = Vec::new();
    loop {
        let before = items.first().map(TimelineItem::at);
        let page = conversation.history(before, PAGE).await?;
        if page.is_empty() {
            return Ok(items.into_iter().map(item).collect());
        }
        items.splice(..0, page);
    }
}

fn item(item: TimelineItem) -> Item {
    Item {
        place: item.at().place,
        shown: match item {
            TimelineItem::Message(message) => Shown::Message {
                id: message.id,
                author: message.author,
                text: message.text,
            },
            TimelineItem::Gap { .. } => Shown::Gap,
            other => Shown::Other(format!("{other:?}")),
        },
    }
}

/// Waits for somebody who may not have registered yet.
async fn find(client: &Client, name: &str) -> Result<User, sordino::Error> {
    loop {
        if let Some(user) = again(async || client.find_user(name).await).await? {
            return Ok(user);
        }
        sleep(AGAIN).await;
    }
}

/// Until it succeeds, or fails in a way that no repetition helps.
async fn again<T>(
    mut call: impl AsyncFnMut() -> Result<T, sordino::Error>,
) -> Result<T, sordino::Error> {
    loop {
        match call().await {
            Err(error) if error.retry() != Retry::Never => sleep(AGAIN).await,
            done => return done,
        }
    }
}
