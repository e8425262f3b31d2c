//! The key backup: filled as messages come, read on a new device; and what a device that was linked gets instead.

use std::sync::Arc;

use sordino_protocol::{Code, batch::Head};

use super::{Core, errands::newest_lists, now_ms, session::trusted};
use crate::{
    error::Error,
    machine::{Happening, NextRestore},
    types::BackupPolicy,
};

/// Gives devices that this one has linked the keys of what was before them, as many as may wait.
pub(super) async fn share(core: &Arc<Core>) -> Result<(), Error> {
    let me = core.shared.registered()?;
    let shared = core
        .shared
        .run(|machine| machine.share_history(now_ms()))
        .await?;
    if shared {
        core.wake([me.user]);
    }
    Ok(())
}

/// Puts into the backup what is in none.
pub(super) async fn fill(core: &Arc<Core>) -> Result<(), Error> {
    if core.backup == BackupPolicy::Off {
        return Ok(());
    }
    let me = core.shared.registered()?;
    // Once: a relay that contradicts itself must not keep the device busy.
    let mut conflict = false;
    loop {
        let next = core.shared.run(|machine| machine.next_batch()).await?;
        let Some(batch) = next else { return Ok(()) };
        match core.http.put_batch(me.user, me.device, &batch).await {
            Ok(()) => {
                let is_full = batch.is_full;
                core.shared
                    .run(move |machine| machine.batch_stored(&batch))
                    .await?;
                // What has come meanwhile has its own time.
                if !is_full {
                    return Ok(());
                }
            }
            // Another device has closed that version. The list says which one follows, and its keys are on their way.
            Err(error) if error.code() == Code::BackupClosed => {
                newest_lists(core, me.user).await?;
                let again = core.shared.run(|machine| machine.next_batch()).await?;
                if again.is_some_and(|again| again.version == batch.version) {
                    return Err(error);
                }
            }
            Err(error) if error.code() == Code::BackupConflict && !conflict => {
                conflict = true;
                let version = batch.version;
                let ends = core.http.backup_heads(me.user, version).await?;
                let at = ends.iter().find(|end| end.device == me.device);
                chain_is_elsewhere(core, version, at.map(|end| end.head)).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// This device's chain ends elsewhere than it should; `at`: where, by the relay's word.
pub(super) async fn chain_is_elsewhere(
    core: &Arc<Core>,
    version: u32,
    at: Option<Head>,
) -> Result<(), Error> {
    let lost = core
        .shared
        .run(move |machine| machine.batch_refused(version, at))
        .await?;
    if lost {
        core.shared.views().tell(&[Happening::RelayMisbehaved {
            conversation: None,
            evidence: "it has lost a part of the key backup".to_owned(),
        }]);
    }
    Ok(())
}

/// Reads the backup to its end, the newest first; later once more, for what has come since.
pub(super) async fn read(core: &Arc<Core>) -> Result<(), Error> {
    let me = core.shared.registered()?;
    let mut begun = false;
    loop {
        let next = core
            .shared
            .run(|machine| machine.next_restore(now_ms()))
            .await?;
        match next {
            NextRestore::Heads(version) => {
                let ends = core.http.backup_heads(me.user, version).await?;
                let heads: Vec<_> = ends.iter().map(|end| (end.device, end.head)).collect();
                core.shared
                    .run(move |machine| machine.chains_to_read(version, &heads))
                    .await?;
            }
            NextRestore::Batches(chain) => {
                let batches = core.http.batches(me.user, &chain).await?;
                core.shared
                    .change(move |machine| Ok(((), machine.take_batches(&chain, &batches)?)))
                    .await?;
            }
            NextRestore::Rows(conversation, before) => {
                let rows = match core.http.history(conversation, before).await {
                    Ok(rows) => rows,
                    // The relay knows it no more.
                    Err(error) if error.code() == Code::Forbidden => Vec::new(),
                    Err(error) => return Err(error),
                };
                let shared = core.shared.clone();
                let decided = core
                    .shared
                    .change(move |machine| {
                        let told = machine.take_history(conversation, before, &rows, now_ms())?;
                        shared.views().reload(machine, conversation)?;
                        let decided = told.iter().filter_map(trusted).collect::<Vec<_>>();
                        Ok((decided, told))
                    })
                    .await?;
                if !decided.is_empty() {
                    core.has_decided();
                    core.wake(decided);
                }
            }
            NextRestore::LinkEnded => continue,
            NextRestore::Awaited { more: true } => return Ok(()),
            NextRestore::Awaited { .. } | NextRestore::Later(_) | NextRestore::Done if !begun => {
                return Ok(());
            }
            NextRestore::Awaited { .. } | NextRestore::Later(_) | NextRestore::Done => {
                core.shared
                    .change(|machine| {
                        let messages = machine.restore_progress()?.messages;
                        Ok(((), vec![Happening::RestoredAll { messages }]))
                    })
                    .await?;
                return Ok(());
            }
        }
        begun = true;
        core.shared
            .change(|machine| {
                let progress = machine.restore_progress()?;
                Ok(((), vec![Happening::Restoring(progress)]))
            })
            .await?;
    }
}
