use proptest::prelude::*;
use sordino_protocol::{ClientMessageId, DeviceId, UserId};
use tempfile::TempDir;

use super::*;
use crate::store::{Durability, FixedKey, ItemKind, Progress, Store, StoreKey, open};
use crate::words::Terms;

const BOB: ConversationId = ConversationId::from_bytes([1; 16]);
const CAROL: ConversationId = ConversationId::from_bytes([2; 16]);

fn key() -> StoreKey {
    StoreKey::take(&mut [1; 32])
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(&dir.path().join("store"), &FixedKey::new(key())).unwrap();
    change(&mut store, |tx| {
        tx.ensure_conversation(BOB, UserId::from_bytes([1; 16]))?;
        tx.ensure_conversation(CAROL, UserId::from_bytes([2; 16]))
    });
    (dir, store)
}

fn change<T>(store: &mut Store, work: impl FnOnce(&Tx<'_>) -> Result<T, Error>) -> T {
    store.transaction(Durability::Relaxed, work).unwrap()
}

fn item(conversation: ConversationId, id: u8, at_ms: u64, text: &str) -> StoredItem {
    StoredItem {
        item: 0,
        conversation,
        place: id.into(),
        kind: ItemKind::Message,
        author: Some(UserId::from_bytes([9; 16])),
        author_device: Some(DeviceId::from_bytes([9; 16])),
        client_message_id: Some(ClientMessageId::from_bytes([id; 16])),
        mine: false,
        text: text.to_owned(),
        sent_ms: 0,
        at_ms,
        progress: Progress::Accepted,
        code: String::new(),
        reply_to: None,
        edited: false,
        timer_s: 0,
        expires_ms: None,
    }
}

fn said(store: &mut Store, id: u8, at_ms: u64, text: &str) -> i64 {
    let item = change(store, |tx| tx.add_item(&item(BOB, id, at_ms, text)));
    item.unwrap().try_into().unwrap()
}

/// The first bytes of the ids of what is found.
fn found(store: &Store, query: &str) -> Vec<u8> {
    page(store, query, None, None, 100)
        .into_iter()
        .map(|(_, id)| id)
        .collect()
}

fn page(
    store: &Store,
    query: &str,
    within: Option<ConversationId>,
    before: Option<u64>,
    limit: u32,
) -> Vec<(u64, u8)> {
    let terms = Terms::parse(query).unwrap();
    let found = store.read(|tx| tx.search(&terms.expression(), within, before, limit));
    let id = |item: StoredItem| item.client_message_id.unwrap().as_bytes()[0];
    found
        .unwrap()
        .into_iter()
        .map(|(key, item)| (key, id(item)))
        .collect()
}

/// The words that the index holds, of whatever message.
fn held(store: &Store) -> Vec<String> {
    let words = store.read(|tx| {
        tx.run(
            "CREATE VIRTUAL TABLE temp.held USING fts5vocab (main, search, row)",
            [],
        )?;
        tx.all("SELECT term FROM temp.held", [], |row| row.get(0))
    });
    words.unwrap()
}

#[test]
fn the_newest_come_first_by_pages_and_of_one_conversation_if_wanted() {
    let (_dir, mut store) = store();
    // As the backup gives them: the newest first. Two came in the same millisecond.
    for (id, at_ms) in [(5, 500), (4, 400), (1, 100), (2, 100), (6, u64::MAX)] {
        said(&mut store, id, at_ms, "one more");
    }
    change(&mut store, |tx| tx.add_item(&item(CAROL, 3, 300, "one")));
    assert_eq!(found(&store, "ONE "), [6, 5, 4, 3, 2, 1]);
    let mut all = Vec::new();
    let mut before = None;
    loop {
        let page = page(&store, "one", None, before, 2);
        let Some((key, _)) = page.last() else { break };
        before = Some(*key);
        all.extend(page.into_iter().map(|(_, id)| id));
    }
    assert_eq!(all, [6, 5, 4, 3, 2, 1]);
    let of = |within| page(&store, "o", Some(within), None, 9).len();
    assert_eq!((of(BOB), of(CAROL)), (5, 1));
}

#[test]
fn the_index_follows_every_change() {
    let (_dir, mut store) = store();
    let first = said(&mut store, 1, 100, "meet me at noon");
    said(&mut store, 2, 200, "noon it is");
    let again = change(&mut store, |tx| {
        tx.add_item(&item(BOB, 2, 300, "a second time"))
    });
    assert_eq!((again, found(&store, "time")), (None, vec![]));
    assert_eq!(found(&store, "noon"), [2, 1]);

    let sql = |store: &mut Store, sql: &str| {
        change(store, |tx| tx.run(sql, [first]));
    };
    sql(
        &mut store,
        "UPDATE timeline SET text = 'meet me at dusk' WHERE item = ?1",
    );
    assert_eq!(
        (found(&store, "noon"), found(&store, "dusk")),
        (vec![2], vec![1])
    );
    sql(
        &mut store,
        "UPDATE timeline SET place = 9, state = 3 WHERE item = ?1",
    );
    assert_eq!(found(&store, "\"me at\""), [1], "as it was");
    // Erased, in either way.
    sql(&mut store, "UPDATE timeline SET text = '' WHERE item = ?1");
    assert_eq!(
        (found(&store, "dusk"), held(&store)),
        (vec![], vec!["is".into(), "it".into(), "noon".into()])
    );
    sql(
        &mut store,
        "UPDATE timeline SET kind = 2, text = 'dusk' WHERE item = ?1",
    );
    assert_eq!(found(&store, "dusk"), [0; 0], "no message");
    sql(&mut store, "UPDATE timeline SET kind = 1 WHERE item = ?1");
    assert_eq!(found(&store, "dusk"), [1]);
    sql(&mut store, "DELETE FROM timeline WHERE item = ?1");
    assert_eq!(found(&store, "dusk"), [0; 0]);

    let undone = store.transaction(Durability::Relaxed, |tx| {
        tx.add_item(&item(BOB, 3, 300, "noon"))?;
        Err::<(), _>(Error::new(sordino_protocol::Code::Stopped, ""))
    });
    assert!(undone.is_err());
    assert_eq!(found(&store, "noon"), [2]);
}

#[test]
fn what_was_stored_without_an_index_comes_into_it_step_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let old = Connection::open(&path).unwrap();
    open::unlock(&old, &key()).unwrap();
    let before = open::MIGRATIONS
        .iter()
        .take_while(|step| !step.contains("search"))
        .count();
    for step in &open::MIGRATIONS[..before] {
        old.execute_batch(step).unwrap();
    }
    old.pragma_update(None, "user_version", i64::try_from(before).unwrap())
        .unwrap();
    old.execute(
        "INSERT INTO conversations (conversation, peer) VALUES (?1, ?1)",
        [BOB.as_bytes()],
    )
    .unwrap();
    for n in 1..=10_u8 {
        let kind = if n == 7 { 4 } else { 1 };
        old.execute(
            "INSERT INTO timeline (conversation, place, kind, client_message_id, text, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?2)",
            params![BOB.as_bytes(), n, kind, [n; 16], format!("Ärger {n}")],
        )
        .unwrap();
    }
    drop(old);

    let mut store = Store::open(&path, &FixedKey::new(key())).unwrap();
    assert_eq!(found(&store, "arger"), [0; 0]);
    said(&mut store, 99, 20, "no arger");
    assert!(change(&mut store, |tx| tx.index_backlog(4)));
    assert_eq!(found(&store, "arger"), [99, 10, 9, 8], "the newest first");
    change(&mut store, |tx| {
        tx.run("UPDATE timeline SET text = 'Arger' WHERE place = 2", [])
    });
    drop(store);
    let mut store = Store::open(&path, &FixedKey::new(key())).unwrap();
    assert!(change(&mut store, |tx| tx.index_backlog(4)));
    assert!(!change(&mut store, |tx| tx.index_backlog(4)));
    assert!(!change(&mut store, |tx| tx.index_backlog(4)));
    assert_eq!(found(&store, "arger "), [99, 10, 9, 8, 6, 5, 4, 3, 2, 1]);
    assert_eq!(found(&store, "arger 2"), [0; 0], "it was changed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_word_is_found_until_it_is_erased_and_no_query_is_an_error(
        texts in prop::collection::vec("(?s).{0,40}|[a-z日本é \"*()^:-]{0,20}", 1..6),
        queries in prop::collection::vec("(?s).{0,20}|[a-z\"*()^:{}+ANDORNT -]{0,20}", 8),
    ) {
        let (_dir, mut store) = store();
        for (id, text) in (1..).zip(&texts) {
            said(&mut store, id, 100, text);
        }
        for query in texts.iter().chain(&queries) {
            if let Some(terms) = Terms::parse(query) {
                let found = store.read(|tx| tx.search(&terms.expression(), None, None, 100));
                for (_, item) in found.unwrap() {
                    prop_assert!(!terms.ranges(&item.text).is_empty());
                }
            }
        }
        for (id, text) in (1..).zip(&texts) {
            for word in text.split_whitespace().filter(|word| Terms::parse(word).is_some()) {
                prop_assert!(found(&store, word).contains(&id), "{:?} {:?}", word, text);
            }
        }
        change(&mut store, |tx| tx.run("DELETE FROM timeline", []));
        prop_assert_eq!(held(&store), Vec::<String>::new());
    }
}
