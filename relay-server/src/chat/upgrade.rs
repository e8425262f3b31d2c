//! The handshake: what is refused before there is a socket.

use std::sync::Arc;

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::HeaderMap,
    response::Response,
};
use sordino_protocol::{Code, SUBPROTOCOL, limits};

use super::{Chat, socket};
use crate::http::{ApiError, caller::Caller};

/// What the socket reads at once. Every connection holds a buffer of this size all its life.
const READ_BUFFER: usize = 1024;
/// One frame, and the pong or close that may join it.
const WRITE_BUFFER: usize = 2 * limits::FRAME_BYTES;

/// `GET /v1/socket`
pub(super) async fn upgrade(
    State(chat): State<Arc<Chat>>,
    headers: HeaderMap,
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
    Ok(upgrade
        .read_buffer_size(READ_BUFFER)
        // Frames go to the kernel one by one: nothing is held back to wait for more.
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(limits::FRAME_BYTES)
        .max_frame_size(limits::FRAME_BYTES)
        .on_upgrade(async move |socket: WebSocket| socket::serve(&chat, socket, &caller).await))
}
