//! Users: registered, and found by name or id.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{Extensions, StatusCode},
};
use sordino_protocol::{
    Code, UserId,
    http::{Register, User},
    limits, list,
};

use super::{
    Api, ApiError,
    caller::Caller,
    lists::credentials,
    passwords::count_guesser,
    registration::Brought,
    request::{Body, Ids},
};
use crate::{
    ops::{
        fleet::Bucket,
        rates::{Wait, client_of},
    },
    user::{Credentials, verify::verify},
};

/// `POST /v1/users`
pub(super) async fn register(
    State(api): State<Arc<Api>>,
    extensions: Extensions,
    body: Body,
) -> Result<(StatusCode, Json<User>), ApiError> {
    let Register {
        username,
        list,
        vault,
        password,
        invite,
        external_token,
        email,
    } = body.json()?;
    if !limits::is_username(&username) {
        return Err(ApiError::new(Code::BadRequest, "username"));
    }
    // Before the signatures, of which there are a dozen at most; the bucket of all comes after them, or one could empty it
    // with what is no sign-up.
    let address = client_of(&extensions);
    api.rates.address_sign_up(address)?;
    let bucket = Bucket::AddressSignUps(address.0);
    let share = api.rates.address_sign_ups();
    api.fleet.take(bucket, share, 1).await.unwrap_or(Ok(()))?;
    let brought = Brought {
        invite,
        external_token,
        password: password.is_some(),
    };
    let admission = api.registration.admit(brought, (api.now_ms)()).await?;
    let email = api.emails.taken(email.as_deref())?;
    if email.is_some() {
        // The answer says whether somebody has it.
        count_guesser(&api, &extensions).await?;
    }
    let list = list::parse(&list.into(), verify)
        .map_err(|error| ApiError::new(Code::BadList, error.to_string()))?;
    if list.version != 1 || list.devices.len() != 1 {
        return Err(ApiError::new(
            Code::BadList,
            "the first list is version 1 and names one device",
        ));
    }
    let with = Credentials {
        admission,
        email,
        ..credentials(&api, &list, 0, vault, password)?
    };
    api.rates.sign_up()?;
    let share = api.rates.sign_ups();
    let taken = api.fleet.take(Bucket::SignUps, share, 1).await;
    taken
        .unwrap_or(Ok(()))
        .map_err(|Wait(wait)| ApiError::after(Code::Busy, wait))?;
    api.users.create(&username, &list, &with).await?;
    let user = list.user;
    Ok((StatusCode::CREATED, Json(User { user, username })))
}

/// `GET /v1/users/by-name/{username}`
pub(super) async fn by_name(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids(username): Ids<String>,
) -> Result<Json<User>, ApiError> {
    api.rates.lookup(caller.user)?;
    let user = api.users.by_name(&username).await?;
    Ok(Json(user.ok_or(Code::UserNotFound)?))
}

/// `GET /v1/users/{user}`
pub(super) async fn by_id(
    State(api): State<Arc<Api>>,
    _: Caller,
    Ids(user): Ids<UserId>,
) -> Result<Json<User>, ApiError> {
    let user = api.users.by_id(user).await?;
    Ok(Json(user.ok_or(Code::UserNotFound)?))
}
