//! What an outsider tries on the routes.

use futures_util::future::join_all;

use super::*;
use crate::{
    config,
    ops::{client::ClientAddr, rates::Rates},
};

const ALICE: &str = "01010101010101010101010101010101";

/// Alice's path to her list, with one digit of her id percent-encoded: the router reads both alike.
fn disguised() -> String {
    format!("/v1/users/%30{}/list", &ALICE[1..])
}

#[tokio::test]
async fn a_proof_is_for_the_path_as_it_was_sent() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list(None, &[1]);
    relay.register("alice", &first).await;
    let login = relay.log_in(&person, 1).await;
    let body = list_body(&person.list(Some(&first), &[1, 2])).to_string();
    let proof = login.proof(&format!("/v1/users/{ALICE}/list"), &body).await;
    let disguised = disguised();
    refused(
        login.put_with(&disguised, &body, &proof).await,
        401,
        "bad_proof",
    );
    for path in [
        format!("/v1/users/../users/{ALICE}/list"),
        format!("/v1//users/{ALICE}/list"),
        format!("/v1/users/{ALICE}/list/"),
        format!("/v1/users/{ALICE}%2Flist"),
        format!("/v1/users/{}/list", ALICE.to_uppercase() + "0"),
    ] {
        let (status, _) = login.put_with(&path, &body, &proof).await;
        assert!(status.is_client_error(), "{path}: {status}");
    }
    let proof = login.proof(&disguised, &body).await;
    let (status, _) = login.put_with(&disguised, &body, &proof).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_proof_of_another_user_or_route_is_refused() {
    let (relay, alice, bob) = (Relay::new().await, Person::new(1), Person::new(2));
    let lists = [alice.list(None, &[1]), bob.list(None, &[1])];
    relay.register("alice", &lists[0]).await;
    relay.register("bob", &lists[1]).await;
    let (a, b) = (relay.log_in(&alice, 1).await, relay.log_in(&bob, 1).await);
    let list = format!("/v1/users/{}/list", bob.user);
    let prekeys = format!("/v1/users/{}/devices/{}/prekeys", bob.user, device_id(1));
    let body = list_body(&bob.list(Some(&lists[1]), &[1, 2])).to_string();
    let by_alice = a.proof(&list, &body).await;
    refused(b.put_with(&list, &body, &by_alice).await, 401, "bad_proof");
    refused(a.put_with(&list, &body, &by_alice).await, 403, "forbidden");
    let for_prekeys = b.proof(&prekeys, &body).await;
    refused(
        b.put_with(&list, &body, &for_prekeys).await,
        401,
        "bad_proof",
    );
    // A login's signature is no proof of a write, though it signs the same nonce.
    let nonce = relay.nonce(&bob, device_id(1)).await;
    let login = answer(&bob, 1, &nonce);
    let signature = BASE64_STANDARD.decode(login["signature"].as_str().expect("text"));
    let proof = [nonce.as_slice(), &signature.expect("base64")].concat();
    let proof = BASE64_STANDARD.encode(proof);
    refused(b.put_with(&list, &body, &proof).await, 401, "bad_proof");
}

#[tokio::test]
async fn one_proof_sent_many_times_at_once_writes_once() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list(None, &[1]);
    relay.register("alice", &first).await;
    let login = relay.log_in(&person, 1).await;
    let path = format!("/v1/users/{ALICE}/list");
    let body = list_body(&person.list(Some(&first), &[1, 2])).to_string();
    let proof = login.proof(&path, &body).await;
    let answers = join_all((0..16).map(|_| login.put_with(&path, &body, &proof))).await;
    let (written, others): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|(status, _)| *status == StatusCode::NO_CONTENT);
    assert_eq!(written.len(), 1);
    for other in others {
        refused(other, 401, "challenge_expired");
    }
}

#[tokio::test]
async fn of_many_lists_for_one_version_one_is_stored() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list(None, &[1]);
    relay.register("alice", &first).await;
    let login = relay.log_in(&person, 1).await;
    let path = format!("/v1/users/{ALICE}/list");
    let put = |device| login.put(&path, list_body(&person.list(Some(&first), &[1, device])));
    let answers = join_all((2..10).map(put)).await;
    let (written, others): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|(status, _)| *status == StatusCode::NO_CONTENT);
    assert_eq!(written.len(), 1);
    for other in others {
        refused(other, 409, "list_conflict");
    }
    let (_, lists) = login.get(&format!("/v1/users/{ALICE}/lists?from=1")).await;
    assert_eq!(lists["lists"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn json_that_is_made_to_hurt_is_a_bad_request() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    relay.register("alice", &person.list(None, &[1])).await;
    let login = relay.log_in(&person, 1).await;
    let nested = "[".repeat(60_000);
    let object = r#"{"a":"#.repeat(20_000);
    let digits = "9".repeat(60_000);
    for body in [
        nested.clone(),
        object.clone(),
        format!(r#"{{"user":{nested}"#),
        format!(r#"{{"unknown":{object}"#),
        format!(r#"{{"user":{digits}}}"#),
        format!(r#"{{"devices":[{digits}]}}"#),
        r#"{"user":1e999999999}"#.to_owned(),
        format!(r#"{{"user":"{ALICE}","user":"{ALICE}","device":"{ALICE}"}}"#),
        format!(r#"{{"user":"{ALICE}","device":"{}"}}"#, "é".repeat(16)),
        r#"{"user":"\ud800","device":null}"#.to_owned(),
        String::new(),
        "\0".to_owned(),
    ] {
        for path in ["/v1/auth/challenge", "/v1/auth/token", "/v1/users"] {
            let request = Request::post(path).body(Body::from(body.clone()));
            let answer = relay.call(request.expect("a request")).await;
            refused(answer, 400, "bad_request");
        }
        let claim = Request::post(format!("/v1/users/{ALICE}/prekeys/claim"))
            .header(header::AUTHORIZATION, format!("Bearer {}", login.token))
            .body(Body::from(body));
        refused(
            relay.call(claim.expect("a request")).await,
            400,
            "bad_request",
        );
    }
}

#[tokio::test]
async fn numbers_at_their_ends_are_answered_or_refused() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    relay.register("alice", &person.list(None, &[1])).await;
    let login = relay.log_in(&person, 1).await;
    for (query, status) in [
        ("from=0", 200),
        ("from=1&limit=0", 200),
        ("from=1&limit=18446744073709551615", 200),
        ("from=4294967295", 200),
        ("from=4294967296", 400),
        ("from=-1", 400),
        ("from=1&from=2", 400),
        ("from=%00", 400),
        ("unknown=1", 400),
    ] {
        let answer = login.get(&format!("/v1/users/{ALICE}/lists?{query}")).await;
        assert_eq!(answer.0.as_u16(), status, "{query}");
    }
    let of = |query: String| format!("/v1/conversations?after={query}");
    assert_eq!(login.get(&of("f".repeat(32))).await.0, StatusCode::OK);
    refused(login.get(&of("f".repeat(33))).await, 400, "bad_request");
    let conversation = relay.store(&person, &person, 3).await;
    for (query, rows) in [
        ("before=0", Some(0)),
        ("before=1", Some(0)),
        ("before=2&limit=0", Some(1)),
        ("before=18446744073709551615", Some(3)),
        ("limit=18446744073709551615", Some(3)),
        ("before=18446744073709551616", None),
        ("limit=-1", None),
    ] {
        let path = format!("/v1/conversations/{conversation}/messages?{query}");
        let (status, page) = login.get(&path).await;
        let found = page["rows"].as_array().map(Vec::len);
        assert_eq!(
            (status.is_success(), found),
            (rows.is_some(), rows),
            "{query}"
        );
    }
}

#[tokio::test]
async fn who_writes_too_often_waits_and_others_do_not() {
    let few = 3.try_into().expect("not zero");
    let rates = Rates::new(&config::Rates {
        user_writes_per_hour: few,
        user_writes_burst: few,
        device_batches_per_hour: few,
        device_batches_burst: few,
        ..config::Rates::default()
    });
    let relay = Relay::with(rates).await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    let mut list = alice.list(None, &[1]);
    relay.register("alice", &list).await;
    let bobs = bob.list(None, &[1]);
    relay.register("bob", &bobs).await;
    let (a, b) = (relay.log_in(&alice, 1).await, relay.log_in(&bob, 1).await);
    let path = format!("/v1/users/{ALICE}/list");
    for device in 2..5 {
        list = alice.list(Some(&list), &[1, device]);
        assert_eq!(
            a.put(&path, list_body(&list)).await.0,
            StatusCode::NO_CONTENT
        );
    }
    let next = list_body(&alice.list(Some(&list), &[1]));
    // What is not signed costs the owner nothing: a stolen token must not use up their writes.
    refused(a.put(&path, next.clone()).await, 429, "rate_limited");
    refused(a.put_with(&path, "{}", "").await, 401, "bad_proof");
    let path = format!("/v1/users/{}/list", bob.user);
    for _ in 0..10 {
        refused(b.put_with(&path, "{}", "").await, 401, "bad_proof");
    }
    let next = list_body(&bob.list(Some(&bobs), &[1, 2]));
    assert_eq!(b.put(&path, next).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_flood_of_sign_ups_is_bounded_and_costs_the_registered_nothing() {
    let few = 2.try_into().expect("not zero");
    let slow = 1.try_into().expect("not zero");
    let rates = Rates::new(&config::Rates {
        sign_ups_per_second: slow,
        sign_ups_burst: few,
        ..config::Rates::default()
    });
    let relay = Relay::with(rates).await;
    let people: Vec<_> = (1..20).map(Person::new).collect();
    relay.register("first", &people[0].list(None, &[1])).await;
    let mut busy = 0;
    for (at, person) in people.iter().enumerate().skip(1) {
        let list = Signed::from(person.list(None, &[1]).signed);
        let body = json!({ "username": format!("user-{at}"), "list": list });
        let (status, answer) = relay.post("/v1/users", body).await;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(answer["code"], json!("busy"));
            assert!(answer["retry_after_ms"].as_u64() > Some(0));
            busy += 1;
        }
    }
    assert!(busy > 0);
    let login = relay.log_in(&people[0], 1).await;
    assert_eq!(login.get("/v1/conversations").await.0, StatusCode::OK);
}

async fn sign_up_from(
    relay: &Relay,
    address: [u8; 4],
    name: &str,
    list: Signed,
) -> (StatusCode, Value) {
    let body = json!({ "username": name, "list": list });
    let mut request = Request::post("/v1/users").body(Body::from(body.to_string()));
    let request = request.as_mut().expect("a request");
    let address = ClientAddr(address.into());
    request.extensions_mut().insert(address);
    relay.call(std::mem::take(request)).await
}

#[tokio::test]
async fn what_is_no_sign_up_takes_none_from_others() {
    let few = 1.try_into().expect("not zero");
    let relay = Relay::with(Rates::new(&config::Rates {
        sign_ups_per_second: few,
        sign_ups_burst: few,
        ..config::Rates::default()
    }))
    .await;
    let person = Person::new(1);
    let good = person.list(None, &[1]).signed;
    let mut forged = good.clone();
    forged.signature = vec![0; 64].into();
    let [good, forged] = [good, forged].map(Signed::from);
    let two = Signed::from(person.list(None, &[1, 2]).signed);
    for n in 0..20 {
        for list in [&forged, &two] {
            let answer = sign_up_from(&relay, [192, 0, 2, n], "junk", list.clone()).await;
            refused(answer, 422, "bad_list");
        }
    }
    let (status, _) = sign_up_from(&relay, [198, 51, 100, 7], "honest", good).await;
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test]
async fn one_address_signs_up_a_few_and_leaves_the_rest_to_others() {
    let relay = Relay::new().await;
    let list = |n| Signed::from(Person::new(n).list(None, &[1]).signed);
    let mut codes = std::collections::BTreeMap::new();
    for n in 1..=60 {
        let name = format!("user-{n}");
        let answer = sign_up_from(&relay, [192, 0, 2, 1], &name, list(n)).await;
        *codes.entry(answer.0.as_u16()).or_insert(0) += 1;
    }
    let signed_up = codes.remove(&201).expect("some");
    let most = config::Rates::default().address_sign_ups_burst.get();
    assert!((most..most + 10).contains(&signed_up), "{signed_up}");
    assert_eq!(codes.into_keys().collect::<Vec<_>>(), [429]);
    let (status, _) = sign_up_from(&relay, [192, 0, 2, 2], "honest", list(61)).await;
    assert_eq!(status, StatusCode::CREATED);
}

/// Without a token one learns of names by what one asks for: sign-ups and passwords, which are counted by address.
#[tokio::test]
async fn names_are_not_tried_out_one_after_the_other() {
    let few = 3.try_into().expect("not zero");
    let relay = Relay::with(Rates::new(&config::Rates {
        user_lookups_per_hour: few,
        user_lookups_burst: few,
        address_passwords_per_hour: few,
        address_passwords_burst: few,
        ..config::Rates::default()
    }))
    .await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay.register("alice", &alice.list(None, &[1])).await;
    relay.register("bob", &bob.list(None, &[1])).await;
    let (a, b) = (relay.log_in(&alice, 1).await, relay.log_in(&bob, 1).await);
    for (name, status) in [("alice", 200), ("aaron", 404), ("adam", 404), ("bob", 429)] {
        let answer = a.get(&format!("/v1/users/by-name/{name}")).await;
        assert_eq!(answer.0.as_u16(), status, "{name}");
    }
    assert_eq!(b.get("/v1/users/by-name/alice").await.0, StatusCode::OK);
    // Each password of another name, from one address.
    for n in 0..4 {
        let body =
            json!({ "username": format!("user-{n}"), "request": BASE64_STANDARD.encode([0; 32]) });
        let (status, answer) = relay.post("/v1/passwords", body).await;
        let waits = status == StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(waits, n == 3, "{n}: {answer}");
    }
}

#[tokio::test]
async fn tokens_and_challenges_are_not_tried_out() {
    let few = 4.try_into().expect("not zero");
    let slow = 1.try_into().expect("not zero");
    let relay = Relay::with(Rates::new(&config::Rates {
        address_per_second: slow,
        address_burst: few,
        ..config::Rates::default()
    }))
    .await;
    let mut refusals = 0;
    for n in 0..8 {
        let request = Request::get(format!("/v1/users/{ALICE}"))
            .header(header::AUTHORIZATION, format!("Bearer token-{n}"))
            .body(Body::empty());
        let (status, _) = relay.call(request.expect("a request")).await;
        refusals += usize::from(status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!((3..=4).contains(&refusals), "{refusals}");
    let body = json!({ "user": ALICE, "device": ALICE });
    refused(
        relay.post("/v1/auth/challenge", body).await,
        429,
        "rate_limited",
    );
}

/// Whoever has the password and no device, and wants to be linked by a code that is none.
#[tokio::test]
async fn what_is_put_into_pipes_is_counted() {
    let few = 3.try_into().expect("not zero");
    let relay = Relay::with(Rates::new(&config::Rates {
        user_writes_per_hour: few,
        user_writes_burst: few,
        ..config::Rates::default()
    }))
    .await;
    let person = Person::new(1);
    relay
        .sign_up("alice", &person.list_with_vault(None, &[(1, 1)], 1))
        .await;
    let new = relay.password_token(&person, 2).await;
    let message = json!({ "message": BASE64_STANDARD.encode(b"hello") }).to_string();
    for (n, status, code) in [
        (1, 409, "link_ended"),
        (2, 409, "link_ended"),
        (3, 409, "link_ended"),
        (4, 429, "rate_limited"),
    ] {
        let channel = format!("0{n}").repeat(16);
        let path = format!("/v1/users/{}/links/{channel}/new/0", person.user);
        refused(new.put_with(&path, &message, "").await, status, code);
    }
}
