//! Resets of the identity key that wait.

use crate::user::{Credentials, Identity, PasswordRecord, UserError, Users, fixtures::Person};

const READY: u64 = 9_000;

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
