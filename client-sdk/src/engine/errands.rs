//! What is fetched and brought over HTTP: the account, prekeys, lists, names.

use std::{collections::BTreeMap, sync::Arc};

use sordino_protocol::{Code, DeviceId, UserId, http::PutBlock};

use super::{Core, now_ms};
use crate::{
    error::Error,
    machine::{Happening, Machine, Need},
    net::calls::FetchedLists,
};

/// Rounds of one preparation: lists, sessions, encryption, and what changed meanwhile.
const ROUNDS: usize = 8;

/// Uploads prekeys where the relay has too few.
pub(crate) async fn replenish(core: &Arc<Core>) -> Result<(), Error> {
    let account = core.shared.run(|machine| {
        let account = machine.account();
        account.ok_or_else(|| Error::new(Code::NotRegistered, ""))
    });
    let account = account.await?;
    let (user, device) = (account.user, account.device);
    let count = core.http.prekey_count(user, device).await?;
    let due = core
        .shared
        .run(move |machine| machine.prekeys_due(&count, now_ms()))
        .await?;
    let Some(put) = due else { return Ok(()) };
    core.http.put_prekeys(user, device, &put).await?;
    core.shared
        .run(move |machine| machine.prekeys_uploaded(&put, now_ms()))
        .await
}

/// Fetches what is needed to encrypt for `peer`, and encrypts what waits.
pub(super) async fn prepare(core: &Arc<Core>, peer: UserId) -> Result<(), Error> {
    for _ in 0..ROUNDS {
        let need = core
            .shared
            .run(move |machine| machine.needs(peer, now_ms()))
            .await?;
        match need {
            Need::Nothing => {
                let encrypted = core
                    .shared
                    .run(move |machine| machine.encrypt_held(peer, now_ms()))
                    .await?;
                if encrypted == 0 {
                    return noted(core, peer).await;
                }
            }
            Need::Lists(users) => {
                for user in users {
                    match newest_lists(core, user).await {
                        Err(error) if error.code() == Code::UserNotFound && user == peer => {
                            return is_nobody(core, peer, error).await;
                        }
                        fetched => fetched?,
                    }
                }
            }
            Need::Sessions(devices) => {
                let mut by_user = BTreeMap::<UserId, Vec<DeviceId>>::new();
                for (user, device) in devices {
                    by_user.entry(user).or_default().push(device);
                }
                for (user, devices) in by_user {
                    let claimed = match core.http.claim(user, devices).await {
                        Err(error) if error.code() == Code::UserDeleted => {
                            is_deleted(core, user).await?;
                            continue;
                        }
                        claimed => claimed?,
                    };
                    core.shared
                        .change(move |machine| Ok(((), machine.bundles(user, claimed, now_ms())?)))
                        .await?;
                    // What is said to a device as a session with it begins stands in the conversation with its user.
                    if user != peer {
                        core.wake([user]);
                    }
                }
            }
            // It goes on when the person has decided.
            Need::Verification => return Ok(()),
            Need::Later => return Err(Error::new(Code::NoDevices, "")),
        }
    }
    // More came in than could be encrypted: it goes on in the next round.
    core.wake([peer]);
    Ok(())
}

/// Notes to whom the user writes; what is for the own devices alone goes out, too.
async fn noted(core: &Arc<Core>, peer: UserId) -> Result<(), Error> {
    let me = core.shared.registered()?.user;
    if peer == me {
        return Ok(());
    }
    let waits = core
        .shared
        .run(move |machine| machine.note_contact(peer, now_ms()))
        .await?;
    if waits {
        core.wake([me]);
    }
    Ok(())
}

/// Fetches the newest lists of a user.
pub(crate) async fn newest_lists(core: &Arc<Core>, user: UserId) -> Result<(), Error> {
    let (from, seen) = core
        .shared
        .run(move |machine| Ok((machine.newest_from(user)?, machine.newest_seen(user)?)))
        .await?;
    let mut from = from;
    let mut fetched = core.http.lists(user, from).await;
    // The user has compared what it goes by now.
    if fetched
        .as_ref()
        .is_ok_and(|fetched| fetched.lists.is_empty())
        && seen == 0
        && from.is_some()
    {
        from = None;
        fetched = core.http.lists(user, from).await;
    }
    let FetchedLists {
        lists,
        newest,
        deleted,
    } = match fetched {
        Err(error) if error.code() == Code::UserDeleted => return is_deleted(core, user).await,
        fetched => fetched?,
    };
    if deleted && lists.is_empty() {
        return is_deleted(core, user).await;
    }
    if newest < seen && !deleted {
        // What it goes by now the user has to compare.
        let shown = core.http.lists(user, None).await;
        let shown = shown.ok().and_then(|mut shown| shown.lists.pop());
        let noted =
            move |machine: &mut Machine| Ok(((), machine.lists_went_back(user, shown.as_ref())?));
        core.shared.change(noted).await?;
        let detail = format!("its newest device list is {newest}, and version {seen} exists");
        return Err(Error::new(Code::RelayMisbehaved, detail));
    }
    let taken = core.shared.change(move |machine| {
        let mut happenings = machine.take_newer_lists((user, from), lists, now_ms())?;
        machine.newest_list_is(user, newest)?;
        happenings.extend(match deleted {
            true => machine.account_deleted(user, now_ms())?,
            false => machine.account_is_there(user)?,
        });
        Ok(((), happenings))
    });
    judged(core, user, taken.await).await?;
    told_own_devices(core, user).await
}

/// Fetches newer lists of somebody of whom there are some.
pub(super) async fn look_at(core: &Arc<Core>, user: UserId) -> Result<(), Error> {
    let known = core
        .shared
        .run(move |machine| machine.pinned_version(user))
        .await?;
    match known {
        Some(_) => newest_lists(core, user).await,
        None => Ok(()),
    }
}

/// The relay says that the account is gone.
pub(crate) async fn is_deleted(core: &Arc<Core>, user: UserId) -> Result<(), Error> {
    let deleted = move |machine: &mut Machine| Ok(((), machine.account_deleted(user, now_ms())?));
    core.shared.change(deleted).await
}

/// The relay says that nobody has this id. It is an error where there was somebody before.
async fn is_nobody(core: &Arc<Core>, user: UserId, error: Error) -> Result<(), Error> {
    let noted = core.shared.change(move |machine| {
        let told = machine.nobody_is_there(user)?;
        Ok((told.is_some(), told.unwrap_or_default()))
    });
    match noted.await? {
        true => Ok(()),
        false => Err(error),
    }
}

/// With newer lists something may wait for the other own devices: of one's own, new keys; of others, new devices that are let in.
async fn told_own_devices(core: &Arc<Core>, user: UserId) -> Result<(), Error> {
    match core.shared.account() {
        Some(account) if account.user == user => {
            core.wake([user]);
            Ok(())
        }
        Some(account) if account.registered => noted(core, user).await,
        _ => Ok(()),
    }
}

/// Lists that do not verify may contradict others: then the person's conversation says so.
async fn judged(core: &Arc<Core>, user: UserId, taken: Result<(), Error>) -> Result<(), Error> {
    if let Err(error) = &taken
        && error.code() == Code::BadKeys
    {
        let told = core.shared.change(move |machine| {
            let is_news = machine.take_contradiction(user);
            let told = is_news.then_some(Happening::TrustChanged(user));
            Ok(((), told.into_iter().collect()))
        });
        told.await?;
    }
    taken
}

/// Fetches lists of a user for a row of version `version`, as many as go at a time: the row is judged again then.
pub(super) async fn lists_of_row(
    core: &Arc<Core>,
    user: UserId,
    version: u32,
) -> Result<(), Error> {
    let (from, upto) = core
        .shared
        .run(move |machine| machine.list_range(user, version))
        .await?;
    let FetchedLists {
        mut lists, newest, ..
    } = match core.http.lists(user, Some(from)).await {
        Ok(fetched) => fetched,
        // Nobody: then no version exists.
        Err(error) if error.code() == Code::UserNotFound => FetchedLists {
            lists: Vec::new(),
            newest: 0,
            deleted: false,
        },
        Err(error) => return Err(error),
    };
    if version < upto {
        // A range in the past: what follows it is held.
        let wanted = usize::try_from(upto.saturating_sub(from)).unwrap_or(usize::MAX);
        lists.truncate(wanted.saturating_add(1));
    }
    let taken = core.shared.change(move |machine| {
        let happenings = machine.take_lists_of_row((user, version), lists, newest, now_ms())?;
        Ok(((), happenings))
    });
    judged(core, user, taken.await).await?;
    told_own_devices(core, user).await
}

/// Looks whether own devices that have not answered can be asked.
pub(super) async fn greet(core: &Arc<Core>) -> Result<(), Error> {
    let me = core.shared.registered()?;
    if core.shared.run(|machine| machine.awaits_answers()).await? {
        core.wake([me.user]);
    }
    Ok(())
}

/// Tells the relay who is blocked, and who is not any more. Each own device does: whichever comes first, the later decision counts there.
pub(super) async fn blocks(core: &Arc<Core>) -> Result<(), Error> {
    let me = core.shared.registered()?;
    while let Some((other, blocked, decided_ms)) = core
        .shared
        .run(|machine| machine.block_to_tell(now_ms()))
        .await?
    {
        let block = PutBlock {
            blocked,
            decided_ms,
        };
        match core.http.put_block(me.user, other, block).await {
            Ok(()) => {}
            // More than it keeps, or a time that is none. On this device they are blocked all the same.
            Err(error) if matches!(error.code(), Code::TooLarge | Code::BadRequest) => {
                tracing::warn!(
                    code = error.code().as_str(),
                    "the relay does not take who is blocked"
                );
            }
            Err(error) => return Err(error),
        }
        core.shared
            .run(move |machine| machine.block_told(other, decided_ms, now_ms()))
            .await?;
    }
    Ok(())
}

/// Tells people what was read of what they wrote.
pub(super) async fn receipts(core: &Arc<Core>) -> Result<(), Error> {
    let told = core.shared.run(|machine| machine.put_receipts(now_ms()));
    core.wake(told.await?);
    Ok(())
}

/// Asks for what could not be read when it came, and reads it where its keys have come since.
pub(super) async fn late(core: &Arc<Core>) -> Result<(), Error> {
    let asked = core.shared.run(|machine| machine.ask_late(now_ms()));
    core.wake(asked.await?);
    while let Some((conversation, seq)) = core.shared.run(|machine| machine.next_late()).await? {
        let rows = match core.http.history(conversation, seq.saturating_add(1)).await {
            Ok(rows) => rows,
            // The relay knows the conversation no more.
            Err(error) if error.code() == Code::Forbidden => Vec::new(),
            Err(error) => return Err(error),
        };
        core.shared
            .change(move |machine| {
                let told = machine.take_late(conversation, seq, &rows, now_ms())?;
                Ok(((), told))
            })
            .await?;
    }
    Ok(())
}

/// Learns the name of a person who wrote first.
pub(super) async fn learn_name(core: &Arc<Core>, user: UserId) -> Result<(), Error> {
    let known = core
        .shared
        .run(move |machine| Ok(machine.name(user)?.is_some()))
        .await?;
    if known {
        return Ok(());
    }
    let Some(found) = core.http.user_by_id(user).await? else {
        return Ok(());
    };
    if found.user != user {
        return Err(Error::new(Code::RelayMisbehaved, "another user was given"));
    }
    core.shared
        .run(move |machine| machine.learn_name(&found))
        .await?;
    core.shared.views().name_learnt();
    Ok(())
}
