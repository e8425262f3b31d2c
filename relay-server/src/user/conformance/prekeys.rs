//! Prekeys: added, replaced, given out once, and gone with their device.

use std::{collections::HashSet, sync::Arc};

use super::{LATER, NOW, claim, count, expiry, one_time, put, registered, standing};
use crate::user::{
    Credentials, PrekeyKind, UserError, Users,
    fixtures::{Person, device_id, prekey},
};

pub(super) async fn a_removed_device_loses_its_prekeys(users: &dyn Users) {
    let person = Person::new(5);
    let first = person.list(None, &[1, 2]);
    users
        .create("five", &first, &Credentials::NONE)
        .await
        .expect("created");
    for device in [1, 2] {
        put(users, &person, device, &standing(LATER)).await;
        assert_eq!(expiry(users, &person, device).await, Some(LATER));
    }
    let second = person.list(Some(&first), &[2]);
    users
        .put_list(&second, &Credentials::NONE)
        .await
        .expect("stored");
    assert_eq!(expiry(users, &person, 1).await, None);
    assert_eq!(expiry(users, &person, 2).await, Some(LATER));
    let refused = users
        .put_prekeys(person.user, device_id(1), &standing(LATER), false)
        .await;
    assert_eq!(refused, Err(UserError::NotFound));
}

pub(super) async fn a_device_with_a_new_key_loses_its_prekeys(users: &dyn Users) {
    let person = Person::new(6);
    let first = person.list_with_keys(None, &[(1, 1)]);
    users
        .create("six", &first, &Credentials::NONE)
        .await
        .expect("created");
    put(users, &person, 1, &standing(LATER)).await;
    let second = person.list_with_keys(Some(&first), &[(1, 9)]);
    users
        .put_list(&second, &Credentials::NONE)
        .await
        .expect("stored");
    assert_eq!(expiry(users, &person, 1).await, None);
    put(users, &person, 1, &standing(LATER)).await;
    assert_eq!(expiry(users, &person, 1).await, Some(LATER));
}

pub(super) async fn prekeys_are_added_and_replaced(users: &dyn Users) {
    let person = registered(users, 7, "seven").await;
    assert_eq!(expiry(users, &person, 1).await, None);
    put(users, &person, 1, &standing(LATER)).await;
    put(users, &person, 1, &one_time(PrekeyKind::OneTime, 1..=3)).await;
    put(users, &person, 1, &one_time(PrekeyKind::OneTime, 4..=5)).await;
    put(users, &person, 1, &one_time(PrekeyKind::PqOneTime, 1..=2)).await;
    put(users, &person, 1, &[prekey(PrekeyKind::Signed, 8, 3_000)]).await;
    let count = count(users, &person).await;
    assert_eq!((count.one_time, count.pq_one_time), (5, 2));
    assert_eq!((count.signed_id, count.pq_last_resort_id), (8, 1));
    assert_eq!(expiry(users, &person, 1).await, Some(3_000));
    users
        .put_prekeys(
            person.user,
            device_id(1),
            &one_time(PrekeyKind::OneTime, 1..=1),
            true,
        )
        .await
        .expect("replaced");
    let count = self::count(users, &person).await;
    assert_eq!((count.one_time, count.pq_one_time), (1, 0));
    assert_eq!((count.signed_id, count.pq_last_resort_id), (8, 1));
}

pub(super) async fn a_bad_batch_changes_nothing(users: &dyn Users) {
    let person = registered(users, 8, "eight").await;
    put(users, &person, 1, &one_time(PrekeyKind::OneTime, 1..=2)).await;
    let repeats = one_time(PrekeyKind::OneTime, 2..=4);
    let batch = [
        standing(LATER).to_vec(),
        repeats.into_iter().rev().collect(),
    ]
    .concat();
    assert_eq!(
        users
            .put_prekeys(person.user, device_id(1), &batch, false)
            .await,
        Err(UserError::PrekeyExists)
    );
    let count = count(users, &person).await;
    assert_eq!((count.one_time, count.signed_id), (2, 0));
}

pub(super) async fn only_so_many_prekeys_are_kept(users: &dyn Users) {
    let person = registered(users, 9, "nine").await;
    put(users, &person, 1, &standing(LATER)).await;
    put(users, &person, 1, &one_time(PrekeyKind::OneTime, 1..=40)).await;
    put(users, &person, 1, &one_time(PrekeyKind::OneTime, 41..=60)).await;
    put(users, &person, 1, &one_time(PrekeyKind::PqOneTime, 1..=21)).await;
    let count = count(users, &person).await;
    assert_eq!((count.one_time, count.pq_one_time), (50, 20));
    let (one_time, pq) = claim(users, &person).await.expect("a bundle");
    assert_eq!(one_time.as_deref(), Some("OneTime 11"));
    assert_eq!(pq, "PqOneTime 2");
}

pub(super) async fn bundles_hold_the_oldest_keys(users: &dyn Users) {
    let person = registered(users, 10, "ten").await;
    put(users, &person, 1, &one_time(PrekeyKind::OneTime, 5..=5)).await;
    assert_eq!(claim(users, &person).await, None);
    put(users, &person, 1, &[prekey(PrekeyKind::Signed, 1, LATER)]).await;
    assert_eq!(claim(users, &person).await, None);
    assert_eq!(count(users, &person).await.one_time, 1);
    put(users, &person, 1, &standing(LATER)).await;
    put(users, &person, 1, &one_time(PrekeyKind::OneTime, 1..=1)).await;
    put(users, &person, 1, &one_time(PrekeyKind::PqOneTime, 3..=3)).await;
    let expected = [
        (Some("OneTime 5"), "PqOneTime 3"),
        (Some("OneTime 1"), "PqLastResort 1"),
        (None, "PqLastResort 1"),
    ];
    for (one_time, pq) in expected {
        let (got, got_pq) = claim(users, &person).await.expect("a bundle");
        assert_eq!((got.as_deref(), got_pq.as_str()), (one_time, pq));
    }
}

pub(super) async fn expired_keys_are_not_served(users: &dyn Users) {
    let person = registered(users, 11, "eleven").await;
    put(users, &person, 1, &standing(LATER)).await;
    let keys = [
        prekey(PrekeyKind::OneTime, 1, NOW),
        prekey(PrekeyKind::OneTime, 2, LATER),
        prekey(PrekeyKind::PqOneTime, 1, NOW),
    ];
    put(users, &person, 1, &keys).await;
    let (one_time, pq) = claim(users, &person).await.expect("a bundle");
    assert_eq!(one_time.as_deref(), Some("OneTime 2"));
    assert_eq!(pq, "PqLastResort 1");
    put(users, &person, 1, &[prekey(PrekeyKind::Signed, 2, NOW)]).await;
    assert_eq!(claim(users, &person).await, None);
}

pub(super) async fn no_one_time_key_is_served_twice(users: &Arc<dyn Users>) {
    let person = registered(&**users, 12, "twelve").await;
    put(&**users, &person, 1, &standing(LATER)).await;
    put(&**users, &person, 1, &one_time(PrekeyKind::OneTime, 1..=20)).await;
    let claims: Vec<_> = (0..30)
        .map(|_| {
            let (users, user) = (users.clone(), person.user);
            tokio::spawn(async move { users.claim(user, device_id(1), NOW).await })
        })
        .collect();
    let mut served = HashSet::new();
    for claim in claims {
        let bundle = claim.await.expect("ran").expect("read").expect("a bundle");
        if let Some(key) = bundle.one_time {
            assert!(served.insert(key.body.0), "served twice");
        }
    }
    assert_eq!(served.len(), 20);
}
