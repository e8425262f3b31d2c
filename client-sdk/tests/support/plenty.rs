//! A relay that counts nobody's attempts.

use sordino_testing::TestRelay;

/// A relay for many people of one address, who try again and again.
pub async fn relay() -> TestRelay {
    TestRelay::configured(|config| {
        let plenty = 100_000.try_into().expect("not zero");
        config.rates.address_burst = plenty;
        config.rates.address_sign_ups_burst = plenty;
        config.rates.address_handshakes_burst = plenty;
        config.rates.address_passwords_burst = plenty;
        config.rates.passwords_burst = plenty;
        config.rates.sign_ups_burst = plenty;
        config.rates.user_burst = plenty;
        config.rates.user_writes_burst = plenty;
    })
    .await
    .expect("relay")
}
