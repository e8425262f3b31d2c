//! A recorded conversation: keys of both sides, and every row with the session that its reader held before.

use prost::Message as _;
use serde::{Deserialize, Serialize};
use sordino_crypto::{Secret, keys::DeviceKeys, lists, receive::Counters, session::Session};
use sordino_protocol::{DeviceId, Header, list, pb};

use super::device::Device;

#[derive(Serialize, Deserialize)]
pub struct Transcript {
    pub alice: Party,
    pub bob: Party,
    pub rows: Vec<Recorded>,
}

/// Hex throughout.
#[derive(Serialize, Deserialize)]
pub struct Party {
    pub device: String,
    pub list: String,
    pub dsk_secret: String,
    pub dik_secret: String,
    pub spk_secret: Option<String>,
    pub opk_secret: Option<String>,
    pub pq_seed: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub struct Recorded {
    pub to_alice: bool,
    pub text: String,
    pub row: String,
    /// As it is stored. Absent before the first message.
    pub session_before: Option<serde_json::Value>,
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

impl Party {
    pub fn record(device: &Device) -> Self {
        let (dsk, dik) = device.keys.to_secret();
        let hex32 = |secret: Option<&[u8; 32]>| secret.map(hex::encode);
        Self {
            device: device.peer.device.to_string(),
            list: hex::encode(list::encode_signed(&device.list.signed)),
            dsk_secret: hex::encode(dsk.expose()),
            dik_secret: hex::encode(dik.expose()),
            spk_secret: hex32(device.store.spk.get(&1)),
            opk_secret: hex32(device.store.opk.get(&1)),
            pq_seed: device.store.pq_one_time.get(&1).map(hex::encode),
        }
    }

    pub fn device(&self) -> Device {
        let keys = DeviceKeys::from_secret(
            &Secret::from_bytes(bytes(&self.dsk_secret)),
            &Secret::from_bytes(bytes(&self.dik_secret)),
        );
        let signed = list::decode_signed(hex::decode(&self.list).unwrap().into()).unwrap();
        let list = lists::parse(&signed).unwrap();
        let id = DeviceId::from_bytes(bytes(&self.device));
        let mut device = Device::new(keys, id, list);
        let store = &mut device.store;
        store
            .spk
            .extend(self.spk_secret.as_deref().map(|s| (1, bytes(s))));
        store
            .opk
            .extend(self.opk_secret.as_deref().map(|s| (1, bytes(s))));
        store
            .pq_one_time
            .extend(self.pq_seed.as_deref().map(|s| (1, bytes(s))));
        device
    }
}

impl Recorded {
    pub fn row(&self) -> pb::Row {
        pb::Row::decode(hex::decode(&self.row).unwrap().as_slice()).unwrap()
    }

    /// Puts the reader's store into the state that it had before this row.
    pub fn prepare(&self, reader: &mut Device) {
        let header = Header::parse(&self.row().header).unwrap();
        let key = (header.conversation, header.sender, header.sender_device);
        let before = header.counter - 1;
        let counters = Counters {
            shown: before,
            proven: before,
        };
        reader.store.counters.insert(key, counters);
        reader.store.sessions.clear();
        if let Some(before) = &self.session_before {
            let stored = serde_json::to_vec(before).unwrap();
            reader
                .store
                .put_session(&Session::from_bytes(&stored).unwrap());
        }
    }
}
