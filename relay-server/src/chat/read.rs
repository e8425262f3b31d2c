//! Reading over the socket: rows, and the list of conversations.

use sordino_protocol::{
    Code, ConversationId, limits,
    pb::{self, relay_frame::Frame},
};

use super::{identity::Identity, push};
use crate::http::{Api, error::code_of_history};

/// Bytes of stored rows that one answer carries. The library that writes the socket keeps a buffer as large as the
/// largest frame that it ever wrote, for as long as the connection lives: small pages are what keeps many connections
/// cheap. A device asks for several at a time.
const PULL_BYTES: usize = 16 * 1024;

/// `Pulled`, or the problem.
pub(super) async fn pull(api: &Api, reader: &Identity, pull: &pb::Pull) -> Frame {
    match rows(api, reader, pull).await {
        Ok(pulled) => {
            metrics::counter!("sordino_chat_pulled_rows_total").increment(pulled.rows.len() as u64);
            Frame::Pulled(pulled)
        }
        Err(code) => problem(pull.request, code),
    }
}

async fn rows(api: &Api, reader: &Identity, pull: &pb::Pull) -> Result<pb::Pulled, Code> {
    let conversation =
        ConversationId::from_slice(&pull.conversation).map_err(|_| Code::BadRequest)?;
    // A conversation that does not exist and one of others look the same.
    let peer = api.history.peer(reader.user, conversation).await;
    peer.map_err(code_of_history)?.ok_or(Code::Forbidden)?;
    let (from, to) = (pull.from_seq.max(1), pull.to_seq);
    let page = api
        .history
        .rows(conversation, from, to, limits::PULL_ROWS, PULL_BYTES)
        .await
        .map_err(code_of_history)?;
    Ok(pb::Pulled {
        request: pull.request,
        conversation: pull.conversation.clone(),
        rows: page.rows.iter().map(|row| push::row(row, reader)).collect(),
        last_seq: page.last_seq,
        complete: page.complete,
    })
}

/// `Conversations`, or the problem.
pub(super) async fn list(api: &Api, reader: &Identity, list: &pb::ListConversations) -> Frame {
    match marks(api, reader, list).await {
        Ok(conversations) => Frame::Conversations(conversations),
        Err(code) => problem(list.request, code),
    }
}

async fn marks(
    api: &Api,
    reader: &Identity,
    list: &pb::ListConversations,
) -> Result<pb::Conversations, Code> {
    let after = (!list.after.is_empty())
        .then(|| ConversationId::from_slice(&list.after))
        .transpose()
        .map_err(|_| Code::BadRequest)?;
    // One more than fits, to learn whether there is one.
    let most = limits::CONVERSATIONS_PAGE;
    let marks = api
        .history
        .marks(reader.user, reader.device, after, most + 1)
        .await
        .map_err(code_of_history)?;
    let mark = |mark: &crate::history::Mark| pb::ConversationMark {
        conversation: mark.conversation.to_pb(),
        peer: mark.peer.to_pb(),
        last_seq: mark.last_seq,
        peer_acked: mark.peer_acked,
        own_acked: mark.own_acked,
    };
    Ok(pb::Conversations {
        request: list.request,
        marks: marks.iter().take(most).map(mark).collect(),
        more: marks.len() > most,
    })
}

/// A request that was not carried out. 0: the frame had no number.
pub(super) fn problem(request: u32, code: Code) -> Frame {
    Frame::Problem(pb::Problem {
        request,
        code: code.as_str().to_owned(),
        detail: code.meaning().to_owned(),
        retry_after_ms: 0,
    })
}
