//! Device lists, prekeys and names: old ones, forked ones, those of somebody else.

use std::sync::{Arc, Mutex};

use sordino::{Code, RecoveryKey, VaultSecret};
use sordino_protocol::{
    Class, Header, UserId,
    http::{Claimed, Lists, PutList, Signed, User},
    pb::{self, client_frame, relay_frame},
};

use super::{Two, flip, said, shown, until_said, until_shows};
use crate::plenty::relay;
use crate::support::{
    Person,
    liar::{Answer, Frame, Liar},
    open,
    phones::written_down,
    until,
};

/// Another device list of this person, which names the same devices.
async fn renews(person: &Person) {
    let key = written_down(&person.client).await;
    let key = RecoveryKey::parse(&key).expect("a key");
    let secret = VaultSecret::RecoveryKey(key);
    person.client.renew_keys(&secret).await.expect("renewed");
}

fn asks_for_lists(asked: &str, user: UserId) -> bool {
    asked.starts_with(&format!("GET /v1/users/{user}/lists"))
}

fn claims(asked: &str, user: UserId) -> bool {
    asked == format!("POST /v1/users/{user}/prekeys/claim")
}

/// The lists that a relay gives of somebody, for later.
async fn lists_of(relay: &str, person: &Person, number: usize) -> Vec<Signed> {
    let liar = Liar::before(relay).await;
    let found = Arc::new(Mutex::new(Vec::new()));
    let (id, seen) = (person.user.id, found.clone());
    liar.answers(move |asked, answer| {
        if asks_for_lists(asked, id) && answer.is_good() {
            *seen.lock().expect("no panic") = answer.json::<Lists>().lists;
        } else if claims(asked, id) && answer.is_good() {
            *seen.lock().expect("no panic") = vec![answer.json::<Claimed>().list];
        }
        answer
    });
    let witness = Person::online(&liar.url, &format!("witness-{number}")).await;
    witness.with(person).send("hello").await.expect("sent");
    until_shows("none", person, &witness, &["< hello"]).await;
    let found = found.lock().expect("no panic");
    found.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newest_list_that_is_withheld_from_who_receives() {
    let relay = relay().await;
    let lie = "no newer list than the one before";
    let mut two = Two::acquainted(&relay.url(), lie, 0).await;
    let honest = two.honest.user.id;
    two.liar.answers(move |asked, answer| {
        if !asks_for_lists(asked, honest) || !answer.is_good() {
            return answer;
        }
        answer.but(|lists: &mut Lists| {
            lists.lists.truncate(1);
            lists.newest = 1;
        })
    });
    renews(&two.honest).await;
    two.honest_sends("one").await;
    until_said(
        lie,
        &mut two.told,
        "a device list that it says there is not",
    )
    .await;
    two.until_fooled_sees(&["< hello", "> hi", "! no_such_list"])
        .await;
    two.repents().await;
    // With the next message comes the list, and with that the one before.
    two.goes_on(&["< hello", "> hi", "< one"], &["> hello", "< hi", "> one"])
        .await;
    two.has_said(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newest_list_that_is_withheld_from_who_sends() {
    let relay = relay().await;
    let lie = "refused for lists, and shown none that is newer";
    let mut two = Two::acquainted(&relay.url(), lie, 0).await;
    let old = lists_of(&relay.url(), &two.honest, 0).await;
    let old = pb::Signed::from(old[0].clone());
    renews(&two.honest).await;
    two.liar.says(move |mut frame| {
        if let relay_frame::Frame::Refused(refused) = &mut frame
            && refused.recipient_list.is_some()
        {
            refused.recipient_list = Some(old.clone());
        }
        vec![frame]
    });
    two.fooled_sends("one").await;
    until_said(lie, &mut two.told, "refuses a message again and again").await;
    two.repents().await;
    let honest = ["> hello", "< hi", "< one"];
    two.until_honest_sees(&honest).await;
    two.goes_on(&["< hello", "> hi", "> one"], &honest).await;
    two.has_said(&[]);
}

/// Before the two have met: the answer to `of` is not the one that was asked for.
async fn first_contact(
    relay: &str,
    number: usize,
    lie: &'static str,
    of: fn(&str, UserId) -> bool,
    tells: impl Fn(Answer) -> Answer + Send + 'static,
    said: &str,
) {
    let liar = Liar::before(relay).await;
    let bob = Person::online(relay, &format!("bob-{number}")).await;
    let alice = Person::online(&liar.url, &format!("alice-{number}")).await;
    let mut told = alice.client.events();
    let id = bob.user.id;
    liar.answers(
        move |asked, answer| match of(asked, id) && answer.is_good() {
            true => tells(answer),
            false => answer,
        },
    );
    alice.with(&bob).send("one").await.expect("sent");
    until_said(lie, &mut told, said).await;
    assert_eq!(shown(&bob, &alice).await, [""; 0], "{lie}");
    liar.repents();
    alice.client.disconnect();
    alice.until(&sordino::ConnectionState::Offline).await;
    alice.client.connect();
    until_shows(lie, &bob, &alice, &["< one"]).await;
    bob.with(&alice).send("two").await.expect("sent");
    until_shows(lie, &alice, &bob, &["> one", "< two"]).await;
    until_shows(lie, &bob, &alice, &["< one", "> two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_prekeys_that_are_not_the_persons() {
    let relay = relay().await;
    let url = relay.url();
    let mallory = Person::online(&url, "mallory").await;
    let lists = lists_of(&url, &mallory, 1).await;
    let of_mallory =
        move |answer: Answer| answer.but(|answer: &mut Lists| answer.lists.clone_from(&lists));
    // What a claim gives of one device, under the name of another.
    let liar = Liar::before(&url).await;
    let found = Arc::new(Mutex::new(None::<Claimed>));
    let (id, seen) = (mallory.user.id, found.clone());
    liar.answers(move |asked, answer| {
        if claims(asked, id) && answer.is_good() {
            seen.lock().expect("no panic").replace(answer.json());
        }
        answer
    });
    let witness = Person::online(&liar.url, "witness").await;
    witness.with(&mallory).send("hello").await.expect("sent");
    until_shows("none", &mallory, &witness, &["< hello"]).await;
    let claimed = found.lock().expect("no panic").clone().expect("claimed");
    let (all, bundles) = (claimed.clone(), claimed.bundles);
    let under_name = move |answer: Answer| {
        answer.but(|claimed: &mut Claimed| {
            let id = claimed.bundles[0].device;
            claimed.bundles.clone_from(&bundles);
            claimed.bundles[0].device = id;
        })
    };
    let forged = |answer: Answer| {
        answer.but(|claimed: &mut Claimed| {
            let key = &mut claimed.bundles[0].signed;
            key.signature.0 = flip(&key.signature.0, 3);
        })
    };
    let swapped = |answer: Answer| {
        answer.but(|claimed: &mut Claimed| {
            let bundle = &mut claimed.bundles[0];
            bundle.signed = bundle.pq.clone();
        })
    };
    tokio::join!(
        first_contact(
            &url,
            0,
            "another person's list",
            asks_for_lists,
            of_mallory,
            "another user's list",
        ),
        first_contact(
            &url,
            1,
            "another person's list and prekeys",
            claims,
            move |answer| answer.with(&all),
            "another user's list",
        ),
        first_contact(
            &url,
            2,
            "another person's prekeys",
            claims,
            under_name,
            "prekey",
        ),
        first_contact(&url, 3, "a forged prekey", claims, forged, "prekey"),
        first_contact(&url, 4, "one prekey as another", claims, swapped, "prekey"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_person_than_the_one_who_was_looked_for() {
    let relay = relay().await;
    let liar = Liar::before(&relay.url()).await;
    let bob = Person::register(&relay.url(), "bob").await;
    let alice = Person::register(&liar.url, "alice").await;
    let me = alice.user.clone();
    liar.answers(move |asked, answer| match asked.contains("by-name") {
        true => answer.with(&User {
            user: me.id,
            username: me.username.clone(),
        }),
        false => answer,
    });
    let found = alice.client.find_user("bob").await;
    let code = found.err().map(|error| error.code());
    assert_eq!(code, Some(Code::RelayMisbehaved));
    liar.repents();
    let found = alice.client.find_user("bob").await.expect("an answer");
    assert_eq!(found, Some(bob.user.clone()));
}

/// Bob's device signs two lists of one version: the relay has the second of them, and shows Alice the first.
#[tokio::test(flavor = "multi_thread")]
async fn two_lists_of_one_version() {
    let relay = relay().await;
    let url = relay.url();
    let lie = "a fork";
    let mut two = Two::acquainted(&url, lie, 0).await;
    let of_bob = Liar::before(&url).await;
    let first = Arc::new(Mutex::new(None::<Signed>));
    let seen = first.clone();
    of_bob.asks(move |asked, body| {
        let mut seen = seen.lock().expect("no panic");
        if seen.is_some() || !asked.starts_with("PUT") || !asked.ends_with("/list") {
            return true;
        }
        let put: PutList = serde_json::from_slice(body).expect("a list");
        *seen = Some(put.list);
        false
    });
    two.honest.client.close().await;
    let client = open(&of_bob.url, two.honest.directory.path()).await;
    two.honest.client = client.expect("opened");
    let key = written_down(&two.honest.client).await;
    let key = RecoveryKey::parse(&key).expect("a key");
    let secret = VaultSecret::RecoveryKey(key);
    two.honest
        .client
        .renew_keys(&secret)
        .await
        .expect_err("lost");
    two.honest
        .client
        .renew_keys(&secret)
        .await
        .expect("renewed");
    let fork = first.lock().expect("no panic").clone().expect("a list");
    let fork = pb::Signed::from(fork);
    two.liar.says(move |mut frame| {
        if let relay_frame::Frame::Refused(refused) = &mut frame
            && refused.recipient_list.is_some()
        {
            refused.recipient_list = Some(fork.clone());
        }
        vec![frame]
    });
    let mut at_bob = two.honest.client.events();
    two.honest.client.connect();
    two.honest.until_live().await;
    two.fooled_sends("one").await;
    // The list is one that Bob's account signed. That there is another his device knows.
    two.until_honest_sees(&["> hello", "< hi", "< one"]).await;
    until_said(lie, &mut at_bob, "other device lists").await;
    two.repents().await;
    two.honest_sends("two").await;
    two.until_fooled_sees(&["< hello", "> hi", "> one", "< two"])
        .await;
    until_said(lie, &mut two.told, "other device lists").await;
    // The next one follows the list that Alice was not shown: nothing goes by it, and that is said.
    two.honest
        .client
        .renew_keys(&secret)
        .await
        .expect("renewed");
    two.fooled_sends("three").await;
    until_said(lie, &mut two.told, "list").await;
    assert_eq!(
        shown(&two.honest, &two.fooled).await,
        ["> hello", "< hi", "< one", "> two"]
    );
    // Only she can know which is right.
    let bob = two.fooled.client.contact(two.honest.user.id);
    until(async || bob.trust().await.expect("trust").lists_contradict).await;
    let number = bob.safety_number().await.expect("a number");
    bob.verify(&number).await.expect("compared");
    let honest = ["> hello", "< hi", "< one", "> two", "< three"];
    two.until_honest_sees(&honest).await;
    two.goes_on(&["< hello", "> hi", "> one", "< two", "> three"], &honest)
        .await;
}

/// As a relay that was put back to an old copy shows it, and one that wants a device of before on the list.
#[tokio::test(flavor = "multi_thread")]
async fn lists_that_are_older_than_those_before() {
    let relay = relay().await;
    let lie = "older lists than before";
    let mut two = Two::acquainted(&relay.url(), lie, 0).await;
    let honest = two.honest.user.id;
    let old = lists_of(&relay.url(), &two.honest, 0).await;
    renews(&two.honest).await;
    two.honest_sends("one").await;
    two.until_fooled_sees(&["< hello", "> hi", "< one"]).await;
    two.liar.answers(move |asked, answer| {
        match asks_for_lists(asked, honest) && answer.is_good() {
            true => answer.but(|lists: &mut Lists| {
                // Nothing follows what was seen; asked for the newest, it gives that of before.
                let from_the_start = !asked.contains("from=");
                lists.lists = old.iter().filter(|_| from_the_start).cloned().collect();
                lists.newest = 1;
            }),
            false => answer,
        }
    });
    two.liar.says(|mut frame| {
        if let relay_frame::Frame::Refused(refused) = &mut frame {
            refused.recipient_list = None;
        }
        vec![frame]
    });
    renews(&two.honest).await;
    two.fooled_sends("two").await;
    let bob = two.fooled.client.contact(honest);
    until(async || bob.trust().await.expect("trust").lists_contradict).await;
    until_said(lie, &mut two.told, "version 2 exists").await;
    let number = bob.safety_number().await.expect("a number");
    bob.verify(&number).await.expect("compared");
    until(async || !bob.trust().await.expect("trust").lists_contradict).await;
    two.repents().await;
    let honest = ["> hello", "< hi", "> one", "< two"];
    two.until_honest_sees(&honest).await;
    let trust = bob.trust().await.expect("trust");
    assert!(trust.verified && trust.withheld.is_empty(), "{trust:?}");
    two.goes_on(&["< hello", "> hi", "< one", "> two"], &honest)
        .await;
}

/// Somebody who speaks the protocol and sends rubbish: what others write comes all the same.
#[tokio::test(flavor = "multi_thread")]
async fn rubbish_of_a_contact_harms_their_own_conversation_only() {
    let relay = relay().await;
    let url = relay.url();
    let two = Two::acquainted(&url, "rubbish", 0).await;
    let friend = Person::online(&url, "friend").await;
    let mut told = two.honest.client.events();
    // The one who is fooled here is the one who lies: what their client sends is spoilt on the way.
    let mut round = 0;
    two.liar.hears(move |mut frame| {
        if let client_frame::Frame::Send(send) = &mut frame {
            let header = Header::parse(&send.header).expect("a header");
            round += usize::from(header.class == Class::Message);
            if header.class != Class::Message {
                return vec![Frame::Relay(frame)];
            }
            let wrap = send.wraps.first_mut().expect("a wrap");
            match round {
                1 => send.content = vec![7; 272].into(),
                2 => wrap.payload = flip(&wrap.payload, wrap.payload.len() - 1),
                3 => wrap.payload = vec![0xff; 300].into(),
                _ => {}
            }
        }
        vec![Frame::Relay(frame)]
    });
    for text in ["one", "two", "three"] {
        two.fooled_sends(text).await;
        friend.with(&two.honest).send(text).await.expect("sent");
    }
    until_shows(
        "rubbish",
        &two.honest,
        &friend,
        &["< one", "< two", "< three"],
    )
    .await;
    two.until_honest_sees(&[
        "> hello",
        "< hi",
        "! swapped_envelope",
        "! bad_ratchet",
        "! bad_wrap",
    ])
    .await;
    assert_eq!(said(&mut told), [""; 0]);
    two.honest.with(&friend).send("four").await.expect("sent");
    let seen = ["> one", "> two", "> three", "< four"];
    until_shows("rubbish", &friend, &two.honest, &seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_list_that_is_older_than_the_one_before() {
    let relay = relay().await;
    let lie = "the account's device list of before";
    let liar = Liar::before(&relay.url()).await;
    let alice = Person::online(&liar.url, "alice").await;
    let key = RecoveryKey::parse(&written_down(&alice.client).await).expect("a key");
    let secret = VaultSecret::RecoveryKey(key);
    alice.client.renew_keys(&secret).await.expect("renewed");
    let id = alice.user.id;
    liar.answers(
        move |asked, answer| match asks_for_lists(asked, id) && answer.is_good() {
            true => answer.but(|lists: &mut Lists| {
                lists.lists.clear();
                lists.newest = 1;
            }),
            false => answer,
        },
    );
    let refused = alice.client.renew_keys(&secret).await.expect_err(lie);
    assert_eq!(refused.code(), Code::RelayMisbehaved, "{lie}");
    let detail = "its newest device list is 1, and version 2 exists";
    assert_eq!(refused.detail(), detail, "{lie}");
    liar.repents();
    alice.client.renew_keys(&secret).await.expect("renewed");
}
