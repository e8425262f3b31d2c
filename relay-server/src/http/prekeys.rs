//! Prekeys: stored and counted by the device that owns them.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Method, Uri},
};
use sordino_protocol::{
    Code, DeviceId, UserId, frame,
    http::{PrekeyCount, PutPrekeys, Signed},
    limits, pb,
    signed::{self, SignedType},
};

use super::{
    Api, ApiError,
    caller::Caller,
    request::{Body, Ids},
};
use crate::user::{Prekey, PrekeyKind, verify::verify};

const X25519_BYTES: usize = 32;
const ML_KEM_768_BYTES: usize = 1184;

/// `GET /v1/users/{user}/devices/{device}/prekeys`
pub(super) async fn count(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids((user, device)): Ids<(UserId, DeviceId)>,
) -> Result<Json<PrekeyCount>, ApiError> {
    caller.must_be_device(user, device)?;
    Ok(Json(api.users.count_prekeys(user, device).await?))
}

/// `PUT /v1/users/{user}/devices/{device}/prekeys`
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids((user, device)): Ids<(UserId, DeviceId)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<PrekeyCount>, ApiError> {
    caller.must_be_device(user, device)?;
    caller
        .must_have_signed(&api, (&method, &uri, &headers), &body)
        .await?;
    let put: PutPrekeys = body.json()?;
    if put.one_time.len() > limits::ONE_TIME_PREKEYS
        || put.pq_one_time.len() > limits::PQ_ONE_TIME_PREKEYS
    {
        return Err(ApiError::new(Code::BadRequest, "too many one-time prekeys"));
    }
    let now_ms = (api.now_ms)();
    let of_kind = |kind| move |key: Signed| (kind, key);
    let keys = (put.signed.into_iter().map(of_kind(PrekeyKind::Signed)))
        .chain(
            put.pq_last_resort
                .into_iter()
                .map(of_kind(PrekeyKind::PqLastResort)),
        )
        .chain(put.one_time.into_iter().map(of_kind(PrekeyKind::OneTime)))
        .chain(
            put.pq_one_time
                .into_iter()
                .map(of_kind(PrekeyKind::PqOneTime)),
        )
        .map(|(kind, key)| check(&caller, kind, key.into(), now_ms).ok_or(Code::BadPrekey))
        .collect::<Result<Vec<_>, _>>()?;
    api.users
        .put_prekeys(user, device, &keys, put.replace)
        .await?;
    Ok(Json(api.users.count_prekeys(user, device).await?))
}

fn check(caller: &Caller, kind: PrekeyKind, key: pb::Signed, now_ms: u64) -> Option<Prekey> {
    let (signed_type, len) = match kind {
        PrekeyKind::Signed => (SignedType::SignedPrekey, X25519_BYTES),
        PrekeyKind::OneTime => (SignedType::OneTimePrekey, X25519_BYTES),
        PrekeyKind::PqLastResort => (SignedType::PqLastResort, ML_KEM_768_BYTES),
        PrekeyKind::PqOneTime => (SignedType::PqOneTimePrekey, ML_KEM_768_BYTES),
    };
    let body: pb::PrekeyBody = frame::decode(key.body.clone(), &frame::PREKEY).ok()?;
    let signature = key.signature.as_ref().try_into().ok()?;
    let good = body.user == caller.user.as_bytes().as_slice()
        && body.device == caller.device.as_bytes().as_slice()
        && body.key_id > 0
        && body.expires_ms > now_ms
        && body.key.len() == len
        && verify(
            caller.signing_key(),
            &signed::input(signed_type, &key.body),
            signature,
        );
    good.then_some(Prekey {
        kind,
        id: body.key_id,
        expires_ms: body.expires_ms,
        signed: key,
    })
}
