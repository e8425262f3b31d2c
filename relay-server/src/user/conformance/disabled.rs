//! Who is disabled, and who is there.

use super::{NOW, Person, Users, registered};
use crate::user::{Listed, UserError};

pub(super) async fn the_operator_disables_and_enables(users: &dyn Users) {
    let (one, two) = (Person::new(120), Person::new(121));
    let set = async |person: &Person, disabled| {
        let set = users.set_disabled(person.user, disabled, NOW);
        set.await
    };
    let all = async || {
        let mut all = users.disabled().await.expect("read");
        all.sort_unstable();
        all
    };
    assert_eq!(set(&one, true).await, Err(UserError::NotFound));
    registered(users, 120, "one.twenty").await;
    registered(users, 121, "one.twenty-one").await;
    for disabled in [false, true, true] {
        assert_eq!(set(&one, disabled).await, Ok(()));
    }
    assert_eq!(all().await, [one.user]);
    assert_eq!(set(&two, true).await, Ok(()));
    assert_eq!(all().await, [one.user, two.user]);
    // To others nothing is different.
    let found = users.by_name("one.twenty").await.expect("read");
    assert_eq!(found.map(|user| user.user), Some(one.user));
    assert!(users.newest_list(one.user).await.expect("read").is_some());
    for _ in 0..2 {
        assert_eq!(set(&one, false).await, Ok(()));
        assert_eq!(all().await, [two.user]);
    }
    users.delete(two.user, NOW).await.expect("deleted");
    assert!(all().await.is_empty());
    assert_eq!(set(&two, true).await, Err(UserError::NotFound));
}

pub(super) async fn users_are_listed_by_name(users: &dyn Users) {
    // Behind all others, whatever the others are called: bytes count.
    let named = [("zz-b", 130), ("zz.a", 131), ("zz9", 132), ("zza", 133)];
    for (name, seed) in named {
        registered(users, seed, name).await;
    }
    let (gone, disabled) = (Person::new(132).user, Person::new(131).user);
    users.delete(gone, NOW).await.expect("deleted");
    let set = users.set_disabled(disabled, true, NOW);
    set.await.expect("disabled");
    let listed = async |after: &str, limit| {
        let listed = users.named_after(after, limit).await.expect("read");
        let shown = listed.into_iter().map(|Listed { user, disabled }| {
            let found = named.iter().find(|(name, _)| *name == user.username);
            let seed = found.map(|(_, seed)| *seed);
            assert_eq!(seed.map(|seed| Person::new(seed).user), Some(user.user));
            (user.username, disabled)
        });
        shown.collect::<Vec<_>>()
    };
    let line = |name: &str, disabled| (name.to_owned(), disabled);
    let all = [line("zz-b", false), line("zz.a", true), line("zza", false)];
    assert_eq!(listed("zz", 9).await, all);
    assert_eq!(listed("zz", 2).await, all[..2]);
    assert_eq!(listed("zz.a", 2).await, all[2..]);
    assert_eq!(listed("zza", 2).await, []);
    let first = users.named_after("", 1).await.expect("read");
    assert!(first.iter().all(|first| *first.user.username < *"zz"));
    assert_eq!(first.len(), 1);
}
