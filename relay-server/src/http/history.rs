//! History: the conversations of the caller, and their rows as the calling device may read them.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use sordino_protocol::{
    Code, ConversationId,
    http::{Base64, ConversationMark, ConversationPage, HistoryPage, HistoryRow},
    limits,
};

use super::{
    Api, ApiError,
    caller::Caller,
    request::{Ids, Params},
};

/// Rows of a page where the caller names no number.
const ROWS: usize = 50;
/// Bytes of a page, before base64.
const PAGE_BYTES: usize = 256 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    after: Option<ConversationId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    before: Option<u64>,
    limit: Option<usize>,
}

/// `GET /v1/conversations?after=`
pub(super) async fn conversations(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(After { after }): Params<After>,
) -> Result<Json<ConversationPage>, ApiError> {
    let most = limits::CONVERSATIONS_PAGE;
    // One more than fits, to learn whether there is one.
    let mut marks = api
        .history
        .marks(caller.user, caller.device, after, most + 1)
        .await?;
    let more = marks.len() > most;
    marks.truncate(most);
    let conversations = marks.into_iter().map(|mark| ConversationMark {
        conversation: mark.conversation,
        peer: mark.peer,
        last_seq: mark.last_seq,
        peer_acked: mark.peer_acked,
        own_acked: mark.own_acked,
    });
    Ok(Json(ConversationPage {
        conversations: conversations.collect(),
        more,
    }))
}

/// `GET /v1/conversations/{conversation}/messages?before=&limit=`
pub(super) async fn messages(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids(conversation): Ids<ConversationId>,
    Params(Before { before, limit }): Params<Before>,
) -> Result<Json<HistoryPage>, ApiError> {
    // A conversation that does not exist and one of others look the same.
    let peer = api.history.peer(caller.user, conversation).await?;
    peer.ok_or(Code::Forbidden)?;
    let limit = limit.unwrap_or(ROWS).clamp(1, limits::PULL_ROWS);
    let page = api
        .history
        .rows_before(conversation, before, limit, PAGE_BYTES)
        .await?;
    let rows = page.rows.iter().map(|row| {
        let (content, wrap) = row.read_by(caller.user, caller.device);
        HistoryRow {
            seq: row.seq,
            message_id: row.message_id,
            header: Base64(row.header.clone()),
            content_hash: row.content_hash.to_vec().into(),
            content: content.map(Base64),
            wrap: wrap.map(Base64),
        }
    });
    Ok(Json(HistoryPage {
        rows: rows.collect(),
        last_seq: page.last_seq,
    }))
}
