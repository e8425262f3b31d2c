//! Of who was deleted by a node of the version before, which knew of neither addresses nor disabled users.

use super::{database::Database, *};
use crate::user::{Email, UserError};

#[tokio::test]
async fn what_an_earlier_node_leaves_of_the_deleted_is_nobodys_and_goes() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let node = database.node().await;
    let (gone, next) = (fixtures::Person::new(1), fixtures::Person::new(2));
    let email = |typed| Email::parse(typed).expect("an address");
    let with = |typed| Credentials {
        email: Some(email(typed)),
        ..Credentials::NONE
    };
    let lists = [&gone, &next].map(|person| person.list(None, &[1]));
    let created = node.create("gone", &lists[0], &with("ann@x")).await;
    created.expect("created");
    let disabled = node.set_disabled(gone.user, true, 1).await;
    disabled.expect("stored");
    database.run("UPDATE users SET deleted_ms = 1").await;
    assert_eq!(node.email(gone.user).await, Ok(None));
    assert_eq!(node.by_email(&email("ann@x")).await, Ok(None));
    assert_eq!(node.disabled().await, Ok(vec![]));
    let created = node.create("next", &lists[1], &with("Ann@x")).await;
    created.expect("created");
    let found = node.by_email(&email("ann@x")).await.expect("read");
    assert_eq!(found.map(|user| user.user), Some(next.user));
    // Of who is there nobody takes it.
    let third = fixtures::Person::new(3).list(None, &[1]);
    let taken = node.create("third", &third, &with("ann@x")).await;
    assert_eq!(taken, Err(UserError::EmailTaken));
    // A node that starts forgets what nobody wanted.
    database
        .run("INSERT INTO emails SELECT user_id, 'o@x', 'o@x' FROM users WHERE deleted_ms = 1")
        .await;
    database.node().await.close().await;
    let count = async |of: &str| {
        let count = format!("SELECT count(*) FROM {of}");
        let count = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(count));
        count.fetch_one(&node.inner.pool).await.expect("read")
    };
    assert_eq!(
        (count("emails").await, count("disabled_users").await),
        (1, 0)
    );
    let own = node.email(next.user).await.expect("read");
    assert_eq!(own.as_deref(), Some("Ann@x"));
    node.close().await;
    database.remove().await;
}
