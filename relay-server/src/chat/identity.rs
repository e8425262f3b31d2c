//! Whose connection it is.

use sordino_protocol::{DeviceId, UserId, list::DeviceList};

use crate::http::caller::Caller;

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
