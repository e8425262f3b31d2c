//! E-mail addresses: one account has each.

use std::sync::Arc;

use super::{NOW, Person, Users, admission::by_invite};
use crate::user::{Credentials, Email, Invite, UserError};

fn email(typed: &str) -> Email {
    Email::parse(typed).expect("an address")
}

fn with(typed: &str, with: Credentials) -> Credentials {
    Credentials {
        email: Some(email(typed)),
        ..with
    }
}

async fn whose(users: &dyn Users, typed: &str) -> Option<String> {
    let found = users.by_email(&email(typed)).await.expect("read");
    found.map(|user| user.username)
}

pub(super) async fn an_address_is_one_persons_until_they_let_go_of_it(users: &dyn Users) {
    let (one, two) = (Person::new(100), Person::new(101));
    let lists = [&one, &two].map(|person| person.list(None, &[1]));
    let nobody = users.put_email(one.user, Some(&email("one@x"))).await;
    assert_eq!(nobody, Err(UserError::NotFound));
    let ann = with("Ann@Example.org", Credentials::NONE);
    users.create("ann", &lists[0], &ann).await.expect("created");
    let of = async |person: &Person| users.email(person.user).await.expect("read");
    assert_eq!(of(&one).await.as_deref(), Some("Ann@example.org"));
    assert_eq!(
        whose(users, "ANN@example.ORG").await.as_deref(),
        Some("ann")
    );
    assert_eq!(whose(users, "nn@example.org").await, None);

    // Nothing comes of an account whose address is taken, in whatever letters; who asks again is told of what there is before.
    let same = with("aNN@eXample.org", Credentials::NONE);
    let taken = Err(UserError::EmailTaken);
    assert_eq!(users.create("bea", &lists[1], &same).await, taken);
    assert_eq!(users.by_name("bea").await, Ok(None));
    assert_eq!(users.newest_list(two.user).await, Ok(None));
    let named = users.create("ann", &lists[1], &same).await;
    assert_eq!(named, Err(UserError::NameTaken));
    let again = users.create("ann", &lists[0], &ann).await;
    assert_eq!(again, Err(UserError::UserExists));
    let bea = users.create("bea", &lists[1], &Credentials::NONE).await;
    bea.expect("created");
    assert_eq!(of(&two).await, None);

    // Set, refused, set again in other letters, changed, and removed.
    let put = async |person: &Person, typed: &str| {
        let address = email(typed);
        users.put_email(person.user, Some(&address)).await
    };
    assert_eq!(put(&two, "bea@x").await, Ok(()));
    assert_eq!(put(&two, "ann@example.org").await, taken);
    assert_eq!(of(&two).await.as_deref(), Some("bea@x"));
    assert_eq!(put(&two, "Bea@x").await, Ok(()));
    assert_eq!(of(&two).await.as_deref(), Some("Bea@x"));
    assert_eq!(put(&one, "ann@elsewhere").await, Ok(()));
    assert_eq!(put(&two, "ann@example.org").await, Ok(()));
    assert_eq!(whose(users, "bea@x").await, None);
    for _ in 0..2 {
        assert_eq!(users.put_email(two.user, None).await, Ok(()));
        assert_eq!(of(&two).await, None);
    }

    // An account that is gone lets go of it, and gets none.
    users.delete(one.user, NOW).await.expect("deleted");
    assert_eq!(of(&one).await, None);
    assert_eq!(whose(users, "ann@elsewhere").await, None);
    assert_eq!(put(&one, "ann@elsewhere").await, Err(UserError::NotFound));
    assert_eq!(put(&two, "ann@elsewhere").await, Ok(()));
}

pub(super) async fn a_taken_address_is_told_to_who_may_come_in_and_uses_nothing(users: &dyn Users) {
    let (one, two) = (Person::new(102), Person::new(103));
    let lists = [&one, &two].map(|person| person.list(None, &[1]));
    let carla = with("carla@x", Credentials::NONE);
    let created = users.create("carla", &lists[0], &carla).await;
    created.expect("created");
    let invite = Invite {
        hash: [102; 32],
        uses: 1,
        expires_ms: NOW + 1,
    };
    users.put_invite(&invite, NOW).await.expect("kept");
    let by = |digit, typed| with(typed, by_invite([digit; 32], NOW));
    let create = async |with: &Credentials| users.create("dora", &lists[1], with).await;
    assert_eq!(
        create(&by(103, "carla@x")).await,
        Err(UserError::InviteRefused)
    );
    for _ in 0..3 {
        let taken = create(&by(102, "carla@x")).await;
        assert_eq!(taken, Err(UserError::EmailTaken));
    }
    assert_eq!(create(&by(102, "dora@x")).await, Ok(()));
}

pub(super) async fn one_of_many_who_want_an_address_gets_it(users: &Arc<dyn Users>) {
    let new: Vec<_> = (104..108)
        .map(|seed| {
            let (users, list) = (users.clone(), Person::new(seed).list(None, &[1]));
            let with = with("Everybody@x", Credentials::NONE);
            tokio::spawn(async move { users.create(&format!("e{seed}"), &list, &with).await })
        })
        .collect();
    let there = [108, 109, 110, 111].map(Person::new);
    for person in &there {
        let name = format!("e{}", person.user);
        let list = person.list(None, &[1]);
        let created = users.create(&name[..9], &list, &Credentials::NONE).await;
        created.expect("created");
    }
    let old = there.iter().map(|person| {
        let (users, user) = (users.clone(), person.user);
        tokio::spawn(async move { users.put_email(user, Some(&email("everybody@X"))).await })
    });
    let mut got = 0;
    for attempt in new.into_iter().chain(old.collect::<Vec<_>>()) {
        match attempt.await.expect("ran") {
            Ok(()) => got += 1,
            other => assert_eq!(other, Err(UserError::EmailTaken)),
        }
    }
    assert_eq!(got, 1);
    assert!(whose(&**users, "everybody@x").await.is_some());
}
