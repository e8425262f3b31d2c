//! How often: token buckets by address, by user, and for all handshakes together.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    time::Duration,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use sordino_protocol::{Code, DeviceId, UserId};

use super::{client::ClientAddr, fleet::Share};
use crate::{config, http::ApiError};

/// Buckets of a table. Keys are hashed onto them, so that a flood of addresses costs no memory; two keys share one by
/// chance, and nobody can choose with whom.
const BUCKETS: u64 = 65_536;

/// The buckets of this relay.
pub struct Rates {
    addresses: Buckets,
    address_sign_ups: Buckets,
    address_passwords: Buckets,
    passwords: Buckets,
    sign_ups: DefaultDirectRateLimiter,
    users: Buckets,
    lookups: Buckets,
    writes: Buckets,
    batches: Buckets,
    frames: Buckets,
    address_handshakes: Buckets,
    handshakes: DefaultDirectRateLimiter,
    clock: DefaultClock,
    shares: Shares,
}

/// What the fleet counts together, by the same settings.
struct Shares {
    address_sign_ups: Share,
    address_passwords: Share,
    passwords: Share,
    sign_ups: Share,
    claims: Share,
}

impl Default for Rates {
    fn default() -> Self {
        Self::new(&config::Rates::default())
    }
}

/// Not now, but after this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub Duration);

struct Buckets {
    limiter: DefaultKeyedRateLimiter<u64>,
    // Seeded anew by every process.
    hasher: RandomState,
}

impl Buckets {
    fn new(quota: Quota, burst: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::keyed(quota.allow_burst(burst)),
            hasher: RandomState::new(),
        }
    }

    fn take(&self, clock: &DefaultClock, key: impl Hash) -> Result<(), Wait> {
        let bucket = self.hasher.hash_one(key) % BUCKETS;
        let taken = self.limiter.check_key(&bucket);
        taken.map_err(|not| Wait(not.wait_time_from(clock.now())))
    }
}

/// What counts as one client: an IPv4 address, or the /64 that one IPv6 customer has all of.
pub(crate) fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6) & !u128::from(u64::MAX) | 1,
    }
}

impl Rates {
    /// Full buckets.
    pub fn new(rates: &config::Rates) -> Self {
        let per_second = Quota::per_second;
        Self {
            addresses: Buckets::new(per_second(rates.address_per_second), rates.address_burst),
            address_sign_ups: Buckets::new(
                Quota::per_hour(rates.address_sign_ups_per_hour),
                rates.address_sign_ups_burst,
            ),
            address_passwords: Buckets::new(
                Quota::per_hour(rates.address_passwords_per_hour),
                rates.address_passwords_burst,
            ),
            passwords: Buckets::new(
                Quota::per_hour(rates.passwords_per_hour),
                rates.passwords_burst,
            ),
            sign_ups: RateLimiter::direct(
                per_second(rates.sign_ups_per_second).allow_burst(rates.sign_ups_burst),
            ),
            users: Buckets::new(per_second(rates.user_per_second), rates.user_burst),
            lookups: Buckets::new(
                Quota::per_hour(rates.user_lookups_per_hour),
                rates.user_lookups_burst,
            ),
            writes: Buckets::new(
                Quota::per_hour(rates.user_writes_per_hour),
                rates.user_writes_burst,
            ),
            batches: Buckets::new(
                Quota::per_hour(rates.device_batches_per_hour),
                rates.device_batches_burst,
            ),
            frames: Buckets::new(
                per_second(rates.user_frames_per_second),
                rates.user_frames_burst,
            ),
            address_handshakes: Buckets::new(
                per_second(rates.address_handshakes_per_second),
                rates.address_handshakes_burst,
            ),
            handshakes: RateLimiter::direct(
                per_second(rates.handshakes_per_second).allow_burst(rates.handshakes_burst),
            ),
            clock: DefaultClock::default(),
            shares: Shares::new(rates),
        }
    }

    /// A request without a good token.
    pub fn address(&self, ClientAddr(address): ClientAddr) -> Result<(), Wait> {
        self.addresses
            .take(&self.clock, network(address))
            .inspect_err(|_| refused("address"))
    }

    /// What an address wants to sign up with, good or not: asked before anything is verified.
    pub fn address_sign_up(&self, ClientAddr(address): ClientAddr) -> Result<(), Wait> {
        self.address_sign_ups
            .take(&self.clock, network(address))
            .inspect_err(|_| refused("address_sign_up"))
    }

    /// A sign-up that holds, about to be stored. What many addresses do together must not cost those who are registered their turn.
    pub fn sign_up(&self) -> Result<(), ApiError> {
        let wait = self.all(&self.sign_ups).inspect_err(|_| refused("sign_up"));
        wait.map_err(|Wait(wait)| ApiError::after(Code::Busy, wait))
    }

    /// A password that is tried, or asked for, from this address.
    pub fn address_password(&self, ClientAddr(address): ClientAddr) -> Result<(), Wait> {
        self.address_passwords
            .take(&self.clock, network(address))
            .inspect_err(|_| refused("address_password"))
    }

    /// A password that is tried, or asked for, with this name, which stands here as an id.
    pub fn password(&self, name: UserId) -> Result<(), Wait> {
        self.passwords
            .take(&self.clock, name)
            .inspect_err(|_| refused("password"))
    }

    /// [`Self::address_password`], for all nodes together.
    pub fn address_passwords(&self) -> Share {
        self.shares.address_passwords
    }

    /// [`Self::password`], for all nodes together.
    pub fn passwords(&self) -> Share {
        self.shares.passwords
    }

    /// [`Self::address_sign_up`], for all nodes together.
    pub fn address_sign_ups(&self) -> Share {
        self.shares.address_sign_ups
    }

    /// [`Self::sign_up`], for all nodes together.
    pub fn sign_ups(&self) -> Share {
        self.shares.sign_ups
    }

    /// Prekey bundles that one user may claim of another, for all nodes together.
    pub fn claims(&self) -> Share {
        self.shares.claims
    }

    /// A request of this user.
    pub fn user(&self, user: UserId) -> Result<(), Wait> {
        self.users
            .take(&self.clock, user)
            .inspect_err(|_| refused("user"))
    }

    /// A name that this user looks for.
    pub fn lookup(&self, user: UserId) -> Result<(), Wait> {
        self.lookups
            .take(&self.clock, user)
            .inspect_err(|_| refused("lookup"))
    }

    /// A write that a device of this user signed.
    pub fn write(&self, user: UserId) -> Result<(), Wait> {
        self.writes
            .take(&self.clock, user)
            .inspect_err(|_| refused("write"))
    }

    /// A batch of the key backup by this device: what one does too much of must not cost the others.
    pub fn batch(&self, user: UserId, device: DeviceId) -> Result<(), Wait> {
        self.batches
            .take(&self.clock, (user, device))
            .inspect_err(|_| refused("batch"))
    }

    /// A frame of this user.
    pub fn frame(&self, user: UserId) -> Result<(), Wait> {
        self.frames.take(&self.clock, user)
    }

    /// A WebSocket handshake. The address is asked first: what it has too much of must not cost the others.
    pub fn handshake(&self, ClientAddr(address): ClientAddr) -> Result<(), (Code, Wait)> {
        self.address_handshakes
            .take(&self.clock, network(address))
            .map_err(|wait| (Code::RateLimited, wait))?;
        self.all(&self.handshakes)
            .map_err(|wait| (Code::Busy, wait))
    }

    fn all(&self, limiter: &DefaultDirectRateLimiter) -> Result<(), Wait> {
        let taken = limiter.check();
        taken.map_err(|not| Wait(not.wait_time_from(self.clock.now())))
    }
}

impl Shares {
    fn new(rates: &config::Rates) -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        let claims = u32::try_from(rates.claims_per_hour).unwrap_or(u32::MAX);
        Self {
            address_sign_ups: Share {
                tokens: rates.address_sign_ups_per_hour.get(),
                within: HOUR,
                burst: rates.address_sign_ups_burst.get(),
            },
            address_passwords: Share {
                tokens: rates.address_passwords_per_hour.get(),
                within: HOUR,
                burst: rates.address_passwords_burst.get(),
            },
            passwords: Share {
                tokens: rates.passwords_per_hour.get(),
                within: HOUR,
                burst: rates.passwords_burst.get(),
            },
            sign_ups: Share {
                tokens: rates.sign_ups_per_second.get(),
                within: Duration::from_secs(1),
                burst: rates.sign_ups_burst.get(),
            },
            claims: Share {
                tokens: claims,
                within: HOUR,
                burst: claims,
            },
        }
    }
}

impl From<Wait> for ApiError {
    fn from(Wait(wait): Wait) -> Self {
        Self::after(Code::RateLimited, wait)
    }
}

/// Lets requests through as often as their address may ask.
pub async fn by_address(
    State(rates): State<std::sync::Arc<Rates>>,
    request: Request,
    next: Next,
) -> Response {
    match rates.address(client_of(request.extensions())) {
        Ok(()) => next.run(request).await,
        Err(wait) => ApiError::from(wait).into_response(),
    }
}

/// Lets WebSocket handshakes through as often as the relay can take them, before anything is looked up for them.
pub async fn handshakes(
    State(rates): State<std::sync::Arc<Rates>>,
    request: Request,
    next: Next,
) -> Response {
    match rates.handshake(client_of(request.extensions())) {
        Ok(()) => next.run(request).await,
        Err((code, Wait(wait))) => {
            refused("handshake");
            ApiError::after(code, wait).into_response()
        }
    }
}

/// Counts a refusal.
pub(crate) fn refused(by: &'static str) {
    ::metrics::counter!("sordino_rate_limited_total", "by" => by).increment(1);
}

/// The address of a request. Those that did not come through the accept loop share one.
pub fn client_of(extensions: &axum::http::Extensions) -> ClientAddr {
    let unknown = ClientAddr(IpAddr::from([0, 0, 0, 0]));
    extensions.get().copied().unwrap_or(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> ClientAddr {
        ClientAddr(address.parse().expect("an address"))
    }

    fn n(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).expect("not zero")
    }

    /// One a second, so that nothing comes back while a test runs through.
    fn slow() -> config::Rates {
        config::Rates {
            address_per_second: n(1),
            address_burst: n(3),
            user_per_second: n(1),
            user_burst: n(2),
            address_handshakes_per_second: n(1),
            address_handshakes_burst: n(2),
            handshakes_per_second: n(1),
            handshakes_burst: n(3),
            ..config::Rates::default()
        }
    }

    #[test]
    fn an_address_has_its_own_bucket_and_learns_when_to_come_back() {
        let rates = Rates::new(&slow());
        for _ in 0..3 {
            assert_eq!(rates.address(at("192.0.2.1")), Ok(()));
        }
        let Err(Wait(wait)) = rates.address(at("192.0.2.1")) else {
            panic!("the burst is used up")
        };
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1));
        assert_eq!(rates.address(at("192.0.2.2")), Ok(()));
        assert_eq!(rates.user(UserId::from_bytes([1; 16])), Ok(()));
    }

    #[test]
    fn a_customer_with_a_network_of_addresses_has_one_bucket() {
        let rates = Rates::new(&slow());
        for host in 0..3 {
            assert_eq!(rates.address(at(&format!("2001:db8::{host}"))), Ok(()));
        }
        assert!(rates.address(at("2001:db8::ffff")).is_err());
        assert_eq!(rates.address(at("2001:db8:0:1::1")), Ok(()));
    }

    #[test]
    fn one_address_does_not_use_up_the_handshakes_of_all() {
        let rates = Rates::new(&slow());
        let code = |address| rates.handshake(at(address)).map_err(|(code, _)| code);
        assert_eq!([code("192.0.2.1"), code("192.0.2.1")], [Ok(()), Ok(())]);
        for _ in 0..50 {
            assert_eq!(code("192.0.2.1"), Err(Code::RateLimited));
        }
        assert_eq!(code("192.0.2.2"), Ok(()));
        assert_eq!(code("192.0.2.3"), Err(Code::Busy));
    }

    #[test]
    fn a_flood_of_addresses_costs_bounded_memory() {
        let rates = Rates::new(&slow());
        for host in 0..300_000u32 {
            let _ = rates.address(ClientAddr(IpAddr::from(host.to_be_bytes())));
        }
        let held = u64::try_from(rates.addresses.limiter.len()).expect("fits");
        assert!(held <= BUCKETS, "{held}");
    }
}
