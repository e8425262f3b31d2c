//! What a store in a file can get wrong.

use super::*;
use crate::user::{PrekeyKind, conformance, fixtures};

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let dir = tempfile::tempdir().expect("a directory");
    let users = SqliteUsers::open(&dir.path().join("users.sqlite"))
        .await
        .expect("opened");
    conformance::all(Arc::new(users)).await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("users.sqlite");
    let person = fixtures::Person::new(1);
    let list = person.list(None, &[1]);
    let device = fixtures::device_id(1);
    let before = SqliteUsers::open(&file).await.expect("opened");
    before
        .create("one", &list, &Credentials::NONE)
        .await
        .expect("created");
    before
        .put_prekeys(
            person.user,
            device,
            &[fixtures::prekey(PrekeyKind::Signed, 1, 7)],
            false,
        )
        .await
        .expect("stored");
    before.close().await;

    let after = SqliteUsers::open(&file).await.expect("opened again");
    let newest = after.newest_list(person.user).await.expect("read");
    assert_eq!(newest.as_deref(), Some(&list));
    assert_eq!(after.spk_expiry(person.user, device).await, Ok(Some(7)));
}
