//! Alice's account: her lists, her vaults with what opens them, the backup of her messages' keys, and a link.

use std::ops::RangeFrom;

use bytes::Bytes;
use prost::Message;
use rand::{Rng as _, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use sordino_crypto::{
    Secret,
    keys::DeviceKeys,
    link::{NewDevice as NewLink, OldDevice},
    lists::{listed, parse},
    recovery::RecoveryKey,
    safety::{Person, SafetyNumber},
    vault::OpenerSecret,
};
use sordino_protocol::{
    DeviceId, UserId,
    batch::{Head, batch_hash},
    frame, http,
    list::encode_signed,
    pb,
};

use super::recorder::{Recorder, batch, conversation, stripped};
use crate::engine::{Backup, OpenVault, code_of};
use crate::machine::tests::{NOW, phone::Phone, relay::Relay};
use crate::machine::{NewDevice, SetPassword, granted};
use crate::net::calls::ChainEnd;
use crate::store::{NextKeys, StoredAccount};

/// As the relay is called in the code of a link.
const RELAY: &str = "chat.example";

pub(super) struct Account {
    user: UserId,
    recovery_key: RecoveryKey,
    export_key: [u8; 64],
    vaults: Vec<Bytes>,
    batches: Vec<Value>,
    /// Of the newest version of the backup.
    ends: Vec<ChainEnd>,
    rows: Vec<Value>,
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

impl Account {
    /// An account whose vault the recovery key and the password open.
    pub(super) fn register(name: &str, relay: &mut Relay) -> (Phone, Self) {
        let export_key = random();
        let password = SetPassword {
            record: http::NewPassword {
                seed: "1".to_owned(),
                record: Vec::new().into(),
            },
            export_key: Some(Secret::from_bytes(export_key)),
        };
        let mut phone = Phone::with_password(name, relay, Some(password));
        phone.upload(relay);
        let account = Self {
            user: phone.user,
            recovery_key: phone.machine().recovery_key().unwrap().unwrap(),
            export_key,
            vaults: vec![relay.vaults[&phone.user].clone()],
            batches: Vec::new(),
            ends: Vec::new(),
            rows: Vec::new(),
        };
        (phone, account)
    }

    /// The next batch, which the relay takes.
    pub(super) fn back_up(&mut self, phone: &mut Phone) {
        let next = phone.machine().next_batch().unwrap().expect("a batch");
        phone.machine().batch_stored(&next).unwrap();
        self.batches
            .push(batch(next.version, phone.device, &next.bytes));
        let head = Head {
            number: next.number,
            hash: batch_hash(&next.bytes),
        };
        self.ends.retain(|end| end.device != phone.device);
        self.ends.push(ChainEnd {
            device: phone.device,
            head,
        });
    }

    /// Removes a device with the recovery key: new keys for all.
    pub(super) fn remove(&mut self, by: &mut Phone, device: DeviceId, relay: &mut Relay) {
        let list = parse(relay.lists[&self.user].last().unwrap()).unwrap();
        let vault = pb::Vault::decode(relay.vaults[&self.user].clone()).unwrap();
        let secret = OpenerSecret::recovery_key(&self.recovery_key, self.user);
        let opened = OpenVault::open(&list, &vault, &secret).unwrap();
        let ends = Backup::Closes(std::mem::take(&mut self.ends));
        let renewed = opened.renew(by.now, ends, |change| Ok(change.remove(device)));
        let renewed = renewed.unwrap();
        let next = NextKeys {
            list_version: renewed.list.version,
            shared: renewed.shared,
            recovery_key: None,
            openers: renewed.openers,
        };
        by.machine().begin_new_keys(&next).unwrap();
        let signed: pb::Signed = renewed.list.signed.clone();
        relay
            .lists
            .get_mut(&self.user)
            .unwrap()
            .push(signed.clone());
        relay.vaults.insert(self.user, renewed.vault.0.clone());
        self.vaults.push(renewed.vault.0);
        let now = by.now;
        by.machine()
            .take_lists(self.user, vec![signed], now)
            .unwrap();
    }

    /// Rows as a device reads them that was not there when they were written.
    pub(super) fn show_rows(
        &mut self,
        r: &Recorder,
        (one, other): (UserId, UserId),
        at: RangeFrom<usize>,
    ) {
        let conversation = conversation(one, other);
        let nobody = (one, DeviceId::from_bytes([0; 16]));
        let rows = r.relay.rows(conversation, nobody, 1, u64::MAX);
        for row in rows.get(at).unwrap() {
            self.rows.push(json!({
                "conversation": hex::encode(conversation.as_bytes()),
                "row": stripped(row),
                "text": r.text(conversation, row),
            }));
        }
    }

    pub(super) fn done(self, relay: &Relay, contact: &mut Phone) -> Value {
        let list = |user: &UserId| parse(relay.lists[user].last().unwrap()).unwrap();
        let (mine, theirs) = (list(&self.user), list(&contact.user));
        let person = |list: &'_ sordino_protocol::list::DeviceList| list.identity_key;
        let (my_key, their_key) = (person(&mine), person(&theirs));
        let number = SafetyNumber::of(
            Person {
                user: self.user,
                identity_key: &my_key,
            },
            Person {
                user: contact.user,
                identity_key: &their_key,
            },
        );
        let lists = relay.lists[&self.user].iter();
        json!({
            "user": hex::encode(self.user.as_bytes()),
            "lists": lists.map(|list| hex::encode(encode_signed(list))).collect::<Vec<_>>(),
            "recovery_key": self.recovery_key.text().as_str(),
            "export_key": hex::encode(self.export_key),
            "vaults": self.vaults.iter().map(hex::encode).collect::<Vec<_>>(),
            "batches": self.batches,
            "ends": self.ends.iter().map(|end| json!({
                "device": hex::encode(end.device.as_bytes()),
                "number": end.head.number,
                "hash": hex::encode(end.head.hash),
            })).collect::<Vec<_>>(),
            "rows": self.rows,
            "contact_list": hex::encode(encode_signed(relay.lists[&contact.user].last().unwrap())),
            "safety_number": number.digits(),
            "safety_qr": number.qr_text(),
        })
    }
}

/// `phone` links a new device of its person.
pub(super) fn link(phone: &mut Phone, relay: &mut Relay) -> (Phone, Value) {
    let before = phone.machine().own_list().unwrap();
    let keys = DeviceKeys::generate(&mut rand::rng());
    let device = DeviceId::from_bytes(random());
    // Drawn from a seed, so that what is drawn can be drawn again and recorded.
    let (of_new, of_old) = (rand::random(), rand::random());
    let drawing = StdRng::seed_from_u64;
    let new = NewLink::new(&mut drawing(of_new), phone.user, device, keys.public());
    let old = OldDevice::new(&mut drawing(of_old), new.invitation());

    let (hello, mut at_old) = old.meet(new.hello()).unwrap();
    let mut at_new = new.meet(&old.ephemeral()).unwrap();
    assert_eq!(at_old.digits(), at_new.digits());
    let entry = listed(phone.user, &before.identity_key, device, &keys, NOW);
    let said_entry = at_new.seal(&entry.encode_to_vec());
    let heard = at_old.open(&said_entry).unwrap();
    let heard = frame::decode(Bytes::copy_from_slice(&heard), &frame::LISTED_DEVICE).unwrap();
    let now = phone.now;
    let (list, grant) = phone.machine().begin_linking(&before, heard, now).unwrap();
    let said_grant = at_old.seal(&grant.encode_to_vec());
    let heard = at_new.open(&said_grant).unwrap();
    let heard = pb::LinkGrant::decode(heard.as_slice()).unwrap();
    let (shared, openers) = granted(&list, &heard.keys.unwrap()).unwrap();
    let said_ready = at_new.seal(&[]);
    assert!(at_old.open(&said_ready).unwrap().is_empty());

    let (channel, of_new): ([u8; 16], [u8; 32]) = {
        let (mut channel, mut drawing) = ([0; 16], drawing(of_new));
        drawing.fill_bytes(&mut channel);
        (channel, *Secret::<32>::random(&mut drawing).expose())
    };
    let of_old = Secret::<32>::random(&mut drawing(of_old));
    assert_eq!(channel, new.invitation().channel);
    let transcript = json!({
        "relay": RELAY,
        "code": code_of(&new.invitation(), RELAY),
        "channel": hex::encode(channel),
        "new_secret": hex::encode(of_new),
        "old_secret": hex::encode(of_old.expose()),
        "digits": at_old.digits(),
        "list_before": hex::encode(encode_signed(&before.signed)),
        "old": [hex::encode(old.ephemeral()), hex::encode(said_grant)],
        "new": [hex::encode(new.hello()), hex::encode(said_entry), hex::encode(said_ready)],
    });

    assert_eq!(hello.device, device);
    let signed = list.signed.clone();
    relay
        .lists
        .get_mut(&phone.user)
        .unwrap()
        .push(signed.clone());
    let user = phone.user;
    phone.machine().take_lists(user, vec![signed], now).unwrap();
    let joins = NewDevice {
        account: StoredAccount {
            user,
            device,
            username: "alice".to_owned(),
            registered: false,
            keys,
        },
        shared,
        backup_keys: Vec::new(),
        openers,
        recovery_key: None,
        list,
    };
    (Phone::joined(joins, now), transcript)
}
