//! A device: its keys, its store, what it sends and what it makes of a row.

use prost::Message as _;
use sordino_crypto::{
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
    lists::{self, Change},
    message::{self, Sealed},
    pqxdh,
    prekeys::{Owner, Peer, verify_bundle},
    receive::{self, Context, Decision, Pass, RowDecision},
    session::Session,
};
use sordino_protocol::{
    Class, ClientMessageId, ConversationId, DeviceId, Header, SessionId, UserId,
    hash::{self, Hash},
    http::Bundle,
    list::DeviceList,
    pb,
};

use super::{NOW, rng, store::Store};

/// A user: what its devices share.
pub struct Account {
    pub user: UserId,
    pub identity_key: IdentityKey,
    pub list_signing_key: ListSigningKey,
    pub list: DeviceList,
}

pub struct Device {
    pub keys: DeviceKeys,
    pub peer: Peer,
    pub list: DeviceList,
    pub store: Store,
    pub next_key: u32,
    pub next_message: u64,
}

/// A user with one device. `n` apart by ten.
pub fn account(n: u8) -> (Account, Device) {
    let rng = &mut rng(u64::from(n));
    let (user, id) = (
        UserId::from_bytes([n; 16]),
        DeviceId::from_bytes([n + 1; 16]),
    );
    let identity_key = IdentityKey::generate(rng);
    let list_signing_key = ListSigningKey::generate(rng);
    let keys = DeviceKeys::generate(rng);
    let signed = lists::first_list(user, id, &identity_key, &list_signing_key, &keys, None, NOW);
    let list = lists::parse(&signed).unwrap();
    let account = Account {
        user,
        identity_key,
        list_signing_key,
        list: list.clone(),
    };
    (account, Device::new(keys, id, list))
}

impl Account {
    /// Links a second device; `by` vouches for it.
    pub fn link(&mut self, by: &mut Device, n: u8) -> Device {
        let keys = DeviceKeys::generate(&mut rng(u64::from(n)));
        let id = DeviceId::from_bytes([n; 16]);
        let uik = self.identity_key.public();
        let entry = lists::listed(self.user, &uik, id, &keys, NOW);
        self.list = Change::of(&self.list, NOW)
            .unwrap()
            .link(entry, by.peer.device, &by.keys)
            .unwrap()
            .sign(&self.list_signing_key)
            .unwrap();
        by.list = self.list.clone();
        Device::new(keys, id, self.list.clone())
    }
}

impl Device {
    pub fn new(keys: DeviceKeys, id: DeviceId, list: DeviceList) -> Self {
        Self {
            keys,
            peer: Peer::of(&list, id).unwrap(),
            list,
            store: Store::default(),
            next_key: 1,
            next_message: 0,
        }
    }

    /// Both know the other's list, and their own.
    pub fn meet(&mut self, other: &mut Self) {
        for list in [self.list.clone(), other.list.clone()] {
            self.store.put_list(&list);
            other.store.put_list(&list);
        }
    }

    /// Fresh prekeys, as the relay would hand them out.
    pub fn bundle(&mut self, one_time: bool) -> Bundle {
        let rng = &mut rand::rng();
        let owner = Owner {
            list: &self.list,
            device: self.peer.device,
            keys: &self.keys,
        };
        let id = self.next_key;
        self.next_key += 1;
        let spk = owner.signed_prekey(rng, id, NOW);
        self.store.spk.insert(id, *spk.secret.expose());
        let opk = one_time.then(|| owner.one_time(rng, id, NOW));
        if let Some(opk) = &opk {
            self.store.opk.insert(id, *opk.secret.expose());
        }
        let (pq, store) = if one_time {
            (owner.pq_one_time(rng, id, NOW), &mut self.store.pq_one_time)
        } else {
            let pq = owner.pq_last_resort(rng, id, NOW);
            (pq, &mut self.store.pq_last_resort)
        };
        store.insert(id, *pq.secret.expose());
        Bundle {
            device: self.peer.device,
            signed: spk.public.into(),
            one_time: opk.map(|opk| opk.public.into()),
            pq: pq.public.into(),
            pq_one_time: one_time,
        }
    }

    /// Begins a session with `to` and stores it.
    pub fn begin(&mut self, to: &mut Self, born: u64) -> SessionId {
        let offered = to.bundle(true);
        let bundle = verify_bundle(&to.list, offered, NOW).ok().unwrap();
        let rng = &mut rand::rng();
        let session = pqxdh::initiate(rng, &self.peer, &self.keys, &bundle, born).unwrap();
        self.store.put_session(&session);
        session.meta().sid
    }

    pub fn session(&self, with: &Peer, sid: SessionId) -> Session {
        let key = (with.user, with.device, sid);
        self.store.load_session(key).unwrap()
    }

    /// The header of this device's message with this counter to `to`.
    pub fn header(&self, to: &DeviceList, counter: u64) -> Header {
        Header {
            class: Class::Message,
            conversation: hash::conversation_id(self.peer.user, to.user),
            counter,
            client_message_id: message_id(self.next_message),
            sender: self.peer.user,
            sender_device: self.peer.device,
            recipient: to.user,
            sender_list: self.list.version,
            recipient_list: to.version,
            list_digest: hash::list_digest(
                (self.list.version, &self.list.hash),
                (to.version, &to.hash),
            ),
            erase: vec![],
            commit: [0; 32],
        }
    }

    pub fn content(&self, text: &str) -> pb::Content {
        pb::Content {
            sent_ms: NOW,
            sender: self.peer.user.to_pb(),
            sender_device: self.peer.device.to_pb(),
            after: None,
            timer_s: 0,
            sender_name: String::new(),
            body: Some(pb::content::Body::Text(pb::Text {
                text: text.into(),
                reply_to: None,
            })),
        }
    }

    pub fn seal(&mut self, to: &DeviceList, counter: u64, text: &str) -> Sealed {
        self.next_message += 1;
        let (header, content) = (self.header(to, counter), self.content(text));
        message::seal(&mut rand::rng(), header, &content).unwrap()
    }

    /// Wraps for one device by the session `sid`, and stores the session.
    pub fn wrap(&mut self, to: &Peer, sid: SessionId, sealed: &Sealed) -> pb::WrapPayload {
        let mut session = self.session(to, sid);
        let payload = message::wrap_payload(&sealed.content_key, &sealed.env_hash);
        let wrap = session.encrypt(payload.expose()).unwrap();
        self.store.put_session(&session);
        wrap
    }

    /// A row for the device `to`, as an honest relay shows it.
    pub fn send(&mut self, to: &Device, sid: SessionId, counter: u64, text: &str) -> pb::Row {
        let sealed = self.seal(&to.list, counter, text);
        let wrap = self.wrap(&to.peer, sid, &sealed);
        row(counter, &sealed, Some(&wrap))
    }

    pub fn receive_in(&self, conversation: ConversationId, pass: Pass, row: &pb::Row) -> Decision {
        let context = Context {
            me: &self.peer,
            keys: &self.keys,
            conversation,
            pass,
            now_ms: NOW,
        };
        receive::receive(&mut rand::rng(), &self.store, &context, row).unwrap()
    }

    /// Live, in the conversation that the header names, without storing.
    pub fn judge(&self, row: &pb::Row) -> RowDecision {
        let conversation = Header::parse(&row.header)
            .map_or(ConversationId::from_bytes([0; 16]), |h| h.conversation);
        decided(self.receive_in(conversation, Pass::Live, row))
    }

    /// [`Device::judge`], and the decision is stored.
    pub fn take(&mut self, row: &pb::Row) -> RowDecision {
        let decision = self.judge(row);
        self.store.apply(row.seq, &decision);
        decision
    }
}

pub fn decided(decision: Decision) -> RowDecision {
    match decision {
        Decision::Row(decision) => *decision,
        Decision::NeedsList { user, version } => panic!("needs list {version} of {user}"),
    }
}

pub fn row(seq: u64, sealed: &Sealed, wrap: Option<&pb::WrapPayload>) -> pb::Row {
    pb::Row {
        seq,
        message_id: seq,
        header: sealed.header.clone().into(),
        content_hash: content_hash(sealed).to_vec().into(),
        content: Some(sealed.content.clone().into()),
        wrap: wrap.map(|wrap| wrap.encode_to_vec().into()),
    }
}

pub fn content_hash(sealed: &Sealed) -> Hash {
    hash::sha256(&sealed.content)
}

fn message_id(n: u64) -> ClientMessageId {
    ClientMessageId::from_bytes(u128::from(n).to_be_bytes())
}
