//! Device lists that devices show each other, where the relay keeps them back.
//!
//! Who still writes to an older version of one's own list was not shown the newest, for an honest relay takes no such message: they
//! get what they lack in a message of its own. That names the newest list, so that its reader asks the relay for that first, and
//! looks at what the message brings only where the relay says that there is none. With an honest relay it therefore adds nothing,
//! and a device cannot give people a list that the relay has never taken.

use sordino_crypto::{
    lists::parse,
    receive::{Bad, Decision, Message, Outcome, Pass, brought_lists},
};
use sordino_protocol::{
    Code, DeviceId, Header, UserId, limits,
    list::{decode_signed, encode_signed},
    pb::{self, content::Body},
};

use super::contacts::trust;
use super::lists::take;
use super::receive::{Receiver, Taken};
use super::send::may_encrypt;
use super::sessions::put_control;
use super::{Happening, own_devices};
use crate::error::Error;
use crate::store::{ChainSent, Tx};

/// A list has to be known for so long before somebody is taken for not having it: what was on its way when it came is no sign of
/// anything. By this device's clock alone old rows that are read late would count, by the sender's alone one that is ahead.
const SETTLED_MS: u64 = 60_000;
/// Lists of one message are no larger together: with what is around them they have to fit into one.
const CHAIN_BYTES: usize = limits::TEXT_BYTES;

/// A genuine message: if it names an older version of the own list, its device is sent those that follow.
pub(super) fn answer(
    receiver: &Receiver<'_>,
    tx: &Tx<'_>,
    header: &Header,
    found: &Message,
    taken: &mut Taken,
) -> Result<(), Error> {
    let me = receiver.me;
    let mine = header.sender == me.user;
    let named = match mine {
        true => header.sender_list,
        false => header.recipient_list,
    };
    let Some((pin, _)) = tx.pin(me.user)? else {
        return Ok(());
    };
    let newest = pin.version;
    let target = (header.sender, header.sender_device);
    if named >= newest
        || found.removed_sender
        || !is_settled(receiver, tx, newest, found.opened.content.sent_ms)?
        || !(mine || gets_messages(receiver, tx, target.1)?)
        || !may_encrypt(tx)?
    {
        return Ok(());
    }
    // Once for each of one's lists; what did not fit, when the device has come as far as that.
    let sent = tx.chain_sent(target.0, target.1)?;
    if sent.is_some_and(|sent| sent.newest >= newest && named < sent.upto) {
        return Ok(());
    }
    let lists = after(tx, me.user, named, newest)?;
    let Ok(count @ 1..) = u32::try_from(lists.len()) else {
        return Ok(());
    };
    let upto = named.saturating_add(count);
    tx.put_chain_sent(target.0, target.1, ChainSent { newest, upto })?;
    let body = Body::ListChain(pb::ListChain { lists });
    if mine {
        own_devices::tell(tx, me, Some(target.1), body, receiver.now_ms)?;
        taken.tells_own = true;
    } else if let Some(held) = tx.conversation(receiver.conversation)? {
        put_control(tx, me, &held, Some(target.1), body, receiver.now_ms)?;
        taken.answers = true;
    }
    Ok(())
}

fn is_settled(
    receiver: &Receiver<'_>,
    tx: &Tx<'_>,
    newest: u32,
    sent_ms: u64,
) -> Result<bool, Error> {
    let seen = tx.list_seen_ms(receiver.me.user, newest)?;
    let settled = seen.map(|seen| seen.saturating_add(SETTLED_MS));
    Ok(settled.is_some_and(|at| at <= receiver.now_ms && at <= sent_ms))
}

/// Whether a device of the other person is written to.
fn gets_messages(receiver: &Receiver<'_>, tx: &Tx<'_>, device: DeviceId) -> Result<bool, Error> {
    let trust = trust(tx, receiver.peer)?;
    let holds_back = trust.blocked || trust.deleted || trust.identity_changed;
    Ok(
        !holds_back
            && !trust.withheld.contains(&device)
            && tx.is_answered(receiver.conversation)?,
    )
}

/// Own lists after a version, as many as one message holds; none if this device does not have the next one.
fn after(tx: &Tx<'_>, me: UserId, version: u32, newest: u32) -> Result<Vec<bytes::Bytes>, Error> {
    let mut lists = Vec::new();
    let mut left = CHAIN_BYTES;
    for version in (version.saturating_add(1)..=newest).take(limits::LIST_CHAIN) {
        let Some(list) = tx.list(me, version)? else {
            break;
        };
        let signed = encode_signed(&list.signed);
        let Some(rest) = left.checked_sub(signed.len()) else {
            break;
        };
        left = rest;
        lists.push(signed.into());
    }
    Ok(lists)
}

/// Whether the relay says that there is no such list as a row names.
pub(super) fn is_denied(decision: &Decision) -> bool {
    matches!(decision, Decision::Row(found) if matches!(found.outcome, Outcome::Bad(Bad::NoSuchList)))
}

/// Takes lists that such a row brings. Whether there were any that are newer than those held: then it is judged anew.
pub(super) fn came(
    receiver: &Receiver<'_>,
    tx: &Tx<'_>,
    row: &pb::Row,
    taken: &mut Taken,
) -> Result<bool, Error> {
    let Ok(header) = Header::parse(&row.header) else {
        return Ok(false);
    };
    let (me, user) = (receiver.me, header.sender);
    let mine = user == me.user;
    if !mine && (receiver.blocked || !tx.is_answered(receiver.conversation)?) {
        return Ok(false);
    }
    let Some(held) = receiver.notes.newest_list(tx, user)? else {
        return Ok(false);
    };
    let this = receiver.me_then(tx, row)?;
    let context = receiver.context(&this, Pass::Live);
    let view = receiver.view(tx);
    let lists = brought_lists(&mut rand::rng(), &view, &context, row, &held)?;
    let mut newer = Vec::with_capacity(lists.len());
    for bytes in lists {
        let Ok(signed) = decode_signed(bytes) else {
            return Ok(false);
        };
        match parse(&signed) {
            // Only what the relay must have had: it took a message that names a later list.
            Ok(list) if list.version <= header.sender_list => {
                if list.version > held.version {
                    newer.push(signed);
                }
            }
            _ => return Ok(false),
        }
    }
    let Ok(count @ 1..) = u32::try_from(newer.len()) else {
        return Ok(false);
    };
    let happenings = &mut taken.happenings;
    match take(
        tx,
        me.user,
        me.device,
        user,
        &newer,
        receiver.now_ms,
        happenings,
    ) {
        Ok(taken) if taken.are_held() => taken.refresh(receiver.notes),
        // Nothing was changed, and it is not the relay that lies.
        Ok(_) => return Ok(false),
        Err(error) if error.code() == Code::BadKeys => {
            tracing::debug!("a device shows lists that do not verify");
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    let whose = if mine { "this account's" } else { "a person's" };
    let upto = held.version.saturating_add(count);
    happenings.push(Happening::RelayMisbehaved {
        conversation: Some(receiver.conversation),
        evidence: format!("it withheld {whose} device lists up to version {upto}"),
    });
    taken.lists_came = true;
    if mine {
        taken.tells_own = true;
    } else {
        // What waits is of before, and a relay that lies would take it.
        tx.outbox_stale_from(receiver.conversation, 0)?;
        taken.answers = true;
    }
    Ok(true)
}
