//! Who is disabled.

use super::{NOW, Person, Users, registered};
use crate::user::UserError;

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
