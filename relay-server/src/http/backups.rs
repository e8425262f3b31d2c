//! The key backup: batches that the user's devices seal, and that a new device of theirs opens.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use sordino_protocol::{
    Code, DeviceId, UserId,
    batch::Place,
    http::{BackupHead, BackupHeads, Base64, Batches, PutBatch},
    limits,
};

use super::{
    Api, ApiError,
    caller::{AccountCaller, Caller},
    login::array,
    request::{Body, Ids, Params},
};
use crate::user::{Batch, ChainHead, ClosedBackup};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Upto {
    upto: u64,
}

/// `PUT /v1/users/{user}/devices/{device}/backups/{version}`
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids((user, device, version)): Ids<(UserId, DeviceId, u32)>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    caller.must_be_device(user, device)?;
    let bytes = body.json::<PutBatch>()?.batch.0;
    if bytes.len() > limits::BATCH_BYTES {
        return Err(Code::TooLarge.into());
    }
    let place = Place::of(&bytes).ok_or_else(|| ApiError::new(Code::BadRequest, "batch"))?;
    if place.number > limits::CHAIN_BATCHES {
        return Err(ApiError::new(
            Code::TooLarge,
            "a chain of the key backup has 10000 batches at most",
        ));
    }
    if place.device != device {
        return Err(Code::Forbidden.into());
    }
    api.rates.batch(user, device)?;
    let newest = api.users.newest_list(user).await?;
    let backup = newest.and_then(|list| list.backup);
    if backup.is_none_or(|backup| backup.version != version) {
        return Err(Code::BackupClosed.into());
    }
    let batch = Batch {
        version,
        place,
        bytes,
    };
    api.users.put_batch(user, &batch).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/users/{user}/backups/{version}`
pub(super) async fn heads(
    State(api): State<Arc<Api>>,
    caller: AccountCaller,
    Ids((user, version)): Ids<(UserId, u32)>,
) -> Result<Json<BackupHeads>, ApiError> {
    caller.must_be_user(user)?;
    let heads = api.users.backup_heads(user, version).await?;
    let heads = heads.into_iter().map(|end| BackupHead {
        device: end.device,
        number: end.head.number,
        hash: end.head.hash.to_vec().into(),
    });
    Ok(Json(BackupHeads {
        heads: heads.collect(),
    }))
}

/// `GET /v1/users/{user}/backups/{version}/{device}`
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids((user, version, device)): Ids<(UserId, u32, DeviceId)>,
    Params(Upto { upto }): Params<Upto>,
) -> Result<Json<Batches>, ApiError> {
    caller.must_be_user(user)?;
    let chain = (version, device);
    let found = (api.users).batches(user, chain, upto, limits::BATCHES_PAGE);
    Ok(Json(Batches {
        batches: found.await?.into_iter().map(Base64).collect(),
    }))
}

/// What a list closes that leaves this version behind.
pub(super) fn closing(version: u32, heads: &[BackupHead]) -> Result<ClosedBackup, ApiError> {
    let head = |head: &BackupHead| {
        Ok(ChainHead {
            device: head.device,
            head: sordino_protocol::batch::Head {
                number: head.number,
                hash: array(&head.hash.0, "closes_backup")?,
            },
        })
    };
    let mut heads = heads
        .iter()
        .map(head)
        .collect::<Result<Vec<_>, ApiError>>()?;
    heads.sort_by_key(|end| end.device);
    Ok(ClosedBackup { version, heads })
}
