//! Another identity key: by a device and a login together, or by a login alone after a wait in which any device may refuse.

use super::{
    lists::{Gated, until},
    passwords::vault,
    registration::external,
    *,
};
use crate::{auth::issuer::tests::AppKey, config};

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
async fn asked_again_the_wait_does_not_begin_again() {
    let (relay, person, _) = alice().await;
    let lost = relay.password_token(&person, 2).await;
    // Six days ago.
    let ready_ms = NOW_MS + DAY_MS;
    let asked = relay.api.users.ask_reset(person.user, ready_ms, 0).await;
    assert_eq!(asked, Ok(ready_ms));
    for _ in 0..2 {
        assert_eq!(lost.ask(2).await.1["ready_ms"], json!(ready_ms));
    }
    let kept = relay.api.users.reset(person.user).await;
    assert_eq!(kept, Ok(Some(ready_ms)));
}

/// Who knows the password has a token, and may ask and write with it. What the account's devices need is theirs.
#[tokio::test]
async fn who_knows_the_password_uses_up_nothing_of_who_refuses() {
    let few = |n: u32| n.try_into().expect("not zero");
    let relay = Relay::with(Rates::new(&config::Rates {
        user_per_second: few(1),
        user_burst: few(9),
        user_writes_per_hour: few(1),
        user_writes_burst: few(3),
        ..config::Rates::default()
    }))
    .await;
    let person = Person::new(1);
    let first = person.list_with_vault(None, &[(1, 1)], 1);
    relay.sign_up("alice", &first).await;
    let phone = relay.log_in(&person, 1).await;
    let (one, two) = (
        relay.password_token(&person, 2).await,
        // It may name the phone, whose id and key are no secret.
        relay.password_token(&person, 1).await,
    );
    let (list, path) = (list_path(&person), path(&person));
    let wrong = person.reset(&first, &[(1, 1)], 1);
    for _ in 0..3 {
        assert_eq!(one.ask(2).await.0, StatusCode::OK);
    }
    refused(one.ask(2).await, 429, "rate_limited");
    let put = two.put(&list, list_body(&wrong)).await;
    refused(put, 429, "rate_limited");
    let vault = format!("/v1/users/{}/vault", person.user);
    until(async || two.get(&vault).await.0 == StatusCode::TOO_MANY_REQUESTS).await;
    let refusal = phone.write(Method::DELETE, &path, "").await;
    assert_eq!(refusal.0, StatusCode::NO_CONTENT, "{}", refusal.1);
    assert_eq!(relay.api.users.reset(person.user).await, Ok(None));
}

#[tokio::test]
async fn none_that_goes_on_with_what_was_before_is_taken() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list_with_backup(None, &[1], 1);
    let mut body = list_body(&first);
    body["username"] = json!("alice");
    body["vault"] = json!(backups::vault(1));
    assert_eq!(relay.post("/v1/users", body).await.0, StatusCode::CREATED);
    let phone = relay.log_in(&person, 1).await;
    let good = person.reset(&first, &[(1, 1)], 2);
    let put = async |list: &DeviceList| {
        let mut body = list_body(list);
        body["vault"] = json!(backups::vault(2));
        if list.backup != first.backup {
            body["closes_backup"] = json!([]);
        }
        phone.put(&list_path(&person), body).await
    };
    for wrong in [
        person.reset(&first, &[(1, 1), (2, 2)], 2),
        // The list-signing key is of before, or one too far.
        person.half_reset(&first, &[(1, 1)], 2, (1, 2)),
        person.half_reset(&first, &[(1, 1)], 2, (3, 2)),
        // The key backup is of before.
        person.half_reset(&first, &[(1, 1)], 2, (2, 1)),
    ] {
        refused(put(&wrong).await, 422, "bad_list");
    }
    let put = put(&good).await;
    assert_eq!(put.0, StatusCode::NO_CONTENT, "{}", put.1);
}

/// Or devices show on that somebody waits, or do not show it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_announced_although_its_request_is_cut_off() {
    let sessions = Gated::shut();
    let relay = Relay::with_sessions(Rates::default(), sessions.clone()).await;
    let person = Person::new(1);
    relay.register("alice", &person.list(None, &[1])).await;
    let phone = relay.log_in(&person, 1).await;
    let users = &relay.api.users;
    let asked = users.ask_reset(person.user, NOW_MS, 0).await;
    assert_eq!(asked, Ok(NOW_MS));
    let path = path(&person);
    tokio::select! {
        (status, _) = phone.write(Method::DELETE, &path, "") => panic!("{status} before the gate"),
        () = until(async || users.reset(person.user).await == Ok(None)) => {}
    }
    sessions.open();
    sessions.told().await;
}

#[tokio::test]
async fn no_time_runs_while_an_account_is_disabled() {
    let (relay, person, first) = alice().await;
    let phone = relay.log_in(&person, 1).await;
    let lost = relay.password_token(&person, 2).await;
    let users = &relay.api.users;
    let asked = users.ask_reset(person.user, NOW_MS, 0).await;
    assert_eq!(asked, Ok(NOW_MS));
    relay.set_disabled(&person, true).await;
    let (list, path) = (list_path(&person), path(&person));
    let refusal = phone.write(Method::DELETE, &path, "").await;
    refused(refusal, 403, "account_disabled");
    refused(lost.ask(2).await, 403, "account_disabled");
    relay.set_disabled(&person, false).await;
    let tried = lost.put(&list, anew(&person, &first, 2)).await;
    refused(tried, 403, "forbidden");
    assert_eq!(users.reset(person.user).await, Ok(None));
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

#[tokio::test]
async fn an_app_knows_those_alone_whom_it_has_brought() {
    let dir = tempfile::tempdir().expect("a directory");
    let key = AppKey::ed(7);
    let relay = Relay::with_registration(external(dir.path(), &key)).await;
    let (theirs, before) = (Person::new(1), Person::new(2));
    let lists = [&theirs, &before].map(|person| person.list_with_vault(None, &[(1, 1)], 1));
    let mut body = list_body(&lists[0]);
    body["username"] = json!("alice");
    body["vault"] = json!(vault(1));
    body["external_token"] = json!(key.good("a", "alice-7", NOW_MS / 1000));
    assert_eq!(relay.post("/v1/users", body).await.0, StatusCode::CREATED);
    // Of when everybody could come in, and none of those who log in.
    let none = crate::user::Credentials::NONE;
    let created = relay.api.users.create("bobby", &lists[1], &none).await;
    created.expect("created");
    let one = relay.log_in(&theirs, 1).await;
    let tried = one
        .put(&list_path(&theirs), anew(&theirs, &lists[0], 1))
        .await;
    refused(tried, 403, "forbidden");
    let two = relay.log_in(&before, 1).await;
    let put = two
        .put(&list_path(&before), anew(&before, &lists[1], 1))
        .await;
    assert_eq!(put.0, StatusCode::NO_CONTENT, "{}", put.1);
}
