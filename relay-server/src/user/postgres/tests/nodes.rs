//! Two nodes, one database.

use std::collections::HashSet;

use super::*;
use crate::user::{Block, BlockTag};
use fixtures::{Person, device_id, prekey};

const NOW: u64 = 1_000;
const LATER: u64 = 2_000;

fn one_time(ids: std::ops::RangeInclusive<u32>) -> Vec<Prekey> {
    ids.map(|id| prekey(PrekeyKind::OneTime, id, LATER))
        .collect()
}

fn standing(expires_ms: u64) -> [Prekey; 2] {
    [
        prekey(PrekeyKind::Signed, 1, expires_ms),
        prekey(PrekeyKind::PqLastResort, 1, expires_ms),
    ]
}

async fn put(users: &PostgresUsers, person: &Person, keys: &[Prekey]) {
    users
        .put_prekeys(person.user, device_id(1), keys, false)
        .await
        .expect("stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_claim_every_key_once() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let nodes = [database.node().await, database.node().await];
    let person = Person::new(1);
    nodes[0]
        .create("one", &person.list(None, &[1]), &Credentials::NONE)
        .await
        .expect("created");
    put(&nodes[0], &person, &standing(LATER)).await;
    put(&nodes[0], &person, &one_time(1..=50)).await;
    let claims: Vec<_> = (0..80)
        .map(|n| {
            let (node, user) = (nodes[n % 2].clone(), person.user);
            tokio::spawn(async move { node.claim(user, device_id(1), NOW).await })
        })
        .collect();
    let mut served = HashSet::new();
    for claim in claims {
        let bundle = claim.await.expect("ran").expect("read").expect("a bundle");
        if let Some(key) = bundle.one_time {
            assert!(served.insert(key.body.0), "served twice");
        }
    }
    assert_eq!(served.len(), 50);
    for node in nodes {
        node.close().await;
    }
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_claimed_in_the_order_given_not_of_their_ids() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let node = database.node().await;
    let person = Person::new(1);
    node.create("one", &person.list(None, &[1]), &Credentials::NONE)
        .await
        .expect("created");
    put(&node, &person, &standing(LATER)).await;
    let given = [9, 3, 7, 1, 8].map(|id| prekey(PrekeyKind::OneTime, id, LATER));
    put(&node, &person, &given).await;
    for key in given {
        let bundle = node.claim(person.user, device_id(1), NOW).await;
        let served = bundle.expect("read").expect("a bundle").one_time;
        assert_eq!(served, Some(key.signed.into()));
    }
    node.close().await;
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_keys_of_a_standing_kind_the_last_stands() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let node = database.node().await;
    let person = Person::new(1);
    node.create("one", &person.list(None, &[1]), &Credentials::NONE)
        .await
        .expect("created");
    let keys = [1, 2, 2].map(|id| prekey(PrekeyKind::Signed, id, LATER + u64::from(id)));
    put(&node, &person, &keys).await;
    let count = node.count_prekeys(person.user, device_id(1)).await;
    assert_eq!(count.expect("read").signed_id, 2);
    node.close().await;
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_lists_put_on_two_nodes_one_is_stored() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let nodes = [database.node().await, database.node().await];
    let person = Person::new(1);
    let mut newest_list = person.list(None, &[1]);
    nodes[0]
        .create("one", &newest_list, &Credentials::NONE)
        .await
        .expect("created");
    for _ in 0..10 {
        let writers: Vec<_> = [2, 3, 4, 5]
            .into_iter()
            .map(|device| {
                let list = person.list(Some(&newest_list), &[1, device]);
                let node = nodes[usize::from(device % 2)].clone();
                tokio::spawn(async move { (node.put_list(&list, &Credentials::NONE).await, list) })
            })
            .collect();
        let mut stored = Vec::new();
        for writer in writers {
            match writer.await.expect("ran") {
                (Ok(()), list) => stored.push(list),
                (Err(error), _) => assert_eq!(error, UserError::ListConflict),
            }
        }
        assert_eq!(stored.len(), 1);
        newest_list = stored.remove(0);
    }
    for node in nodes {
        node.close().await;
    }
    database.remove().await;
}

/// Writers of lists, writers of prekeys and claims of the same devices, on both nodes: nobody waits in a circle.
#[tokio::test(flavor = "multi_thread")]
async fn writers_of_everything_get_along() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let nodes = [database.node().await, database.node().await];
    let person = Person::new(1);
    let mut list = person.list(None, &[1, 2, 3]);
    nodes[0]
        .create("one", &list, &Credentials::NONE)
        .await
        .expect("created");
    let mut tasks = Vec::new();
    for n in 0..60_u32 {
        let (node, user) = (nodes[n as usize % 2].clone(), person.user);
        let device = device_id(1 + u8::try_from(n % 3).expect("small"));
        tasks.push(tokio::spawn(async move {
            let keys = [standing(LATER).to_vec(), one_time(n * 20..=n * 20 + 19)].concat();
            match node.put_prekeys(user, device, &keys, n % 7 == 0).await {
                Ok(()) | Err(UserError::NotFound) => {}
                Err(error) => panic!("{error}"),
            }
            node.claim(user, device, NOW).await.expect("claimed");
        }));
    }
    for n in 0..10 {
        let devices: &[u8] = if n % 2 == 0 { &[1] } else { &[1, 2, 3] };
        list = person.list(Some(&list), devices);
        nodes[n % 2]
            .put_list(&list, &Credentials::NONE)
            .await
            .expect("stored");
    }
    for task in tasks {
        task.await.expect("ran");
    }
    for node in nodes {
        node.close().await;
    }
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_hears_of_what_another_writes() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let (here, there) = (database.node().await, database.node().await);
    listening(&there).await;
    let person = Person::new(1);
    let (user, device) = (person.user, device_id(1));
    let first = person.list(None, &[1]);
    here.create("one", &first, &Credentials::NONE)
        .await
        .expect("created");
    assert_eq!(cached_version(&there, user).await, 1);
    here.put_list(&person.list(Some(&first), &[1, 2]), &Credentials::NONE)
        .await
        .expect("stored");
    // Only a notification takes the first one away: the cache of this node does not age.
    until("the second list", async || newest(&there, user).await == 2).await;

    assert_eq!(there.spk_expiry(user, device).await, Ok(None));
    put(&here, &person, &standing(LATER)).await;
    until("the expiry", async || {
        there.spk_expiry(user, device).await == Ok(Some(LATER))
    })
    .await;

    let blocked = async || there.blocked(user).await.expect("read").to_vec();
    assert_eq!(blocked().await, [] as [BlockTag; 0]);
    let block = Block {
        tag: [7; 8],
        blocked: true,
        decided_ms: 5,
    };
    here.put_block(user, &block).await.expect("stored");
    until("the block", async || blocked().await == [[7; 8]]).await;
    for node in [here, there] {
        node.close().await;
    }
    database.remove().await;
}
