//! Devices with a store in memory, for the tests of whole exchanges.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod device;
pub mod store;
pub mod transcript;
pub mod two_party;
pub mod world;

use rand::{SeedableRng, rngs::StdRng};

pub const NOW: u64 = 1_800_000_000_000;

pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
