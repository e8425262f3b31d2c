//! A relay of a few lines: one dense order for each conversation, lists, prekeys given out once.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use prost::Message;
use sordino_protocol::{
    Code, ConversationId, DeviceId, Header, UserId,
    hash::sha256,
    http::{Bundle, Claimed, PrekeyCount, PutPrekeys, Register, Signed},
    pb,
};

#[derive(Default)]
pub(super) struct Relay {
    pub(super) conversations: HashMap<ConversationId, Log>,
    pub(super) lists: HashMap<UserId, Vec<pb::Signed>>,
    pub(super) vaults: HashMap<UserId, Bytes>,
    keys: HashMap<DeviceId, PutPrekeys>,
    /// To this device it shows so many lists of that user, and no more.
    pub(super) keeps_back: Option<(DeviceId, UserId, usize)>,
    /// It takes messages that name older lists, too.
    pub(super) takes_old: bool,
    /// What was given out.
    pub(super) claimed: Vec<Bundle>,
}

#[derive(Default)]
pub(super) struct Log {
    pub(super) rows: Vec<pb::Send>,
    pub(super) erased: HashSet<u64>,
    counters: HashMap<DeviceId, u64>,
}

impl Relay {
    pub(super) fn register(&mut self, user: UserId, body: Register) {
        let vault = body.vault.map(|vault| (user, vault.0));
        self.vaults.extend(vault);
        self.lists.insert(user, vec![body.list.into()]);
    }

    /// The lists of a user, as it shows them to a device.
    pub(super) fn shown(&self, to: DeviceId, user: UserId) -> &[pb::Signed] {
        let lists = &self.lists[&user];
        match self.keeps_back {
            Some((device, whose, upto)) if (device, whose) == (to, user) => &lists[..upto],
            _ => lists,
        }
    }

    pub(super) fn put(&mut self, device: DeviceId, put: PutPrekeys) {
        let held = self.keys.entry(device).or_default();
        if put.replace {
            held.one_time.clear();
            held.pq_one_time.clear();
        }
        held.signed = put.signed.or(held.signed.take());
        held.pq_last_resort = put.pq_last_resort.or(held.pq_last_resort.take());
        held.one_time.extend(put.one_time);
        held.pq_one_time.extend(put.pq_one_time);
    }

    pub(super) fn count(&self, device: DeviceId) -> PrekeyCount {
        let none = PutPrekeys::default();
        let held = self.keys.get(&device).unwrap_or(&none);
        let id = |key: &Option<Signed>| {
            key.as_ref().map_or(0, |key| {
                pb::PrekeyBody::decode(key.body.0.clone()).unwrap().key_id
            })
        };
        PrekeyCount {
            one_time: held.one_time.len() as u32,
            pq_one_time: held.pq_one_time.len() as u32,
            signed_id: id(&held.signed),
            pq_last_resort_id: id(&held.pq_last_resort),
        }
    }

    pub(super) fn claim(&mut self, user: UserId, devices: &[DeviceId]) -> Claimed {
        let list = self.lists[&user].last().unwrap().clone();
        let mut bundles = Vec::new();
        for device in devices {
            let Some(keys) = self.keys.get_mut(device) else {
                continue;
            };
            let one_time = (!keys.one_time.is_empty()).then(|| keys.one_time.remove(0));
            let pq_one_time = !keys.pq_one_time.is_empty();
            bundles.push(Bundle {
                device: *device,
                signed: keys.signed.clone().unwrap(),
                one_time,
                pq: if pq_one_time {
                    keys.pq_one_time.remove(0)
                } else {
                    keys.pq_last_resort.clone().unwrap()
                },
                pq_one_time,
            });
        }
        self.claimed.extend(bundles.iter().cloned());
        Claimed {
            list: list.into(),
            bundles,
        }
    }

    /// The rule of the real one: the device's last counter + 1 gets the next seq, a lower one is there already.
    pub(super) fn accept(&mut self, send: &Bytes) -> Result<Header, Code> {
        let send = pb::Send::decode(send.clone()).unwrap();
        let header = Header::parse(&send.header).unwrap();
        let newest = |user: &UserId| self.lists[user].len() as u32;
        let is_newest = header.sender_list == newest(&header.sender)
            && header.recipient_list == newest(&header.recipient);
        if !is_newest && !self.takes_old {
            return Err(Code::ListsChanged);
        }
        let log = self.conversations.entry(header.conversation).or_default();
        let last = log.counters.entry(header.sender_device).or_default();
        if header.counter > *last + 1 {
            return Err(Code::CounterGap);
        }
        if header.counter == *last + 1 {
            *last += 1;
            for seq in &header.erase {
                let erased = usize::try_from(*seq - 1)
                    .ok()
                    .and_then(|at| log.rows.get_mut(at));
                if let Some(row) = erased
                    && Header::parse(&row.header).unwrap().sender == header.sender
                {
                    log.erased.insert(*seq);
                }
            }
            log.rows.push(send);
        }
        Ok(header)
    }

    pub(super) fn last_seq(&self, conversation: ConversationId) -> u64 {
        self.conversations
            .get(&conversation)
            .map_or(0, |log| log.rows.len() as u64)
    }

    /// Rows as a device reads them.
    pub(super) fn rows(
        &self,
        conversation: ConversationId,
        reader: (UserId, DeviceId),
        from: u64,
        to: u64,
    ) -> Vec<pb::Row> {
        let Some(log) = self.conversations.get(&conversation) else {
            return Vec::new();
        };
        (1..)
            .zip(&log.rows)
            .filter(|(seq, _)| (from..=to).contains(seq))
            .map(|(seq, send)| {
                let header = Header::parse(&send.header).unwrap();
                let own = header.sender_device == reader.1;
                let wrap = send.wraps.iter().find(|wrap| {
                    wrap.user.as_ref() == reader.0.as_bytes()
                        && wrap.device.as_ref() == reader.1.as_bytes()
                });
                pb::Row {
                    seq,
                    message_id: seq,
                    header: send.header.clone(),
                    content_hash: sha256(&send.content).to_vec().into(),
                    content: (!own && !log.erased.contains(&seq)).then(|| send.content.clone()),
                    wrap: wrap
                        .filter(|_| !log.erased.contains(&seq))
                        .map(|wrap| wrap.payload.clone()),
                }
            })
            .collect()
    }
}
