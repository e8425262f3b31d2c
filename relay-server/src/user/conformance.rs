//! What every store of users must do. Each implementation runs [`all`].

mod admission;
mod backups;
mod blocks;
mod disabled;
mod emails;
mod prekeys;
mod resets;

use std::sync::Arc;

use sordino_protocol::http::PushProvider;

use super::{
    Admission, Credentials, PasswordRecord, Prekey, PrekeyKind, PushTarget, UserError, Users,
    fixtures::{Person, device_id, prekey},
};

const NOW: u64 = 1_000;
const LATER: u64 = 2_000;

/// Runs the suite against one empty store.
pub(super) async fn all(users: Arc<dyn Users>) {
    users.healthy().await.expect("writable");
    names_and_ids_are_unique(&*users).await;
    lists_are_compared_and_set(&*users).await;
    one_of_two_writers_wins(&users).await;
    prekeys::a_removed_device_loses_its_prekeys(&*users).await;
    prekeys::a_device_with_a_new_key_loses_its_prekeys(&*users).await;
    prekeys::prekeys_are_added_and_replaced(&*users).await;
    prekeys::a_bad_batch_changes_nothing(&*users).await;
    prekeys::only_so_many_prekeys_are_kept(&*users).await;
    prekeys::bundles_hold_the_oldest_keys(&*users).await;
    prekeys::expired_keys_are_not_served(&*users).await;
    prekeys::no_one_time_key_is_served_twice(&users).await;
    push_targets_are_set_and_removed(&*users).await;
    a_device_that_goes_takes_its_push_target_along(&*users).await;
    passwords_and_vaults_come_with_a_list_or_not_at_all(&*users).await;
    backups::a_backup_grows_at_the_ends_of_its_chains(&*users).await;
    backups::a_backup_is_closed_where_its_chains_end_or_not_at_all(&*users).await;
    backups::one_of_two_batches_of_one_number_stands(&users).await;
    admission::an_invite_is_used_up_with_the_account(&users).await;
    admission::a_subject_has_one_account(&users).await;
    blocks::the_later_decision_counts(&*users).await;
    blocks::so_many_are_kept_and_what_was_lifted_makes_room(&*users).await;
    resets::one_waits_until_it_is_withdrawn_or_done(&*users).await;
    resets::whoever_looks_first_wakes(&users).await;
    resets::nobody_is_woken_for_what_does_not_wait(&*users).await;
    an_account_is_deleted_whole_and_for_ever(&users).await;
    emails::an_address_is_one_persons_until_they_let_go_of_it(&*users).await;
    emails::a_taken_address_is_told_to_who_may_come_in_and_uses_nothing(&*users).await;
    emails::one_of_many_who_want_an_address_gets_it(&users).await;
    disabled::the_operator_disables_and_enables(&*users).await;
    disabled::users_are_listed_by_name(&*users).await;
}

async fn names_and_ids_are_unique(users: &dyn Users) {
    let (one, other) = (Person::new(1), Person::new(2));
    let list = one.list(None, &[1]);
    users
        .create("one", &list, &Credentials::NONE)
        .await
        .expect("created");
    assert_eq!(
        users.create("two", &list, &Credentials::NONE).await,
        Err(UserError::UserExists)
    );
    assert_eq!(
        users
            .create("one", &other.list(None, &[1]), &Credentials::NONE)
            .await,
        Err(UserError::NameTaken)
    );
    let found = users.by_name("one").await.expect("read").expect("found");
    assert_eq!(found.user, one.user);
    assert_eq!(users.by_id(one.user).await, Ok(Some(found)));
    assert_eq!(users.by_id(other.user).await, Ok(None));
    assert_eq!(users.by_name("on").await, Ok(None));
    assert_eq!(users.newest_list(other.user).await, Ok(None));
}

async fn lists_are_compared_and_set(users: &dyn Users) {
    let person = Person::new(3);
    let first = person.list(None, &[1]);
    let second = person.list(Some(&first), &[1, 2]);
    let third = person.list(Some(&second), &[2]);
    assert_eq!(
        users.put_list(&second, &Credentials::NONE).await,
        Err(UserError::NotFound)
    );
    users
        .create("three", &first, &Credentials::NONE)
        .await
        .expect("created");
    assert_eq!(newest(users, &person).await, 1);
    assert_eq!(
        users.put_list(&third, &Credentials::NONE).await,
        Err(UserError::ListConflict)
    );
    users
        .put_list(&second, &Credentials::NONE)
        .await
        .expect("stored");
    assert_eq!(newest(users, &person).await, 2);
    assert_eq!(
        users.put_list(&second, &Credentials::NONE).await,
        Err(UserError::ListConflict)
    );
    users
        .put_list(&third, &Credentials::NONE)
        .await
        .expect("stored");
    assert_eq!(newest(users, &person).await, 3);
    let signed = [first.signed, second.signed, third.signed];
    assert_eq!(users.lists(person.user, 1, 9).await, Ok(signed.to_vec()));
    assert_eq!(
        users.lists(person.user, 2, 1).await,
        Ok(signed[1..2].to_vec())
    );
}

async fn one_of_two_writers_wins(users: &Arc<dyn Users>) {
    let person = Person::new(4);
    let first = person.list(None, &[1]);
    users
        .create("four", &first, &Credentials::NONE)
        .await
        .expect("created");
    let writers = [2, 3, 4, 5].map(|device| {
        let (users, list) = (users.clone(), person.list(Some(&first), &[1, device]));
        tokio::spawn(async move { users.put_list(&list, &Credentials::NONE).await })
    });
    let mut stored = 0;
    for writer in writers {
        match writer.await.expect("ran") {
            Ok(()) => stored += 1,
            Err(error) => assert_eq!(error, UserError::ListConflict),
        }
    }
    assert_eq!(stored, 1);
    assert_eq!(newest(&**users, &person).await, 2);
}

async fn push_targets_are_set_and_removed(users: &dyn Users) {
    let person = Person::new(13);
    let list = person.list(None, &[1, 2]);
    users
        .create("thirteen", &list, &Credentials::NONE)
        .await
        .expect("created");
    let user = person.user;
    assert_eq!(users.push_targets(user).await, Ok(vec![]));
    let unlisted = push(3, "a");
    assert_eq!(
        users.put_push(user, &unlisted).await,
        Err(UserError::NotFound)
    );
    let (first, second) = (push(1, "a"), push(2, &"b".repeat(4096)));
    users.put_push(user, &first).await.expect("stored");
    users.put_push(user, &second).await.expect("stored");
    let both = vec![first.clone(), second.clone()];
    assert_eq!(users.push_targets(user).await, Ok(both));
    let newer = PushTarget {
        provider: PushProvider::WebPush,
        set_ms: LATER,
        ..push(1, "a")
    };
    users.put_push(user, &newer).await.expect("replaced");
    let remove = async |device, only: Option<&PushTarget>| {
        let removed = users.remove_push(user, device_id(device), only).await;
        removed.expect("removed or not");
        users.push_targets(user).await.expect("read")
    };
    // What was said of the old one is not meant for the new one.
    let old_token = PushTarget {
        token: "before".to_owned(),
        ..newer.clone()
    };
    for old in [&first, &old_token] {
        assert_eq!(remove(1, Some(old)).await, [newer.clone(), second.clone()]);
    }
    assert_eq!(remove(1, Some(&newer)).await, std::slice::from_ref(&second));
    assert_eq!(remove(1, None).await, [second]);
    assert_eq!(remove(2, None).await, []);
}

async fn a_device_that_goes_takes_its_push_target_along(users: &dyn Users) {
    let person = Person::new(14);
    let first = person.list_with_keys(None, &[(1, 1), (2, 2), (3, 3)]);
    users
        .create("fourteen", &first, &Credentials::NONE)
        .await
        .expect("created");
    let all = [1, 2, 3].map(|device| (person.user, device_id(device)));
    for device in 1..=3 {
        let put = users.put_push(person.user, &push(device, "t")).await;
        put.expect("stored");
    }
    // Others may be there, of other parts of the suite.
    let listed = async |after, limit| users.push_devices(after, limit).await.expect("read");
    assert!(listed(None, 99).await.ends_with(&all));
    assert_eq!(listed(Some(all[0]), 1).await, [all[1]]);
    assert_eq!(listed(Some(all[2]), 99).await, []);
    // One device leaves, another has a new key.
    let second = person.list_with_keys(Some(&first), &[(1, 1), (3, 9)]);
    users
        .put_list(&second, &Credentials::NONE)
        .await
        .expect("stored");
    assert_eq!(
        users.push_targets(person.user).await,
        Ok(vec![push(1, "t")])
    );
}

async fn passwords_and_vaults_come_with_a_list_or_not_at_all(users: &dyn Users) {
    let person = Person::new(15);
    let password = |digit| PasswordRecord {
        seed: "seed".to_owned(),
        record: vec![digit; 192].into(),
    };
    let with = |digit| Credentials {
        vault: Some(vec![digit; 3000].into()),
        password: Some(password(digit)),
        ..Credentials::NONE
    };
    let stored = async || {
        let password = users.password("fifteen").await.expect("read");
        let vault = users.vault(person.user).await.expect("read");
        (password, vault)
    };
    assert_eq!(stored().await, (None, None));
    let first = person.list(None, &[1]);
    users
        .create("fifteen", &first, &with(1))
        .await
        .expect("created");
    let of = |digit| {
        let Credentials {
            vault, password, ..
        } = with(digit);
        (password, vault)
    };
    assert_eq!(stored().await, of(1));
    // Another who wants the name changes nothing.
    let other = Person::new(16).list(None, &[1]);
    let taken = users.create("fifteen", &other, &with(2)).await;
    assert_eq!(taken, Err(UserError::NameTaken));
    assert_eq!(users.vault(Person::new(16).user).await, Ok(None));
    assert_eq!(stored().await, of(1));

    let second = person.list(Some(&first), &[1, 2]);
    users.put_list(&second, &with(3)).await.expect("stored");
    assert_eq!(stored().await, of(3));
    let conflict = users.put_list(&second, &with(4)).await;
    assert_eq!(conflict, Err(UserError::ListConflict));
    assert_eq!(stored().await, of(3));

    let third = person.list(Some(&second), &[2]);
    users
        .put_list(&third, &Credentials::NONE)
        .await
        .expect("stored");
    assert_eq!(stored().await, of(3));
    let fourth = person.list(Some(&third), &[2, 3]);
    let only = Credentials {
        password: None,
        ..with(5)
    };
    users.put_list(&fourth, &only).await.expect("stored");
    assert_eq!(stored().await, (of(3).0, of(5).1));
    assert_eq!(users.passwords_unlike("seed").await, Ok(0));
    assert_eq!(users.passwords_unlike("other").await, Ok(1));
    assert_eq!(users.password("fiftee").await, Ok(None));
    assert_eq!(users.password("fifteen\0").await, Ok(None));
}

async fn an_account_is_deleted_whole_and_for_ever(users: &Arc<dyn Users>) {
    let person = Person::new(50);
    let user = person.user;
    assert_eq!(users.delete(user, NOW).await, Err(UserError::NotFound));
    assert_eq!(users.deleted(user).await, Ok(None));
    let (first, with) = (
        person.list(None, &[1]),
        Credentials {
            vault: Some(vec![1; 100].into()),
            password: Some(PasswordRecord {
                seed: "seed".to_owned(),
                record: vec![2; 192].into(),
            }),
            admission: Admission::Subject([50; 32]),
            ..Credentials::NONE
        },
    );
    users.create("fifty", &first, &with).await.expect("created");
    let second = person.list(Some(&first), &[1, 2]);
    let stored = users.put_list(&second, &Credentials::NONE).await;
    stored.expect("stored");
    put(&**users, &person, 1, &standing(LATER)).await;
    put(&**users, &person, 1, &one_time(PrekeyKind::OneTime, 1..=9)).await;
    users.put_push(user, &push(1, "t")).await.expect("stored");
    let batch = backups::batch(1, 1, 1, [0; 32], "keys");
    users.put_batch(user, &batch).await.expect("stored");
    // In the caches.
    assert_eq!(newest(&**users, &person).await, 2);
    assert_eq!(expiry(&**users, &person, 1).await, Some(LATER));
    assert_eq!(users.deleted(user).await, Ok(None));

    // While others write.
    let third = person.list(Some(&second), &[1, 3]);
    let writers = [0, 1, 2, 3].map(|n| {
        let (users, list) = (users.clone(), third.clone());
        tokio::spawn(async move {
            match n {
                0 => users.put_list(&list, &Credentials::NONE).await,
                1 => users.claim(user, device_id(1), NOW).await.map(drop),
                _ => users.delete(user, NOW + n).await,
            }
        })
    });
    for writer in writers {
        let written = writer.await.expect("ran");
        assert!(
            matches!(written, Ok(()) | Err(UserError::NotFound)),
            "{written:?}"
        );
    }
    let left = users.deleted(user).await.expect("read").expect("deleted");
    assert!((2..=3).contains(&left));
    assert_eq!(users.newest_list(user).await, Ok(None));
    assert_eq!(users.by_id(user).await, Ok(None));
    assert_eq!(users.by_name("fifty").await, Ok(None));
    assert_eq!(users.by_subject(&[50; 32]).await, Ok(None));
    assert_eq!(users.password("fifty").await, Ok(None));
    assert_eq!(users.vault(user).await, Ok(None));
    assert_eq!(users.backup_heads(user, 1).await, Ok(vec![]));
    let chain = (1, device_id(1));
    assert_eq!(users.batches(user, chain, 9, 9).await, Ok(vec![]));
    assert_eq!(expiry(&**users, &person, 1).await, None);
    assert_eq!(claim(&**users, &person).await, None);
    assert_eq!(count(&**users, &person).await.one_time, 0);
    assert_eq!(users.push_targets(user).await, Ok(vec![]));
    // By these others check what was written.
    let lists = users.lists(user, 1, 9).await.expect("read");
    assert_eq!(lists.len(), usize::try_from(left).expect("small"));
    assert_eq!(lists[..2], [first.signed.clone(), second.signed.clone()]);
    // Nothing comes back, and nobody else gets the name.
    let gone = Err(UserError::NotFound);
    let fourth = person.list(Some(&third), &[1]);
    for list in [&second, &third, &fourth] {
        assert_eq!(users.put_list(list, &Credentials::NONE).await, gone);
    }
    let keys = standing(LATER);
    let prekeys = users.put_prekeys(user, device_id(1), &keys, false);
    assert_eq!(prekeys.await, gone);
    assert_eq!(users.put_push(user, &push(1, "t")).await, gone);
    assert_eq!(users.put_batch(user, &batch).await, gone);
    let again = users.create("fifty-x", &first, &Credentials::NONE).await;
    assert_eq!(again, Err(UserError::UserExists));
    let other = Person::new(51).list(None, &[1]);
    let named = users.create("fifty", &other, &Credentials::NONE).await;
    assert_eq!(named, Err(UserError::NameTaken));
    // Who came by the app may come again, as somebody else.
    let by_app = Credentials {
        admission: Admission::Subject([50; 32]),
        ..Credentials::NONE
    };
    let anew = users.create("fifty-one", &other, &by_app).await;
    assert_eq!(anew, Ok(()));
    assert_eq!(users.delete(user, NOW).await, Ok(()));
}

fn push(device: u8, token: &str) -> PushTarget {
    PushTarget {
        device: device_id(device),
        provider: PushProvider::Fcm,
        token: token.to_owned(),
        set_ms: NOW,
    }
}

async fn registered(users: &dyn Users, seed: u8, name: &str) -> Person {
    let person = Person::new(seed);
    users
        .create(name, &person.list(None, &[1]), &Credentials::NONE)
        .await
        .expect("created");
    person
}

fn standing(expires_ms: u64) -> [Prekey; 2] {
    [
        prekey(PrekeyKind::Signed, 1, expires_ms),
        prekey(PrekeyKind::PqLastResort, 1, expires_ms),
    ]
}

fn one_time(kind: PrekeyKind, ids: std::ops::RangeInclusive<u32>) -> Vec<Prekey> {
    ids.map(|id| prekey(kind, id, LATER)).collect()
}

async fn put(users: &dyn Users, person: &Person, device: u8, keys: &[Prekey]) {
    users
        .put_prekeys(person.user, device_id(device), keys, false)
        .await
        .expect("stored");
}

async fn newest(users: &dyn Users, person: &Person) -> u32 {
    let list = users.newest_list(person.user).await.expect("read");
    list.expect("a list").version
}

async fn expiry(users: &dyn Users, person: &Person, device: u8) -> Option<u64> {
    users
        .spk_expiry(person.user, device_id(device))
        .await
        .expect("read")
}

async fn count(users: &dyn Users, person: &Person) -> sordino_protocol::http::PrekeyCount {
    users
        .count_prekeys(person.user, device_id(1))
        .await
        .expect("read")
}

/// The bodies of a claimed bundle's one-time key and KEM key.
async fn claim(users: &dyn Users, person: &Person) -> Option<(Option<String>, String)> {
    let text =
        |key: sordino_protocol::http::Signed| String::from_utf8(key.body.0.to_vec()).expect("text");
    let bundle = users
        .claim(person.user, device_id(1), NOW)
        .await
        .expect("read")?;
    Some((bundle.one_time.map(text), text(bundle.pq)))
}
