//! Whom people have blocked.

use sordino_protocol::limits;

use super::{Person, Users};
use crate::user::{Block, BlockTag, Credentials, UserError};

fn tag(n: usize) -> BlockTag {
    n.to_be_bytes()
}

fn block(n: usize, blocked: bool, decided_ms: u64) -> Block {
    Block {
        tag: tag(n),
        blocked,
        decided_ms,
    }
}

async fn put(users: &dyn Users, person: &Person, block: Block) {
    let put = users.put_block(person.user, &block).await;
    put.expect("stored");
}

async fn blocked(users: &dyn Users, person: &Person) -> Vec<BlockTag> {
    users.blocked(person.user).await.expect("read").to_vec()
}

pub(super) async fn the_later_decision_counts(users: &dyn Users) {
    let (person, other) = (Person::new(90), Person::new(91));
    assert_eq!(
        users.put_block(person.user, &block(1, true, 5)).await,
        Err(UserError::NotFound)
    );
    for (name, person) in [("ninety", &person), ("ninety.one", &other)] {
        let list = person.list(None, &[1]);
        let created = users.create(name, &list, &Credentials::NONE).await;
        created.expect("created");
        assert_eq!(blocked(users, person).await, [] as [BlockTag; 0]);
    }
    // As devices say it: late, twice, and two of one time.
    for (decision, then) in [
        (block(2, true, 5), vec![2]),
        (block(1, true, 5), vec![1, 2]),
        (block(1, false, 4), vec![1, 2]),
        (block(1, false, 5), vec![1, 2]),
        (block(1, false, 6), vec![2]),
        (block(1, false, 6), vec![2]),
        (block(1, true, 5), vec![2]),
        (block(1, true, 6), vec![1, 2]),
        (block(3, false, 9), vec![1, 2]),
        (block(3, true, 8), vec![1, 2]),
        (block(2, false, limits::DECIDED_MS - 1), vec![1]),
    ] {
        put(users, &person, decision).await;
        let then: Vec<_> = then.into_iter().map(tag).collect();
        assert_eq!(blocked(users, &person).await, then, "{decision:?}");
    }
    assert_eq!(blocked(users, &other).await, [] as [BlockTag; 0]);
}

pub(super) async fn so_many_are_kept_and_what_was_lifted_makes_room(users: &dyn Users) {
    let person = Person::new(92);
    let list = person.list(None, &[1]);
    let created = users.create("ninety.two", &list, &Credentials::NONE).await;
    created.expect("created");
    put(users, &person, block(1, false, 7)).await;
    put(users, &person, block(2, false, 6)).await;
    for n in 3..=limits::BLOCKS {
        put(users, &person, block(n, true, 5)).await;
    }
    // Two more, each in the place of one that is blocked no more: first that of before.
    for n in [limits::BLOCKS + 1, limits::BLOCKS + 2] {
        put(users, &person, block(n, true, 5)).await;
    }
    let all = blocked(users, &person).await;
    assert_eq!(all.len(), limits::BLOCKS);
    let more = block(limits::BLOCKS + 3, true, 5);
    assert_eq!(
        users.put_block(person.user, &more).await,
        Err(UserError::TooManyBlocks)
    );
    // What is known may still be decided otherwise, and makes room then.
    put(users, &person, block(3, false, 8)).await;
    put(users, &person, more).await;
    assert_eq!(blocked(users, &person).await.len(), limits::BLOCKS);
}
