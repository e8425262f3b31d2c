//! Prekeys: given out, each one-time key once.

use std::sync::Arc;

use axum::{Json, extract::State};
use sordino_protocol::{
    Code, UserId,
    http::{Claim, Claimed},
    limits,
    list::DeviceList,
};

use crate::ops::fleet::Bucket;

use super::{
    Api, ApiError,
    caller::Caller,
    error::nobody,
    request::{Body, Ids},
};

/// `POST /v1/users/{user}/prekeys/claim`
pub(super) async fn claim(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids(user): Ids<UserId>,
    body: Body,
) -> Result<Json<Claimed>, ApiError> {
    let Claim { mut devices } = body.json()?;
    devices.sort_unstable();
    devices.dedup();
    if devices.len() > limits::DEVICES {
        return Err(ApiError::new(Code::BadRequest, "too many devices"));
    }
    let before = list_of(&api, user).await?;
    devices.retain(|device| before.device(*device).is_some());
    let now_ms = (api.now_ms)();
    if !api.claims.take(caller.user, user, devices.len(), now_ms) {
        return Err(Code::ClaimQuota.into());
    }
    let share = api.rates.claims();
    let bucket = Bucket::Claims(caller.user, user);
    let bundles = u32::try_from(devices.len()).unwrap_or(u32::MAX);
    if let Some(Err(_)) = api.fleet.take(bucket, share, bundles).await {
        return Err(Code::ClaimQuota.into());
    }
    let mut bundles = Vec::with_capacity(devices.len());
    for device in devices {
        bundles.extend(api.users.claim(user, device, now_ms).await?);
    }
    // The list may have moved on meanwhile: what is served must belong to the list that is served.
    let after = list_of(&api, user).await?;
    bundles.retain(|bundle| {
        let key = |device: &sordino_protocol::list::Device| device.signing_key;
        before.device(bundle.device).map(key) == after.device(bundle.device).map(key)
    });
    Ok(Json(Claimed {
        list: after.signed.clone().into(),
        bundles,
    }))
}

async fn list_of(api: &Api, user: UserId) -> Result<Arc<DeviceList>, ApiError> {
    match api.users.newest_list(user).await? {
        Some(list) => Ok(list),
        None => Err(nobody(&*api.users, user).await.into()),
    }
}
