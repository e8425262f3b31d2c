//! The handshake: what is refused before there is a socket.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{Extensions, HeaderMap},
    response::Response,
};
use sordino_protocol::{Code, SUBPROTOCOL, limits};

use super::{Chat, places::Place, socket};
use crate::{
    http::{ApiError, caller::Caller},
    ops::rates::{client_of, refused},
};

/// When an address that has all its sockets may ask again.
const FULL: Duration = Duration::from_secs(30);

/// What the socket reads at once. Every connection holds a buffer of this size all its life, grown to the largest frame it
/// sent.
const READ_BUFFER: usize = 512;
/// Frames are gathered up to this size before the kernel gets them, or until there is nothing more to write at the moment.
/// The buffer stays as large as it once was.
const GATHERED: usize = 2 * 1024;
/// One frame, and the pong or close that may join it.
const WRITE_BUFFER: usize = 2 * limits::FRAME_BYTES;

/// `GET /v1/socket`
pub(super) async fn upgrade(
    State(chat): State<Arc<Chat>>,
    headers: HeaderMap,
    extensions: Extensions,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    if chat.connections.draining() {
        return Err(Code::Draining.into());
    }
    let upgrade = upgrade
        .map_err(|_| ApiError::new(Code::BadRequest, "this is the address of a WebSocket"))?
        .protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(Code::UnsupportedVersion.into());
    }
    let caller = Caller::of_headers(&chat.api, &headers).await?;
    let Some(place) = Place::take(chat, client_of(&extensions)) else {
        refused("sockets");
        return Err(ApiError::after(Code::RateLimited, FULL));
    };
    Ok(upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(GATHERED)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(limits::FRAME_BYTES)
        .max_frame_size(limits::FRAME_BYTES)
        .on_upgrade(async move |socket: WebSocket| {
            socket::serve(&place.chat, socket, &caller).await
        }))
}
