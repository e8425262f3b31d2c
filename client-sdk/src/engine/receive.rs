//! Rows that come, whether pushed or pulled, and what tells that there are more.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use sordino_protocol::{
    ConversationId, Header, UserId, hash,
    pb::{self, client_frame},
};

use super::{
    flight::Flight,
    now_ms,
    pulls::Next,
    session::{Errand, Listing, Session},
};
use crate::{machine::Taken, net::socket::End};

/// Requests for pages of conversations have numbers apart from those for rows.
const LISTING: u32 = 1 << 31;
/// Conversations that one listing takes in.
const CONVERSATIONS: usize = 100_000;
/// Before a session is seen to that wants attention.
const ATTEND: Duration = Duration::from_millis(200);

impl Session<'_> {
    /// Asks for the conversations, from the first page on.
    pub(super) fn list(&mut self) {
        if self.listing.request.is_some() {
            self.listing.again = true;
            return;
        }
        self.listing.retry_at = None;
        self.ask_for_first_page();
    }

    fn ask_for_first_page(&mut self) {
        self.listing.seen = 0;
        self.listing.named.clear();
        self.listing.new.clear();
        self.ask_for_page(Bytes::new());
    }

    fn ask_for_page(&mut self, after: Bytes) {
        self.listing.last_request = (self.listing.last_request + 1) % LISTING;
        let request = LISTING | self.listing.last_request;
        self.listing.after = after.clone();
        self.listing.asked_ms = now_ms();
        self.listing.moved.clear();
        let ask = pb::ListConversations { request, after };
        if self
            .writer
            .send(client_frame::Frame::ListConversations(ask))
        {
            self.listing.request = Some(request);
        } else {
            let soon = tokio::time::Instant::now() + Duration::from_secs(1);
            self.listing.retry_at = Some(soon);
        }
    }

    pub(super) async fn listed(&mut self, page: pb::Conversations) -> Result<(), End> {
        if self.listing.request != Some(page.request) {
            return Ok(());
        }
        self.listing.request = None;
        self.unanswered = None;
        let last = page.marks.last().map(|mark| mark.conversation.clone());
        let mut marks = Vec::with_capacity(page.marks.len());
        for mark in page.marks {
            let conversation = ConversationId::from_slice(&mark.conversation);
            let (Ok(conversation), Ok(peer)) = (conversation, UserId::from_slice(&mark.peer))
            else {
                continue;
            };
            if conversation == hash::conversation_id(self.me, peer) {
                marks.push((conversation, peer, mark));
            }
        }
        let (marks, cursors) = self
            .work(move |machine| {
                let mut happenings = Vec::new();
                let mut cursors = Vec::with_capacity(marks.len());
                for (conversation, _, mark) in &marks {
                    cursors.push(machine.cursor(*conversation)?);
                    happenings.extend(machine.delivered(*conversation, mark.peer_acked)?);
                }
                Ok(((marks, cursors), happenings))
            })
            .await?;
        self.listing.seen += marks.len();
        for ((conversation, peer, mark), cursor) in marks.into_iter().zip(cursors) {
            self.peers.insert(conversation, peer);
            self.listing.named.insert(conversation);
            if cursor < mark.peer_acked {
                self.reached_before(conversation, mark.peer_acked);
            }
            self.compare(conversation, mark.last_seq, cursor);
            if mark.last_seq > cursor {
                self.pulls.want(conversation, peer, cursor, mark.last_seq);
            }
            if mark.own_acked < cursor {
                self.acknowledge(conversation, cursor);
            }
        }
        match last {
            Some(last) if page.more && self.goes_on(&last) => self.ask_for_page(last),
            _ => {
                if !page.more {
                    self.look_for_what_is_left_out().await?;
                }
                match std::mem::take(&mut self.listing.again) {
                    true => self.ask_for_first_page(),
                    false => self.listing.done = true,
                }
            }
        }
        Ok(())
    }

    /// All pages have come. What it has shown rows of is among them.
    async fn look_for_what_is_left_out(&mut self) -> Result<(), End> {
        let shown = self.work(|machine| Ok((machine.with_rows()?, Vec::new())));
        let shown = shown.await?;
        let Listing { named, new, .. } = &mut self.listing;
        let (named, new) = (std::mem::take(named), std::mem::take(new));
        let left_out = shown
            .iter()
            .filter(|id| !named.contains(id) && !new.contains(id));
        let left_out = left_out.count();
        if left_out > 0 && !std::mem::replace(&mut self.left_out, true) {
            let evidence =
                format!("it leaves out {left_out} conversations of which it has shown rows");
            self.tell_of_relay(None, evidence);
        }
        Ok(())
    }

    /// A device of the other person has everything up to here.
    pub(super) async fn reached(
        &mut self,
        conversation: ConversationId,
        upto: u64,
    ) -> Result<(), End> {
        let cursor = self
            .work(move |machine| {
                let told = machine.delivered(conversation, upto)?;
                Ok((machine.cursor(conversation)?, told))
            })
            .await?;
        if cursor < upto {
            self.reached_before(conversation, upto);
        }
        Ok(())
    }

    /// The same of rows that are still being fetched: it is noted once they are here, and on this connection alone.
    fn reached_before(&mut self, conversation: ConversationId, upto: u64) {
        let known = self.delivered_before.contains_key(&conversation);
        if known || self.delivered_before.len() < CONVERSATIONS {
            let noted = self.delivered_before.entry(conversation).or_default();
            *noted = upto.max(*noted);
        }
    }

    /// Whether a next page may be asked for: pages ascend, and do not go on for ever.
    fn goes_on(&self, last: &Bytes) -> bool {
        if *last <= self.listing.after || self.listing.seen > CONVERSATIONS {
            tracing::warn!("the relay's list of conversations does not end");
            return false;
        }
        true
    }

    /// A relay that holds less than it has shown has lost rows: it will use their places again, and what then comes looks
    /// like a repetition.
    fn compare(&mut self, conversation: ConversationId, last_seq: u64, cursor: u64) {
        // What it knew when it was asked; rows may have come since.
        let moved = self.listing.moved.get(&conversation);
        let cursor = moved.copied().unwrap_or(cursor);
        if last_seq < cursor && self.cut_off.insert(conversation) {
            let evidence = format!("it holds {last_seq} rows, and showed {cursor}");
            self.tell_of_relay(Some(conversation), evidence);
        }
    }

    /// Rows that were pushed.
    pub(super) async fn delivered(&mut self, rows: Vec<pb::Row>) -> Result<(), End> {
        let mut found: HashMap<ConversationId, (UserId, Vec<pb::Row>)> = HashMap::new();
        for row in rows {
            // One that cannot be read comes again by pull, where it gets its place.
            let Ok(header) = Header::parse(&row.header) else {
                continue;
            };
            let peer = if header.sender == self.me {
                header.recipient
            } else {
                header.sender
            };
            let conversation = hash::conversation_id(self.me, peer);
            if header.conversation != conversation {
                continue;
            }
            self.peers.insert(conversation, peer);
            if self.pulls.is_behind(conversation) {
                self.pulls.want(conversation, peer, 0, row.seq);
                continue;
            }
            let entry = found.entry(conversation);
            entry.or_insert_with(|| (peer, Vec::new())).1.push(row);
        }
        for (conversation, (peer, rows)) in found {
            let upto = rows.iter().map(|row| row.seq).max().unwrap_or(0);
            let (_, taken) = self.take(conversation, peer, rows).await?;
            if let Some((user, version)) = taken.needs {
                self.pulls
                    .needs_lists(conversation, peer, user, taken.cursor, upto);
                self.start(Errand::Lists(user, version));
            } else if taken.pull.is_some() {
                self.pulls.want(conversation, peer, taken.cursor, upto);
            }
        }
        Ok(())
    }

    /// Rows that were asked for.
    pub(super) async fn pulled(&mut self, pulled: pb::Pulled) -> Result<(), End> {
        let Some((conversation, peer)) = self.pulls.answered(pulled.request) else {
            return Ok(());
        };
        if pulled.conversation.as_ref() != conversation.as_bytes() {
            return Err(End::LOST);
        }
        self.unanswered = None;
        let seqs: Vec<_> = pulled.rows.iter().map(|row| row.seq).collect();
        let (before, taken) = self.take(conversation, peer, pulled.rows).await?;
        if let Some((user, version)) = taken.needs {
            self.pulls
                .needs_lists(conversation, peer, user, taken.cursor, taken.cursor + 1);
            self.start(Errand::Lists(user, version));
            return Ok(());
        }
        let ahead = seqs.into_iter().filter(|seq| *seq > taken.cursor).min();
        let (mut before, mut cursor) = (before, taken.cursor);
        loop {
            let next = self.pulls.advanced(
                conversation,
                before,
                cursor,
                ahead.filter(|seq| *seq > cursor),
                pulled.last_seq,
                now_ms(),
            );
            let Next::GiveUp(upto) = next else { break };
            tracing::warn!(
                rows = upto.saturating_sub(cursor),
                "the relay has lost rows"
            );
            before = cursor;
            self.note_cursor(conversation, before);
            cursor = self
                .work(move |machine| machine.missing(conversation, upto, now_ms()))
                .await?;
            if cursor == before {
                self.pulls.forget(conversation);
                break;
            }
            self.acknowledge(conversation, cursor);
        }
        Ok(())
    }

    async fn take(
        &mut self,
        conversation: ConversationId,
        peer: UserId,
        rows: Vec<pb::Row>,
    ) -> Result<(u64, Taken), End> {
        let catching_up = !self.is_up_to_date();
        let delivered = self.delivered_before.get(&conversation).copied();
        let (before, taken) = self
            .work(move |machine| {
                let before = machine.cursor(conversation)?;
                let mut taken =
                    machine.take_rows(peer, conversation, &rows, catching_up, now_ms())?;
                let mut happenings = std::mem::take(&mut taken.happenings);
                if let (Some(upto), Some(_)) = (delivered, taken.ack) {
                    happenings.extend(machine.delivered(conversation, upto)?);
                }
                Ok(((before, taken), happenings))
            })
            .await?;
        if let Some(seq) = taken.ack {
            if delivered.is_some_and(|upto| upto <= seq) {
                self.delivered_before.remove(&conversation);
            }
            self.note_cursor(conversation, before);
            self.acknowledge(conversation, seq);
            self.learn_name(peer);
            self.fill_backup(Duration::MAX);
        }
        if taken.attention || taken.answers {
            // Once for what comes together.
            self.start_later(Errand::Prepare(peer), ATTEND);
        }
        self.follow_up(&taken);
        // An own row makes room for another message.
        self.to_send.insert(conversation);
        if self
            .flights
            .get(&conversation)
            .is_some_and(Flight::misses_row)
        {
            self.look_at_places(vec![conversation]).await?;
        }
        Ok((before, taken))
    }

    /// What follows from rows, whoever's they are.
    pub(super) fn follow_up(&mut self, taken: &Taken) {
        if taken.fills_backup {
            self.fill_backup(Duration::ZERO);
        }
        if taken.shares_history {
            self.start(Errand::History);
        }
        if taken.late {
            self.start(Errand::Late);
        }
        if taken.restores && self.is_up_to_date() {
            self.start(Errand::Restore);
        }
        if taken.tells_own {
            self.start_later(Errand::Prepare(self.me), ATTEND);
        }
        self.lists_came |= taken.lists_came;
    }

    /// The conversation has grown.
    pub(super) async fn nudged(&mut self, nudge: &pb::Nudge) -> Result<(), End> {
        let Ok(conversation) = ConversationId::from_slice(&nudge.conversation) else {
            return Ok(());
        };
        let Some(peer) = self.peers.get(&conversation).copied() else {
            self.list();
            return Ok(());
        };
        let cursor = self
            .work(move |machine| Ok((machine.cursor(conversation)?, Vec::new())))
            .await?;
        if nudge.last_seq > cursor {
            self.pulls.want(conversation, peer, cursor, nudge.last_seq);
        }
        Ok(())
    }

    /// Asks for rows, as many ranges at a time as may be.
    pub(super) fn ask(&mut self) {
        while self.writer.room() > 0 {
            let Some(ask) = self.pulls.next(now_ms()) else {
                return;
            };
            let pull = pb::Pull {
                request: ask.request,
                conversation: ask.conversation.to_pb(),
                from_seq: ask.from,
                to_seq: ask.to,
            };
            if !self.writer.send(client_frame::Frame::Pull(pull)) {
                if let Some((conversation, _)) = self.pulls.answered(ask.request) {
                    self.pulls.failed(conversation, 100, now_ms());
                }
                return;
            }
        }
    }

    fn acknowledge(&mut self, conversation: ConversationId, seq: u64) {
        let due = self.acks.entry(conversation).or_default();
        *due = seq.max(*due);
    }

    /// The cursor moves on from here.
    fn note_cursor(&mut self, conversation: ConversationId, cursor: u64) {
        if self.listing.request.is_some() {
            self.listing.moved.entry(conversation).or_insert(cursor);
            if cursor == 0 {
                self.listing.new.insert(conversation);
            }
        }
    }
}
