//! Passwords towards the relay, which never sees them (OPAQUE): one is set, or proved by a device that is on no list yet.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sordino_crypto::{Secret, keys::DeviceKeys};
use sordino_opaque::{Login, LoginError, Malformed, Realm, Registration, confirmation};
use sordino_protocol::{Code, DeviceId, UserId, http};

use crate::{
    engine::Core,
    error::Error,
    machine::SetPassword,
    net::{Http, auth::AccessToken, blocking},
    password::{Password, VaultPolicy},
};

/// What a device that is on no list yet will be.
pub(super) struct NewKeys {
    pub(super) device: DeviceId,
    pub(super) keys: DeviceKeys,
}

impl NewKeys {
    pub(super) fn generate() -> Self {
        Self {
            device: DeviceId::from_bytes(rand::random()),
            keys: DeviceKeys::generate(&mut rand::rng()),
        }
    }

    /// Who is to get the token of a password.
    pub(super) fn signer(&self) -> (DeviceId, [u8; 32]) {
        (self.device, self.keys.public().signing_key)
    }
}

fn malformed(_: Malformed) -> Error {
    Error::new(Code::RelayMisbehaved, "its answer is none of OPAQUE's")
}

/// Makes what the relay is to keep of a password. It does not see the password. `owner`: who may set another one for a name that
/// somebody has.
pub(super) async fn set_password(
    core: &Arc<Core>,
    owner: Option<&Http>,
    username: &str,
    password: &Password,
) -> Result<SetPassword, Error> {
    let (registration, request) = Registration::start(password.bytes()).map_err(malformed)?;
    let asked = http::PasswordRequest {
        username: username.to_owned(),
        request: request.into(),
    };
    let http::PasswordAnswer { response, seed } = match owner {
        Some(owner) => owner.next_password_request(&asked).await?,
        None => core.http.password_request(&asked).await?,
    };
    let (relay, name) = (core.relay.name().to_owned(), username.to_owned());
    let opens_vault = core.vault_policy == VaultPolicy::PasswordToo;
    blocking(move || {
        let realm = Realm {
            relay: &relay,
            username: &name,
        };
        let made = registration.finish(realm, &response.0).map_err(malformed)?;
        Ok(SetPassword {
            record: http::NewPassword {
                seed,
                record: made.record.to_vec().into(),
            },
            export_key: opens_vault.then(|| Secret::copy_of(&made.export_key)),
        })
    })
    .await
}

/// What a right password yields.
pub(super) struct Proved {
    pub(super) user: UserId,
    pub(super) token: AccessToken,
    pub(super) export_key: Secret<64>,
}

/// Proves to the relay that the owner of a device knows the password. With the token the device signs by this key (DSK).
pub(super) async fn prove(
    core: &Arc<Core>,
    username: &str,
    password: &Password,
    (device, signing_key): (DeviceId, [u8; 32]),
) -> Result<Proved, Error> {
    let (login, request) = Login::start(password.bytes()).map_err(malformed)?;
    let asked = http::PasswordLogin {
        username: username.to_owned(),
        device,
        request: request.into(),
    };
    let http::PasswordChallenge {
        nonce,
        attempt,
        response,
        ..
    } = core.http.password_login(&asked).await?;
    let (relay, name) = (core.relay.name().to_owned(), username.to_owned());
    let done = blocking(move || {
        let realm = Realm {
            relay: &relay,
            username: &name,
        };
        login
            .finish(realm, &response.0)
            .map_err(|error| match error {
                LoginError::Refused => Error::new(Code::WrongPassword, ""),
                LoginError::Malformed(error) => malformed(error),
            })
    });
    let done = done.await?;
    let confirmed = confirmation(&done.session_key, device.as_bytes(), &signing_key);
    let now = Instant::now();
    let finish = http::PasswordFinish {
        username: username.to_owned(),
        device,
        signing_key: signing_key.to_vec().into(),
        nonce,
        attempt,
        finalization: done.finalization.into(),
        confirmation: confirmed.to_vec().into(),
    };
    let token = core.http.password_finish(&finish).await?;
    let lifetime = Duration::from_secs(token.expires_in);
    Ok(Proved {
        user: token.user,
        token: AccessToken::new(token.access_token, lifetime, now),
        export_key: Secret::copy_of(&done.export_key),
    })
}
