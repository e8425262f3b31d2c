//! What a new device is given: the vault, the key backup, and the history that it opens.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use sordino::{BackupPolicy, Code, DeviceId, RecoveryKey, VaultSecret};
use sordino_protocol::{
    batch::batch_hash,
    http::{BackupHeads, Base64, Batches, ErrorBody, HistoryPage, Lists, PutBatch},
};

use super::{flip, said, shown, until_said};
use crate::plenty::relay;
use crate::support::{
    Person, builder,
    liar::{Answer, Liar},
    open,
    phones::{
        code, joining, locked, registered, second_phone, typed, until_backed_up, until_restored,
        until_shown,
    },
    until,
};

/// What an honest relay answers, by what was asked.
type Answers = HashMap<String, Answer>;

/// A proxy that keeps the answers.
async fn witness(relay: &str) -> (Liar, Arc<Mutex<Answers>>) {
    let liar = Liar::before(relay).await;
    let answers = Arc::new(Mutex::new(Answers::new()));
    let seen = answers.clone();
    liar.answers(move |asked, answer| {
        let mut seen = seen.lock().expect("no panic");
        seen.insert(asked.to_owned(), answer.clone());
        answer
    });
    (liar, answers)
}

/// What the lies know.
struct Known {
    phone: DeviceId,
    tablet: DeviceId,
    honest: Answers,
    /// Batches of the tablet's that the relay was to have after the vault said where its chain ends: one that takes the place of the
    /// last one, and one that follows it.
    late: Vec<Base64>,
}

struct Lie {
    lie: &'static str,
    tells: fn(&Known, asked: &str, answer: Answer) -> Answer,
    /// What the SDK says of it; empty: nothing.
    says: &'static str,
    /// Which of the messages of before come back: "one" the phone alone has in the backup, "both" the tablet, too; "late" is in the late
    /// batches of the tablet's.
    back: &'static [&'static str],
}

const WITHHOLDS: &str = "withholds the key backup of a device";

fn is_batches(asked: &str, of: DeviceId) -> bool {
    asked.contains(&format!("/{of}?upto="))
}

fn is_heads(asked: &str) -> bool {
    asked.starts_with("GET") && asked.contains("/backups/") && !asked.contains("?upto=")
}

const LIES: &[Lie] = &[
    Lie {
        lie: "no batches",
        tells: |_, asked, answer| match asked.contains("?upto=") {
            true => answer.but(|batches: &mut Batches| batches.batches.clear()),
            false => answer,
        },
        says: WITHHOLDS,
        back: &[],
    },
    Lie {
        lie: "no batches of one device",
        tells: |known, asked, answer| match is_batches(asked, known.phone) {
            true => answer.but(|batches: &mut Batches| batches.batches.clear()),
            false => answer,
        },
        says: WITHHOLDS,
        back: &["both"],
    },
    Lie {
        lie: "another device's batches",
        tells: |known, asked, answer| match is_batches(asked, known.phone) {
            true => {
                let mut honest = known.honest.iter();
                let other = honest.find(|(asked, _)| is_batches(asked, known.tablet));
                other.expect("asked for").1.clone()
            }
            false => answer,
        },
        says: WITHHOLDS,
        back: &["both"],
    },
    Lie {
        lie: "a changed batch",
        tells: |known, asked, answer| match is_batches(asked, known.phone) {
            true => answer.but(|batches: &mut Batches| {
                let batch = &mut batches.batches[0].0;
                *batch = flip(batch, batch.len() - 1);
            }),
            false => answer,
        },
        says: WITHHOLDS,
        back: &["both"],
    },
    Lie {
        lie: "a chain that is said to be longer",
        tells: |known, asked, answer| match is_heads(asked) {
            true => answer.but(|heads: &mut BackupHeads| {
                let mut heads = heads.heads.iter_mut();
                let phone = heads.find(|head| head.device == known.phone);
                phone.expect("a chain").number += 1;
            }),
            false => answer,
        },
        says: WITHHOLDS,
        back: &["both"],
    },
    Lie {
        // Nobody else can know of a chain whose end was shown to nobody (threat-model.md).
        lie: "a chain that is said not to be",
        tells: |known, asked, answer| match is_heads(asked) {
            true => answer.but(|heads: &mut BackupHeads| {
                heads.heads.retain(|head| head.device != known.phone);
            }),
            false => answer,
        },
        says: "",
        back: &["both"],
    },
    Lie {
        lie: "no history",
        tells: |_, asked, answer| match asked.contains("/messages?") {
            true => answer.but(|page: &mut HistoryPage| page.rows.clear()),
            false => answer,
        },
        says: "its history shows",
        back: &[],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_not_what_was_put_into_it() {
    let relay = relay().await;
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    phone.client.connect();
    phone.until_live().await;
    let bob = Person::online(&url, "bob").await;
    bob.with(&phone).send("one").await.expect("sent");
    until_shown(&phone, &bob.user, &["one"]).await;
    let tablet = second_phone(&url, "alice", &typed(&written)).await;
    bob.with(&phone).send("both").await.expect("sent");
    for device in [&phone, &tablet] {
        until_shown(device, &bob.user, &["both"]).await;
        until_backed_up(device).await;
    }
    let known = Known {
        phone: this(&phone).await,
        tablet: this(&tablet).await,
        honest: honest_answers(&url, &written, &bob).await,
        late: Vec::new(),
    };
    lied_to(&url, &written, LIES, known, &bob, &[&phone, &tablet]).await;
}

/// What a removed device adds to the version of the backup that was closed when it was removed.
const LATE: &[Lie] = &[
    Lie {
        lie: "a closed chain that is said to be longer",
        tells: |known, asked, answer| match is_heads(asked) {
            true => answer.but(|heads: &mut BackupHeads| {
                let mut heads = heads.heads.iter_mut();
                if let Some(tablet) = heads.find(|head| head.device == known.tablet) {
                    tablet.number += 1;
                    tablet.hash = batch_hash(&known.late[1].0).to_vec().into();
                }
            }),
            false if is_batches(asked, known.tablet) && asked.ends_with("upto=2") => {
                answer.but(|batches: &mut Batches| {
                    batches.batches.insert(0, known.late[1].clone());
                })
            }
            false => answer,
        },
        says: "",
        back: &["one", "both"],
    },
    Lie {
        lie: "another batch in the place of the last",
        tells: |known, asked, answer| match is_batches(asked, known.tablet) {
            true => answer.but(|batches: &mut Batches| {
                batches.batches[0] = known.late[0].clone();
            }),
            false => answer,
        },
        says: WITHHOLDS,
        back: &["one", "both"],
    },
    Lie {
        lie: "a batch after the last",
        tells: |known, asked, answer| match is_batches(asked, known.tablet) {
            true => answer.but(|batches: &mut Batches| {
                batches.batches.insert(0, known.late[1].clone());
            }),
            false => answer,
        },
        says: WITHHOLDS,
        back: &["one", "both"],
    },
    Lie {
        lie: "a batch that nobody asked for",
        tells: |known, asked, answer| match is_batches(asked, known.tablet) {
            true => answer.but(|batches: &mut Batches| {
                batches.batches.push(known.late[1].clone());
            }),
            false => answer,
        },
        says: "",
        back: &["one", "both"],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_to_which_a_removed_device_adds() {
    let relay = relay().await;
    let url = relay.url();
    let thief = Liar::before(&url).await;
    let (mut phone, written) = registered(&url, "alice").await;
    phone.client.connect();
    phone.until_live().await;
    let bob = Person::online(&url, "bob").await;
    bob.with(&phone).send("one").await.expect("sent");
    until_shown(&phone, &bob.user, &["one"]).await;
    let tablet = second_phone(&thief.url, "alice", &typed(&written)).await;
    bob.with(&phone).send("both").await.expect("sent");
    for device in [&phone, &tablet] {
        until_shown(device, &bob.user, &["both"]).await;
        until_backed_up(device).await;
    }
    // From here on only the tablet puts into the backup what comes.
    phone.client.close().await;
    let off = builder(&url, phone.directory.path()).backup(BackupPolicy::Off);
    phone.client = off.open().await.expect("opened");
    phone.client.connect();
    // Its batches are kept for later. It goes on after the last one of which it is told that the relay has it.
    let late = Arc::new(Mutex::new(Vec::new()));
    let kept = late.clone();
    let is_batch = |asked: &str| asked.starts_with("PUT") && asked.contains("/backups/");
    thief.asks(move |asked, body| {
        if is_batch(asked) {
            let put: PutBatch = serde_json::from_slice(body).expect("a batch");
            kept.lock().expect("no panic").push(put.batch);
        }
        !is_batch(asked)
    });
    thief.answers(move |asked, answer| match is_batch(asked) {
        true => conflict(),
        false => answer,
    });
    bob.with(&phone).send("late").await.expect("sent");
    for device in [&phone, &tablet] {
        until_shown(device, &bob.user, &["both", "late"]).await;
    }
    until(async || late.lock().expect("no panic").len() > 1).await;
    let (phone_id, tablet_id) = (this(&phone).await, this(&tablet).await);
    tablet.client.close().await;
    let key = RecoveryKey::parse(&written).expect("a key");
    let secret = VaultSecret::RecoveryKey(key);
    let removed = phone.client.remove_device(tablet_id, Some(&secret)).await;
    removed.expect("removed");
    let known = Known {
        phone: phone_id,
        tablet: tablet_id,
        honest: honest_answers(&url, &written, &bob).await,
        late: late.lock().expect("no panic").clone(),
    };
    lied_to(&url, &written, LATE, known, &bob, &[&phone]).await;
}

fn conflict() -> Answer {
    let honest = Answer {
        status: 409,
        body: Bytes::new(),
    };
    honest.with(&ErrorBody {
        code: Code::BackupConflict.as_str().to_owned(),
        detail: String::new(),
        retry_after_ms: None,
    })
}

async fn this(person: &Person) -> DeviceId {
    let devices = person.client.devices().await.expect("read");
    let mut devices = devices.iter();
    devices.find(|device| device.is_this).expect("this").id
}

/// What a device that comes is answered where nobody lies; it reads everything.
async fn honest_answers(url: &str, written: &str, bob: &Person) -> Answers {
    let (honest, answers) = witness(url).await;
    let (first, mut events) = joining(&honest.url, "alice", &typed(written), None).await;
    until_restored(&mut events).await;
    assert_eq!(before(&first, bob).await, ["one", "both"]);
    first.client.close().await;
    let answers = answers.lock().expect("no panic");
    answers.clone()
}

/// A device that comes is told a lie, each of them in turn; `others`: those of its person that are there.
async fn lied_to(
    url: &str,
    written: &str,
    lies: &[Lie],
    known: Known,
    bob: &Person,
    others: &[&Person],
) {
    let known = Arc::new(known);
    for (number, lie) in lies.iter().enumerate() {
        let liar = Liar::before(url).await;
        let (tells, knows) = (lie.tells, known.clone());
        liar.answers(move |asked, answer| match answer.is_good() {
            true => tells(&knows, asked, answer),
            false => answer,
        });
        let (next, mut events) = joining(&liar.url, "alice", &typed(written), None).await;
        let mut told = next.client.events();
        until_restored(&mut events).await;
        match lie.says {
            "" => assert_eq!(said(&mut events), [""; 0], "{}", lie.lie),
            says => until_said(lie.lie, &mut told, says).await,
        }
        assert_eq!(before(&next, bob).await, lie.back, "{}", lie.lie);
        liar.repents();
        // What is missing is looked for a minute later, and ten (the machine's own tests). All else goes on.
        let text = format!("after {number}");
        bob.with(&next).send(&text).await.expect("sent");
        until_shown(&next, &bob.user, &[&text]).await;
        let text = format!("answer {number}");
        next.with(bob).send(&text).await.expect("sent");
        until_shown(bob, &next.user, &[&text]).await;
        for other in others {
            until_shown(other, &bob.user, &[&text]).await;
        }
        next.client.close().await;
    }
}

/// What there is of the messages of before.
async fn before(at: &Person, bob: &Person) -> Vec<String> {
    let shown = shown(at, bob).await;
    let texts = shown.iter().filter_map(|shown| shown.strip_prefix("< "));
    let texts = texts.filter(|text| ["one", "both", "late"].contains(text));
    texts.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_not_the_newest_or_somebody_elses() {
    let relay = relay().await;
    let (proxy, old) = witness(&relay.url()).await;
    let (phone, written) = registered(&proxy.url, "alice").await;
    let key = RecoveryKey::parse(&written).expect("a key");
    let secret = VaultSecret::RecoveryKey(key);
    phone.client.renew_keys(&secret).await.expect("renewed");
    let (other, of_bob) = registered(&proxy.url, "bob").await;
    let bobs = VaultSecret::RecoveryKey(RecoveryKey::parse(&of_bob).expect("a key"));
    // Whose newest vault is of the version that Alice's list names.
    for _ in 0..2 {
        other.client.renew_keys(&bobs).await.expect("renewed");
    }
    let user = phone.user.id;
    let vault_of = |user| format!("GET /v1/users/{user}/vault");
    let find = |asked: &str| {
        let old = old.lock().expect("no panic");
        let mut found = old.iter();
        found
            .find(|(seen, _)| seen.starts_with(asked))
            .map(|f| f.1.clone())
    };
    let old_vault = find(&vault_of(user)).expect("asked for");
    let others = find(&vault_of(other.user.id)).expect("asked for");
    // The first version, as the answer to who asks for the newest.
    let lists = find(&format!("GET /v1/users/{user}/lists?from=1")).expect("asked for");
    let old_list = lists.but(|lists: &mut Lists| {
        lists.lists.truncate(1);
        lists.newest = 1;
    });
    for (lie, vault, with_list, says) in [
        // While Alice's has the same version: nobody can tell a changed vault from another key.
        (
            "another person's vault",
            &others,
            false,
            Code::WrongRecoveryKey,
        ),
        (
            "the vault of before",
            &old_vault,
            false,
            Code::RelayMisbehaved,
        ),
        // They open: the past cannot be told from the present. But what follows from it the honest relay does not take.
        (
            "vault and list of before",
            &old_vault,
            true,
            Code::NotAuthenticated,
        ),
    ] {
        let liar = Liar::before(&relay.url()).await;
        let (vault, list) = (vault.clone(), old_list.clone());
        let asks_vault = vault_of(user);
        let asks_list = format!("GET /v1/users/{user}/lists");
        liar.answers(move |asked, answer| match answer.is_good() {
            true if asked == asks_vault => vault.clone(),
            true if asked == asks_list && with_list => list.clone(),
            _ => answer,
        });
        let directory = tempfile::tempdir().expect("a directory");
        let client = open(&liar.url, directory.path()).await.expect("opened");
        let login = locked(&client, "alice").await;
        let refused = login.unlock(&typed(&written), None).await;
        assert_eq!(code(refused), Some(says), "{lie}");
        assert_eq!(client.me(), None);
        liar.repents();
        let login = locked(&client, "alice").await;
        let user = login.unlock(&typed(&written), None).await;
        assert_eq!(user.expect("unlocked"), phone.user, "{lie}");
        client.close().await;
    }
}
