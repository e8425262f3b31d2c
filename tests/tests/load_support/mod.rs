//! Users that no relay knows.

use sordino_crypto::{
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
    lists,
};
use sordino_protocol::{DeviceId, UserId, list::DeviceList};

pub const NOW: u64 = 1_800_000_000_000;

pub struct Person {
    pub keys: DeviceKeys,
    pub list: DeviceList,
    pub device: DeviceId,
}

pub fn person(n: u8) -> Person {
    let mut rng = rand::rng();
    let user = UserId::from_bytes([n; 16]);
    let device = DeviceId::from_bytes([n + 100; 16]);
    let identity = IdentityKey::generate(&mut rng);
    let lsk = ListSigningKey::generate(&mut rng);
    let keys = DeviceKeys::generate(&mut rng);
    let list = lists::first_list(user, device, &identity, &lsk, &keys, None, NOW);
    let list = lists::parse(&list).expect("a list");
    Person { keys, list, device }
}
