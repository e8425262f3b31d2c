//! What the client says, in words for a person and safe to show.

use std::{ops::Range, time::Duration};

use sordino::{
    Code, ConversationRow, Device, Error, Event as Told, Hit, Message, Retry, SendState, Settings,
    TimelineItem,
};

use crate::{
    model::{
        Beside, Body, DeviceLine, Event, HitLine, Item, Last, Peer, Row, SettingsShown, State,
        Whom, short,
    },
    text::Clean,
};

/// What went wrong and what to do.
pub(crate) fn error(error: &Error) -> Clean {
    match error.code() {
        // The detail has both names.
        Code::OtherRelay => Clean::line(&format!(
            "This is another relay: {}. Check --relay, or set --relay-name.",
            error.detail()
        )),
        // What is wrong with what was typed.
        Code::BadRequest | Code::WeakPassword if !error.detail().is_empty() => {
            Clean::line(&format!("That will not do: {}.", error.detail()))
        }
        Code::RateLimited | Code::ClaimQuota => match error.retry() {
            Retry::After(wait) => Clean::line(&too_often(wait)),
            _ => code(error.code()),
        },
        found => code(found),
    }
}

/// The relay says when: names and passwords have some tries an hour.
fn too_often(wait: Duration) -> String {
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    let unit = if seconds < 60.0 { 1.0 } else { 60.0 };
    let wait = Duration::from_secs_f64((seconds / unit).ceil() * unit);
    format!("That was too often; try again in {}.", lasting(wait))
}

/// The same where a name was asked for.
pub(crate) fn name_error(failed: &Error) -> Clean {
    match failed.code() {
        // The detail says of what.
        Code::BadRequest => match failed.detail().strip_prefix("email: ") {
            Some(why) => Clean::line(&format!(
                "Your e-mail address (--email) will not do: {why}. No account was made; start again with another one, or without."
            )),
            None => Clean::line(
                "A name has 3 to 32 of a-z 0-9 . _ - and begins with a letter or a digit.",
            ),
        },
        Code::Unreachable | Code::Timeout => Clean::line(
            "The relay cannot be reached. Is there a connection, and is --relay its address? Nothing is lost: try again.",
        ),
        Code::NameTaken => Clean::line("Another user has this name. Is it you? Tab logs you in."),
        _ => error(failed),
    }
}

/// The codes' own words speak to programmers where a person meets these most.
fn code(code: Code) -> Clean {
    Clean::line(match code {
        Code::Unreachable | Code::Timeout => {
            "The relay cannot be reached. Try again once there is a connection."
        }
        Code::NoRelay => {
            "What answers at this address is no Sordino relay. Is the address right (--relay)? If it is, tell its operator."
        }
        Code::RelayMisbehaved => {
            "The relay, or something between you and it, answered what it should not have. Is the address right (--relay)? If it is, tell its operator."
        }
        Code::UserNotFound => "There is nobody of this name or id at this relay.",
        Code::UserDeleted => "This person's account is gone: nothing reaches them any more.",
        Code::AccountDeleted => "Your account was deleted. What is on this device stays.",
        Code::AccountDisabled => {
            "The relay's operator has disabled your account. What others write to you waits there; ask the operator."
        }
        Code::RegistrationClosed => {
            "This relay takes no new accounts. If you have one, Tab logs you in."
        }
        Code::InviteNeeded => {
            "This relay takes new accounts by invite: ask its operator, and start with --invite CODE."
        }
        Code::InviteRefused => {
            "This invite (--invite) is used up, has ended, or never was one. Ask for another."
        }
        Code::EmailNeeded => {
            "This relay wants an e-mail address of you: start with --email ADDRESS."
        }
        Code::EmailTaken => {
            "Another account has this e-mail address (--email). Start with another one, or without."
        }
        Code::ExternalTokenNeeded => {
            "The accounts of this relay belong to an app with a login of its own; only that app can make one."
        }
        Code::UntrustedRelay => {
            "The relay's certificate is not trusted here. Is the address right? If its certificate is the operator's own, name the authority (--authority FILE)."
        }
        Code::RateLimited | Code::ClaimQuota => {
            "That was too often; wait a minute, then try again."
        }
        Code::Busy | Code::Draining | Code::Internal => {
            "The relay has trouble at the moment; try again in a while."
        }
        Code::BadKeys => {
            "The relay shows keys for this person that do not verify. Nothing is sent."
        }
        Code::IdentityChanged => "This person's keys changed. Compare them before you write.",
        Code::NoDevices => "This person has no device that can receive at the moment.",
        Code::DeviceRevoked => {
            "This device was removed from your account; or this is another relay, or one that lost its data."
        }
        Code::NotRegistered => "You are not registered yet.",
        Code::NotAuthenticated => {
            "That took too long, or another device joined meanwhile. Log in again."
        }
        Code::KeysMissing => {
            "This device waits for the account's newest keys. Try again once your other device is online, or give the recovery key."
        }
        Code::StoreKeyLost => {
            "The file `key` in it, without which nobody can read it, is gone. Nothing was changed: put the file back from a copy. If there is none, start with another --store and log in with your recovery key."
        }
        Code::StoreLocked => "The store is open in another window; close it there first.",
        other => other.meaning(),
    })
}

/// The units of time, from the longest.
const UNITS: [(u64, &str, char); 5] = [
    (7 * 24 * 3600, "week", 'w'),
    (24 * 3600, "day", 'd'),
    (3600, "hour", 'h'),
    (60, "minute", 'm'),
    (1, "second", 's'),
];

/// A time in the largest unit that fits.
pub(crate) fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    let unit = UNITS
        .iter()
        .find(|(unit, ..)| seconds > 0 && seconds.is_multiple_of(*unit));
    match unit.map(|(unit, name, _)| (seconds / unit, name)) {
        Some((1, name)) => format!("1 {name}"),
        Some((count, name)) => format!("{count} {name}s"),
        None => "no time".to_owned(),
    }
}

/// No message lasts longer.
const YEAR_S: u64 = 365 * 24 * 3600;

/// The same as somebody types it: 30s, 5m, 8h, 1d, 2w, up to a year; `off`: for ever.
pub(crate) fn typed_time(typed: &str) -> Option<Option<Duration>> {
    let typed = typed.trim().to_lowercase();
    if typed == "off" || typed == "0" {
        return Some(None);
    }
    let unit = typed.chars().last()?;
    let (seconds, ..) = UNITS.iter().find(|(.., letter)| *letter == unit)?;
    let count = typed.strip_suffix(unit)?.trim().parse::<u64>().ok()?;
    let seconds = count.checked_mul(*seconds)?;
    let seconds = Some(seconds).filter(|seconds| (1..=YEAR_S).contains(seconds))?;
    Some(Some(Duration::from_secs(seconds)))
}

/// A line of the list of conversations.
pub(crate) fn row(row: ConversationRow) -> Row {
    let last = row.last.map(|last| {
        let at_ms = at(&last);
        let (mine, text) = match &last {
            TimelineItem::Message(message) => (message.mine, Clean::line(&message.text)),
            TimelineItem::Erased { mine, .. } => (*mine, Clean::line("(erased)")),
            other => (false, notice(other)),
        };
        Last { mine, text, at_ms }
    });
    Row {
        id: Some(row.id),
        peer: peer(&row.peer),
        last,
        unread: row.unread,
        trust: row.trust,
        request: row.request,
        draft: row.draft,
        timer: row.timer,
    }
}

fn peer(peer: &sordino::Peer) -> Peer {
    Peer {
        id: peer.id,
        name: peer.username.as_deref().map(Clean::line),
        display_name: peer.display_name.as_deref().map(Clean::line),
    }
}

/// What the user has set.
pub(crate) fn settings(settings: &Settings) -> SettingsShown {
    SettingsShown {
        name: Clean::line(&settings.display_name),
        receipts: settings.read_receipts,
        typing: settings.typing,
        presence: settings.presence,
    }
}

/// Letters that are shown before what was found.
const BEFORE: usize = 20;

/// A message that was found.
pub(crate) fn hit(hit: Hit) -> HitLine {
    HitLine {
        peer: peer(&hit.peer),
        place: hit.message.at,
        mine: hit.message.mine,
        at_ms: i64::try_from(hit.message.sent_ms).ok(),
        pieces: pieces(&hit.message.text, &hit.ranges),
    }
}

fn pieces(text: &str, found: &[Range<usize>]) -> Vec<(Clean, bool)> {
    let before = text
        .get(..found.first().map_or(0, |range| range.start))
        .unwrap_or_default();
    let cut = before.char_indices().rev().nth(BEFORE);
    // Between words where it can.
    let mut at = cut.map_or(0, |(at, _)| {
        let rest = before.get(at..).unwrap_or_default();
        rest.find(' ').map_or(at, |space| at + space + 1)
    });
    let mut pieces = Vec::new();
    if at > 0 {
        pieces.push((Clean::line("…"), false));
    }
    let mut piece = |range: Range<usize>, is_found| {
        pieces.push((Clean::line(text.get(range).unwrap_or_default()), is_found));
    };
    for range in found {
        piece(at..range.start, false);
        piece(range.clone(), true);
        at = range.end;
    }
    piece(at..text.len(), false);
    pieces
}

/// A line of the list of devices.
pub(crate) fn device(device: Device) -> DeviceLine {
    let name = match device.name.as_str() {
        "" => format!("device {}", short(device.id)),
        name => name.to_owned(),
    };
    DeviceLine {
        id: device.id,
        name: Clean::line(&name),
        added_ms: i64::try_from(device.added_ms).ok(),
        is_this: device.is_this,
        has_twin: false,
    }
}

/// An entry of a timeline.
pub(crate) fn item(item: TimelineItem) -> Item {
    let at_ms = at(&item);
    let id = item.at().item;
    let body = match item {
        TimelineItem::Message(message) => body(message),
        TimelineItem::Erased { mine, .. } => Body::Erased { mine },
        TimelineItem::KeyChanged { identity: true, .. } => Body::Warning(notice(&item)),
        _ => Body::Notice(notice(&item)),
    };
    Item { id, at_ms, body }
}

fn body(message: Message) -> Body {
    let (id, text) = (message.id, Clean::text(&message.text));
    let quote = message.reply_to.map(|quote| {
        let is_own = (quote.author == message.author) == message.mine;
        let who = if is_own { "you: " } else { "" };
        Clean::line(&match quote.text {
            Some(text) => format!("{who}{text}"),
            None => "a message that is not here".to_owned(),
        })
    });
    let reactions = message.reactions.iter();
    let beside = Beside {
        quote,
        edited: message.edited,
        reactions: reactions.map(|given| Clean::line(&given.emoji)).collect(),
        fades: message.timer.is_some(),
    };
    if message.mine {
        let state = state(message.state);
        return Body::Mine {
            id,
            text,
            state,
            beside,
        };
    }
    let doubt = "from a device that was removed before the message came";
    Body::Theirs {
        id,
        text,
        doubt: message.removed_sender.then(|| Clean::line(doubt)),
        beside,
    }
}

fn state(state: SendState) -> State {
    match state {
        SendState::Accepted => State::Accepted,
        SendState::Delivered => State::Delivered,
        SendState::Read => State::Read,
        SendState::Failed { code: why, .. } => State::Failed(code(why)),
        _ => State::Pending,
    }
}

fn at(item: &TimelineItem) -> Option<i64> {
    let ms = match item {
        TimelineItem::Message(message) => message.sent_ms,
        TimelineItem::KeyChanged { noticed_ms, .. } => *noticed_ms,
        _ => return None,
    };
    i64::try_from(ms).ok()
}

fn notice(item: &TimelineItem) -> Clean {
    Clean::line(&match item {
        TimelineItem::Undecryptable { cause, .. } if cause == "no_content" => {
            "A message that was erased before it came here.".to_owned()
        }
        TimelineItem::Undecryptable { cause, .. } => {
            format!(
                "A message that cannot be read ({}).",
                cause.replace('_', " ")
            )
        }
        TimelineItem::Gap { .. } => {
            "Here messages are missing: the relay has lost them.".to_owned()
        }
        TimelineItem::KeyChanged { identity: true, .. } => {
            "This person's identity key changed: compare it before you trust what follows."
                .to_owned()
        }
        TimelineItem::KeyChanged { .. } => "This person's devices changed.".to_owned(),
        TimelineItem::TimerChanged { timer: None, .. } => {
            "From here on messages last for ever.".to_owned()
        }
        TimelineItem::TimerChanged {
            timer: Some(timer), ..
        } => format!("From here on messages last for {}.", lasting(*timer)),
        _ => "Something that this version cannot show.".to_owned(),
    })
}

/// For whoever lost both secrets to somebody else.
pub(crate) const OWN_DEVICE_LINKED: &str =
    "A new device was linked to your account (F2 shows your devices).";
pub(crate) const OWN_DEVICE: &str = "A new device is on your account. If it is not yours, somebody knows your password and your recovery key. Esc closes this.";

/// How long a new identity is waited for.
pub(crate) fn waits(wait: Duration) -> Clean {
    let days = wait.as_secs().div_ceil(24 * 3600).max(1);
    let days = lasting(Duration::from_secs(days * 24 * 3600));
    Clean::line(&format!(
        "Asked for. Your devices are told, and may refuse. In {days} log in again, come back here, and it is done; that can be done for a week from then."
    ))
}

/// Events that a person should know of.
pub(crate) fn event(event: &Told) -> Option<Event> {
    let alarm = |said: &str| Some(Event::Alarm(Clean::line(said)));
    // After the person's name.
    let about = |whom, said: &str| Some(Event::AlarmAbout(whom, Clean::line(said)));
    match event {
        Told::IdentityChanged(user) => about(
            Whom::User(*user),
            "their identity key changed; the conversation shows where. Esc closes this.",
        ),
        Told::DeviceAdded {
            user, loud: true, ..
        } => about(
            Whom::User(*user),
            "they have a new device that none of their others vouches for. Esc closes this.",
        ),
        Told::Restored { messages: 0 } => None,
        Told::Restored { messages } => Some(Event::Restored(Clean::line(&format!(
            "{messages} earlier messages are here now."
        )))),
        Told::Restoring(progress) if progress.total > 0 => {
            let (read, messages) = (progress.read, progress.messages);
            let percent = read.saturating_mul(100) / progress.total;
            Some(Event::Restored(Clean::line(&format!(
                "Fetching earlier messages: {percent} %, {messages} so far."
            ))))
        }
        Told::HistoryCutOff => alarm(
            "The device that linked this one is gone before it had given it all older messages. Those that are missing come no more, unless you log in anew with your recovery key. Esc closes this.",
        ),
        Told::ResetPending { ready_ms: None } => Some(Event::ResetPending(None)),
        Told::ResetPending { ready_ms: Some(_) } => Some(Event::ResetPending(Some(Clean::line(
            "Somebody who knows your password wants a new identity for your account, and gets it in some days. If that is not you, F8 refuses. Esc closes this.",
        )))),
        Told::SignedOut => Some(Event::Ended(Clean::line(
            "This device was removed from your account. Esc closes this.",
        ))),
        Told::RelayMisbehaved {
            conversation,
            evidence,
        } => {
            let said =
                format!("the relay showed what it should not have: {evidence}. Esc closes this.");
            match conversation {
                Some(id) => about(Whom::With(*id), &said),
                None => alarm(&said.replacen('t', "T", 1)),
            }
        }
        Told::ViewsDiffer { conversation, .. } => about(
            Whom::With(*conversation),
            "you two were shown different conversations. Do not trust this relay. Esc closes this.",
        ),
        Told::RolledBack => alarm(
            "Your store was an old copy. It was mended; messages sent since that copy are not shown. Esc closes this.",
        ),
        Told::TwoCopies => {
            alarm("Two copies of your store are in use: nothing is sent any more. Esc closes this.")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_to_wait_is_what_the_relay_says() {
        let said = |ms| too_often(Duration::from_millis(ms));
        assert_eq!(said(1), "That was too often; try again in 1 second.");
        assert_eq!(said(59_000), "That was too often; try again in 59 seconds.");
        assert_eq!(said(299_001), "That was too often; try again in 5 minutes.");
    }

    #[test]
    fn a_hit_begins_a_little_before_what_was_found() {
        let said = |text: &str, found: &[(usize, usize)]| {
            let found: Vec<_> = found.iter().map(|(start, end)| *start..*end).collect();
            let pieces = pieces(text, &found).into_iter();
            let said = pieces.map(|(piece, found)| match found {
                true => format!("[{piece}]"),
                false => piece.to_string(),
            });
            said.collect::<String>()
        };
        assert_eq!(
            said("one two\nthree", &[(4, 7), (8, 13)]),
            "one [two] [three]"
        );
        let long = "a long way to go before there is anything to be found here";
        assert_eq!(said(long, &[(48, 53)]), "…is anything to be [found] here");
        let cjk = "日".repeat(40);
        let (before, after) = ("日".repeat(21), "日".repeat(9));
        assert_eq!(said(&cjk, &[(90, 93)]), format!("…{before}[日]{after}"));
    }

    #[test]
    fn times_are_typed_and_told() {
        for (typed, told) in [
            ("30s", "30 seconds"),
            (" 1 D ", "1 day"),
            ("14d", "2 weeks"),
            ("90m", "90 minutes"),
        ] {
            assert_eq!(lasting(typed_time(typed).unwrap().unwrap()), told);
        }
        assert_eq!(typed_time("OFF"), Some(None));
        for wrong in ["", "d", "0d", "-1d", "1y", "99999999999999999999w"] {
            assert_eq!(typed_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_error_is_one_line_for_a_person() {
        for found in Code::ALL {
            let said = error(&Error::new(*found, "a detail"));
            assert!(said.as_str().ends_with('.'), "{said}");
            assert!(!said.as_str().contains('\n'));
        }
        let name = name_error(&Error::new(Code::BadRequest, ""));
        assert!(name.as_str().contains("3 to 32"));
        let email = name_error(&Error::new(Code::BadRequest, "email: not an address"));
        assert!(
            email
                .as_str()
                .contains("--email) will not do: not an address.")
        );
        for code in [Code::NoRelay, Code::Unreachable] {
            let said = name_error(&Error::new(code, "HTTP status 501"));
            assert!(said.as_str().contains("--relay"), "{said}");
        }
    }

    #[test]
    fn evidence_of_a_hostile_relay_is_cleaned() {
        let told = Told::RelayMisbehaved {
            conversation: None,
            evidence: "\u{1b}[2J".to_owned(),
        };
        assert!(
            matches!(event(&told), Some(Event::Alarm(said)) if !said.as_str().contains('\u{1b}'))
        );
        assert!(event(&Told::Lagged { missed: 1 }).is_none());
    }
}
