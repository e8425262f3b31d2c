//! Users, with all versions of their lists, their devices and prekeys.

use std::path::Path;

use super::{MoveError, Moved, Say};
use crate::{
    config::Config,
    stores::cluster::ClusterError,
    user::{postgres::whole::Importer, whole::WholeUsers},
};

/// Moves each user in one transaction, and reads all back. Who is there already has to be as in the source: one-time keys
/// that either side has given out since would be given out again.
pub(super) async fn move_in(
    config: &Config,
    from: &Path,
    say: &mut Say,
) -> Result<Moved, MoveError> {
    let mut moved = Moved::default();
    let file = from.join("users.sqlite");
    if !file.exists() {
        // They are in PostgreSQL already.
        return Ok(moved);
    }
    let mut source = WholeUsers::open(&file).await?;
    let url = config.postgres_url().map_err(ClusterError::from)?;
    let mut target = Importer::connect(&url).await?;
    let ids = source.ids().await?;
    let there = target.ids().await?;
    let foreign = there.iter().find(|id| ids.binary_search(id).is_err());
    if let Some(foreign) = foreign {
        return Err(MoveError::ForeignUser(*foreign));
    }
    // Before anything is written.
    for id in &there {
        if source.get(*id).await? != target.get(*id).await? {
            return Err(MoveError::ForeignUser(*id));
        }
    }
    let of = ids.len() as u64;
    for id in &ids {
        let user = source.get(*id).await?;
        if !there.contains(id) {
            target.put(&user).await?;
        }
        moved.users += 1;
        moved.devices += user.devices.len() as u64;
        moved.lists += user.lists.len() as u64;
        moved.prekeys += user.prekeys.len() as u64;
        say("users", moved.users, of);
    }
    let invites = source.invites().await?;
    for invite in &invites {
        target.put_invite(invite).await?;
    }
    if target.invites().await? != invites {
        return Err(MoveError::NotAsMoved("the invites".to_owned()));
    }
    for (id, read) in ids.iter().zip(1..) {
        if source.get(*id).await? != target.get(*id).await? {
            return Err(MoveError::NotAsMoved(format!("the user {id}")));
        }
        say("users read back", read, of);
    }
    if target.ids().await?.len() != ids.len() {
        return Err(MoveError::NotAsMoved("the number of users".to_owned()));
    }
    source.close().await?;
    target.close().await?;
    Ok(moved)
}
