//! Acknowledgements: gathered, and written at most so often.
//!
//! They are cumulative, so the highest of a conversation stands for the others. A device may not claim what does not exist:
//! up to what this connection was told, that is known, and so is the peer; beyond it history is asked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sordino_protocol::{ConversationId, DeviceId, Header, UserId};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::task::TaskTracker;

use super::identity::Identity;
use crate::{
    history::{HistoryError, StoredRow},
    http::Api,
    session::Event,
};

/// Conversations that may wait; one more writes them at once, or is forgotten while others are being written: the next
/// acknowledgement says it again, and so does the next connection.
const MOST: usize = 256;
/// Connections whose acknowledgements are written at the same time: what they wait for is wanted for messages, too.
const AT_ONCE: usize = 256;
/// Conversations of which is remembered what a connection was told and has acknowledged. Of others history is asked.
const TOLD: usize = 64;

/// The acknowledgements of all connections that are being written.
pub(super) struct Writes {
    turns: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Default for Writes {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            tasks: TaskTracker::new(),
        }
    }
}

impl Writes {
    /// Waits for those under way. There must be no connection any more.
    pub(super) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The acknowledgements of one connection that are not written yet. Trees, which take next to nothing while they are empty.
#[derive(Default)]
pub(super) struct Acks {
    told: BTreeMap<ConversationId, Told>,
    waiting: BTreeMap<ConversationId, Acked>,
    /// Of what the user wrote alone: nobody waits for these. They are written with what is acknowledged next of the
    /// conversation, or at the end.
    own: BTreeMap<ConversationId, Acked>,
    written: Option<Instant>,
    /// Shared with the task that writes, as long as one does.
    writing: Option<Arc<()>>,
}

/// What the connection was told of a conversation.
struct Told {
    peer: UserId,
    last: u64,
    /// The highest that the peer wrote, or may have written for all that was told here, and the device has not acknowledged;
    /// 0: none.
    of_peer: u64,
    acked: u64,
}

/// An acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Acked {
    seq: u64,
    /// Known where the conversation is known to have reached `seq`.
    peer: Option<UserId>,
}

impl Acks {
    /// The device is told of a row that is stored.
    pub(super) fn told(&mut self, conversation: ConversationId, row: &StoredRow, user: UserId) {
        let Ok(header) = Header::parse(&row.header) else {
            return;
        };
        let of_peer = header.sender != user;
        let peer = if of_peer {
            header.sender
        } else {
            header.recipient
        };
        if self.told.len() >= TOLD && !self.told.contains_key(&conversation) {
            // What is acknowledged to its end tells nothing but that.
            self.told.retain(|_, told| told.acked < told.last);
            if self.told.len() >= TOLD {
                return;
            }
        }
        let told = self.told.entry(conversation).or_insert(Told {
            peer,
            last: 0,
            of_peer: 0,
            acked: 0,
        });
        if of_peer {
            told.of_peer = told.of_peer.max(row.seq);
        } else if row.seq > told.last + 1 {
            // The device pulls what is between, or has it from another connection.
            told.of_peer = told.of_peer.max(row.seq - 1);
        }
        told.last = told.last.max(row.seq);
    }

    pub(super) fn add(&mut self, conversation: ConversationId, seq: u64) {
        let Some((acked, own)) = self.known(conversation, seq) else {
            return;
        };
        let full = |map: &BTreeMap<_, _>| map.len() >= MOST && !map.contains_key(&conversation);
        let among = if own && !self.waiting.contains_key(&conversation) && !full(&self.own) {
            &mut self.own
        } else if full(&self.waiting) {
            return;
        } else {
            self.own.remove(&conversation);
            &mut self.waiting
        };
        let highest = among.entry(conversation).or_insert(acked);
        if seq > highest.seq {
            *highest = acked;
        }
    }

    /// What an acknowledgement means, and whether it is of nothing that the peer wrote; `None`: it says nothing new.
    fn known(&mut self, conversation: ConversationId, seq: u64) -> Option<(Acked, bool)> {
        let told = self.told.get_mut(&conversation);
        let Some(told) = told.filter(|told| seq <= told.last) else {
            return Some((Acked { seq, peer: None }, false));
        };
        if seq <= told.acked {
            return None;
        }
        told.acked = seq;
        let acked = Acked {
            seq,
            peer: Some(told.peer),
        };
        let own = told.of_peer == 0;
        if seq >= told.of_peer {
            told.of_peer = 0;
        }
        Some((acked, own))
    }

    fn is_writing(&self) -> bool {
        let writing = self.writing.as_ref();
        writing.is_some_and(|writing| Arc::strong_count(writing) > 1)
    }

    /// When they are to be written, if there are any.
    pub(super) fn due(&self, now: Instant, every: Duration) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        let full = self.waiting.len() >= MOST && !self.is_writing();
        Some(self.written.filter(|_| !full).map_or(now, |at| at + every))
    }

    /// Has them written, and the other person told where more is delivered now than before. A task of its own does it: a
    /// history that is slow must not keep the connection from its messages. While one is at it, the rest waits.
    pub(super) fn write(&mut self, api: &Arc<Api>, identity: &Identity, writes: &Writes) {
        self.written = Some(Instant::now());
        if self.is_writing() || self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let writing = Arc::clone(self.writing.get_or_insert_default());
        let (api, turns) = (Arc::clone(api), Arc::clone(&writes.turns));
        let whose = (identity.user, identity.device);
        writes.tasks.spawn(async move {
            // Nobody closes it.
            let _turn = turns.acquire().await;
            for (conversation, acked) in waiting {
                // The next acknowledgement says it again, and so does the next connection.
                if let Err(error) = write(&api, whose, conversation, acked).await {
                    tracing::warn!(%error, "an acknowledgement was not written");
                }
            }
            drop(writing);
        });
    }

    /// The same at the connection's end, though others may still be being written: marks only rise.
    pub(super) fn finish(&mut self, api: &Arc<Api>, identity: &Identity, writes: &Writes) {
        self.writing = None;
        self.waiting.append(&mut self.own);
        self.write(api, identity, writes);
    }
}

async fn write(
    api: &Api,
    (user, device): (UserId, DeviceId),
    conversation: ConversationId,
    Acked { seq, peer }: Acked,
) -> Result<(), HistoryError> {
    let history = &api.history;
    let risen = match peer {
        Some(peer) => {
            let place = (conversation, peer);
            history.acknowledge_told(user, device, place, seq).await?
        }
        None => history.acknowledge(user, device, conversation, seq).await?,
    };
    if let Some((seq, peer)) = risen {
        let event = Event::Delivered { conversation, seq };
        // A hint: the mark is in every page of conversations.
        if let Err(error) = api.sessions.publish(&[peer], event).await {
            tracing::warn!(%error, "a delivery was not announced");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sordino_protocol::{Class, ClientMessageId, MessageId};

    use super::*;

    const EVERY: Duration = Duration::from_secs(1);

    fn conversation(n: u64) -> ConversationId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        ConversationId::from_bytes(id)
    }

    #[test]
    fn the_first_is_due_at_once_and_the_next_a_while_later() {
        let (mut acks, now) = (Acks::default(), Instant::now());
        assert_eq!(acks.due(now, EVERY), None);
        acks.add(conversation(1), 5);
        acks.add(conversation(1), 3);
        let acked = Acked { seq: 5, peer: None };
        assert_eq!(acks.waiting[&conversation(1)], acked);
        assert_eq!(acks.due(now, EVERY), Some(now));
        acks.waiting.clear();
        acks.written = Some(now);
        acks.add(conversation(1), 6);
        assert_eq!(acks.due(now, EVERY), Some(now + EVERY));
    }

    fn row(seq: u64, sender: UserId, recipient: UserId) -> StoredRow {
        let header = Header {
            class: Class::Message,
            conversation: conversation(1),
            counter: seq,
            client_message_id: ClientMessageId::from_bytes([0; 16]),
            sender,
            sender_device: DeviceId::from_bytes([2; 16]),
            recipient,
            sender_list: 1,
            recipient_list: 1,
            list_digest: [0; 16],
            erase: vec![],
            commit: [0; 32],
        };
        StoredRow {
            seq,
            message_id: MessageId(seq),
            header: header.encode().into(),
            content_hash: [0; 32],
            content: None,
            wraps: None,
        }
    }

    /// Whether something is due, and with which peer.
    fn due(acks: &Acks) -> Option<Option<UserId>> {
        let now = Instant::now();
        let due = acks.due(now, EVERY).is_some();
        due.then(|| acks.waiting[&conversation(1)].peer)
    }

    #[test]
    fn what_was_told_needs_no_look_and_own_messages_no_hurry() {
        let [user, peer] = [1, 2].map(|n| UserId::from_bytes([n; 16]));
        let (own, theirs) = ((user, peer), (peer, user));
        let told = |acks: &mut Acks, seq, (sender, recipient)| {
            acks.told(conversation(1), &row(seq, sender, recipient), user);
        };
        let mut acks = Acks::default();
        told(&mut acks, 1, own);
        acks.add(conversation(1), 1);
        assert_eq!(due(&acks), None);
        told(&mut acks, 2, theirs);
        told(&mut acks, 3, own);
        acks.add(conversation(1), 2);
        assert_eq!(due(&acks), Some(Some(peer)));
        assert!(acks.own.is_empty());
        acks.add(conversation(1), 3);
        assert_eq!(acks.waiting[&conversation(1)].seq, 3);
        acks.waiting.clear();
        told(&mut acks, 4, own);
        acks.add(conversation(1), 4);
        assert_eq!(due(&acks), None);
    }

    /// A device that catches up pulls what the peer wrote, while it is told of what it writes itself.
    #[test]
    fn what_was_not_told_may_be_the_peers() {
        let [user, peer] = [1, 2].map(|n| UserId::from_bytes([n; 16]));
        for first in [1, 8] {
            let mut acks = Acks::default();
            acks.told(conversation(1), &row(first, peer, user), user);
            acks.add(conversation(1), first);
            acks.waiting.clear();
            acks.told(conversation(1), &row(15, user, peer), user);
            acks.add(conversation(1), 15);
            assert_eq!(due(&acks), Some(Some(peer)));
        }
        let mut acks = Acks::default();
        acks.told(conversation(1), &row(15, user, peer), user);
        acks.add(conversation(1), 15);
        assert_eq!(due(&acks), Some(Some(peer)));
    }

    #[test]
    fn what_was_not_told_is_not_believed() {
        let [user, peer] = [1, 2].map(|n| UserId::from_bytes([n; 16]));
        let mut acks = Acks::default();
        acks.told(conversation(1), &row(7, peer, user), user);
        acks.add(conversation(1), 8);
        assert_eq!(due(&acks), Some(None));
        // Nor does what it was told make the higher one any truer.
        acks.add(conversation(1), 7);
        assert_eq!(acks.waiting[&conversation(1)], Acked { seq: 8, peer: None });
    }

    #[test]
    fn an_acknowledgement_below_what_the_peer_wrote_leaves_that_to_the_next() {
        let [user, peer] = [1, 2].map(|n| UserId::from_bytes([n; 16]));
        let mut acks = Acks::default();
        acks.told(conversation(1), &row(1, peer, user), user);
        acks.told(conversation(1), &row(2, peer, user), user);
        acks.add(conversation(1), 1);
        acks.waiting.clear();
        acks.add(conversation(1), 2);
        assert_eq!(due(&acks), Some(Some(peer)));
    }

    #[test]
    fn so_much_is_remembered_and_no_more() {
        let [user, peer] = [1, 2].map(|n| UserId::from_bytes([n; 16]));
        let mut acks = Acks::default();
        for n in 0..2 * TOLD as u64 {
            acks.told(conversation(n), &row(1, peer, user), user);
        }
        assert_eq!(acks.told.len(), TOLD);
        let unknown = conversation(TOLD as u64);
        assert!(!acks.told.contains_key(&unknown));
        acks.add(conversation(0), 1);
        acks.told(unknown, &row(1, peer, user), user);
        assert!(acks.told.contains_key(&unknown));
    }

    #[test]
    fn so_many_wait_and_no_more() {
        let now = Instant::now();
        let mut acks = Acks {
            written: Some(now),
            ..Acks::default()
        };
        for n in 0..MOST as u64 {
            assert_ne!(acks.due(now, EVERY), Some(now));
            acks.add(conversation(n), 1);
        }
        assert_eq!(acks.due(now, EVERY), Some(now), "at once");
    }
}
