//! What search costs: in a store with 100 000 messages, beside a scan of the same rows in the same run, in turns: a slow machine changes the
//! times, not the ratios.

use std::{fs, hint::black_box, path::Path, time::Instant};

use serde_json::json;
use sordino_protocol::{ClientMessageId, Code, ConversationId, DeviceId, UserId};

use crate::{
    error::Error,
    store::{
        Durability, Entry, FixedKey, ItemKind, Progress, Row, RowKind, Store, StoreKey, StoredItem,
        Tx,
    },
    words::Terms,
};

const MESSAGES: u64 = 100_000;
/// Messages of the small conversation: one of so many.
const SMALL: u64 = 500;
const ROUNDS: usize = 15;
/// Messages sent and received one by one.
const WRITES: u64 = 300;
/// Messages that are put into the index at a time.
const STEP: u32 = 500;
const PAGE: u32 = 50;

const QUERIES: [(&str, &str, bool); 12] = [
    ("a common word (every 2nd message)", "the ", false),
    ("a common word, one conversation", "the ", true),
    ("a rare word (every 10 000th)", "zebra ", false),
    ("a word that is nowhere", "xylophone ", false),
    ("a beginning of one letter", "k", false),
    ("a beginning of three letters", "kat", false),
    ("two common words", "the beba ", false),
    ("a common and a rare word", "the zebra ", false),
    ("a phrase", "\"beba the\"", false),
    ("one character of CJK", "的", false),
    ("two characters of CJK", "东京", false),
    ("four characters of CJK", "东京夜行", false),
];

/// Prints a table, or one line of JSON.
///
/// # Errors
/// Those of the store, and of the temporary directory.
pub fn search(json: bool) -> Result<(), Error> {
    let io = |error: std::io::Error| Error::new(Code::StoreFailed, error.to_string());
    let dir = tempfile::tempdir().map_err(io)?;
    let (with, without) = (dir.path().join("with"), dir.path().join("without"));
    let mut store = open(&with)?;
    let triggers = store.unindexed()?;
    let text_bytes = fill(&mut store)?;
    drop(store);
    fs::copy(&with, &without).map_err(io)?;

    let mut store = open(&with)?;
    store.indexed(&triggers)?;
    let (mut steps, mut more) = (Vec::new(), true);
    while more {
        let (time, left) =
            timed(|| store.transaction(Durability::Relaxed, |tx| tx.index_backlog(STEP)))?;
        steps.push(time);
        more = left;
    }
    store.forget_log()?;

    let mut rows = Vec::new();
    for (name, query, small) in QUERIES {
        let terms = Terms::parse(query);
        let terms = terms.ok_or_else(|| Error::new(Code::Internal, "a query without words"))?;
        let (mut times, mut scans, mut hits) = (Vec::new(), Vec::new(), 0);
        for _ in 0..ROUNDS {
            let within = small.then(|| conversation(0));
            let ask = || {
                let found = store.read(|tx| tx.search(&terms.expression(), within, None, PAGE))?;
                Ok(found
                    .into_iter()
                    .map(|(_, item)| terms.ranges(&item.text))
                    .collect::<Vec<_>>())
            };
            let (time, found) = timed(ask)?;
            hits = found.len();
            black_box(found);
            times.push(time);
            let pattern = format!("%{}%", query.trim().trim_matches('"'));
            scans.push(timed(|| store.scan(&pattern, within, PAGE))?.0);
        }
        rows.push((name, hits, median(&mut times), median(&mut scans)));
    }

    let mut plain = open(&without)?;
    plain.unindexed()?;
    let mut costs = [const { Vec::new() }; 4];
    let [send, send_plain, receive, receive_plain] = &mut costs;
    let mut text = Text::new(7);
    for n in 0..WRITES {
        let said = text.message(MESSAGES + n);
        for (store, sent, received) in [
            (&mut store, &mut *send, &mut *receive),
            (&mut plain, &mut *send_plain, &mut *receive_plain),
        ] {
            sent.push(timed(|| write(store, MESSAGES + 2 * n, &said, true))?.0);
            received.push(timed(|| write(store, MESSAGES + 2 * n + 1, &said, false))?.0);
        }
    }
    let [send, send_plain, receive, receive_plain] = costs.map(|mut times| median(&mut times));
    drop((store, plain));
    let size = |path| fs::metadata(path).map(|file| file.len()).map_err(io);
    let (bytes, bytes_plain) = (size(&with)?, size(&without)?);
    let opened = timed(|| open(&with).map(drop))?.0;
    let opened_plain = timed(|| open(&without).map(drop))?.0;

    let all: f64 = steps.iter().sum();
    let longest = steps.iter().copied().fold(0.0, f64::max);
    let measured = [
        ("a send, stored", send, send_plain, "ms"),
        ("a receipt, stored", receive, receive_plain, "ms"),
        ("the store, opened", opened, opened_plain, "ms"),
        ("the file", megabytes(bytes), megabytes(bytes_plain), "MB"),
    ];
    if json {
        let queries = rows.iter().map(|(name, hits, time, scan)| {
            json!({ "query": name, "hits": hits, "ms": time, "scan_ms": scan, "of_the_scan": time / scan })
        });
        let costs = measured.map(|(name, with, without, unit)| {
            json!({ "what": name, "with": with, "without": without, "unit": unit })
        });
        let report = json!({
            "messages": MESSAGES, "text_mb": megabytes(text_bytes), "queries": queries.collect::<Vec<_>>(), "costs": costs,
            "indexed_ms": all, "step": STEP, "longest_step_ms": longest,
        });
        println!("{report}");
        return Ok(());
    }
    println!(
        "{MESSAGES} messages, {:.1} MB of text; medians of {ROUNDS} rounds, the newest {PAGE} hits\n",
        megabytes(text_bytes)
    );
    println!(
        "{:<36}{:>6}{:>12}{:>12}{:>14}",
        "", "hits", "ms", "scan, ms", "of the scan"
    );
    for (name, hits, time, scan) in rows {
        println!(
            "{name:<36}{hits:>6}{time:>12.2}{scan:>12.1}{:>13.1}%",
            100.0 * time / scan
        );
    }
    println!(
        "\n{:<36}{:>18}{:>12}{:>14}",
        "", "with the index", "without", "more"
    );
    for (name, with, without, unit) in measured {
        println!(
            "{name:<36}{with:>15.2} {unit}{without:>12.2}{:>14.2}",
            with - without
        );
    }
    println!(
        "\nAn old store is indexed in {all:.0} ms, {STEP} messages at a time, the longest step {longest:.0} ms."
    );
    Ok(())
}

/// Key of the stores here.
pub const KEY: [u8; 32] = [1; 32];

/// A database with the client's tables and nobody's account: what it costs to write to it what a message has to leave there, without the
/// ciphers.
pub struct Bare {
    store: Store,
    next: u64,
    text: String,
}

impl Bare {
    /// A new one in this file, for messages of `bytes` bytes.
    ///
    /// # Errors
    /// Those of the store.
    pub fn new(path: &Path, bytes: usize) -> Result<Self, Error> {
        let mut store = open(path)?;
        store.transaction(Durability::Relaxed, |tx| {
            (0..20).try_for_each(|n| {
                tx.ensure_conversation(conversation(n), UserId::from_bytes([n; 16]))
            })
        })?;
        Ok(Self {
            store,
            next: 0,
            text: "word ".repeat(bytes / 5),
        })
    }

    /// One message that is sent: outbox and timeline, synced to the disk.
    ///
    /// # Errors
    /// Those of the store.
    pub fn send(&mut self) -> Result<(), Error> {
        self.next += 1;
        write(&mut self.store, self.next, &self.text, true)
    }

    /// So many messages that are sent, in one commit that is synced to the disk.
    ///
    /// # Errors
    /// Those of the store.
    pub fn send_together(&mut self, count: usize) -> Result<(), Error> {
        let (next, said) = (&mut self.next, &self.text);
        self.store.transaction(Durability::Synced, |tx| {
            (0..count).try_for_each(|_| {
                *next += 1;
                put(tx, *next, said, true)
            })
        })
    }

    /// One message that has come: row, cursor and timeline.
    ///
    /// # Errors
    /// Those of the store.
    pub fn receive(&mut self) -> Result<(), Error> {
        self.next += 1;
        write(&mut self.store, self.next, &self.text, false)
    }
}

/// Puts 100 000 messages into a store, with 20 people.
///
/// # Errors
/// Those of the store.
pub fn fill_store(path: &Path) -> Result<(), Error> {
    fill(&mut open(path)?).map(drop)
}

/// Opens it as a program does that reads nothing but the newest item of each conversation, and 50 of one.
///
/// # Errors
/// Those of the store.
pub fn open_bare(path: &Path) -> Result<usize, Error> {
    let store = open(path)?;
    store.read(|tx| {
        let mut items = tx.items_before(conversation(1), None, 50)?.len();
        for held in tx.conversations()? {
            items += tx.items_before(held.id, None, 1)?.len();
        }
        Ok(items)
    })
}

fn open(path: &Path) -> Result<Store, Error> {
    Store::open(path, &FixedKey::new(StoreKey::take(&mut KEY.clone())))
}

/// How long it takes, in milliseconds.
fn timed<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<(f64, T), Error> {
    let start = Instant::now();
    let result = work()?;
    Ok((start.elapsed().as_secs_f64() * 1e3, result))
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[allow(clippy::cast_precision_loss, reason = "a size to be printed")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

const fn conversation(n: u8) -> ConversationId {
    ConversationId::from_bytes([n; 16])
}

/// The messages; bytes of their text.
fn fill(store: &mut Store) -> Result<u64, Error> {
    let mut text = Text::new(1);
    let mut bytes = 0;
    store.transaction(Durability::Relaxed, |tx| {
        (0..20)
            .try_for_each(|n| tx.ensure_conversation(conversation(n), UserId::from_bytes([n; 16])))
    })?;
    for from in (0..MESSAGES).step_by(1000) {
        store.transaction(Durability::Relaxed, |tx| {
            for n in from..from + 1000 {
                let said = text.message(n);
                bytes += said.len() as u64;
                tx.add_item(&item(n, &said, n % 2 == 0))?;
            }
            Ok(())
        })?;
    }
    store.forget_log()?;
    Ok(bytes)
}

/// What a send and a receipt have to write besides ciphers: the row or the outbox, and the timeline.
fn write(store: &mut Store, n: u64, said: &str, mine: bool) -> Result<(), Error> {
    let durability = if mine {
        Durability::Synced
    } else {
        Durability::Relaxed
    };
    store.transaction(durability, |tx| put(tx, n, said, mine))
}

fn put(tx: &Tx<'_>, n: u64, said: &str, mine: bool) -> Result<(), Error> {
    let item = item(n, said, mine);
    if mine {
        tx.outbox_put(
            item.conversation,
            &Entry {
                counter: n,
                client_message_id: item
                    .client_message_id
                    .unwrap_or(ClientMessageId::from_bytes([0; 16])),
                class: 1,
                target: None,
                content: said.into(),
                given_up: false,
            },
        )?;
    } else {
        let cursor = tx.cursor(item.conversation)?;
        let row = Row {
            seq: cursor + 1,
            kind: RowKind::Message,
            env_hash: Some([1; 32]),
            content_key: None,
            pending: None,
        };
        tx.record_row(item.conversation, &row)?;
    }
    tx.add_item(&item)?;
    Ok(())
}

fn item(n: u64, said: &str, mine: bool) -> StoredItem {
    let number = u128::from(n).to_be_bytes();
    let peer = if n.is_multiple_of(SMALL) {
        0
    } else {
        1 + (n % 19) as u8
    };
    StoredItem {
        item: 0,
        conversation: conversation(peer),
        place: n + 1,
        kind: ItemKind::Message,
        author: Some(UserId::from_bytes([peer; 16])),
        author_device: Some(DeviceId::from_bytes([peer; 16])),
        client_message_id: Some(ClientMessageId::from_bytes(number)),
        mine,
        text: said.to_owned(),
        sent_ms: 1_700_000_000_000 + 60_000 * n,
        at_ms: 1_700_000_000_000 + 60_000 * n,
        progress: Progress::Accepted,
        code: String::new(),
        reply_to: None,
        edited: false,
        timer_s: 0,
        expires_ms: None,
    }
}

/// The nth of words that begin as variously as those of a language.
fn word(mut n: u64) -> String {
    let mut word = String::new();
    while n > 0 || word.len() < 4 {
        let index = usize::try_from(n % 70).unwrap_or(0);
        word.extend("bdfgklmnprstvz".chars().nth(index / 5));
        word.extend("aeiou".chars().nth(index % 5));
        n /= 70;
    }
    word
}

/// Writes like people: few words often, most seldom.
struct Text(u64);

impl Text {
    const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        // Knuth's multiplier; its upper bits are good enough for words.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn message(&mut self, n: u64) -> String {
        if n % 10 == 9 {
            return self.cjk(n);
        }
        let mut words = Vec::new();
        for _ in 0..4 + self.below(13) {
            let rank = 1 + self.below(5_000);
            let rank = 1 + self.below(rank);
            words.push(if self.below(12) == 0 {
                "the".to_owned()
            } else {
                word(1 + self.below(rank))
            });
        }
        if n % 10_000 == 4_321 {
            words.push("zebra".to_owned());
        }
        words.join(" ")
    }

    fn cjk(&mut self, n: u64) -> String {
        let mut said = String::new();
        for _ in 0..4 + self.below(20) {
            let span = 1 + self.below(3_000);
            let letter = 0x4e00 + u32::try_from(self.below(span)).unwrap_or(0);
            said.push(if self.below(20) == 0 {
                '的'
            } else {
                char::from_u32(letter).unwrap_or('的')
            });
        }
        if n % 1_000 == 9 {
            said.push_str("东京夜行");
        }
        said
    }
}
