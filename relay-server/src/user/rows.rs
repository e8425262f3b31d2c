//! What the columns hold, the same in every database.

use bytes::Bytes;
use sordino_protocol::{DeviceId, UserId, hash::Hash, http, limits, list, pb};

use super::{BlockTag, Invite, PushTarget, UserError};

/// The columns of a user.
pub(super) fn user(id: &[u8], username: String) -> Result<http::User, UserError> {
    Ok(http::User {
        user: UserId::from_slice(id).map_err(damaged)?,
        username,
    })
}

/// The column `user_id`.
pub(super) fn user_id(id: &[u8]) -> Result<UserId, UserError> {
    UserId::from_slice(id).map_err(damaged)
}

/// Two columns to begin after; every id is behind the empty ones.
pub(super) fn place(after: Option<(UserId, DeviceId)>) -> (Vec<u8>, Vec<u8>) {
    after.map_or_else(Default::default, |(user, device)| {
        (user.as_bytes().to_vec(), device.as_bytes().to_vec())
    })
}

/// The column `device_id`.
pub(super) fn device_id(id: &[u8]) -> Result<DeviceId, UserError> {
    DeviceId::from_slice(id).map_err(damaged)
}

/// A column that holds a hash.
pub(super) fn hash(bytes: Vec<u8>) -> Result<Hash, UserError> {
    bytes.try_into().map_err(|_| damaged("a hash"))
}

/// The columns of an invite.
pub(super) fn invite(bytes: Vec<u8>, uses_left: i64, expires_ms: i64) -> Result<Invite, UserError> {
    Ok(Invite {
        hash: hash(bytes)?,
        uses: u32::try_from(uses_left).map_err(damaged)?,
        expires_ms: u64::try_from(expires_ms).map_err(damaged)?,
    })
}

/// A column that names a pair of people.
pub(super) fn block_tag(bytes: Vec<u8>) -> Result<BlockTag, UserError> {
    bytes.try_into().map_err(|_| damaged("a block"))
}

/// Whether a user who has decided about so many may do so about one more.
pub(super) fn has_room_for_block(count: i64) -> bool {
    usize::try_from(count).is_ok_and(|count| count < limits::BLOCKS)
}

/// The column `signed`.
pub(super) fn signed(bytes: Vec<u8>) -> Result<pb::Signed, UserError> {
    list::decode_signed(Bytes::from(bytes)).map_err(damaged)
}

/// The columns of a push target.
pub(super) fn push_target(
    device: &[u8],
    provider: &str,
    token: String,
    set_ms: i64,
) -> Result<PushTarget, UserError> {
    Ok(PushTarget {
        device: device_id(device)?,
        provider: http::PushProvider::from_name(provider)
            .ok_or_else(|| damaged("an unknown push provider"))?,
        token,
        set_ms: u64::try_from(set_ms).unwrap_or(0),
    })
}

/// A column does not hold what this relay put there.
pub(super) fn damaged(error: impl std::fmt::Display) -> UserError {
    UserError::Failed(format!("a stored row is damaged: {error}"))
}

/// The databases' integers are signed: a time past their end is as good as never.
pub(super) fn stored_ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

impl From<sqlx::Error> for UserError {
    fn from(error: sqlx::Error) -> Self {
        const SQLITE_FULL: &str = "13";
        const POSTGRES_DISK_FULL: &str = "53100";
        let code = error.as_database_error().and_then(|error| error.code());
        match code.as_deref() {
            Some(SQLITE_FULL | POSTGRES_DISK_FULL) => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}
