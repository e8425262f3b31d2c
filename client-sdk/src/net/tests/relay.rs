//! A real relay.

use std::sync::Arc;

use reqwest::Method;
use sordino_crypto::{lists, prekeys::Owner};
use sordino_protocol::{
    Code, Retry,
    http::{PutList, PutPrekeys, Register},
};
use sordino_testing::TestRelay;

use super::{Person, http};
use crate::{
    error::Error,
    net::{
        calls::FetchedLists,
        http::{Access, Http},
        socket::End,
    },
};

async fn registered(relay: &TestRelay, name: &str) -> (Http, Arc<Person>) {
    let person = Person::new();
    let http = http(&relay.url(), &person);
    let account = Register {
        username: name.to_owned(),
        list: person.list.clone().into(),
        vault: None,
        password: None,
        invite: None,
        external_token: None,
        email: None,
    };
    let user = http.register(&account).await.expect("registered");
    assert_eq!((user.user, user.username.as_str()), (person.user, name));
    (http, person)
}

#[tokio::test]
async fn accounts_lists_and_prekeys_of_a_real_relay() {
    let relay = TestRelay::start().await.expect("relay");
    let (alice, person) = registered(&relay, "alice").await;
    let (bob, _) = registered(&relay, "bob").await;
    let found = bob.user_by_name("alice").await.expect("answer");
    assert_eq!(found.map(|user| user.user), Some(person.user));
    let found = bob.user_by_id(person.user).await.expect("answer");
    assert_eq!(found.map(|user| user.username).as_deref(), Some("alice"));
    assert!(bob.user_by_name("carol").await.expect("answer").is_none());
    let code = bob.user_by_name("../x").await.map_err(|error| error.code());
    assert_eq!(code.err(), Some(Code::BadRequest));

    for (from, lists) in [
        (None, vec![person.list.clone()]),
        (Some(1), vec![person.list.clone()]),
        (Some(2), vec![]),
    ] {
        let fetched = bob.lists(person.user, from).await.expect("lists");
        assert_eq!(
            fetched,
            FetchedLists {
                lists,
                newest: 1,
                deleted: false
            }
        );
    }

    let list = lists::parse(&person.list).expect("list");
    let owner = Owner {
        list: &list,
        device: person.device,
        keys: &person.keys,
    };
    let (mut rng, now) = (rand::rng(), 1_800_000_000_000);
    let keys = PutPrekeys {
        signed: Some(owner.signed_prekey(&mut rng, 1, now).public.into()),
        pq_last_resort: Some(owner.pq_last_resort(&mut rng, 1, now).public.into()),
        one_time: vec![owner.one_time(&mut rng, 1, now).public.into()],
        ..Default::default()
    };
    let count = alice
        .put_prekeys(person.user, person.device, &keys)
        .await
        .expect("stored");
    assert_eq!((count.one_time, count.pq_one_time), (1, 0));
    let again = alice.prekey_count(person.user, person.device).await;
    assert_eq!(again.expect("count"), count);
    let forbidden = bob.put_prekeys(person.user, person.device, &keys).await;
    assert_eq!(
        forbidden.err().map(|error| error.code()),
        Some(Code::Forbidden)
    );
    let claimed = bob.claim(person.user, vec![person.device]).await;
    let claimed = claimed.expect("claimed");
    assert_eq!(claimed.bundles.len(), 1);
    assert!(claimed.bundles[0].one_time.is_some());
}

#[tokio::test]
async fn a_write_carries_a_proof_that_the_relay_checks() {
    let relay = TestRelay::start().await.expect("relay");
    let (alice, person) = registered(&relay, "alice").await;
    // The same list again: the proof is good, the list is not newer.
    let list = person.list.clone().into();
    let path = format!("/v1/users/{}/list", person.user);
    let body = PutList {
        list,
        vault: None,
        closes_backup: None,
        password: None,
    };
    let refused: Result<(), Error> = alice
        .call(Access::Proof, Method::PUT, &path, &[], Some(&body))
        .await;
    assert_eq!(
        refused.err().map(|error| error.code()),
        Some(Code::ListConflict)
    );
}

#[tokio::test]
async fn a_relay_that_names_itself_otherwise_gets_no_signature() {
    let relay = TestRelay::named("other.example").await.expect("relay");
    let (alice, _) = registered(&relay, "alice").await;
    let error = alice.user_by_name("alice").await.expect_err("refused");
    assert_eq!(error.code(), Code::OtherRelay);
    assert_eq!(
        error.detail(),
        r#"it calls itself "other.example", not "localhost""#
    );
    assert_eq!(error.retry(), Retry::Never);
    assert!(matches!(End::from_error(&error), End::Stop(_)));
}

#[tokio::test]
async fn a_taken_name_and_a_relay_that_is_away_are_told_apart() {
    let mut relay = TestRelay::start().await.expect("relay");
    registered(&relay, "alice").await;
    let person = Person::new();
    let account = Register {
        username: "alice".to_owned(),
        list: person.list.clone().into(),
        vault: None,
        password: None,
        invite: None,
        external_token: None,
        email: None,
    };
    let http = http(&relay.url(), &person);
    let code = async || http.register(&account).await.map_err(|error| error.code());
    assert_eq!(code().await.err(), Some(Code::NameTaken));
    relay.stop().await;
    assert_eq!(code().await.err(), Some(Code::Unreachable));
}
