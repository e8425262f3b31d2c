//! The pipe over which a device on the account links another. What goes through it is sealed for the two.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use sordino_protocol::{
    ChannelId, Code, UserId,
    http::{Base64, LinkMessage},
    limits,
};

use super::{
    Api, ApiError,
    caller::AccountCaller,
    request::{Body, Ids},
};
use crate::link::{PipeError, Place, Side};

type Path = Ids<(UserId, ChannelId, Side, u8)>;

/// `PUT /v1/users/{user}/links/{channel}/{side}/{number}`
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: AccountCaller,
    path: Path,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let place = place(&caller, path)?;
    // The device that is to be has a token of the password, and no other.
    if caller.knew_the_password() != (place.side == Side::New) {
        return Err(Code::Forbidden.into());
    }
    let message = body.json::<LinkMessage>()?.message;
    let message = message.ok_or_else(|| ApiError::new(Code::BadRequest, "message"))?;
    if message.0.len() > limits::LINK_MESSAGE_BYTES {
        return Err(Code::TooLarge.into());
    }
    api.rates.write(place.user)?;
    api.pipes.put(&place, message.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/users/{user}/links/{channel}/{side}/{number}`
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: AccountCaller,
    path: Path,
) -> Result<Json<LinkMessage>, ApiError> {
    let place = place(&caller, path)?;
    let message = api.pipes.get(&place).await?;
    Ok(Json(LinkMessage {
        message: message.map(Base64),
    }))
}

fn place(
    caller: &AccountCaller,
    Ids((user, channel, side, number)): Path,
) -> Result<Place, ApiError> {
    caller.must_be_user(user)?;
    if number >= limits::LINK_MESSAGES {
        return Err(Code::NotFound.into());
    }
    Ok(Place {
        user,
        channel,
        side,
        number,
    })
}

impl From<PipeError> for ApiError {
    fn from(error: PipeError) -> Self {
        match error {
            PipeError::Gone => Self::new(Code::LinkEnded, error.to_string()),
            PipeError::Taken => Self::new(Code::BadRequest, error.to_string()),
            PipeError::Unavailable => Code::Busy.into(),
        }
    }
}
