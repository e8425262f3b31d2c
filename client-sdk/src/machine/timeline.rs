//! What is shown of a conversation.

use sordino_protocol::{ClientMessageId, Code, ConversationId, DeviceId, UserId};

use super::written::reactions;
use super::{Happening, Machine};
use crate::error::Error;
use crate::store::{Conversation, ItemKind, MessageRef, Progress, StoredItem, Tx, UNPLACED};

/// Where an item stands. It orders the items of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The seq of its row; after every row for a message that has none yet.
    pub place: u64,
    /// Its local number, which never changes: what to find an item by.
    pub item: u64,
}

impl Position {
    pub(super) const fn of(item: &StoredItem) -> Self {
        Self {
            place: item.place,
            item: item.item,
        }
    }

    /// Whether its message has its place among all messages, and does not wait for it.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.place < UNPLACED
    }
}

/// An item of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineItem {
    /// Its conversation.
    pub conversation: ConversationId,
    /// Where it stands.
    pub position: Position,
    /// What it is.
    pub content: Content,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A message.
    Message {
        /// The author's name for it.
        id: ClientMessageId,
        /// Who wrote it.
        author: UserId,
        /// Written by the user of this device, on whichever device.
        mine: bool,
        /// The text.
        text: String,
        /// By the author's clock.
        sent_ms: u64,
        /// How far an own message has come; `Accepted` for another's.
        state: SendState,
        /// Its device was removed from the author's list before it came.
        removed_sender: bool,
        /// The message that it answers.
        reply_to: Option<Quote>,
        /// It said something else at first.
        edited: bool,
        /// How people like it: one of each.
        reactions: Vec<(UserId, String)>,
        /// Seconds that it lasts, from when it is sent or read; 0: for ever.
        timer_s: u32,
        /// When it ends, once that is known.
        expires_ms: Option<u64>,
    },
    /// A message that its author has erased.
    Erased {
        /// Who wrote it.
        author: Option<UserId>,
        /// Written by the user of this device, on whichever device.
        mine: bool,
    },
    /// Somebody set how long messages last from there on.
    Timer {
        /// Who.
        author: UserId,
        /// Seconds; 0: for ever.
        seconds: u32,
    },
    /// A row that cannot be shown.
    Undecryptable {
        /// Who wrote it, by what the relay said.
        author: Option<UserId>,
        /// A stable word.
        cause: String,
    },
    /// Rows that the relay has lost.
    Gap,
    /// Keys of the other person changed.
    KeyChanged {
        /// Whose.
        user: UserId,
        /// The identity key, not only the devices.
        identity: bool,
        /// When it was noticed.
        noticed_ms: u64,
    },
}

/// A message that another one answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The author's name for it.
    pub id: ClientMessageId,
    /// Who wrote it.
    pub author: UserId,
    /// What it says now; `None` where it is not here, or not any more.
    pub text: Option<String>,
}

/// How far an own message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendState {
    /// On this device only.
    Pending,
    /// The relay has it.
    Accepted,
    /// A device of the other person has it, by the relay's word.
    Delivered,
    /// The other person has read it, by their own word.
    Read,
    /// Given up.
    Failed(Code),
}

const REMOVED_SENDER: &str = "removed_sender";
const IDENTITY: &str = "identity";

/// How far the other person has come, in a conversation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reached {
    /// By the relay's word.
    pub(super) delivered: u64,
    /// By their own.
    pub(super) read: u64,
}

impl Reached {
    pub(super) fn of(held: Option<&Conversation>) -> Self {
        held.map_or_else(Self::default, |held| Self {
            delivered: held.delivered,
            read: held.read_by_peer,
        })
    }
}

/// An item as it is shown, where the other person has come so far.
pub(super) fn show(tx: &Tx<'_>, item: StoredItem, reached: Reached) -> Result<TimelineItem, Error> {
    let nobody = UserId::from_bytes([0; 16]);
    let position = Position::of(&item);
    let content = match item.kind {
        ItemKind::Message => Content::Message {
            reply_to: match item.reply_to {
                Some(of) => Some(quote(tx, item.conversation, of)?),
                None => None,
            },
            edited: item.edited,
            reactions: match item.name() {
                Some(name) => reactions(tx, item.conversation, name)?,
                None => Vec::new(),
            },
            timer_s: item.timer_s,
            expires_ms: item.expires_ms,
            id: item
                .client_message_id
                .unwrap_or(ClientMessageId::from_bytes([0; 16])),
            author: item.author.unwrap_or(nobody),
            mine: item.mine,
            state: state(&item, reached),
            removed_sender: item.code == REMOVED_SENDER,
            text: item.text,
            sent_ms: item.sent_ms,
        },
        ItemKind::Undecryptable => Content::Undecryptable {
            author: item.author,
            cause: item.code,
        },
        ItemKind::Erased => Content::Erased {
            author: item.author,
            mine: item.mine,
        },
        ItemKind::Timer => Content::Timer {
            author: item.author.unwrap_or(nobody),
            seconds: item.timer_s,
        },
        ItemKind::Gap => Content::Gap,
        ItemKind::KeyChanged => Content::KeyChanged {
            user: item.author.unwrap_or(nobody),
            identity: item.code == IDENTITY,
            noticed_ms: item.sent_ms,
        },
    };
    Ok(TimelineItem {
        conversation: item.conversation,
        position,
        content,
    })
}

fn quote(tx: &Tx<'_>, conversation: ConversationId, of: MessageRef) -> Result<Quote, Error> {
    let quoted = tx.item_named(conversation, of)?;
    let quoted = quoted.filter(|item| item.kind == ItemKind::Message);
    Ok(Quote {
        id: of.id,
        author: of.author,
        text: quoted.map(|item| item.text),
    })
}

fn state(item: &StoredItem, reached: Reached) -> SendState {
    match item.progress {
        _ if !item.mine => SendState::Accepted,
        Progress::Held | Progress::Outbox => SendState::Pending,
        Progress::Accepted if item.place <= reached.read => SendState::Read,
        Progress::Accepted if item.place <= reached.delivered => SendState::Delivered,
        Progress::Accepted => SendState::Accepted,
        Progress::Failed => {
            SendState::Failed(Code::from_name(&item.code).unwrap_or(Code::Internal))
        }
    }
}

/// An item of a row, still without author and text.
pub(super) fn blank(
    conversation: ConversationId,
    place: u64,
    kind: ItemKind,
    at_ms: u64,
) -> StoredItem {
    StoredItem {
        item: 0,
        conversation,
        place,
        kind,
        author: None,
        author_device: None,
        client_message_id: None,
        mine: false,
        text: String::new(),
        sent_ms: 0,
        at_ms,
        progress: Progress::Accepted,
        code: String::new(),
        reply_to: None,
        edited: false,
        timer_s: 0,
        expires_ms: None,
    }
}

/// A message of another device.
pub(super) fn message(
    conversation: ConversationId,
    seq: u64,
    (author, device, id): (UserId, DeviceId, ClientMessageId),
    (text, sent_ms): (String, u64),
    at_ms: u64,
    removed_sender: bool,
) -> StoredItem {
    StoredItem {
        author: Some(author),
        author_device: Some(device),
        client_message_id: Some(id),
        text,
        sent_ms,
        code: if removed_sender { REMOVED_SENDER } else { "" }.to_owned(),
        ..blank(conversation, seq, ItemKind::Message, at_ms)
    }
}

/// Stores an item and shows it; `None` if the message is there already.
pub(super) fn add(tx: &Tx<'_>, item: StoredItem) -> Result<Option<TimelineItem>, Error> {
    let Some(number) = tx.add_item(&item)? else {
        return Ok(None);
    };
    let held = match item.mine {
        true => tx.conversation(item.conversation)?,
        false => None,
    };
    let item = StoredItem {
        item: number,
        ..item
    };
    show(tx, item, Reached::of(held.as_ref())).map(Some)
}

/// Notes that someone's keys changed, where a conversation with them exists.
pub(super) fn key_changed(
    tx: &Tx<'_>,
    conversation: ConversationId,
    user: UserId,
    identity: bool,
    now_ms: u64,
) -> Result<Option<TimelineItem>, Error> {
    let Some(held) = tx.conversation(conversation)? else {
        return Ok(None);
    };
    let item = StoredItem {
        author: Some(user),
        sent_ms: now_ms,
        code: if identity { IDENTITY } else { "" }.to_owned(),
        ..blank(conversation, held.cursor, ItemKind::KeyChanged, now_ms)
    };
    add(tx, item)
}

impl Machine {
    /// The `limit` items before a position, or the newest ones, in their order.
    ///
    /// # Errors
    /// Those of the store.
    pub fn timeline(
        &self,
        conversation: ConversationId,
        before: Option<Position>,
        limit: u32,
    ) -> Result<Vec<TimelineItem>, Error> {
        self.store.read(|tx| {
            let reached = Reached::of(tx.conversation(conversation)?.as_ref());
            let before = before.map(|p| (p.place.min(UNPLACED), p.item.min(UNPLACED)));
            let items = tx.items_before(conversation, before, limit)?;
            let items = items.into_iter().map(|item| show(tx, item, reached));
            items.collect()
        })
    }
}

/// What is read takes the place of what stood for it.
pub(super) fn no_placeholder(
    tx: &Tx<'_>,
    conversation: ConversationId,
    seq: u64,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    for item in tx.unreadable_at(conversation, seq)? {
        tx.delete_item(item.item)?;
        happenings.push(Happening::Gone(conversation, Position::of(&item)));
    }
    Ok(())
}
