//! The key backup: added to by the device whose chain it is, read by its user's devices, closed with a list.

use sordino_protocol::{
    DeviceId,
    batch::{Place, batch_hash},
    hash::Hash,
    limits, pb,
};

use super::*;

fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn batch(device: u8, number: u64, previous: Hash, length: usize) -> Vec<u8> {
    let place = Place {
        device: device_id(device),
        number,
        previous,
    };
    [place.encode().as_slice(), &vec![7; length]].concat()
}

fn chain(person: &Person, device: DeviceId, version: u32) -> String {
    format!(
        "/v1/users/{}/devices/{device}/backups/{version}",
        person.user
    )
}

fn heads(person: &Person, version: u32) -> String {
    format!("/v1/users/{}/backups/{version}", person.user)
}

fn body(batch: &[u8]) -> Value {
    json!({ "batch": base64(batch) })
}

pub(super) fn vault(version: u32) -> String {
    let vault = pb::Vault {
        version,
        backup_version: version,
        sealed: vec![7; 600].into(),
        wrapped_keys: vec![pb::WrappedVaultKey {
            kind: 1,
            encapsulated: vec![8; 1120].into(),
            sealed: vec![9; 48].into(),
        }],
    };
    base64(prost::Message::encode_to_vec(&vault))
}

fn end(device: u8, batch: &[u8]) -> Value {
    let number = Place::of(batch).expect("a batch").number;
    json!({ "device": device_id(device), "number": number, "hash": base64(batch_hash(batch)) })
}

impl Relay {
    async fn with_backup(&self, name: &str, person: &Person) -> DeviceList {
        // A first list has one device.
        let one = person.list_with_backup(None, &[1], 1);
        let sign_up = json!({
            "username": name,
            "list": Signed::from(one.signed.clone()),
            "vault": vault(1),
        });
        let (status, answer) = self.post("/v1/users", sign_up).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let second = person.list(Some(&one), &[1, 2]);
        let login = self.log_in(person, 1).await;
        let path = format!("/v1/users/{}/list", person.user);
        let (status, answer) = login.put(&path, list_body(&second)).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
        second
    }
}

#[tokio::test]
async fn a_device_adds_to_its_own_chain_and_its_user_reads_all() {
    let (relay, alice, bob) = (Relay::new().await, Person::new(1), Person::new(2));
    relay.with_backup("alice", &alice).await;
    relay.with_backup("bob", &bob).await;
    let (one, two) = (relay.log_in(&alice, 1).await, relay.log_in(&alice, 2).await);
    let of_bob = relay.log_in(&bob, 1).await;
    let (first, device) = (batch(1, 1, [0; 32], 100), device_id(1));
    let path = chain(&alice, device, 1);

    refused(of_bob.put(&path, body(&first)).await, 403, "forbidden");
    refused(two.put(&path, body(&first)).await, 403, "forbidden");
    // Nor into its own chain what says that it is another's.
    let own = chain(&alice, device_id(2), 1);
    refused(two.put(&own, body(&first)).await, 403, "forbidden");
    for bad in [vec![], vec![1; 57], vec![2; 200]] {
        refused(one.put(&path, body(&bad)).await, 400, "bad_request");
    }
    let large = batch(1, 1, [0; 32], limits::BATCH_BYTES);
    refused(one.put(&path, body(&large)).await, 413, "too_large");
    let next_version = chain(&alice, device, 2);
    refused(
        one.put(&next_version, body(&first)).await,
        409,
        "backup_closed",
    );
    assert_eq!(one.put(&path, body(&first)).await.0, StatusCode::NO_CONTENT);
    let hole = batch(1, 3, batch_hash(&first), 9);
    refused(one.put(&path, body(&hole)).await, 409, "backup_conflict");

    let (status, found) = two.get(&heads(&alice, 1)).await;
    assert_eq!(
        (status, &found["heads"]),
        (StatusCode::OK, &json!([end(1, &first)]))
    );
    let read = format!("{}/{device}?upto=9", heads(&alice, 1));
    let (status, found) = two.get(&read).await;
    assert_eq!(
        (status, &found["batches"]),
        (StatusCode::OK, &json!([base64(&first)]))
    );
    for path in [heads(&alice, 1), read] {
        refused(of_bob.get(&path).await, 403, "forbidden");
    }
}

#[tokio::test]
async fn a_list_that_begins_another_backup_closes_the_one_before() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let list = relay.with_backup("alice", &person).await;
    let login = relay.log_in(&person, 1).await;
    let first = batch(1, 1, [0; 32], 100);
    let path = chain(&person, device_id(1), 1);
    let (status, answer) = login.put(&path, body(&first)).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");

    let put = async |list: &DeviceList, vault: Option<String>, ends: Option<Value>| {
        let mut body = list_body(list);
        if let Some(vault) = vault {
            body["vault"] = json!(vault);
        }
        if let Some(ends) = ends {
            body["closes_backup"] = ends;
        }
        let path = format!("/v1/users/{}/list", person.user);
        login.put(&path, body).await
    };
    let ends = json!([end(1, &first)]);
    let same = person.list(Some(&list), &[1]);
    refused(
        put(&same, None, Some(ends.clone())).await,
        400,
        "bad_request",
    );
    let next = person.list_with_backup(Some(&list), &[1], 2);
    refused(put(&next, Some(vault(2)), None).await, 400, "bad_request");
    refused(put(&next, None, Some(ends.clone())).await, 422, "bad_vault");
    refused(
        put(&next, Some(vault(2)), Some(json!([]))).await,
        409,
        "backup_moved",
    );
    let (status, answer) = put(&next, Some(vault(2)), Some(ends.clone())).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    let second = batch(1, 2, batch_hash(&first), 9);
    refused(login.put(&path, body(&second)).await, 409, "backup_closed");
    // What is closed is read as before.
    assert_eq!(login.get(&heads(&person, 1)).await.1["heads"], ends);
    let fresh = chain(&person, device_id(1), 2);
    let (status, answer) = login.put(&fresh, body(&first)).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
}
