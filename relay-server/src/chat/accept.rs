//! What is checked of a message before it goes to the log.

use bytes::Bytes;
use prost::Message as _;
use sordino_protocol::{Class, Code, Header, hash, list::DeviceList, pb};

use super::{
    identity::Identity,
    targets::{self, missing, must_be_reached},
};
use crate::{
    broker::{AppendError, Record},
    http::{
        Api,
        error::{code_of_users, nobody},
    },
};

/// Why a message is not accepted.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: Code,
    /// The newest lists of sender and recipient, where those that the sender used are not.
    pub(super) lists: Option<Box<[pb::Signed; 2]>>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code, lists: None }
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Busy => Code::Busy,
            AppendError::Gap => Code::CounterGap,
            AppendError::StorageFull => Code::StorageFull,
            AppendError::Unknown => Code::Internal,
        }
        .into()
    }
}

/// Whether a header names this device as the sender, and the conversation of its two people.
pub(super) fn is_by(identity: &Identity, header: &Header) -> bool {
    (header.sender, header.sender_device) == (identity.user, identity.device)
        && header.conversation == hash::conversation_id(header.sender, header.recipient)
}

/// The record of a message of this device, if it may send it to these devices now.
pub(super) async fn check(
    api: &Api,
    identity: &Identity,
    header: Header,
    send: pb::Send,
) -> Result<Record, Refusal> {
    let list = async |user| api.users.newest_list(user).await.map_err(code_of_users);
    let own = list(header.sender).await?.ok_or(Code::DeviceRevoked)?;
    if !identity.is_on(&own) {
        return Err(Code::DeviceRevoked.into());
    }
    let Some(peer) = list(header.recipient).await? else {
        return Err(nobody(&*api.users, header.recipient).await.into());
    };
    if header.sender_list != own.version || header.recipient_list != peer.version {
        return Err(changed(&own, &peer));
    }
    let missing = missing(&header, [&own, &peer], &send.wraps, &send.withheld)
        .map_err(|targets::Misfit| Code::WrongTargets)?;
    let now_ms = (api.now_ms)();
    for (user, device) in missing {
        let expires = api.users.spk_expiry(user, device).await;
        if must_be_reached(expires.map_err(code_of_users)?, now_ms) {
            return Err(Code::WrongTargets.into());
        }
    }
    let mut wraps = send.wraps;
    // It takes its place like any other, and the sender's other devices read it. For whoever has blocked the sender it is a row that
    // holds nothing for them: it cannot be read, now or later, wakes nobody, and tells the sender nothing. What they wrote before they
    // may still take back.
    if header.class != Class::Erase
        && header.recipient != header.sender
        && api.has_blocked(header.recipient, header.sender).await?
    {
        wraps.retain(|wrap| wrap.user != header.recipient.as_bytes()[..]);
    }
    let wraps = pb::Wraps { wraps };
    Ok(Record {
        header,
        header_bytes: send.header,
        content_hash: hash::sha256(&send.content),
        content: send.content,
        wraps: Bytes::from(wraps.encode_to_vec()),
    })
}

fn changed(own: &DeviceList, peer: &DeviceList) -> Refusal {
    let lists = [own.signed.clone(), peer.signed.clone()];
    Refusal {
        code: Code::ListsChanged,
        lists: Some(Box::new(lists)),
    }
}
