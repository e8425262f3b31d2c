//! Resets of the identity key that wait.

use std::sync::Arc;

use sordino_protocol::UserId;

use super::{NOW, registered};
use crate::user::{Credentials, Identity, PasswordRecord, UserError, Users, fixtures::Person};

const READY: u64 = 9_000;
/// How long nobody is woken again.
const DAY: u64 = 1_000;
const AGAIN: u64 = NOW + DAY;

/// One waits from when it was asked for, until it is withdrawn or done.
pub(super) async fn one_waits_until_it_is_withdrawn_or_done(users: &dyn Users) {
    let person = Person::new(60);
    let user = person.user;
    assert_eq!(users.reset(user).await, Ok(None));
    assert_eq!(
        users.ask_reset(user, READY, 0).await,
        Err(UserError::NotFound)
    );
    let first = person.list(None, &[1]);
    let created = users.create("sixty", &first, &Credentials::NONE).await;
    created.expect("created");
    assert_eq!(users.reset(user).await, Ok(None));
    assert_eq!(users.ask_reset(user, READY, 0).await, Ok(READY));
    assert_eq!(users.ask_reset(user, READY + 1, READY - 1).await, Ok(READY));
    assert_eq!(users.reset(user).await, Ok(Some(READY)));
    // It could have been done since then, and was not.
    assert_eq!(users.ask_reset(user, READY + 2, READY).await, Ok(READY + 2));
    users.withdraw_reset(user).await.expect("withdrawn");
    assert_eq!(users.reset(user).await, Ok(None));

    let second = person.reset(&first, &[(2, 2)], 0);
    let waited = |now_ms| Credentials {
        identity: Identity::OtherAfterWait { now_ms },
        ..Credentials::NONE
    };
    let never_asked = users.put_list(&second, &waited(u64::from(u32::MAX))).await;
    assert_eq!(never_asked, Err(UserError::ResetWaits));
    assert_eq!(users.ask_reset(user, READY, 0).await, Ok(READY));
    let early = users.put_list(&second, &waited(READY - 1)).await;
    assert_eq!(early, Err(UserError::ResetWaits));
    let newest = users.newest_list(user).await.expect("read").expect("there");
    assert_eq!(newest.version, 1);
    users.put_list(&second, &waited(READY)).await.expect("due");
    assert_eq!(users.reset(user).await, Ok(None));

    // A list that only says the same leaves it; another password, or another identity, ends it.
    let third = person.reset(&second, &[(2, 2)], 0);
    let fourth = person.reset(&third, &[(2, 2)], 0);
    let fifth = person.reset(&fourth, &[(2, 2)], 0);
    let with_password = Credentials {
        password: Some(PasswordRecord {
            seed: "seed".to_owned(),
            record: vec![7; 192].into(),
        }),
        ..Credentials::NONE
    };
    let other = Credentials {
        identity: Identity::Other,
        ..Credentials::NONE
    };
    for (list, with, after) in [
        (third, Credentials::NONE, Some(READY)),
        (fourth, with_password, None),
        (fifth, other, None),
    ] {
        assert_eq!(users.ask_reset(user, READY, 0).await, Ok(READY));
        users.put_list(&list, &with).await.expect("stored");
        assert_eq!(users.reset(user).await, Ok(after), "{with:?}");
    }
    // Nobody can refuse while the account is disabled, so that no time runs meanwhile, and none has run afterwards.
    for disabled in [true, false] {
        assert_eq!(users.ask_reset(user, READY, 0).await, Ok(READY));
        let set = users.set_disabled(user, disabled, 1).await;
        set.expect("stored");
        assert_eq!(users.reset(user).await, Ok(None), "{disabled}");
    }
    assert_eq!(users.ask_reset(user, READY, 0).await, Ok(READY));
    users.delete(user, 1).await.expect("deleted");
    assert_eq!(users.reset(user).await, Ok(None));
    assert_eq!(
        users.ask_reset(user, READY, 0).await,
        Err(UserError::NotFound)
    );
}

async fn ask(users: &dyn Users, user: UserId) {
    assert_eq!(users.ask_reset(user, READY, 0).await, Ok(READY));
}

async fn claim(users: &dyn Users, now_ms: u64, limit: usize) -> Vec<UserId> {
    let claimed = users.claim_reset_wakes(now_ms, now_ms + DAY, limit).await;
    let mut claimed = claimed.expect("claimed");
    claimed.sort_unstable();
    claimed
}

/// Everybody once in a while, those first who have been due for longest.
pub(super) async fn whoever_looks_first_wakes(users: &Arc<dyn Users>) {
    let store = &**users;
    let names = [(61, "sixty-one"), (62, "sixty-two"), (63, "sixty-three")];
    let mut people = Vec::new();
    for (seed, name) in names {
        people.push(registered(store, seed, name).await.user);
    }
    assert_eq!(claim(store, NOW, 9).await, []);
    let (one, two, three) = (people[0], people[1], people[2]);
    ask(store, one).await;
    ask(store, two).await;
    assert_eq!(claim(store, NOW, 9).await, [one, two]);
    assert_eq!(claim(store, AGAIN - 1, 9).await, []);
    ask(store, three).await;
    // Who never was is due for longest.
    assert_eq!(claim(store, AGAIN, 1).await, [three]);
    assert_eq!(claim(store, AGAIN, 1).await.len(), 1);
    assert_eq!(claim(store, AGAIN, 9).await.len(), 1);
    assert_eq!(claim(store, AGAIN, 9).await, []);

    // Of many who look at the same time each is given to one.
    let now_ms = NOW + 2 * DAY;
    let lookers = [(); 8].map(|()| {
        let users = users.clone();
        tokio::spawn(async move { claim(&*users, now_ms, 2).await })
    });
    let mut claimed = Vec::new();
    for looker in lookers {
        claimed.extend(looker.await.expect("ran"));
    }
    claimed.sort_unstable();
    assert_eq!(claimed, people);

    // Put off by who has claimed it last, and by nobody before.
    let put_off = async |from_ms| {
        let put_off = store.put_off_reset_wake(one, from_ms, READY - 1).await;
        put_off.expect("put off, or not");
    };
    put_off(now_ms).await;
    assert_eq!(claim(store, now_ms + DAY, 9).await, people);
    put_off(now_ms + 2 * DAY).await;
    assert_eq!(claim(store, now_ms + 2 * DAY, 9).await, [two, three]);
    assert_eq!(claim(store, READY - 1, 9).await, people);
    for user in people {
        store.withdraw_reset(user).await.expect("withdrawn");
    }
}

pub(super) async fn nobody_is_woken_for_what_does_not_wait(users: &dyn Users) {
    let person = registered(users, 64, "sixty-four").await;
    let user = person.user;
    let due = async |now_ms| claim(users, now_ms, 9).await;
    // Asked for again it is the same one; withdrawn and asked for anew it is another.
    ask(users, user).await;
    assert_eq!(due(NOW).await, [user]);
    ask(users, user).await;
    assert_eq!(due(NOW).await, []);
    users.withdraw_reset(user).await.expect("withdrawn");
    assert_eq!(due(AGAIN).await, []);
    ask(users, user).await;
    assert_eq!(due(NOW).await, [user]);
    // Who has claimed it for the one before puts off nothing.
    users.withdraw_reset(user).await.expect("withdrawn");
    ask(users, user).await;
    let late = users.put_off_reset_wake(user, AGAIN, READY).await;
    late.expect("put off, or not");
    assert_eq!(due(NOW).await, [user]);

    // The wait is over; what was not done then and is asked for again waits anew.
    assert_eq!(due(READY).await, []);
    let again = users.ask_reset(user, READY + 1, READY).await;
    assert_eq!(again, Ok(READY + 1));
    assert_eq!(due(NOW).await, [user]);

    let next = person.reset(&person.list(None, &[1]), &[(2, 2)], 0);
    let other = Credentials {
        identity: Identity::Other,
        ..Credentials::NONE
    };
    users.put_list(&next, &other).await.expect("stored");
    assert_eq!(due(AGAIN).await, []);

    // Asked on a node that has not heard of it yet.
    users.set_disabled(user, true, NOW).await.expect("stored");
    ask(users, user).await;
    assert_eq!(due(NOW).await, []);
    users.set_disabled(user, false, NOW).await.expect("stored");
    assert_eq!(due(NOW).await, []);
    ask(users, user).await;
    users.delete(user, NOW).await.expect("deleted");
    assert_eq!(due(NOW).await, []);
}
