//! The app's own login, where the relay's operator lets that say who somebody is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sordino_protocol::{DeviceId, UserId, http};

use crate::{engine::Core, error::Error, net::auth::AccessToken, sign_up::ExternalToken};

/// Whose account a token of the app leads to.
pub(super) struct Entered {
    pub(super) user: http::User,
    pub(super) token: AccessToken,
}

/// Shows the relay the app's token. With what it yields the device signs by this key (DSK).
pub(super) async fn enter(
    core: &Arc<Core>,
    token: &ExternalToken,
    (device, signing_key): (DeviceId, [u8; 32]),
) -> Result<Entered, Error> {
    // To no other relay: it could log in with it here. Nobody's challenge will do.
    let nobody = UserId::from_bytes([0; 16]);
    core.http.is_meant_for(nobody, device).await?;
    let login = http::ExternalLogin {
        external_token: token.expose().to_owned(),
        device,
        signing_key: signing_key.to_vec().into(),
    };
    let now = Instant::now();
    let entered = core.http.external_login(&login).await?;
    let lifetime = Duration::from_secs(entered.expires_in);
    Ok(Entered {
        user: http::User {
            user: entered.user,
            username: entered.username,
        },
        token: AccessToken::new(entered.access_token, lifetime, now),
    })
}
