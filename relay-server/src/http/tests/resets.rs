//! Another identity key: by a device and a login together, or by a login alone after a wait in which any device may refuse.

use super::{passwords::vault, *};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn list_path(person: &Person) -> String {
    format!("/v1/users/{}/list", person.user)
}

fn path(person: &Person) -> String {
    format!("/v1/users/{}/reset", person.user)
}

/// The list that begins again with this device, and its vault.
fn anew(person: &Person, before: &DeviceList, device: u8) -> Value {
    let version = before.vault_version + 1;
    let mut body = list_body(&person.reset(before, &[(device, device)], version));
    body["vault"] = json!(vault(version));
    body
}

impl Login<'_> {
    async fn ask(&self, key: u8) -> (StatusCode, Value) {
        let key = self.person.device_key(key).verifying_key().to_bytes();
        let body = json!({ "signing_key": BASE64_STANDARD.encode(key) });
        self.write(Method::POST, &path(self.person), &body.to_string())
            .await
    }
}

async fn alice() -> (Relay, Person, DeviceList) {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list_with_vault(None, &[(1, 1)], 1);
    relay.sign_up("alice", &first).await;
    (relay, person, first)
}

#[tokio::test]
async fn it_takes_a_device_and_a_login_together() {
    let (relay, person, first) = alice().await;
    let phone = relay.log_in(&person, 1).await;
    let thief = relay.password_token(&person, 2).await;
    let list = list_path(&person);
    for (who, device) in [(&phone, 1), (&thief, 2)] {
        let body = anew(&person, &first, device);
        refused(who.put(&list, body).await, 403, "forbidden");
    }
    let both = relay.password_token(&person, 1).await;
    let without = list_body(&person.reset(&first, &[(1, 1)], 1));
    refused(both.put(&list, without).await, 422, "bad_vault");
    let put = both
        .put(&list_path(&person), anew(&person, &first, 1))
        .await;
    assert_eq!(put.0, StatusCode::NO_CONTENT, "{}", put.1);
    // The device is on the account as before.
    assert_eq!(
        phone.get(&format!("/v1/users/{}", person.user)).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn who_has_no_login_needs_none() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list_with_vault(None, &[(1, 1)], 1);
    let mut body = list_body(&first);
    body["username"] = json!("alice");
    body["vault"] = json!(vault(1));
    assert_eq!(relay.post("/v1/users", body).await.0, StatusCode::CREATED);
    let phone = relay.log_in(&person, 1).await;
    let put = phone
        .put(&list_path(&person), anew(&person, &first, 1))
        .await;
    assert_eq!(put.0, StatusCode::NO_CONTENT, "{}", put.1);
}

#[tokio::test]
async fn a_login_alone_waits_and_any_device_may_refuse() {
    let (relay, person, first) = alice().await;
    let phone = relay.log_in(&person, 1).await;
    let lost = relay.password_token(&person, 2).await;
    // By who can log in alone, and signed by the key that the token names.
    refused(phone.ask(1).await, 403, "forbidden");
    refused(lost.ask(3).await, 403, "forbidden");
    let bob = Person::new(2);
    relay.register("bobby", &bob.list(None, &[1])).await;
    let other = relay.log_in(&bob, 1).await;
    let (list, path) = (list_path(&person), path(&person));
    for nobody in [&other, &lost] {
        let tried = nobody.write(Method::DELETE, &path, "").await;
        refused(tried, 403, "forbidden");
    }

    let week = json!({ "ready_ms": NOW_MS + 7 * DAY_MS, "now_ms": NOW_MS });
    assert_eq!(lost.ask(2).await, (StatusCode::OK, week.clone()));
    // Asked again it does not begin again.
    assert_eq!(lost.ask(2).await, (StatusCode::OK, week));
    let tried = lost.put(&list, anew(&person, &first, 2)).await;
    refused(tried, 403, "forbidden");

    // Had it been asked for a week ago.
    let users = &relay.api.users;
    let due = async || {
        users.withdraw_reset(person.user).await.expect("withdrawn");
        let asked = users.ask_reset(person.user, NOW_MS, 0).await;
        assert_eq!(asked, Ok(NOW_MS));
    };
    due().await;
    let refusal = phone.write(Method::DELETE, &path, "").await;
    assert_eq!(refusal.0, StatusCode::NO_CONTENT);
    let tried = lost.put(&list, anew(&person, &first, 2)).await;
    refused(tried, 403, "forbidden");
    due().await;
    let done = lost
        .put(&list_path(&person), anew(&person, &first, 2))
        .await;
    assert_eq!(done.0, StatusCode::NO_CONTENT, "{}", done.1);
    assert_eq!(users.reset(person.user).await, Ok(None));
    refused(
        phone.get(&format!("/v1/users/{}", person.user)).await,
        403,
        "device_revoked",
    );
    relay.log_in(&person, 2).await;
}

#[tokio::test]
async fn who_comes_a_week_late_asks_again() {
    let (relay, person, first) = alice().await;
    let lost = relay.password_token(&person, 2).await;
    let users = &relay.api.users;
    let long_ago = NOW_MS - 7 * DAY_MS;
    let asked = users.ask_reset(person.user, long_ago, 0).await;
    assert_eq!(asked, Ok(long_ago));
    let tried = lost
        .put(&list_path(&person), anew(&person, &first, 2))
        .await;
    refused(tried, 403, "forbidden");
    let answer = lost.ask(2).await.1;
    assert_eq!(answer["ready_ms"], json!(NOW_MS + 7 * DAY_MS));
}
