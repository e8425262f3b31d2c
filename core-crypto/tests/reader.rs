//! What was recorded for the reader in `tests/reader` must open for ever, with this code too: what is on the wire, and sessions as
//! they are stored.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::{collections::HashMap, convert::Infallible};

use prost::Message as _;
use rand::{TryCryptoRng, TryRng};
use serde_json::Value;
use sordino_crypto::{
    Secret,
    keys::{DeviceKeys, DevicePublic},
    link::{Invitation, NewDevice, OldDevice},
    lists,
    message::open_content,
    receive::{Alarm, Outcome, Pass},
    recovery::RecoveryKey,
    session::Session,
    vault::{BackupHead, BackupKeys, Contents, OpenerSecret, VaultId},
};
use sordino_protocol::{
    ConversationId, DeviceId, Header, UserId, batch::batch_hash, hash, list, list::DeviceList, pb,
};
use support::{
    NOW,
    device::{Device, decided},
};

fn transcript(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn fixed<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn all(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn verified(value: &Value) -> DeviceList {
    lists::parse(&list::decode_signed(bytes(value).into()).unwrap()).unwrap()
}

/// Devices as they were when nothing had been read yet.
#[derive(Default)]
struct Talk {
    devices: HashMap<DeviceId, Device>,
    newest: HashMap<UserId, DeviceList>,
}

impl Talk {
    fn take_list(&mut self, next: &DeviceList, recorded: &Value) {
        let before = self.newest.insert(next.user, next.clone());
        for device in all(recorded) {
            let id = DeviceId::from_bytes(fixed(&device["device"]));
            if next.device(id).is_some() && !self.devices.contains_key(&id) {
                self.devices.insert(id, of(device, id, next));
            }
        }
        let removed = before.iter().flat_map(|before| &before.devices);
        let removed: Vec<_> = removed
            .filter(|d| next.device(d.device).is_none())
            .collect();
        let lists: Vec<_> = self.newest.values().cloned().collect();
        for device in self.devices.values_mut() {
            device.store.put_list(next);
            lists.iter().for_each(|list| device.store.put_list(list));
            let gone = removed.iter().map(|d| ((next.user, d.device), NOW));
            device.store.removed.extend(gone);
        }
    }
}

fn of(recorded: &Value, id: DeviceId, list: &DeviceList) -> Device {
    // To read, nothing is signed.
    let signing = Secret::from_bytes([1; 32]);
    let identity = Secret::from_bytes(fixed(&recorded["dik_secret"]));
    let keys = DeviceKeys::from_secret(&signing, &identity);
    let mut device = Device::new(keys, id, list.clone());
    let prekeys = |kind| {
        let of_kind = recorded["prekeys"][kind].as_object().unwrap();
        of_kind
            .iter()
            .map(|(id, secret)| (id.parse().unwrap(), secret))
    };
    let store = &mut device.store;
    store
        .spk
        .extend(prekeys("spk").map(|(id, s)| (id, fixed(s))));
    store
        .opk
        .extend(prekeys("opk").map(|(id, s)| (id, fixed(s))));
    let pq_one_time = prekeys("pqopk").map(|(id, s)| (id, fixed(s)));
    store.pq_one_time.extend(pq_one_time);
    let pq_last_resort = prekeys("pqlr").map(|(id, s)| (id, fixed(s)));
    store.pq_last_resort.extend(pq_last_resort);
    device
}

#[test]
fn the_recorded_talk_opens() {
    let recorded = transcript(include_str!("../../tests/reader/transcripts/talk.json"));
    let mut talk = Talk::default();
    let mut read = 0;
    for step in all(&recorded["steps"]) {
        let device = |name: &str| DeviceId::from_bytes(fixed(&step[name]));
        match step["do"].as_str().unwrap() {
            "list" => talk.take_list(&verified(&step["list"]), &recorded["devices"]),
            "bundle" => {}
            "begin" | "turn" => {
                let stored = step["stored"].as_str().unwrap();
                let session = Session::from_bytes(stored.as_bytes()).unwrap();
                assert_eq!(session.meta().peer.device, device("with"));
                let by = talk.devices.get_mut(&device("by")).unwrap();
                by.store.put_session(&session);
            }
            "row" => {
                let to = talk.devices.get_mut(&device("to")).unwrap();
                read += u32::from(row(to, step));
            }
            other => panic!("{other}"),
        }
    }
    assert!(read > 30, "{read}");
}

/// Whether there was something to read.
fn row(reader: &mut Device, step: &Value) -> bool {
    let conversation = ConversationId::from_bytes(fixed(&step["conversation"]));
    let row = pb::Row::decode(bytes(&step["row"]).as_slice()).unwrap();
    let decision = decided(reader.receive_in(conversation, Pass::Live, &row));
    reader.store.apply(row.seq, &decision);
    let mut alarms = Vec::new();
    for alarm in &decision.alarms {
        match alarm {
            Alarm::Withheld { .. } => alarms.push("gap"),
            other => panic!("{other:?}"),
        }
    }
    let content = match &decision.outcome {
        Outcome::Message(message) => {
            if message.removed_sender {
                alarms.push("removed");
            }
            Some(hex::encode(message.opened.content.encode_to_vec()))
        }
        Outcome::Own | Outcome::NotForMe | Outcome::NoContent => None,
        _ => panic!("does not open: {step}"),
    };
    assert_eq!(content.as_deref(), step["content"].as_str());
    assert!(all(&step["alarms"]).eq(&alarms), "{alarms:?}");
    content.is_some()
}

/// The account's lists, and what its vaults hold.
fn account(recorded: &Value) -> (Vec<DeviceList>, Contents) {
    let lists: Vec<_> = all(&recorded["lists"]).map(verified).collect();
    let user = lists[0].user;
    let written = RecoveryKey::parse(recorded["recovery_key"].as_str().unwrap()).unwrap();
    let by_key = OpenerSecret::recovery_key(&written, user);
    let export_key = Secret::from_bytes(fixed(&recorded["export_key"]));
    let by_password = OpenerSecret::password(&export_key, user);
    let mut last = None;
    for vault in all(&recorded["vaults"]) {
        let vault = pb::Vault::decode(bytes(vault).as_slice()).unwrap();
        let id = VaultId {
            user,
            identity_key: &lists[0].identity_key,
            version: vault.version,
            backup_version: vault.backup_version,
        };
        by_password.open(id, &vault).unwrap();
        last = Some(by_key.open(id, &vault).unwrap());
    }
    (lists, last.unwrap())
}

#[test]
fn the_recorded_account_opens() {
    let recorded = transcript(include_str!("../../tests/reader/transcripts/account.json"));
    let (lists, contents) = account(&recorded);
    let [closed, open] = contents.backup_keys.as_slice() else {
        panic!("two versions of the backup");
    };
    let newest = lists.last().unwrap();
    assert_eq!(open.sealer(newest.user).listed(), newest.backup.unwrap());
    let ends: Vec<_> = all(&recorded["ends"])
        .map(|end| BackupHead {
            device: DeviceId::from_bytes(fixed(&end["device"])),
            number: end["number"].as_u64().unwrap(),
            hash: fixed(&end["hash"]),
        })
        .collect();

    let mut keys = HashMap::new();
    let mut read = 0;
    for (version, ends) in [(closed, &closed.closed), (open, &ends)] {
        for end in ends {
            read += chain(&recorded, newest.user, version, end, &mut keys);
        }
    }
    assert_eq!(read, recorded["batches"].as_array().unwrap().len());
    let mut opened = 0;
    for row in all(&recorded["rows"]) {
        let Some(text) = row["text"].as_str() else {
            continue;
        };
        let conversation = ConversationId::from_bytes(fixed(&row["conversation"]));
        let row = pb::Row::decode(bytes(&row["row"]).as_slice()).unwrap();
        let (env_hash, key) = &keys[&(conversation, row.seq)];
        let content = row.content.unwrap();
        assert_eq!(
            *env_hash,
            hash::env_hash(&row.header, &hash::sha256(&content))
        );
        let content = open_content(&row.header, &content, key).unwrap();
        let Some(pb::content::Body::Text(read)) = content.body else {
            panic!("no text");
        };
        assert_eq!(read.text, text);
        assert!(Header::parse(&row.header).is_ok());
        opened += 1;
    }
    assert!(opened > 10, "{opened}");
}

type Keys = HashMap<(ConversationId, u64), (hash::Hash, Secret<32>)>;

/// One device's batches of one version, from the end backwards; how many.
fn chain(
    recorded: &Value,
    user: UserId,
    version: &BackupKeys,
    end: &BackupHead,
    keys: &mut Keys,
) -> usize {
    let mut at = (end.number, end.hash);
    let mut read = 0;
    let batches: Vec<_> = all(&recorded["batches"]).collect();
    for batch in batches.iter().rev() {
        let of = DeviceId::from_bytes(fixed(&batch["device"]));
        if of != end.device || batch["version"] != version.version {
            continue;
        }
        let batch = bytes(&batch["batch"]);
        let (place, entries) = version.open(user, &batch).unwrap();
        assert_eq!((place.number, batch_hash(&batch)), at);
        assert_eq!(place.device, end.device);
        at = (place.number - 1, place.previous);
        let entries = entries
            .into_iter()
            .map(|e| ((e.conversation, e.seq), (e.env_hash, e.content_key)));
        keys.extend(entries);
        read += 1;
    }
    assert_eq!(at, (0, [0; 32]));
    read
}

/// Draws what was drawn.
struct Drawn(Vec<u8>);

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("draws bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("draws bytes")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0[..out.len()]);
        self.0.drain(..out.len());
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

#[test]
fn the_recorded_link_opens() {
    let recorded = transcript(include_str!("../../tests/reader/transcripts/link.json"));
    let said = |side: &str, number: usize| bytes(&recorded[side][number]);
    let hello = said("new", 0);
    let field = |from: usize, len: usize| hello[from..from + len].to_vec();
    let new = NewDevice::new(
        &mut Drawn([bytes(&recorded["channel"]), bytes(&recorded["new_secret"])].concat()),
        UserId::from_slice(&field(0, 16)).unwrap(),
        DeviceId::from_slice(&field(16, 16)).unwrap(),
        DevicePublic {
            signing_key: field(32, 32).try_into().unwrap(),
            identity_key: field(64, 32).try_into().unwrap(),
        },
    );
    assert_eq!(new.hello().as_slice(), hello);
    let invitation: Invitation = new.invitation();
    let old = OldDevice::new(&mut Drawn(bytes(&recorded["old_secret"])), invitation);
    assert_eq!(old.ephemeral().as_slice(), said("old", 0));

    let (_, mut at_old) = old.meet(new.hello()).unwrap();
    let mut at_new = new.meet(&old.ephemeral()).unwrap();
    assert_eq!(at_old.digits(), recorded["digits"]);
    let entry = at_old.open(&said("new", 1)).unwrap();
    let entry = pb::ListedDevice::decode(entry.as_slice()).unwrap();
    let grant = at_new.open(&said("old", 1)).unwrap();
    let grant = pb::LinkGrant::decode(grant.as_slice()).unwrap();
    assert!(at_old.open(&said("new", 2)).unwrap().is_empty());

    let next = lists::parse(&grant.list.unwrap()).unwrap();
    let before = verified(&recorded["list_before"]);
    let verify = sordino_crypto::keys::verify_strict;
    before.check_successor(&next, verify).unwrap();
    let device = DeviceId::from_slice(&entry.device).unwrap();
    assert!(next.device(device).unwrap().co_signer.is_some());
}
