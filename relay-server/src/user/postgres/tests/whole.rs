//! Users of an embedded relay, moved as they are.

use super::{database::Database, *};
use crate::user::{
    Admission, Block, Email, Invite, postgres::whole::Importer, sqlite::SqliteUsers,
    whole::WholeUsers,
};

#[tokio::test]
async fn who_came_by_an_app_who_is_gone_and_invites_move_along() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("users.sqlite");
    let source = SqliteUsers::open(&file).await.expect("opened");
    let person = fixtures::Person::new(1);
    let with = Credentials {
        admission: Admission::Subject([7; 32]),
        email: Email::parse("One@x"),
        ..Credentials::NONE
    };
    let list = person.list(None, &[1]);
    source.create("one", &list, &with).await.expect("created");
    let gone = fixtures::Person::new(2);
    let first = gone.list(None, &[1]);
    let created = source.create("two", &first, &Credentials::NONE).await;
    created.expect("created");
    source.delete(gone.user, 1_000).await.expect("deleted");
    let invite = Invite {
        hash: [8; 32],
        uses: 1,
        expires_ms: 2_000,
    };
    source.put_invite(&invite, 1_000).await.expect("kept");
    let block = Block {
        tag: [9; 8],
        blocked: true,
        decided_ms: 5,
    };
    let put = source.put_block(person.user, &block).await;
    put.expect("kept");
    let disabled = source.set_disabled(person.user, true, 3).await;
    disabled.expect("kept");
    let asked = source.ask_reset(person.user, 9, 0).await;
    assert_eq!(asked, Ok(9));
    source.close().await;

    let mut source = WholeUsers::open(&file).await.expect("opened");
    let mut target = Importer::connect(&database.url()).await.expect("connected");
    for id in [person.user, gone.user] {
        let user = source.get(id).await.expect("read");
        target.put(&user).await.expect("moved");
        assert!(target.get(id).await.expect("read") == user);
    }
    let invites = source.invites().await.expect("read");
    for _ in 0..2 {
        target.put_invite(&invites[0]).await.expect("moved");
        assert_eq!(target.invites().await.expect("read"), invites);
    }
    source.close().await.expect("closed");
    target.close().await.expect("closed");

    let node = database.node().await;
    let found = node.by_subject(&[7; 32]).await.expect("read");
    assert_eq!(found.map(|user| user.user), Some(person.user));
    let blocked = node.blocked(person.user).await.expect("read");
    assert_eq!(*blocked, [[9; 8]]);
    assert_eq!(node.disabled().await, Ok(vec![person.user]));
    // It may have been refused since.
    assert_eq!(node.reset(person.user).await, Ok(None));
    let taken = Email::parse("one@X").expect("an address");
    let found = node.by_email(&taken).await.expect("read");
    assert_eq!(found.map(|user| user.user), Some(person.user));
    assert_eq!(node.deleted(gone.user).await, Ok(Some(1)));
    assert_eq!(node.newest_list(gone.user).await, Ok(None));
    assert_eq!(node.by_name("two").await, Ok(None));
    let lists = node.lists(gone.user, 1, 9).await;
    assert_eq!(lists, Ok(vec![first.signed]));
    assert_eq!(node.remove_invite(&[8; 32], 1_000).await, Ok(true));
    node.close().await;
    database.remove().await;
}
