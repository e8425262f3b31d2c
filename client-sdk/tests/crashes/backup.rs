//! The key backup: filled, and read by a new device.

use sordino::{Client, Code};

use super::{CLOSED, at_every_step, members::join, news, person, started, this, until_end_of};
use crate::plenty::relay;
use crate::support::{
    Person, all,
    phones::{registered, typed},
    texts, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_key_backup_filled_and_read() {
    let relay = relay().await;
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    phone.client.close().await;
    let bob = Person::online(&url, "bob").await;
    let of_backup = |said: &str| said.contains("/backups/") || said.contains("/messages?");
    at_every_step(CLOSED, 1, async |step| {
        let text = news();
        bob.with(&phone).send(&text).await.expect("sent");
        let fill = async |client: &Client| {
            client.connect();
            until(async || {
                let state = client.backup().await.expect("read");
                let found = client.search(text.as_str()).await.expect("searched");
                !found.is_empty() && state.waiting == 0
            })
            .await;
            Ok(())
        };
        let home = phone.directory.path();
        let done = until_end_of(started, &url, home, step, of_backup, &fill).await;
        let client = started(&url, home).await;
        fill(&client).await.expect("filled");
        client.close().await;
        done.is_none()
    })
    .await;
    let phone = person(&url, phone.directory).await;
    let said = all(&phone.with(&bob)).await;
    let user = phone.user.clone();
    at_every_step(CLOSED, 3, async |step| {
        let home = tempfile::tempdir().expect("a directory");
        let client = started(&url, home.path()).await;
        let joined = join(&client, "alice", &typed(&written), None).await;
        joined.expect("joined");
        let id = this(&client).await;
        client.close().await;
        let is_back = async |client: &Client| {
            let shown = all(&client.conversation(bob.user.id)).await;
            texts(&shown) == texts(&said)
        };
        let read = async |client: &Client| {
            client.connect();
            until(async || is_back(client).await).await;
            Ok(())
        };
        let done = until_end_of(started, &url, home.path(), step, of_backup, &read).await;
        let client = started(&url, home.path()).await;
        read(&client).await.expect("read");
        assert_eq!(client.me(), Some(user.clone()));
        // The keys that came with it are on their way.
        until(async || {
            let removed = phone.client.remove_device(id, None).await;
            if let Err(error) = &removed {
                assert_eq!(error.code(), Code::KeysMissing, "{error}");
            }
            removed.is_ok()
        })
        .await;
        client.close().await;
        done.is_none()
    })
    .await;
}
