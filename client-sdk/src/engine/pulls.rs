//! Which rows are still to be pulled, and in what order: values only, no clock and no socket.

use std::collections::{HashMap, VecDeque};

use sordino_protocol::{ConversationId, UserId};

/// Pulls that await their answer at a time.
const IN_FLIGHT: usize = 4;
/// How long a hole is asked for again before its rows are given up.
pub(super) const PATIENCE_MS: u64 = 60_000;
/// Between two questions for the same hole.
const RETRY_MS: u64 = 2_000;
/// A question without an answer for so long is asked again.
const ANSWER_MS: u64 = 60_000;
/// Failures in a row after which others do not wait for a conversation.
const TROUBLES: u32 = 3;

/// Conversations that are behind.
#[derive(Default)]
pub(super) struct Pulls {
    behind: HashMap<ConversationId, Behind>,
    /// Those that may be asked for, in order.
    ready: VecDeque<ConversationId>,
    /// What awaits its answer.
    asked: HashMap<u32, Asked>,
    last_request: u32,
}

struct Asked {
    conversation: ConversationId,
    since_ms: u64,
}

struct Behind {
    peer: UserId,
    /// Rows up to here are held.
    cursor: u64,
    /// Rows up to here exist.
    target: u64,
    stage: Stage,
    /// Since when the relay has had no row after the cursor.
    hole_since_ms: Option<u64>,
    /// Failures since rows last came. A conversation that cannot be had must not hold the others.
    troubles: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Ready,
    Asked,
    /// Not before this time.
    Paused(u64),
    /// Rows are being given up.
    GivingUp,
    /// A list of this user is missing.
    NeedsLists(UserId),
    /// The same, and it could not be fetched: others do not wait for it.
    Stuck(UserId),
}

/// A question to ask.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) request: u32,
    pub(super) conversation: ConversationId,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// What follows an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The conversation is up to date.
    Done,
    /// More will be asked for in its turn.
    More,
    /// The rows after the cursor up to this one are given up; then tell [`Pulls::advanced`].
    GiveUp(u64),
}

impl Pulls {
    /// Rows of this conversation exist up to `target`; those up to `cursor` are held.
    pub(super) fn want(
        &mut self,
        conversation: ConversationId,
        peer: UserId,
        cursor: u64,
        target: u64,
    ) {
        let ready = &mut self.ready;
        let behind = self.behind.entry(conversation).or_insert_with(|| {
            ready.push_back(conversation);
            Behind {
                peer,
                cursor,
                target,
                stage: Stage::Ready,
                hole_since_ms: None,
                troubles: 0,
            }
        });
        behind.cursor = behind.cursor.max(cursor);
        behind.target = behind.target.max(target);
    }

    /// Whether rows of it are missing here. Live rows of such a conversation come by pull, in their turn.
    pub(super) fn is_behind(&self, conversation: ConversationId) -> bool {
        self.behind.contains_key(&conversation)
    }

    /// How many conversations are behind and will catch up.
    pub(super) fn left(&self) -> usize {
        let waited_for = |behind: &&Behind| {
            behind.troubles < TROUBLES && !matches!(behind.stage, Stage::Stuck(_))
        };
        self.behind.values().filter(waited_for).count()
    }

    /// The next question, if there is one and not too many are open.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<Ask> {
        if self.asked.len() >= IN_FLIGHT {
            return None;
        }
        while let Some(conversation) = self.ready.pop_front() {
            let Some(behind) = self.behind.get_mut(&conversation) else {
                continue;
            };
            if behind.stage != Stage::Ready {
                continue;
            }
            behind.stage = Stage::Asked;
            self.last_request = self.last_request.wrapping_add(1).max(1);
            let asked = Asked {
                conversation,
                since_ms: now_ms,
            };
            self.asked.insert(self.last_request, asked);
            return Some(Ask {
                request: self.last_request,
                conversation,
                from: behind.cursor.saturating_add(1),
                to: behind.target,
            });
        }
        None
    }

    /// The conversation that this request asked for, and its peer. `None`: nothing did.
    pub(super) fn answered(&mut self, request: u32) -> Option<(ConversationId, UserId)> {
        let conversation = self.asked.remove(&request)?.conversation;
        let behind = self.behind.get(&conversation)?;
        Some((conversation, behind.peer))
    }

    /// Rows were applied: the cursor was `before` and is `cursor`. `next_row` is the first row that came but stands
    /// beyond a hole, `last_seq` what the relay said is the end.
    pub(super) fn advanced(
        &mut self,
        conversation: ConversationId,
        before: u64,
        cursor: u64,
        next_row: Option<u64>,
        last_seq: u64,
        now_ms: u64,
    ) -> Next {
        let Some(behind) = self.behind.get_mut(&conversation) else {
            return Next::Done;
        };
        behind.cursor = cursor;
        let end = behind.target.min(last_seq);
        if cursor >= end {
            // What was announced meanwhile is beyond what the relay has read: ask again.
            if behind.target > last_seq && cursor > before {
                return self.make_ready(conversation);
            }
            self.behind.remove(&conversation);
            return Next::Done;
        }
        if cursor > before && next_row.is_none() {
            behind.hole_since_ms = None;
            // Rows that are given up, too, move the cursor: that is no end of the trouble.
            if behind.stage == Stage::Asked {
                behind.troubles = 0;
            }
            return self.make_ready(conversation);
        }
        let since = *behind.hole_since_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(since) < PATIENCE_MS {
            behind.stage = Stage::Paused(now_ms + RETRY_MS);
            return Next::More;
        }
        behind.hole_since_ms = None;
        behind.troubles = TROUBLES;
        behind.stage = Stage::GivingUp;
        Next::GiveUp(next_row.map_or(end, |seq| seq - 1))
    }

    /// The relay could not answer now.
    pub(super) fn failed(&mut self, conversation: ConversationId, wait_ms: u64, now_ms: u64) {
        if let Some(behind) = self.behind.get_mut(&conversation) {
            behind.stage = Stage::Paused(now_ms.saturating_add(wait_ms));
            behind.troubles = behind.troubles.saturating_add(1);
        }
    }

    /// A row cannot be judged before a list of `user` is here.
    pub(super) fn needs_lists(
        &mut self,
        conversation: ConversationId,
        peer: UserId,
        user: UserId,
        cursor: u64,
        target: u64,
    ) {
        self.want(conversation, peer, cursor, target);
        if let Some(behind) = self.behind.get_mut(&conversation) {
            behind.stage = Stage::NeedsLists(user);
        }
    }

    /// Lists of `user` have come.
    pub(super) fn lists_came(&mut self, user: UserId) {
        let waiting: Vec<_> = self
            .behind
            .iter()
            .filter(|(_, behind)| {
                behind.stage == Stage::NeedsLists(user) || behind.stage == Stage::Stuck(user)
            })
            .map(|(conversation, _)| *conversation)
            .collect();
        for conversation in waiting {
            self.make_ready(conversation);
        }
    }

    /// Lists of `user` could not be fetched; it will be tried again.
    pub(super) fn lists_failed(&mut self, user: UserId) {
        for behind in self.behind.values_mut() {
            if behind.stage == Stage::NeedsLists(user) {
                behind.stage = Stage::Stuck(user);
            }
        }
    }

    /// Its rows cannot be had nor given up: what was announced is not believed.
    pub(super) fn forget(&mut self, conversation: ConversationId) {
        self.behind.remove(&conversation);
    }

    /// Pauses that are over by `now_ms` end, and so does the wait for answers that do not come.
    pub(super) fn wake(&mut self, now_ms: u64) {
        let unanswered =
            |_: &u32, asked: &mut Asked| now_ms.saturating_sub(asked.since_ms) >= ANSWER_MS;
        let unanswered: Vec<_> = self.asked.extract_if(unanswered).collect();
        for (_, asked) in unanswered {
            self.failed(asked.conversation, 0, now_ms);
        }
        let due: Vec<_> = self
            .behind
            .iter()
            .filter(|(_, behind)| matches!(behind.stage, Stage::Paused(until) if until <= now_ms))
            .map(|(conversation, _)| *conversation)
            .collect();
        for conversation in due {
            self.make_ready(conversation);
        }
    }

    /// When the next pause or wait ends.
    pub(super) fn wakes_at_ms(&self) -> Option<u64> {
        let answers = self.asked.values();
        let answers = answers.map(|asked| asked.since_ms.saturating_add(ANSWER_MS));
        let pauses = self
            .behind
            .values()
            .filter_map(|behind| match behind.stage {
                Stage::Paused(until) => Some(until),
                _ => None,
            });
        pauses.chain(answers).min()
    }

    fn make_ready(&mut self, conversation: ConversationId) -> Next {
        if let Some(behind) = self.behind.get_mut(&conversation) {
            behind.stage = Stage::Ready;
            self.ready.push_back(conversation);
        }
        Next::More
    }
}

#[cfg(test)]
mod tests;
