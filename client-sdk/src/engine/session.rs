//! One open socket: what comes is handled in order, what goes out is bounded, and its end loses nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use sordino_protocol::{
    Code, ConversationId, UserId,
    pb::{self, client_frame, relay_frame},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    Core, Wish,
    connection::{self, STEADY},
    flight::{Flight, is_trouble},
    not_online, now_ms,
    pulls::Pulls,
    signals::written,
};
use crate::{
    error::Error,
    machine::{Happening, Machine},
    net::{
        LONGEST_WAIT,
        auth::AccessToken,
        socket::{End, Open, Reader, Writer},
    },
    types::BackupPolicy,
};

/// Frames that are handled together.
const FRAMES: usize = 64;
/// Before a request that was refused is made again, at least.
const PROBLEM: Duration = Duration::from_secs(1);
/// For the next connection to be taken, where the relay ends this one first.
const NEARLY: Duration = Duration::from_secs(5);
/// Before the outbox is looked at again when the socket had no room.
const NO_ROOM: Duration = Duration::from_millis(50);
/// Between two looks for newer lists of somebody whose conversation is in sight.
const LOOK_AGAIN_MS: u64 = 600_000;

/// What a session does beside its socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Errand {
    /// Upload prekeys.
    Prekeys,
    /// Get ready to encrypt for a person.
    Prepare(UserId),
    /// Lists of a user, for a row that names this version.
    Lists(UserId, u32),
    /// Newer lists of a person whose conversation is in sight.
    Look(UserId),
    /// A person's name.
    Name(UserId),
    /// A new token.
    Token,
    /// The own device list.
    OwnList,
    /// Fill the key backup.
    Backup,
    /// Read it, on a new device.
    Restore,
    /// Tell people what was read.
    Receipts,
    /// Give a device that this one has linked the keys of what was before it.
    History,
    /// Ask the own devices that have not answered what they know.
    Greet,
    /// Tell the relay who is blocked.
    Blocks,
    /// Read messages whose keys came after all.
    Late,
}

/// A session.
pub(super) struct Session<'a> {
    pub(super) core: &'a Arc<Core>,
    pub(super) me: UserId,
    pub(super) writer: Writer,
    pub(super) pulls: Pulls,
    /// The page of conversations that is asked for, and whether another round follows.
    pub(super) listing: Listing,
    pub(super) flights: HashMap<ConversationId, Flight>,
    /// Bytes in flight.
    pub(super) bytes: usize,
    /// Who the conversations of this session are with.
    pub(super) peers: HashMap<ConversationId, UserId>,
    /// Conversations whose outbox is to be looked at.
    pub(super) to_send: HashSet<ConversationId>,
    /// How far the others have got in conversations of which not so much is held yet.
    pub(super) delivered_before: HashMap<ConversationId, u64>,
    /// Acknowledgements that are due.
    pub(super) acks: HashMap<ConversationId, u64>,
    begun: Instant,
    /// Everything was here once.
    pub(super) settled: bool,
    /// The relay passes signals on.
    pub(super) signals: bool,
    /// Lists came: rows that wait for one are tried once everything is here.
    pub(super) lists_came: bool,
    /// A rollback was found: what waits is looked at again once everything is here.
    pub(super) rolled_back: bool,
    /// The connection that is to take this one's place, on the way.
    moving: JoinSet<Option<Open>>,
    /// The relay asked for it. Once: one that asks without end must not keep the device busy.
    asked_to_move: bool,
    pub(super) token: Arc<AccessToken>,
    pub(super) errands: JoinSet<(Errand, Result<(), Error>)>,
    /// Errands under way, so that none runs twice at a time.
    pub(super) running: HashSet<Errand>,
    /// Those that were asked for again meanwhile.
    pub(super) again: HashSet<Errand>,
    /// Errands to be tried again.
    pub(super) later: HashMap<Errand, Instant>,
    /// How often in a row they failed, and how at last.
    pub(super) failures: HashMap<Errand, (u32, Code)>,
    /// What the relay last answered a question with, if that was its own trouble.
    pub(super) unanswered: Option<Code>,
    /// People whose names were asked for.
    named: HashSet<UserId>,
    /// When it was last looked for newer lists of people in sight.
    looked: HashMap<UserId, u64>,
    /// Conversations that the relay holds less of than this device, told of.
    pub(super) cut_off: HashSet<ConversationId>,
    /// It was told that the relay leaves conversations out.
    pub(super) left_out: bool,
}

/// Where the question for the conversations stands.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) request: Option<u32>,
    pub(super) asked_ms: u64,
    /// The conversation that the page asked for follows, and how many came before it.
    pub(super) after: Bytes,
    pub(super) seen: usize,
    /// The cursors that conversations had when it was asked for, where they have moved since.
    pub(super) moved: HashMap<ConversationId, u64>,
    /// What the pages have named, from the first one on; and what has come to be meanwhile.
    pub(super) named: HashSet<ConversationId>,
    pub(super) new: HashSet<ConversationId>,
    pub(super) last_request: u32,
    pub(super) again: bool,
    /// All pages have come at least once.
    pub(super) done: bool,
    pub(super) retry_at: Option<Instant>,
}

/// Runs until the socket ends, is wished no more, or the relay moved the device: to the connection that is returned. `moved`:
/// this is one such, and has said [`Sync`](relay_frame::Frame::Sync) already.
pub(super) async fn run(
    core: &Arc<Core>,
    wish: &mut watch::Receiver<Wish>,
    open: Open,
    moved: bool,
) -> Result<Open, End> {
    let Open {
        token,
        mut reader,
        writer,
        signals,
        reset,
    } = open;
    let account = core.shared.run(|machine| {
        let account = machine.account();
        account.ok_or_else(|| Error::new(Code::NotRegistered, ""))
    });
    let me = match account.await {
        Ok(account) => account.user,
        Err(error) => return Err(End::from_error(&error)),
    };
    let mut session = Session {
        core,
        me,
        writer,
        pulls: Pulls::default(),
        listing: Listing::default(),
        flights: HashMap::new(),
        bytes: 0,
        peers: HashMap::new(),
        to_send: HashSet::new(),
        delivered_before: HashMap::new(),
        acks: HashMap::new(),
        begun: Instant::now(),
        settled: false,
        signals,
        lists_came: false,
        rolled_back: false,
        moving: JoinSet::new(),
        asked_to_move: false,
        token,
        errands: JoinSet::new(),
        running: HashSet::new(),
        again: HashSet::new(),
        later: HashMap::new(),
        failures: HashMap::new(),
        unanswered: None,
        named: HashSet::new(),
        looked: HashMap::new(),
        cut_off: HashSet::new(),
        left_out: false,
    };
    session.start(Errand::Prekeys);
    if moved {
        session.reset_is(reset);
        session.list();
    }
    let mut end = session.until_end(wish, &mut reader).await;
    // What was committed is acknowledged, or the peer waits for the next connection to learn it.
    session.write_acks();
    if end.is_err() {
        let by_user = *wish.borrow() != Wish::Online;
        session.fall_silent(by_user).await;
    }
    session.errands.abort_all();
    let leave = session.writer.close();
    if session.moving.is_empty() && end.is_err() {
        leave.await;
        return end;
    }
    // The other connection does not wait for it.
    tokio::spawn(leave);
    if matches!(end, Err(End::Again { .. })) {
        // Nearly there: to begin anew would double the work where there is too much of it already.
        tokio::select! {
            Some(Ok(Some(another))) = session.moving.join_next() => end = Ok(another),
            () = sleep(NEARLY) => {}
            () = not_online(wish) => {}
            else => {}
        }
    }
    end
}

/// When a reset that waits may be done, 0 where there is none; `None` of a relay of the version before, which does not say.
pub(super) fn pending_reset(welcome: &pb::Welcome) -> Option<u64> {
    welcome.resets.then_some(welcome.reset_ready_ms)
}

impl Session<'_> {
    async fn until_end(
        &mut self,
        wish: &mut watch::Receiver<Wish>,
        reader: &mut Reader,
    ) -> Result<Open, End> {
        loop {
            self.write_out().await?;
            let alarm = self.alarm();
            tokio::select! {
                frame = reader.next() => {
                    let mut frames = Vec::with_capacity(FRAMES);
                    let mut end = None;
                    frames.push(frame?);
                    while frames.len() < FRAMES {
                        match reader.next().now_or_never() {
                            Some(Ok(frame)) => frames.push(frame),
                            Some(Err(ended)) => {
                                end = Some(ended);
                                break;
                            }
                            None => break,
                        }
                    }
                    self.frames(frames).await?;
                    if let Some(end) = end {
                        return Err(end);
                    }
                }
                Some(done) = self.errands.join_next() => {
                    if let Ok((errand, result)) = done {
                        self.finished(errand, result).await?;
                    }
                }
                // Where it failed, this connection's end begins the usual attempts.
                Some(opened) = self.moving.join_next() => {
                    if let Ok(Some(another)) = opened {
                        return Ok(another);
                    }
                }
                () = self.core.something_waits.notified() => self.look_at_waiting(),
                () = sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => {
                    self.alarm_rang().await?;
                }
                () = sleep(NO_ROOM), if !self.to_send.is_empty() && self.may_send() => {}
                () = not_online(wish) => return Err(End::LOST),
            }
        }
    }

    async fn frames(&mut self, frames: Vec<relay_frame::Frame>) -> Result<(), End> {
        let mut rows = Vec::new();
        for frame in frames {
            if let relay_frame::Frame::Deliver(pb::Deliver { row }) = frame {
                rows.extend(row);
                continue;
            }
            // What follows a row may be about it.
            self.delivered(std::mem::take(&mut rows)).await?;
            self.frame(frame).await?;
        }
        self.delivered(rows).await
    }

    async fn frame(&mut self, frame: relay_frame::Frame) -> Result<(), End> {
        match frame {
            relay_frame::Frame::Welcome(welcome) => {
                self.signals = welcome.signals;
                self.reset_is(pending_reset(&welcome));
            }
            relay_frame::Frame::Deliver(_) | relay_frame::Frame::TokenRefreshed(_) => {}
            relay_frame::Frame::Sync(_) => self.list(),
            relay_frame::Frame::ResetPending(pending) => self.reset_is(Some(pending.ready_ms)),
            relay_frame::Frame::Conversations(page) => self.listed(page).await?,
            relay_frame::Frame::Pulled(pulled) => self.pulled(pulled).await?,
            relay_frame::Frame::Nudge(nudge) => self.nudged(&nudge).await?,
            relay_frame::Frame::Delivered(mark) => {
                if let Ok(conversation) = ConversationId::from_slice(&mark.conversation) {
                    self.reached(conversation, mark.seq).await?;
                }
            }
            relay_frame::Frame::Accepted(accepted) => self.accepted(accepted).await?,
            relay_frame::Frame::Refused(refused) => self.refused(refused).await?,
            relay_frame::Frame::TokenExpiring(_) => self.start(Errand::Token),
            relay_frame::Frame::Problem(problem) => self.problem(&problem),
            relay_frame::Frame::Moving(_) => self.open_another(),
            relay_frame::Frame::Signalled(signal) => self.heard(signal).await?,
        }
        Ok(())
    }

    fn reset_is(&self, ready_ms: Option<u64>) {
        if let Some(ready_ms) = ready_ms {
            let ready_ms = Some(ready_ms).filter(|ready_ms| *ready_ms > 0);
            self.core.shared.views().set_reset(ready_ms);
        }
    }

    /// The relay wants to be rid of the device, and this connection goes on until there is another.
    fn open_another(&mut self) {
        if std::mem::replace(&mut self.asked_to_move, true) {
            return;
        }
        let core = self.core.clone();
        let not_before = self.begun + STEADY;
        self.moving.spawn(async move {
            // Nor must one that moves it from connection to connection.
            sleep_until(not_before).await;
            connection::open_another(&core).await
        });
    }

    fn problem(&mut self, problem: &pb::Problem) {
        let wait = Duration::from_millis(u64::from(problem.retry_after_ms));
        let wait = wait.clamp(PROBLEM, LONGEST_WAIT);
        // Quoted: it is the relay's text.
        tracing::info!(code = ?problem.code, "a request was refused");
        let trouble = Code::from_name(&problem.code).filter(|code| is_trouble(*code));
        if self.listing.request == Some(problem.request) {
            self.listing.request = None;
            self.listing.retry_at = Some(Instant::now() + wait);
            self.unanswered = trouble;
        } else if let Some((conversation, _)) = self.pulls.answered(problem.request) {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            self.pulls.failed(conversation, wait_ms, now_ms());
            self.unanswered = trouble;
        } else if problem.request == 0 {
            // Of a token that was not taken.
            self.later.insert(Errand::Token, Instant::now() + wait);
        }
    }

    /// Changes something in the machine, and tells what happened.
    pub(super) async fn change(
        &mut self,
        work: impl FnOnce(&mut crate::machine::Machine) -> Result<Vec<Happening>, Error>
        + Send
        + 'static,
    ) -> Result<(), End> {
        self.work(move |machine| Ok(((), work(machine)?))).await
    }

    /// The same with a result.
    pub(super) async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Machine) -> Result<(T, Vec<Happening>), Error> + Send + 'static,
    ) -> Result<T, End> {
        let done = self.try_work(work).await;
        done.map_err(|error| End::from_error(&error))
    }

    /// The same where a failure does not end the session.
    pub(super) async fn try_work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Machine) -> Result<(T, Vec<Happening>), Error> + Send + 'static,
    ) -> Result<T, Error> {
        let core = self.core.clone();
        let done = self.core.shared.change(move |machine| {
            let (result, happenings) = work(machine)?;
            let rolled_back = happenings.contains(&Happening::RolledBack);
            let decided: Vec<_> = happenings.iter().filter_map(trusted).collect();
            written(&core, &happenings);
            Ok(((result, rolled_back, decided), happenings))
        });
        let (result, rolled_back, decided) = done.await?;
        if !decided.is_empty() {
            self.start(Errand::Blocks);
        }
        // Something may have waited for it.
        self.core.wake(decided);
        if rolled_back {
            self.rolled_back = true;
            self.start(Errand::Prekeys);
        }
        Ok(result)
    }

    /// The relay did what it must not.
    pub(super) fn tell_of_relay(&self, conversation: Option<ConversationId>, evidence: String) {
        self.core.shared.views().tell(&[Happening::RelayMisbehaved {
            conversation,
            evidence,
        }]);
    }

    /// Learns a person's name, once.
    /// Looks whether somebody whose conversation is in sight has a newer list: what it means is told before anything is written to them.
    pub(super) fn look_at(&mut self, user: UserId) {
        let now = now_ms();
        let is_new = |at: &u64| now.saturating_sub(*at) < LOOK_AGAIN_MS;
        if !self.looked.get(&user).is_some_and(is_new) {
            self.looked.retain(|_, at| is_new(at));
            self.looked.insert(user, now);
            self.start(Errand::Look(user));
        }
    }

    pub(super) fn learn_name(&mut self, user: UserId) {
        if self.named.insert(user) {
            self.start(Errand::Name(user));
        }
    }

    async fn write_out(&mut self) -> Result<(), End> {
        self.write_acks();
        self.ask();
        self.settle().await?;
        self.send_waiting().await?;
        self.signal().await
    }

    fn write_acks(&mut self) {
        let mut left = HashMap::new();
        for (conversation, seq) in self.acks.drain() {
            let ack = pb::Ack {
                conversation: conversation.to_pb(),
                seq,
            };
            if !self.writer.send(client_frame::Frame::Ack(ack)) {
                left.insert(conversation, seq);
            }
        }
        self.acks = left;
    }

    /// Something is to go into the key backup: what comes until then goes into it together.
    pub(super) fn fill_backup(&mut self, latest: Duration) {
        if let BackupPolicy::After(wait) = self.core.backup {
            self.start_later(Errand::Backup, wait.min(latest));
        }
    }
}

/// Whom the user has decided about, on another device.
pub(super) fn trusted(happening: &Happening) -> Option<UserId> {
    match happening {
        Happening::TrustChanged(user) => Some(*user),
        _ => None,
    }
}
