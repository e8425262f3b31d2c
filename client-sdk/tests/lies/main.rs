//! Clients whose relay lies: what they say of it, that they lose nothing that was delivered honestly, and that they go on once
//! it is honest again. Each lie is a row of a table. What a lie is to the machine alone, and what takes minutes, is in its own tests.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod backup;
mod lists;
mod marks;
#[path = "../support/plenty.rs"]
mod plenty;
mod rows;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use sordino::{Event, Events, TimelineItem};
use sordino_protocol::{Header, pb};
use support::{Person, liar::Liar};

const LONG: Duration = Duration::from_secs(60);

/// Two who have written to each other; one of them is to be lied to.
struct Two {
    lie: &'static str,
    honest: Person,
    /// Through the liar.
    fooled: Person,
    liar: Liar,
    told: Events,
}

impl Two {
    async fn acquainted(relay: &str, lie: &'static str, number: usize) -> Self {
        let liar = Liar::before(relay).await;
        let honest = Person::online(relay, &format!("honest-{number}")).await;
        let fooled = Person::online(&liar.url, &format!("fooled-{number}")).await;
        let told = fooled.client.events();
        let two = Self {
            lie,
            honest,
            fooled,
            liar,
            told,
        };
        two.honest_sends("hello").await;
        two.until_fooled_sees(&["< hello"]).await;
        two.fooled_sends("hi").await;
        two.until_honest_sees(&["> hello", "< hi"]).await;
        two.until_placed(&two.fooled, &two.honest).await;
        two
    }

    async fn honest_sends(&self, text: &str) {
        let sent = self.honest.with(&self.fooled).send(text).await;
        sent.expect("sent");
    }

    async fn fooled_sends(&self, text: &str) {
        let sent = self.fooled.with(&self.honest).send(text).await;
        sent.expect("sent");
    }

    async fn until_fooled_sees(&self, wanted: &[&str]) {
        until_shows(self.lie, &self.fooled, &self.honest, wanted).await;
    }

    async fn until_honest_sees(&self, wanted: &[&str]) {
        until_shows(self.lie, &self.honest, &self.fooled, wanted).await;
    }

    /// Until the relay has given everything that a person wrote its place.
    async fn until_placed(&self, at: &Person, with: &Person) {
        support::until(async || {
            let items = at.with(with).history(None, 500).await.expect("read");
            items.iter().all(|item| item.at().is_final())
        })
        .await;
    }

    /// The next connection of who is fooled is made as that of a device that was away.
    async fn fooled_leaves(&self) {
        self.fooled.client.disconnect();
        self.fooled.until(&sordino::ConnectionState::Offline).await;
    }

    async fn fooled_returns(&self) {
        self.fooled.client.connect();
        self.fooled.until_live().await;
    }

    /// The relay is honest again, on a new connection.
    async fn repents(&self) {
        self.liar.repents();
        self.fooled_leaves().await;
        self.fooled_returns().await;
    }

    /// Both go on: what they see then are these and what they write now.
    async fn goes_on(&self, fooled: &[&str], honest: &[&str]) {
        self.honest_sends("after").await;
        let seen = [fooled, &["< after"]].concat();
        self.until_fooled_sees(&seen).await;
        self.fooled_sends("answer").await;
        self.until_honest_sees(&[honest, &["> after", "< answer"]].concat())
            .await;
        self.until_fooled_sees(&[seen.as_slice(), &["> answer"]].concat())
            .await;
    }

    /// What the SDK has said of its relay is this, and nothing else.
    fn has_said(&mut self, wanted: &[&str]) {
        let said = said(&mut self.told);
        let lie = self.lie;
        for one in wanted {
            let found = said.iter().any(|said| said.contains(one));
            assert!(found, "{lie}: {said:?}, not {one:?}");
        }
        for said in said {
            let found = wanted.iter().any(|one| said.contains(one));
            assert!(found, "{lie}: {said:?}");
        }
    }
}

/// What was told of the relay.
fn said(told: &mut Events) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(Some(event)) = told.next().now_or_never() {
        match event {
            Event::RelayMisbehaved { evidence, .. } => said.push(evidence),
            Event::ViewsDiffer { .. } => said.push("views differ".to_owned()),
            Event::RolledBack | Event::TwoCopies | Event::Lagged { .. } => {
                said.push(format!("{event:?}"));
            }
            _ => {}
        }
    }
    said
}

async fn until_said(lie: &str, told: &mut Events, wanted: &str) {
    let since = Instant::now();
    let mut heard = Vec::new();
    while !heard.iter().any(|said: &String| said.contains(wanted)) {
        assert!(since.elapsed() < LONG, "{lie}: {heard:?}, not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        heard.extend(said(told));
    }
}

/// A conversation, as a person sees it.
async fn shown(at: &Person, with: &Person) -> Vec<String> {
    let items = at.with(with).history(None, 500).await.expect("read");
    let words = |item: TimelineItem| match item {
        TimelineItem::Message(message) => {
            let from = if message.mine { '>' } else { '<' };
            Some(format!("{from} {}", message.text))
        }
        TimelineItem::Undecryptable { cause, .. } => Some(format!("! {cause}")),
        TimelineItem::Gap { .. } => Some("gap".to_owned()),
        TimelineItem::KeyChanged { .. } => None,
        other => Some(format!("{other:?}")),
    };
    items.into_iter().filter_map(words).collect()
}

async fn until_shows(lie: &str, at: &Person, with: &Person, wanted: &[&str]) {
    let since = Instant::now();
    loop {
        let seen = shown(at, with).await;
        if seen == wanted {
            return;
        }
        assert!(since.elapsed() < LONG, "{lie}: {seen:?}, not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn header(row: &pb::Row) -> Header {
    Header::parse(&row.header).expect("a header")
}

fn flip(bytes: &bytes::Bytes, at: usize) -> bytes::Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes.into()
}
