//! By what accounts are made: invites, and subjects of the app's own login.

use std::sync::Arc;

use sordino_protocol::hash::Hash;

use super::{LATER, NOW};
use crate::user::{Admission, Credentials, Invite, UserError, Users, fixtures::Person};

pub(super) fn by_invite(hash: Hash, now_ms: u64) -> Credentials {
    Credentials {
        admission: Admission::Invite { hash, now_ms },
        ..Credentials::NONE
    }
}

pub(super) async fn an_invite_is_used_up_with_the_account(users: &Arc<dyn Users>) {
    let invite = |digit, uses, expires_ms| Invite {
        hash: [digit; 32],
        uses,
        expires_ms,
    };
    for one in [invite(1, 3, LATER), invite(2, 9, LATER)] {
        users.put_invite(&one, NOW).await.expect("kept");
    }
    let listed = async |after: &[u8], limit, now_ms| {
        let listed = users.invites_after(after, limit, now_ms).await;
        let listed = listed.expect("read").into_iter();
        listed
            .map(|invite| {
                assert_eq!(invite.expires_ms, LATER);
                (invite.hash[0], invite.uses)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&[], 9, NOW).await, [(1, 3), (2, 9)]);
    assert_eq!(listed(&[], 1, NOW).await, [(1, 3)]);
    assert_eq!(listed(&[1; 32], 9, NOW).await, [(2, 9)]);
    assert_eq!(listed(&[1; 8], 1, NOW).await, [(1, 3)]);
    assert_eq!(listed(&[], 9, LATER).await, []);
    let create = async |seed, name: &str, with: &Credentials| {
        let list = Person::new(seed).list(None, &[1]);
        users.create(name, &list, with).await
    };
    let refused = Err(UserError::InviteRefused);
    assert_eq!(
        create(30, "thirty", &by_invite([9; 32], NOW)).await,
        refused
    );
    assert_eq!(
        create(30, "thirty", &by_invite([1; 32], LATER)).await,
        refused
    );
    let one = by_invite([1; 32], LATER - 1);
    assert_eq!(create(30, "thirty", &one).await, Ok(()));
    // What fails uses nothing, and says of names only what who is invited may know.
    assert_eq!(create(31, "thirty", &one).await, Err(UserError::NameTaken));
    assert_eq!(
        create(31, "thirty", &by_invite([9; 32], NOW)).await,
        refused
    );
    let again = create(30, "thirty", &one).await;
    assert_eq!(again, Err(UserError::UserExists));
    // Two uses are left.
    let attempts: Vec<_> = (32..40)
        .map(|seed| {
            let (users, with) = (users.clone(), one.clone());
            let list = Person::new(seed).list(None, &[1]);
            tokio::spawn(async move { users.create(&format!("p{seed}x"), &list, &with).await })
        })
        .collect();
    let mut made = 0;
    for attempt in attempts {
        match attempt.await.expect("ran") {
            Ok(()) => made += 1,
            other => assert_eq!(other, refused),
        }
    }
    assert_eq!(made, 2);
    assert_eq!(listed(&[], 9, NOW).await, [(2, 9)], "the other is used up");
    let found = users.by_name("p32x").await.expect("read").is_some();
    let listed = users.newest_list(Person::new(32).user).await.expect("read");
    assert_eq!(found, listed.is_some(), "whole, or not at all");
    assert_eq!(create(30, "thirty", &one).await, Err(UserError::UserExists));
    let remove = async |digit| users.remove_invite(&[digit; 32], NOW).await;
    assert_eq!(remove(1).await, Ok(false));
    assert_eq!(remove(2).await, Ok(true));
    assert_eq!(remove(2).await, Ok(false));
    assert_eq!(
        create(41, "forty-one", &by_invite([2; 32], NOW)).await,
        refused
    );
}

pub(super) async fn a_subject_has_one_account(users: &Arc<dyn Users>) {
    let by = |digit| Credentials {
        admission: Admission::Subject([digit; 32]),
        ..Credentials::NONE
    };
    assert_eq!(users.by_subject(&[1; 32]).await, Ok(None));
    let attempts: Vec<_> = (42..48)
        .map(|seed| {
            let users = users.clone();
            let list = Person::new(seed).list(None, &[1]);
            tokio::spawn(async move { users.create(&format!("p{seed}y"), &list, &by(1)).await })
        })
        .collect();
    let mut made = 0;
    for attempt in attempts {
        match attempt.await.expect("ran") {
            Ok(()) => made += 1,
            other => assert_eq!(other, Err(UserError::HasAccount)),
        }
    }
    assert_eq!(made, 1);
    let found = users.by_subject(&[1; 32]).await.expect("read");
    let user = found.expect("somebody");
    assert_eq!(users.by_id(user.user).await, Ok(Some(user.clone())));
    // Who has an account learns that, whatever name they ask for.
    let list = Person::new(48).list(None, &[1]);
    let again = users.create(&user.username, &list, &by(1)).await;
    assert_eq!(again, Err(UserError::HasAccount));
    let other = users.create(&user.username, &list, &by(2)).await;
    assert_eq!(other, Err(UserError::NameTaken));
    assert_eq!(users.by_subject(&[2; 32]).await, Ok(None));
}
