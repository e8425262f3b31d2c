//! Whose connection it is.

use std::sync::Arc;

use sordino_protocol::{
    DeviceId, UserId,
    list::{self, DeviceList},
};

use crate::{
    http::caller::Caller,
    user::{UserError, Users, verify::verify},
};

/// Versions that a list may be ahead of the one in memory: those of a few milliseconds.
const LATER: usize = 100;

/// A device, as its token named it. By key as well as by id: a device listed anew has to connect anew.
pub(super) struct Identity {
    pub(super) user: UserId,
    pub(super) device: DeviceId,
    signing_key: [u8; 32],
}

impl Identity {
    /// Whether the device is on this list of its user.
    pub(super) fn is_on(&self, list: &DeviceList) -> bool {
        list.device(self.device)
            .is_some_and(|device| device.signing_key == self.signing_key)
    }

    /// Whether a token is of the same device.
    pub(super) fn is(&self, caller: &Caller) -> bool {
        (caller.user, caller.device) == (self.user, self.device)
            && *caller.signing_key() == self.signing_key
    }
}

impl From<&Caller> for Identity {
    fn from(caller: &Caller) -> Self {
        Self {
            user: caller.user,
            device: caller.device,
            signing_key: *caller.signing_key(),
        }
    }
}

/// The list that the store has now. The word that it is another, or that the account is gone, is said once, and may be here
/// before this node forgets the list that it keeps in memory.
pub(super) async fn changed_list(
    users: &dyn Users,
    user: UserId,
) -> Result<Option<Arc<DeviceList>>, UserError> {
    let Some(kept) = users.newest_list(user).await? else {
        return Ok(None);
    };
    let later = users.lists(user, kept.version.saturating_add(1), LATER);
    let (later, deleted) = tokio::try_join!(later, users.deleted(user))?;
    match later.last() {
        _ if deleted.is_some() => Ok(None),
        None => Ok(Some(kept)),
        Some(signed) => match list::parse(signed, verify) {
            Ok(list) => Ok(Some(Arc::new(list))),
            Err(error) => Err(UserError::Failed(error.to_string())),
        },
    }
}
