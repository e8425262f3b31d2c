use std::fs;
use std::path::PathBuf;

use sordino_crypto::session::Position;
use sordino_protocol::{ClientMessageId, ConversationId, UserId, pb, signed::SignedType};
use tempfile::TempDir;

use super::*;
use crate::sync::Arrival;

const CONV: ConversationId = ConversationId::from_bytes([9; 16]);
const TEXT: &[u8] = b"meet me where the river bends";

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    (dir, path)
}

fn key(byte: u8) -> FixedKey {
    FixedKey::new(StoreKey::take(&mut [byte; 32]))
}

fn refused(path: &Path, byte: u8) -> Code {
    Store::open(path, &key(byte)).err().unwrap().code()
}

fn row(seq: u64) -> Row<'static> {
    Row {
        seq,
        kind: RowKind::Message,
        env_hash: Some([1; 32]),
        content_key: None,
        pending: Some((
            TEXT,
            Position {
                chain: [2; 32],
                index: seq,
            },
        )),
    }
}

fn entry(counter: u64, id: u8) -> Entry {
    Entry {
        counter,
        client_message_id: ClientMessageId::from_bytes([id; 16]),
        class: 1,
        target: None,
        content: TEXT.to_vec(),
        given_up: false,
    }
}

fn filled(path: &Path, rows: u64) -> Store {
    let mut store = Store::open(path, &key(1)).unwrap();
    store
        .transaction(Durability::Synced, |tx| {
            tx.ensure_conversation(CONV, UserId::from_bytes([8; 16]))?;
            for seq in 1..=rows {
                assert_eq!(tx.record_row(CONV, &row(seq))?, Arrival::Apply);
            }
            Ok(())
        })
        .unwrap();
    store
}

fn cursor(store: &mut Store) -> u64 {
    store
        .transaction(Durability::Relaxed, |tx| tx.cursor(CONV))
        .unwrap()
}

#[test]
fn a_store_is_there_again_after_it_was_closed() {
    let (_dir, path) = place();
    drop(filled(&path, 3));
    let mut store = Store::open(&path, &key(1)).unwrap();
    assert_eq!(cursor(&mut store), 3);
    let rows = store.read(|tx| {
        assert_eq!(tx.row_hash(CONV, 4)?, None);
        assert!(tx.row_hash(CONV, 3)?.is_some());
        assert_eq!(tx.row_hash(CONV, 3)?, Some(Some([1; 32])));
        tx.pending_rows()
    });
    let want = |seq| (CONV, seq, TEXT.to_vec());
    assert_eq!(rows.unwrap(), [want(1), want(2), want(3)]);
}

#[test]
fn rows_move_the_cursor_only_in_order() {
    let (_dir, path) = place();
    let mut store = filled(&path, 2);
    let verdicts = store.transaction(Durability::Relaxed, |tx| {
        Ok((
            tx.record_row(CONV, &row(2))?,
            tx.record_row(CONV, &row(5))?,
            tx.record_row(CONV, &row(3))?,
        ))
    });
    let want = (Arrival::Drop, Arrival::Pull { from: 3 }, Arrival::Apply);
    assert_eq!(verdicts.unwrap(), want);
    assert_eq!(cursor(&mut store), 3);
}

#[test]
fn another_key_or_file_is_refused_and_left_alone() {
    let (_dir, path) = place();
    drop(filled(&path, 1));
    let before = fs::read(&path).unwrap();
    assert_eq!(refused(&path, 2), Code::StoreWrongKey);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(cursor(&mut Store::open(&path, &key(1)).unwrap()), 1);

    for length in [5, 9000] {
        let (_dir, path) = place();
        fs::write(&path, vec![7; length]).unwrap();
        assert_eq!(refused(&path, 1), Code::StoreWrongKey);
        assert_eq!(fs::read(&path).unwrap(), vec![7; length]);
    }
}

#[test]
fn one_at_a_time() {
    let (_dir, path) = place();
    let store = filled(&path, 1);
    let locked = Store::open(&path, &key(1)).err().unwrap();
    assert_eq!(locked.code(), Code::StoreLocked);
    assert_eq!(locked.detail(), path.display().to_string());
    drop(store);
    assert!(Store::open(&path, &key(1)).is_ok());
}

#[test]
fn a_truncated_file_is_damaged() {
    let (_dir, path) = place();
    drop(filled(&path, 200));
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, 100, 4096, 5000, whole.len() - 4096, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(refused(&path, 1), Code::StoreDamaged, "{length}");
    }
    fs::write(&path, &whole).unwrap();
    assert!(Store::open(&path, &key(1)).is_ok());
}

#[test]
fn a_flipped_bit_on_any_page_is_damage() {
    let (_dir, path) = place();
    drop(filled(&path, 100));
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() >= 5 * 4096);
    for page in 0..whole.len() / 4096 {
        for offset in [0, 17, 2000, 4095] {
            let mut bytes = whole.clone();
            bytes[page * 4096 + offset] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(refused(&path, 1), Code::StoreDamaged, "{page} {offset}");
        }
    }
}

#[test]
fn a_later_schema_is_refused() {
    let (_dir, path) = place();
    let store = filled(&path, 1);
    let set = store.connection.pragma_update(None, "user_version", 99);
    set.unwrap();
    drop(store);
    assert_eq!(refused(&path, 1), Code::StoreNewer);
}

#[test]
fn a_place_that_cannot_be_written_is_a_failure() {
    let (dir, _) = place();
    let path = dir.path().join("none").join("store");
    let failed = Store::open(&path, &key(1)).err().unwrap();
    assert_eq!(failed.code(), Code::StoreFailed);
    assert!(failed.detail().starts_with(&path.display().to_string()));
    let keys = FileKey::new(dir.path().join("nowhere").join("key"));
    let failed = Store::open(&dir.path().join("store"), &keys).err().unwrap();
    assert_eq!(failed.code(), Code::StoreFailed);
    assert!(failed.detail().contains("nowhere"), "{failed}");
}

#[test]
fn no_text_is_in_any_file() {
    let (dir, path) = place();
    let store = filled(&path, 50);
    let look = || {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            let bytes = fs::read(entry.path()).unwrap();
            assert!(!bytes.windows(TEXT.len()).any(|part| part == TEXT));
            assert!(!bytes.windows(8).any(|part| part == b"SQLite f"));
            assert!(!bytes.windows(16).any(|part| part == [1; 16]));
            names.push(entry.file_name());
        }
        names
    };
    assert!(look().contains(&"store-wal".into()));
    drop(store);
    look();
}

#[test]
fn what_was_not_committed_is_undone() {
    let (_dir, path) = place();
    let mut store = filled(&path, 1);
    let failed: Result<(), Error> = store.transaction(Durability::Synced, |tx| {
        tx.take_counter(CONV)?;
        tx.record_row(CONV, &row(2))?;
        Err(Error::new(Code::Stopped, ""))
    });
    assert_eq!(failed.unwrap_err().code(), Code::Stopped);
    assert_eq!(cursor(&mut store), 1);

    // A crash in the middle: the files as they lie there, with the log, opened elsewhere.
    let copy = store
        .transaction(Durability::Synced, |tx| {
            tx.record_row(CONV, &row(2))?;
            Ok(crashed(&path))
        })
        .unwrap();
    assert_eq!(cursor(&mut Store::open(&copy, &key(1)).unwrap()), 1);
    assert_eq!(cursor(&mut store), 2);
}

#[test]
fn durability_sets_the_sync_level() {
    let (_dir, path) = place();
    let mut store = filled(&path, 1);
    for (durability, want) in [(Durability::Synced, 2), (Durability::Relaxed, 1)] {
        let level = store.transaction(durability, |tx| {
            let level = tx.0.query_row("PRAGMA synchronous", [], |row| row.get(0));
            level.map_err(failed)
        });
        assert_eq!(level, Ok(want));
    }
}

#[test]
fn the_newest_encryption_goes_out_and_none_from_the_first_stale_one_on() {
    let (_dir, path) = place();
    let mut store = filled(&path, 1);
    let envelope = |version: u8| Envelope {
        content_key: None,
        env_hash: [version; 32],
        envelope: vec![version],
    };
    let run = store.transaction(Durability::Synced, |tx| {
        assert_eq!((tx.take_counter(CONV)?, tx.take_counter(CONV)?), (1, 2));
        tx.outbox_put(CONV, &entry(1, 10))?;
        assert!(tx.outbox_put(CONV, &entry(1, 11)).is_err());
        assert!(tx.outbox_put(CONV, &entry(2, 10)).is_err());
        tx.outbox_put(CONV, &entry(2, 20))?;
        let sends = |after, limit| -> Result<Vec<u8>, Error> {
            let found = tx.outgoing(CONV, after, limit)?;
            Ok(found.into_iter().map(|out| out.send[0]).collect())
        };
        assert!(sends(0, 9)?.is_empty());
        tx.outbox_encrypted(CONV, 2, false, &envelope(200))?;
        assert!(sends(0, 9)?.is_empty());
        tx.outbox_encrypted(CONV, 1, false, &envelope(100))?;
        tx.outbox_encrypted(CONV, 1, true, &envelope(101))?;
        assert_eq!(
            (sends(0, 9)?, sends(0, 1)?, sends(1, 9)?),
            (vec![101, 200], vec![101], vec![200])
        );
        assert_eq!(
            tx.versions(CONV, 1)?,
            [([100; 32], false), ([101; 32], true)]
        );
        assert_eq!(tx.outbox_stale_from(CONV, 2)?, 1);
        assert_eq!(sends(0, 9)?, [101]);
        assert!(tx.stale(CONV, 9)? == [entry(2, 20)]);
        tx.outbox_delete(CONV, 1)?;
        assert_eq!(tx.versions(CONV, 1)?, []);
        Ok(())
    });
    run.unwrap();
}

/// The files of a store as a crash leaves them, beside it.
fn crashed(path: &Path) -> PathBuf {
    let copy = path.with_file_name("crashed");
    for end in ["", "-wal", ".lock"] {
        let part = |base: &Path| format!("{}{end}", base.display());
        fs::copy(part(path), part(&copy)).unwrap();
    }
    copy
}

#[test]
fn a_page_torn_by_a_crash_is_healed_from_the_log() {
    let (_dir, path) = place();
    let _store = filled(&path, 20);
    let copy = crashed(&path);
    let mut bytes = fs::read(&copy).unwrap();
    bytes[2000..].fill(0);
    fs::write(&copy, bytes).unwrap();
    assert_eq!(cursor(&mut Store::open(&copy, &key(1)).unwrap()), 20);
}

#[test]
fn a_wrong_key_after_a_crash_loses_nothing() {
    let (_dir, path) = place();
    let _store = filled(&path, 20);
    let copy = crashed(&path);
    assert_eq!(refused(&copy, 2), Code::StoreWrongKey);
    assert_eq!(cursor(&mut Store::open(&copy, &key(1)).unwrap()), 20);
}

#[test]
fn a_full_disk_is_a_failure_and_changes_nothing() {
    let (_dir, path) = place();
    let mut store = filled(&path, 1);
    let limit = store
        .connection
        .query_row("PRAGMA max_page_count = 1", [], |_| Ok(()));
    limit.unwrap();
    let result = store.transaction(Durability::Synced, |tx| {
        (2..500).try_for_each(|seq| tx.record_row(CONV, &row(seq)).map(|_| ()))
    });
    assert_eq!(result.unwrap_err().code(), Code::StoreFailed);
    assert_eq!(cursor(&mut store), 1);
}

#[test]
fn a_deleted_store_makes_room_for_a_new_one() {
    let (_dir, path) = place();
    drop(filled(&path, 1));
    fs::remove_file(&path).unwrap();
    assert_eq!(cursor(&mut Store::open(&path, &key(2)).unwrap()), 0);
    assert_eq!(refused(&path, 1), Code::StoreWrongKey);
}

#[cfg(unix)]
#[test]
fn all_files_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, path) = place();
    let _store = filled(&path, 1);
    for entry in fs::read_dir(dir.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn of_too_many_prekeys_the_newest_are_kept() {
    let (_dir, path) = place();
    let mut store = Store::open(&path, &key(1)).unwrap();
    let (kind, other) = (SignedType::OneTimePrekey, SignedType::SignedPrekey);
    let left = store.transaction(Durability::Relaxed, |tx| {
        let public = pb::Signed::default();
        for id in 1..=9 {
            let kind = if id % 3 == 0 { other } else { kind };
            tx.put_prekey(kind, id, &[1; 32], &public, 0)?;
        }
        for most in [9, 2] {
            tx.keep_newest_prekeys(kind, most)?;
        }
        let held = |kind| {
            let held = (1..=9).filter(move |id| tx.prekey_secret(kind, *id).unwrap().is_some());
            held.collect::<Vec<_>>()
        };
        Ok((held(kind), held(other)))
    });
    assert_eq!(left.unwrap(), (vec![7, 8], vec![3, 6, 9]));
}

/// And not all that the other person ever wrote.
#[test]
fn what_was_read_is_looked_for_among_what_waits_for_it() {
    let (_dir, path) = place();
    let mut store = filled(&path, 1);
    let plan = store
        .transaction(Durability::Relaxed, |tx| {
            tx.all(
                &format!("EXPLAIN QUERY PLAN {}", expiry::START_TIMERS),
                rusqlite::params![CONV.as_bytes(), 1, 1, 1],
                |row| row.get::<_, String>(3),
            )
        })
        .unwrap();
    assert!(
        plan[0].contains("timeline_unread_timers (conversation=? AND place<?)"),
        "{plan:?}"
    );
}
