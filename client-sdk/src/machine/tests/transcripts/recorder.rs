//! Notes what machines write and read, with the secrets that somebody needs who is to read it without this code.

use std::collections::HashMap;

use prost::Message;
use rusqlite::Connection;
use serde_json::{Value, json};
use sordino_protocol::{
    ConversationId, DeviceId, Header, UserId, hash, http, list::encode_signed, pb,
};

use crate::machine::tests::{phone::Phone, relay::Relay};

/// A relay, and what devices did at it.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) relay: Relay,
    steps: Vec<Value>,
    devices: Vec<Value>,
    /// Secrets of prekeys, by device, kind (the type of their signature) and id.
    prekeys: HashMap<(DeviceId, i64, u32), Vec<u8>>,
    /// The ratchet key of each session that a device last wrote with.
    ratchets: HashMap<(DeviceId, Vec<u8>), Value>,
    /// Contents as they were encoded, by sending device and counter.
    written: HashMap<(ConversationId, DeviceId, u64), Vec<u8>>,
    /// Lists that steps have told of.
    told: HashMap<UserId, usize>,
}

fn store_of(phone: &Phone) -> Connection {
    let connection = Connection::open(phone.path()).unwrap();
    let unlock = format!("PRAGMA key = \"x'{}'\";", "07".repeat(32));
    connection.execute_batch(&unlock).unwrap();
    connection
}

impl Recorder {
    /// A device whose rows are recorded from now on.
    pub(super) fn meet(&mut self, name: &str, phone: &Phone) {
        let sql = "SELECT device_identity_key FROM account";
        let dik: Vec<u8> = store_of(phone)
            .query_row(sql, [], |row| row.get(0))
            .unwrap();
        self.devices.push(json!({
            "name": name,
            "user": hex::encode(phone.user.as_bytes()),
            "device": hex::encode(phone.device.as_bytes()),
            "dik_secret": hex::encode(dik),
        }));
        self.tell_lists();
    }

    /// What the relay took since the last time.
    pub(super) fn tell_lists(&mut self) {
        let mut users: Vec<_> = self.relay.lists.keys().copied().collect();
        users.sort_by_key(|user| *user.as_bytes());
        for user in users {
            let lists = &self.relay.lists[&user];
            let told = self.told.insert(user, lists.len()).unwrap_or(0);
            for list in &lists[told..] {
                self.steps
                    .push(json!({"do": "list", "list": hex::encode(encode_signed(list))}));
            }
        }
    }

    pub(super) fn send(&mut self, phone: &mut Phone, peer: UserId, text: &str) {
        phone.send(peer, text);
        self.look_into(phone);
    }

    /// Fetches and encrypts what it needs to, and gives it to the relay.
    pub(super) fn write(&mut self, phone: &mut Phone, peer: UserId) {
        self.relay.claimed.clear();
        phone.prepare(&mut self.relay, peer);
        self.tell_bundles(phone.now);
        self.look_into(phone);
        // Where lists have changed, it fetches and encrypts again.
        phone.flush(&mut self.relay, peer);
        self.tell_bundles(phone.now);
        self.look_into(phone);
    }

    /// The person has read everything.
    pub(super) fn receipt(&mut self, phone: &mut Phone, peer: UserId) {
        let (conversation, now) = (phone.conversation(peer), phone.now);
        let upto = phone.machine().cursor(conversation).unwrap();
        phone.machine().mark_read(conversation, upto, now).unwrap();
        phone.machine().put_receipts(now).unwrap();
        self.look_into(phone);
    }

    fn tell_bundles(&mut self, now_ms: u64) {
        let signed = |signed: http::Signed| hex::encode(encode_signed(&signed.into()));
        for bundle in self.relay.claimed.drain(..) {
            self.steps.push(json!({
                "do": "bundle",
                "now_ms": now_ms,
                "device": hex::encode(bundle.device.as_bytes()),
                "spk": signed(bundle.signed),
                "opk": bundle.one_time.map(signed),
                "pq": signed(bundle.pq),
                "pq_kind": if bundle.pq_one_time { 1 } else { 2 },
            }));
        }
    }

    /// Everything that a connection does.
    pub(super) fn sync(&mut self, phone: &mut Phone, peer: UserId) {
        self.read(phone, peer);
        let now = phone.now;
        phone.machine().caught_up(now).unwrap();
        phone.upload(&mut self.relay);
        self.write(phone, peer);
        self.read(phone, peer);
    }

    pub(super) fn read(&mut self, phone: &mut Phone, peer: UserId) {
        self.read_with(phone, peer, &[]);
    }

    /// Reads what is new; the last row gives these alarms.
    pub(super) fn read_with(&mut self, phone: &mut Phone, peer: UserId, alarms: &[&str]) {
        // Before one-time secrets are used up.
        self.look_into(phone);
        let conversation = phone.conversation(peer);
        let cursor = phone.machine().cursor(conversation).unwrap();
        let reader = (phone.user, phone.device);
        let rows = self.relay.rows(conversation, reader, cursor + 1, u64::MAX);
        phone.take(&self.relay, peer, &rows);
        assert_eq!(
            phone.machine().cursor(conversation).unwrap(),
            cursor + rows.len() as u64
        );
        for (at, row) in rows.iter().enumerate() {
            let header = Header::parse(&row.header).unwrap();
            let is_read = row.content.is_some() && row.wrap.is_some();
            let key = (conversation, header.sender_device, header.counter);
            let content = is_read.then(|| &self.written[&key]);
            let text = content.and_then(|content| text_of(content));
            if let Some(text) = &text {
                let shown = phone.shown(peer);
                assert!(
                    shown.iter().any(|line| line.contains(text)),
                    "{text}: {shown:?}"
                );
            }
            let is_last = at + 1 == rows.len();
            self.steps.push(json!({
                "do": "row",
                "to": hex::encode(phone.device.as_bytes()),
                "conversation": hex::encode(conversation.as_bytes()),
                "row": hex::encode(row.encode_to_vec()),
                "content": content.map(hex::encode),
                "text": text,
                "alarms": if is_last { alarms } else { &[] },
            }));
        }
    }

    /// Secrets of prekeys, contents that wait, and ratchet keys that it wrote with for the first time.
    pub(super) fn look_into(&mut self, phone: &Phone) {
        let (store, me) = (store_of(phone), phone.device);
        let mut found = store
            .prepare("SELECT kind, id, secret FROM prekeys")
            .unwrap();
        let prekeys = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        for (kind, id, secret) in prekeys.unwrap().map(Result::unwrap) {
            self.prekeys.insert((me, kind, id), secret);
        }
        let mut found = store
            .prepare("SELECT conversation, counter, content FROM outbox")
            .unwrap();
        let waiting = found.query_map([], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get(2)?))
        });
        for (conversation, counter, content) in waiting.unwrap().map(Result::unwrap) {
            let key = (ConversationId::from_bytes(conversation), me, counter as u64);
            self.written.insert(key, content);
        }
        let mut found = store
            .prepare("SELECT device, sid, ratchet FROM sessions WHERE ratchet IS NOT NULL ORDER BY device, sid")
            .unwrap();
        let sessions = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        for (with, sid, stored) in sessions.unwrap().map(Result::unwrap) {
            self.note_ratchet(me, with, sid, stored);
        }
    }

    fn note_ratchet(&mut self, me: DeviceId, with: Vec<u8>, sid: Vec<u8>, stored: Vec<u8>) {
        let session: Value = serde_json::from_slice(&stored).unwrap();
        let ratchet = &session["ratchet"];
        let own = ratchet["sending_ratchet"]["active_ratchet"]["ratchet_key"].clone();
        if own.is_null() {
            return;
        }
        let before = self.ratchets.insert((me, sid.clone()), own.clone());
        if before.as_ref() == Some(&own) {
            return;
        }
        let received = ratchet["receiving_chains"]["inner"].as_array().unwrap();
        let what = if received.is_empty() { "begin" } else { "turn" };
        let secret: Vec<u8> = serde_json::from_value(own).unwrap();
        self.steps.push(json!({
            "do": what,
            "by": hex::encode(me.as_bytes()),
            "with": hex::encode(with),
            "sid": hex::encode(sid),
            "ratchet_secret": hex::encode(secret),
            "stored": String::from_utf8(stored).unwrap(),
        }));
    }

    /// What was written, if it was a text that lasts.
    pub(super) fn text(&self, conversation: ConversationId, row: &pb::Row) -> Option<String> {
        let header = Header::parse(&row.header).unwrap();
        let key = (conversation, header.sender_device, header.counter);
        row.content.as_ref()?;
        let written = &self.written[&key];
        let lasts = pb::Content::decode(written.as_slice()).unwrap().timer_s == 0;
        text_of(written).filter(|_| lasts)
    }

    /// All of it, of prekeys those that handshakes name.
    pub(super) fn done(mut self) -> Value {
        let known: Vec<_> = self
            .devices
            .iter()
            .map(|device| device["device"].clone())
            .collect();
        self.steps
            .retain(|step| step.get("with").is_none_or(|with| known.contains(with)));
        let mut named: HashMap<(String, &str), HashMap<u32, String>> = HashMap::new();
        for step in &self.steps {
            let Some(row) = step["row"].as_str() else {
                continue;
            };
            let row = pb::Row::decode(hex::decode(row).unwrap().as_slice()).unwrap();
            let Some(wrap) = row.wrap else { continue };
            let Some(handshake) = pb::WrapPayload::decode(wrap).unwrap().handshake else {
                continue;
            };
            let to = step["to"].as_str().unwrap().to_owned();
            let device = DeviceId::from_slice(&hex::decode(&to).unwrap()).unwrap();
            let (pq_kind, pq_name) = match handshake.pq_kind {
                1 => (7, "pqopk"),
                _ => (6, "pqlr"),
            };
            for (kind, name, id) in [
                (4, "spk", handshake.spk_id),
                (5, "opk", handshake.opk_id),
                (pq_kind, pq_name, handshake.pq_id),
            ] {
                if let Some(secret) = self.prekeys.get(&(device, kind, id)) {
                    let of_kind = named.entry((to.clone(), name)).or_default();
                    of_kind.insert(id, hex::encode(secret));
                }
            }
        }
        for device in &mut self.devices {
            let id = device["device"].as_str().unwrap().to_owned();
            for name in ["spk", "opk", "pqlr", "pqopk"] {
                device["prekeys"][name] =
                    json!(named.remove(&(id.clone(), name)).unwrap_or_default());
            }
        }
        json!({"devices": self.devices, "steps": self.steps})
    }
}

fn text_of(content: &[u8]) -> Option<String> {
    match pb::Content::decode(content).unwrap().body {
        Some(pb::content::Body::Text(text)) => Some(text.text),
        _ => None,
    }
}

/// A row as a device reads it that had no wrap.
pub(super) fn stripped(row: &pb::Row) -> String {
    let row = pb::Row {
        wrap: None,
        ..row.clone()
    };
    hex::encode(row.encode_to_vec())
}

pub(super) fn batch(version: u32, device: DeviceId, bytes: &[u8]) -> Value {
    json!({
        "version": version,
        "device": hex::encode(device.as_bytes()),
        "batch": hex::encode(bytes),
        "hash": hex::encode(sordino_protocol::batch::batch_hash(bytes)),
    })
}

pub(super) fn conversation(one: UserId, other: UserId) -> ConversationId {
    hash::conversation_id(one, other)
}
