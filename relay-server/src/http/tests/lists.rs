//! Lists are replaced by their owner, in order, with a proof for each.

use std::time::Duration;

use async_trait::async_trait;
use sordino_protocol::UserId;
use tokio::{sync::Semaphore, time::timeout};

use super::*;
use crate::session::{Connection, Event, SessionError};

/// No test waits longer for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sessions that are told nothing before the gate opens.
pub(super) struct Gated {
    gate: Semaphore,
    told: Semaphore,
}

impl Gated {
    pub(super) fn shut() -> Arc<Self> {
        Arc::new(Self {
            gate: Semaphore::new(0),
            told: Semaphore::new(0),
        })
    }

    pub(super) fn open(&self) {
        self.gate.add_permits(1);
    }

    /// The next that is told.
    pub(super) async fn told(&self) {
        let told = timeout(PATIENCE, self.told.acquire()).await;
        told.expect("told").expect("open").forget();
    }
}

/// It comes to that.
pub(super) async fn until(mut so: impl AsyncFnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.expect("in time");
}

#[async_trait]
impl Sessions for Gated {
    async fn register(&self, _: Connection) -> Result<(), SessionError> {
        Ok(())
    }

    async fn unregister(&self, _: UserId, _: u64) -> Result<(), SessionError> {
        Ok(())
    }

    async fn publish(&self, users: &[UserId], event: Event) -> Result<usize, SessionError> {
        let _open = self.gate.acquire().await.expect("open");
        assert!(matches!(event, Event::ListChanged) && users.len() == 1);
        self.told.add_permits(1);
        Ok(1)
    }
}

/// Or a lost connection would leave a removed device its socket.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_announced_although_its_request_is_cut_off() {
    let sessions = Gated::shut();
    let relay = Relay::with_sessions(Rates::default(), sessions.clone()).await;
    let person = Person::new(1);
    let first = person.list(None, &[1]);
    relay.register("alice", &first).await;
    let login = relay.log_in(&person, 1).await;
    let path = format!("/v1/users/{}/list", person.user);
    let next = person.list(Some(&first), &[1, 2]);
    let stored = until(async || {
        let newest = relay.api.users.newest_list(person.user).await;
        newest.expect("read").expect("a list").version == next.version
    });
    // What has not ended is dropped, as the server does it when a connection is lost.
    tokio::select! {
        (status, _) = login.put(&path, list_body(&next)) => panic!("{status} before the gate"),
        () = stored => {}
    }
    sessions.open();
    sessions.told().await;
}

#[tokio::test]
async fn a_list_is_replaced_in_order_and_ends_removed_devices() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list(None, &[1]);
    relay.register("alice", &first).await;
    let login = relay.log_in(&person, 1).await;
    let path = format!("/v1/users/{}/list", person.user);
    let second = person.list(Some(&first), &[1, 2]);
    let third = person.list(Some(&second), &[2]);
    refused(login.put(&path, list_body(&third)).await, 422, "bad_list");
    assert_eq!(
        login.put(&path, list_body(&second)).await.0,
        StatusCode::NO_CONTENT
    );
    refused(
        login.put(&path, list_body(&second)).await,
        409,
        "list_conflict",
    );
    assert_eq!(
        login.put(&path, list_body(&third)).await.0,
        StatusCode::NO_CONTENT
    );
    refused(
        login.put(&path, list_body(&third)).await,
        403,
        "device_revoked",
    );

    let other = relay.log_in(&person, 2).await;
    let lists = format!("/v1/users/{}/lists", person.user);
    let (_, newest) = other.get(&lists).await;
    assert_eq!(newest["lists"], json!([Signed::from(third.signed.clone())]));
    let (_, page) = other.get(&format!("{lists}?from=1&limit=2")).await;
    let expected = [first.signed, second.signed].map(Signed::from);
    assert_eq!(
        (&page["lists"], &page["newest"]),
        (&json!(expected), &json!(3))
    );
}

#[tokio::test]
async fn another_users_list_is_not_written() {
    let (relay, alice, bob) = (Relay::new().await, Person::new(1), Person::new(2));
    let list = alice.list(None, &[1]);
    relay.register("alice", &list).await;
    relay.register("bobby", &bob.list(None, &[1])).await;
    let login = relay.log_in(&bob, 1).await;
    let next = list_body(&alice.list(Some(&list), &[1, 2]));
    let path = format!("/v1/users/{}/list", alice.user);
    refused(login.put(&path, next.clone()).await, 403, "forbidden");
    let own = format!("/v1/users/{}/list", bob.user);
    refused(login.put(&own, next).await, 422, "bad_list");
}

#[tokio::test]
async fn a_write_needs_a_proof_of_its_own() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list(None, &[1]);
    relay.register("alice", &first).await;
    let login = relay.log_in(&person, 1).await;
    let path = format!("/v1/users/{}/list", person.user);
    let body = list_body(&person.list(Some(&first), &[1, 2])).to_string();
    refused(login.put_with(&path, &body, "").await, 401, "bad_proof");
    let elsewhere = login.proof("/v1/elsewhere", &body).await;
    refused(
        login.put_with(&path, &body, &elsewhere).await,
        401,
        "bad_proof",
    );
    let proof = login.proof(&path, &body).await;
    assert_eq!(
        login.put_with(&path, &body, &proof).await.0,
        StatusCode::NO_CONTENT
    );
    refused(
        login.put_with(&path, &body, &proof).await,
        401,
        "challenge_expired",
    );
}
