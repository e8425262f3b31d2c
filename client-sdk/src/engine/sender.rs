//! Messages on their way into the store: those that come together are committed together, since a commit that survives
//! a power loss costs more than an encryption.

use std::{ops::Range, sync::Arc};

use sordino_protocol::{Code, UserId};
use tokio::sync::{mpsc, oneshot};

use super::{Core, now_ms};
use crate::{
    error::Error,
    machine::{Happening, Machine, NewMessage},
    types::{Draft, MessageId},
};

/// Messages of one commit.
const BATCH: usize = 64;
/// Messages that wait for one; a caller beyond that waits.
const QUEUE: usize = 256;

/// A message to send.
pub(crate) struct Waiting {
    peer: UserId,
    draft: Draft,
    stored: oneshot::Sender<Result<MessageId, Error>>,
}

/// Where drafts go.
pub(crate) type Sender = mpsc::Sender<Waiting>;

/// The queue of drafts.
pub(crate) fn queue() -> (Sender, mpsc::Receiver<Waiting>) {
    mpsc::channel(QUEUE)
}

/// Stores drafts until there are no more senders.
pub(crate) async fn send_all(core: Arc<Core>, mut drafts: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH);
    while drafts.recv_many(&mut batch, BATCH).await > 0 {
        let (texts, answers): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .map(|waiting| ((waiting.peer, waiting.draft), waiting.stored))
            .unzip();
        let texts = Arc::new(texts);
        match store(&core, &texts, 0..texts.len()).await {
            Ok(ids) => {
                for (answer, id) in answers.into_iter().zip(ids) {
                    // Who gave up waiting has sent all the same.
                    let _ = answer.send(Ok(id));
                }
            }
            // Whose fault it was is found out one by one: it must not be the others' loss.
            Err(_) => {
                for (at, answer) in answers.into_iter().enumerate() {
                    let stored = store(&core, &texts, at..at + 1).await;
                    let stopped = || Error::new(Code::Internal, "no message");
                    let one = stored.and_then(|mut ids| ids.pop().ok_or_else(stopped));
                    let _ = answer.send(one);
                }
            }
        }
    }
}

/// Stores some of these texts: all of them or none.
async fn store(
    core: &Arc<Core>,
    texts: &Arc<Vec<(UserId, Draft)>>,
    which: Range<usize>,
) -> Result<Vec<MessageId>, Error> {
    let of = texts.clone();
    let (peers, ids) = core
        .shared
        .change(move |machine| {
            let texts = of.get(which).unwrap_or_default();
            let peers: Vec<_> = texts.iter().map(|(peer, _)| *peer).collect();
            let drafts = texts.iter().map(|(peer, draft)| NewMessage {
                peer: *peer,
                text: &draft.text,
                reply_to: draft.reply_to,
            });
            let sent = machine.send_many(&drafts.collect::<Vec<_>>(), now_ms())?;
            let ids: Vec<_> = sent.iter().map(|sent| sent.client_message_id).collect();
            let added = sent.into_iter().map(|sent| Happening::Added(sent.item));
            Ok(((peers, ids), added.collect()))
        })
        .await?;
    core.wake(peers);
    Ok(ids)
}

/// Queues a draft and waits for its commit.
pub(crate) async fn send(sender: &Sender, peer: UserId, draft: Draft) -> Result<MessageId, Error> {
    let stopped = || Error::new(Code::Stopped, "");
    let (stored, answer) = oneshot::channel();
    let waiting = Waiting {
        peer,
        draft,
        stored,
    };
    sender.send(waiting).await.map_err(|_| stopped())?;
    answer.await.map_err(|_| stopped())?
}

/// Does something of which the other devices of both are to learn.
pub(crate) async fn say<T: Send + 'static>(
    core: &Arc<Core>,
    peer: UserId,
    work: impl FnOnce(&mut Machine, u64) -> Result<(T, Vec<Happening>), Error> + Send + 'static,
) -> Result<T, Error> {
    let said = core.shared.change(move |machine| work(machine, now_ms()));
    let said = said.await?;
    core.wake([peer]);
    Ok(said)
}
