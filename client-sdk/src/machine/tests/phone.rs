//! A machine and its store file, which may crash, and be copied and put back.

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;
use sordino_crypto::{
    keys::DeviceKeys,
    lists::{Change, listed},
    vault::{Contents, OpenerSecret, VaultId},
};
use sordino_protocol::{Class, ClientMessageId, ConversationId, DeviceId, UserId, http, pb};
use tempfile::TempDir;

use super::NOW;
use super::relay::Relay;
use crate::machine::send::content;
use crate::machine::sessions::put_control;
use crate::machine::{
    AfterRefusal, Content, Defaults, Happening, Machine, Need, NewDevice, SendState, SetPassword,
    Setting, SignalPolicy, Taken,
};
use crate::store::{
    Durability, Entry, FixedKey, SharedKeys, Store, StoreKey, StoredAccount, VaultOpeners,
};

/// Lists that one fetch gives.
pub(super) const LISTS: usize = 1_500;

pub(super) struct Phone {
    dir: TempDir,
    machine: Option<Machine>,
    pub(super) user: UserId,
    pub(super) device: DeviceId,
    pub(super) now: u64,
}

fn open(path: &Path) -> Machine {
    let key = FixedKey::new(StoreKey::take(&mut [7; 32]));
    Machine::open(Store::open(path, &key).unwrap()).unwrap()
}

impl Phone {
    pub(super) fn new(name: &str, relay: &mut Relay) -> Self {
        let mut phone = Self::without_prekeys(name, relay);
        phone.upload(relay);
        phone
    }

    pub(super) fn without_prekeys(name: &str, relay: &mut Relay) -> Self {
        Self::with_password(name, relay, None)
    }

    /// Also without prekeys.
    pub(super) fn with_password(
        name: &str,
        relay: &mut Relay,
        password: Option<SetPassword>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = open(&dir.path().join("store"));
        machine.begin_registration(name, NOW).unwrap();
        let body = machine.registration(password).unwrap();
        let account = machine.account().unwrap();
        relay.register(account.user, body);
        machine
            .registration_confirmed(
                &http::User {
                    user: account.user,
                    username: name.to_owned(),
                },
                "",
                NOW,
            )
            .unwrap();
        Self {
            dir,
            machine: Some(machine),
            user: account.user,
            device: account.device,
            now: NOW,
        }
    }

    /// Another phone of the same person, which has what the vault holds.
    pub(super) fn join(&mut self, relay: &mut Relay) -> Self {
        let contents = self.vault(relay);
        let list = self.machine().own_list().unwrap();
        let (keys, device) = (
            DeviceKeys::generate(&mut rand::rng()),
            DeviceId::from_bytes(rand::random()),
        );
        let entry = listed(self.user, &list.identity_key, device, &keys, self.now);
        let next = Change::of(&list, self.now).unwrap().add_unvouched(entry);
        let next = next.sign(&contents.list_signing_key).unwrap();
        let lists = relay.lists.get_mut(&self.user).unwrap();
        lists.push(next.signed.clone());
        let backup = contents.backup_keys.last().unwrap().sealer(self.user);
        let joins = NewDevice {
            account: StoredAccount {
                user: self.user,
                device,
                username: "same".to_owned(),
                registered: false,
                keys,
            },
            shared: SharedKeys {
                list_signing_key: contents.list_signing_key,
                backup: Some(backup),
            },
            backup_keys: contents.backup_keys,
            openers: VaultOpeners {
                by_password: false,
                recovery: [0; 32],
            },
            recovery_key: None,
            list: next,
        };
        Self::joined(joins, self.now)
    }

    /// A device that the relay has put on the list.
    pub(super) fn joined(joins: NewDevice, now: u64) -> Self {
        let (user, device) = (joins.account.user, joins.account.device);
        let username = joins.account.username.clone();
        let dir = tempfile::tempdir().unwrap();
        let mut machine = open(&dir.path().join("store"));
        machine.begin_joining(joins, now).unwrap();
        let confirmed = http::User { user, username };
        machine
            .registration_confirmed(&confirmed, "tablet", now)
            .unwrap();
        Self {
            dir,
            machine: Some(machine),
            user,
            device,
            now,
        }
    }

    /// What is in the vault of the first list.
    pub(super) fn vault(&mut self, relay: &Relay) -> Contents {
        let key = self.machine().recovery_key().unwrap().unwrap();
        let list = self.machine().own_list().unwrap();
        let vault = pb::Vault::decode(relay.vaults[&self.user].clone()).unwrap();
        let id = VaultId {
            user: self.user,
            identity_key: &list.identity_key,
            version: 1,
            backup_version: 1,
        };
        let secret = OpenerSecret::recovery_key(&key, self.user);
        secret.open(id, &vault).unwrap()
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub(super) fn machine(&mut self) -> &mut Machine {
        self.machine.as_mut().unwrap()
    }

    /// Uploads prekeys if any are due; whether any were.
    pub(super) fn upload(&mut self, relay: &mut Relay) -> bool {
        let now = self.now;
        let count = relay.count(self.device);
        let Some(put) = self.machine().prekeys_due(&count, now).unwrap() else {
            return false;
        };
        relay.put(self.device, put.clone());
        self.machine().prekeys_uploaded(&put, now).unwrap();
        true
    }

    /// The process dies and starts again; what was committed is there.
    pub(super) fn crash(&mut self) {
        let copy = self.dir.path().join("crashed");
        self.copy_to(&copy);
        self.machine = None;
        self.put_back(&copy);
    }

    /// A copy of the files as they are, the write-ahead log included.
    pub(super) fn copy_to(&self, copy: &Path) {
        for end in ["", "-wal", ".lock"] {
            let to = format!("{}{end}", copy.display());
            let from = format!("{}{end}", self.path().display());
            let _ = fs::remove_file(&to);
            if Path::new(&from).exists() {
                fs::copy(from, to).unwrap();
            }
        }
    }

    /// The files of a copy take the place of the store.
    pub(super) fn put_back(&mut self, copy: &Path) {
        self.machine = None;
        for end in ["", "-wal", "-shm", ".lock"] {
            let from = format!("{}{end}", copy.display());
            let to = format!("{}{end}", self.path().display());
            let _ = fs::remove_file(&to);
            if Path::new(&from).exists() {
                fs::copy(from, to).unwrap();
            }
        }
        self.machine = Some(open(&self.path()));
    }

    /// Conversations in which something waits, but that with oneself.
    pub(super) fn waiting(&mut self) -> Vec<(ConversationId, UserId)> {
        let (own, mut waiting) = (self.user, self.machine().waiting().unwrap());
        waiting.retain(|(_, peer)| *peer != own);
        waiting
    }

    pub(super) fn conversation(&mut self, peer: UserId) -> ConversationId {
        self.machine().conversation_with(peer).unwrap()
    }

    pub(super) fn send(&mut self, peer: UserId, text: &str) -> bool {
        let now = self.now;
        self.machine().send(peer, text, now).unwrap().encrypted
    }

    /// What the app would have where the user has set nothing.
    pub(super) fn with_defaults(&mut self, defaults: Defaults) {
        let machine = self.machine.take().unwrap();
        self.machine = Some(machine.with_defaults(defaults));
    }

    pub(super) fn set(&mut self, setting: Setting) {
        let now = self.now;
        self.machine().set(setting, now).unwrap();
    }

    /// Whether it sends and shows read receipts.
    pub(super) fn receipts(&mut self, on: bool) {
        self.set(Setting::ReadReceipts(on));
    }

    /// What it tells of who is there and who types.
    pub(super) fn signals(&mut self, policy: SignalPolicy) {
        self.set(Setting::Typing(policy.typing));
        self.set(Setting::Presence(policy.presence));
    }

    /// A message between devices, as a client of another make may send it.
    pub(super) fn control(&mut self, peer: UserId, body: pb::content::Body) {
        let (conversation, now) = (self.conversation(peer), self.now);
        let put = self.machine().store.transaction(Durability::Synced, |tx| {
            let (me, held) = (
                tx.account()?.unwrap(),
                tx.conversation(conversation)?.unwrap(),
            );
            put_control(tx, &me, &held, None, body, now).map(drop)
        });
        put.unwrap();
    }

    /// What a client of another make may send.
    pub(super) fn write(&mut self, peer: UserId, class: Class, body: pb::content::Body) {
        self.write_as(
            peer,
            class,
            body,
            ClientMessageId::from_bytes(rand::random()),
        );
    }

    /// The same under a name.
    pub(super) fn write_as(
        &mut self,
        peer: UserId,
        class: Class,
        body: pb::content::Body,
        id: ClientMessageId,
    ) {
        let (conversation, now) = (self.conversation(peer), self.now);
        let put = self.machine().store.transaction(Durability::Synced, |tx| {
            let (me, held) = (
                tx.account()?.unwrap(),
                tx.conversation(conversation)?.unwrap(),
            );
            let content = content(tx, &me, &held, now, body)?;
            tx.outbox_put(
                conversation,
                &Entry {
                    counter: tx.take_counter(conversation)?,
                    client_message_id: id,
                    class: class as u8,
                    target: None,
                    content: content.encode_to_vec(),
                    given_up: false,
                },
            )
        });
        put.unwrap();
    }

    /// Fetches what is missing, and encrypts what waits.
    pub(super) fn prepare(&mut self, relay: &mut Relay, peer: UserId) -> Vec<Happening> {
        let now = self.now;
        let mut happenings = Vec::new();
        for _ in 0..8 {
            match self.machine().needs(peer, now).unwrap() {
                Need::Nothing | Need::Later | Need::Verification => break,
                Need::Lists(users) => {
                    for user in users {
                        let from = self.machine().pinned_version(user).unwrap().unwrap_or(0);
                        let lists = relay.shown(self.device, user).iter();
                        let lists = lists.skip(from.max(1) as usize - 1);
                        let lists = lists.cloned().collect();
                        happenings.extend(self.machine().take_lists(user, lists, now).unwrap());
                    }
                }
                Need::Sessions(devices) => {
                    for (user, device) in devices {
                        let mut claimed = relay.claim(user, &[device]);
                        let newest = relay.shown(self.device, user).last().unwrap();
                        claimed.list = newest.clone().into();
                        happenings.extend(self.machine().bundles(user, claimed, now).unwrap());
                    }
                }
            }
        }
        while self.machine().encrypt_held(peer, now).unwrap() > 0 {}
        self.machine().note_contact(peer, now).unwrap();
        happenings
    }

    /// Transmits from the first message without a row, as after a reconnect.
    pub(super) fn flush(&mut self, relay: &mut Relay, peer: UserId) {
        let conversation = self.conversation(peer);
        let mut after = 0;
        for _ in 0..64 {
            let out = self
                .machine()
                .outgoing(conversation, after, 64, usize::MAX)
                .unwrap();
            let Some(out) = out.into_iter().next() else {
                return;
            };
            match relay.accept(&out.send) {
                Ok(_) => {
                    let id = out.client_message_id;
                    let accepted = self.machine().accepted(conversation, id, out.counter);
                    accepted.unwrap();
                    after = out.counter;
                }
                Err(code) => {
                    let newest = |user: &UserId| relay.shown(self.device, *user).last().cloned();
                    let refused = pb::Refused {
                        conversation: conversation.to_pb(),
                        client_message_id: out.client_message_id.to_pb(),
                        counter: out.counter,
                        code: code.as_str().to_owned(),
                        sender_list: newest(&self.user),
                        recipient_list: newest(&peer),
                        ..Default::default()
                    };
                    let now = self.now;
                    let (next, _) = self.machine().refused(&refused, now).unwrap();
                    match next {
                        AfterRefusal::Resend { from } => after = from - 1,
                        AfterRefusal::Prepare { from } => {
                            self.prepare(relay, peer);
                            after = from - 1;
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }

    /// Takes rows, fetching lists that they name.
    pub(super) fn take(&mut self, relay: &Relay, peer: UserId, rows: &[pb::Row]) -> Taken {
        let (conversation, now) = (self.conversation(peer), self.now);
        let mut all = Taken::default();
        loop {
            let taken = self
                .machine()
                .take_rows(peer, conversation, rows, false, now)
                .unwrap();
            all.happenings.extend(taken.happenings);
            (all.cursor, all.pull, all.needs) = (taken.cursor, taken.pull, taken.needs);
            all.ack = taken.ack.or(all.ack);
            all.attention = taken.attention;
            all.answers |= taken.answers;
            all.tells_own |= taken.tells_own;
            all.lists_came |= taken.lists_came;
            let Some((user, version)) = taken.needs else {
                return all;
            };
            let (from, to) = self.machine().list_range(user, version).unwrap();
            let all_lists = relay.shown(self.device, user);
            let lists = all_lists.iter().take(to as usize).skip(from as usize - 1);
            let (lists, newest) = (lists.take(LISTS).cloned().collect(), all_lists.len());
            let told = self
                .machine()
                .take_lists_of_row((user, version), lists, newest as u32, now);
            all.happenings.extend(told.unwrap());
        }
    }

    /// Pulls everything after the cursor.
    pub(super) fn pull(&mut self, relay: &Relay, peer: UserId) -> Taken {
        let conversation = self.conversation(peer);
        let cursor = self.machine().cursor(conversation).unwrap();
        let reader = (self.user, self.device);
        let rows = relay.rows(conversation, reader, cursor + 1, u64::MAX);
        self.take(relay, peer, &rows)
    }

    /// The name of the message that says this.
    pub(super) fn named(&mut self, peer: UserId, wanted: &str) -> ClientMessageId {
        let conversation = self.conversation(peer);
        let items = self.machine().timeline(conversation, None, 10_000).unwrap();
        let mut named = items.into_iter().filter_map(|item| match item.content {
            Content::Message { id, text, .. } if text == wanted => Some(id),
            _ => None,
        });
        named.next().unwrap()
    }

    /// Everything a connection does: pull, fetch, encrypt, transmit, pull.
    pub(super) fn sync(&mut self, relay: &mut Relay, peer: UserId) -> Vec<Happening> {
        let mut happenings = self.pull(relay, peer).happenings;
        let now = self.now;
        happenings.extend(self.machine().caught_up(now).unwrap().happenings);
        self.upload(relay);
        happenings.extend(self.prepare(relay, peer));
        self.flush(relay, peer);
        happenings.extend(self.pull(relay, peer).happenings);
        happenings
    }

    /// The timeline in words.
    pub(super) fn shown(&mut self, peer: UserId) -> Vec<String> {
        let conversation = self.conversation(peer);
        let items = self.machine().timeline(conversation, None, 10_000).unwrap();
        items
            .into_iter()
            .map(|item| match item.content {
                Content::Message {
                    mine,
                    text,
                    state,
                    edited,
                    reply_to,
                    reactions,
                    ..
                } => {
                    let mut line = match (mine, state) {
                        (false, _) => format!("< {text}"),
                        (true, SendState::Pending) => format!("> {text} (pending)"),
                        (true, SendState::Accepted) => format!("> {text}"),
                        (true, SendState::Delivered) => format!("> {text} (delivered)"),
                        (true, SendState::Read) => format!("> {text} (read)"),
                        (true, SendState::Failed(code)) => format!("> {text} ({})", code.as_str()),
                    };
                    if edited {
                        line += " (edited)";
                    }
                    if let Some(quote) = reply_to {
                        line += &format!(" [to: {}]", quote.text.unwrap_or_default());
                    }
                    for (_, emoji) in reactions {
                        line += &format!(" {emoji}");
                    }
                    line
                }
                Content::Erased { mine, .. } => match mine {
                    true => "> erased".to_owned(),
                    false => "< erased".to_owned(),
                },
                Content::Timer { seconds, .. } => format!("timer {seconds}"),
                Content::Undecryptable { cause, .. } => format!("! {cause}"),
                Content::Gap => "gap".to_owned(),
                Content::KeyChanged { identity, .. } => format!("keys changed, {identity}"),
            })
            .collect()
    }
}
