//! The key backup: chains that grow at their ends, and versions that are closed.

use std::sync::Arc;

use sordino_protocol::{
    batch::{Head, Place, batch_hash},
    hash::Hash,
};

use super::{newest, registered};
use crate::user::{
    Batch, ChainHead, ClosedBackup, Credentials, UserError, Users,
    fixtures::{Person, device_id},
};

/// A batch of a device's chain. `text`: what is in it.
pub(super) fn batch(version: u32, device: u8, number: u64, previous: Hash, text: &str) -> Batch {
    let place = Place {
        device: device_id(device),
        number,
        previous,
    };
    Batch {
        version,
        place,
        bytes: [place.encode().as_slice(), text.as_bytes()].concat().into(),
    }
}

pub(super) fn end_at(batch: &Batch) -> ChainHead {
    ChainHead {
        device: batch.place.device,
        head: Head {
            number: batch.place.number,
            hash: batch_hash(&batch.bytes),
        },
    }
}

pub(super) async fn a_backup_grows_at_the_ends_of_its_chains(users: &dyn Users) {
    let person = registered(users, 20, "twenty").await;
    let user = person.user;
    let put = async |batch: &Batch| users.put_batch(user, batch).await;
    let first = batch(1, 1, 1, [0; 32], "first");
    assert_eq!(users.backup_heads(user, 1).await, Ok(vec![]));
    put(&first).await.expect("stored");
    put(&first).await.expect("the same again");
    let fuller = batch(1, 1, 1, [0; 32], "first and more");
    put(&fuller).await.expect("in its place");
    let hash = batch_hash(&fuller.bytes);
    for wrong in [
        batch(1, 1, 2, batch_hash(&first.bytes), "after one that is gone"),
        batch(1, 1, 3, hash, "a hole"),
        batch(1, 1, 1, hash, "itself before it"),
        batch(1, 2, 2, hash, "another device's"),
    ] {
        assert_eq!(put(&wrong).await, Err(UserError::BackupConflict));
    }
    let second = batch(1, 1, 2, hash, "second");
    put(&second).await.expect("stored");
    assert_eq!(put(&first).await, Err(UserError::BackupConflict));
    let second = batch(1, 1, 2, hash, "second and more");
    put(&second).await.expect("in its place");
    let other = batch(1, 2, 1, [0; 32], "another device's first");
    put(&other).await.expect("stored");
    assert_eq!(
        users.backup_heads(user, 1).await,
        Ok(vec![end_at(&second), end_at(&other)])
    );
    assert_eq!(users.backup_heads(user, 2).await, Ok(vec![]));
    let read = async |device, upto, limit| {
        let chain = (1, device_id(device));
        users.batches(user, chain, upto, limit).await.expect("read")
    };
    assert_eq!(
        read(1, 9, 9).await,
        [&second, &fuller].map(|b| b.bytes.clone())
    );
    for (device, upto, limit, found) in [
        (1, 2, 1, &second),
        (1, 1, 9, &fuller),
        (2, u64::MAX, 9, &other),
    ] {
        let read = read(device, upto, limit).await;
        assert_eq!(read, std::slice::from_ref(&found.bytes));
    }
    assert!(read(3, 9, 9).await.is_empty());
    let nobody = Person::new(21).user;
    assert_eq!(
        users.put_batch(nobody, &first).await,
        Err(UserError::NotFound)
    );
}

pub(super) async fn a_backup_is_closed_where_its_chains_end_or_not_at_all(users: &dyn Users) {
    let person = registered(users, 22, "twenty-two").await;
    let user = person.user;
    let list = person.list(None, &[1]);
    let list = person.list(Some(&list), &[1, 2]);
    let closing = |heads: &[ChainHead]| Credentials {
        closes: Some(ClosedBackup {
            version: 1,
            heads: heads.to_vec(),
        }),
        ..Credentials::NONE
    };
    let [one, two] = [1, 2].map(|device| batch(1, device, 1, [0; 32], "one"));
    users.put_batch(user, &two).await.expect("stored");
    users.put_batch(user, &one).await.expect("stored");
    let fuller = batch(1, 1, 1, [0; 32], "one and more");
    users.put_batch(user, &fuller).await.expect("stored");
    for wrong in [vec![], vec![end_at(&two)], vec![end_at(&one), end_at(&two)]] {
        let stored = users.put_list(&list, &closing(&wrong)).await;
        assert_eq!(stored, Err(UserError::BackupMoved));
    }
    assert_eq!(newest(users, &person).await, 1, "nothing of it is stored");
    let ends = [end_at(&fuller), end_at(&two)];
    users
        .put_list(&list, &closing(&ends))
        .await
        .expect("stored");
    let late = batch(1, 2, 2, batch_hash(&two.bytes), "late");
    assert_eq!(
        users.put_batch(user, &late).await,
        Err(UserError::BackupClosed)
    );
    assert_eq!(users.backup_heads(user, 1).await, Ok(ends.to_vec()));
    let next = batch(2, 2, 1, [0; 32], "in the next");
    users.put_batch(user, &next).await.expect("stored");
    assert_eq!(users.backup_heads(user, 2).await, Ok(vec![end_at(&next)]));
}

pub(super) async fn one_of_two_batches_of_one_number_stands(users: &Arc<dyn Users>) {
    let person = registered(&**users, 23, "twenty-three").await;
    let first = batch(1, 1, 1, [0; 32], "first");
    users.put_batch(person.user, &first).await.expect("stored");
    let writers: Vec<_> = (0..8)
        .map(|n| {
            let (users, user) = (users.clone(), person.user);
            let next = batch(1, 1, 2, batch_hash(&first.bytes), &format!("next {n}"));
            tokio::spawn(async move { users.put_batch(user, &next).await })
        })
        .collect();
    for writer in writers {
        writer
            .await
            .expect("ran")
            .expect("stored, in place of the one before");
    }
    let heads = users.backup_heads(person.user, 1).await.expect("read");
    let chain = (1, device_id(1));
    let stored = users.batches(person.user, chain, 9, 9).await.expect("read");
    assert_eq!(stored.len(), 2);
    assert_eq!(heads[0].head.hash, batch_hash(&stored[0]));
}
