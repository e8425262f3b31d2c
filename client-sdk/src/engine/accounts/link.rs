//! Linking: a device of the account puts another on its list, over a pipe of the relay that neither trusts.
//!
//! Messages of the pipe: the old device's key; the new one's hello, and what a list says of it; once the person has compared the
//! digits, the account's keys with the list to come; that the new device has stored them. Then the old one has the list stored.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use data_encoding::BASE32_NOPAD;
use prost::Message;
use sordino_crypto::{
    keys::DeviceKeys,
    link::{HELLO, Hello, Invitation, LinkError, NewDevice as Invited, OldDevice, Pipe},
    lists::{listed, parse},
};
use sordino_protocol::{ChannelId, Code, DeviceId, UserId, frame, list::DeviceList, pb};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use super::{
    confirm,
    devices::Here,
    is_listed,
    login::{Locked, ended},
    unconfirmed,
};
use crate::{
    Retry,
    engine::{Core, now_ms},
    error::Error,
    machine::{NewDevice, granted, must_have_room},
    net::{Http, calls::LinkSide},
    store::StoredAccount,
    types::User,
};

/// How long the two may take, as the relay sees it.
const LIFETIME: Duration = Duration::from_secs(300);
/// Between two looks for the other's message.
const LOOK: Duration = Duration::from_millis(500);
/// So many looks in vain, and it is asked whether there is a pipe at all: the relay may have been restarted, and those who wait would wait
/// for nothing.
const LOOKS: u32 = 4;
/// For so long a relay may do nothing but fail.
const TROUBLE: Duration = Duration::from_secs(15);
/// The old device may be having the list stored, although the pipe is gone.
const LISTED: Duration = Duration::from_secs(5);
/// How a code begins; then channel ‖ H(hello) in base 32 (RFC 4648, no padding), and the relay's name: as a QR code nearly all of the small alphanumeric kind.
const CODE: &str = "SORDINO:LN1:";

/// The pipe, as one of the two reaches it.
struct Line {
    user: UserId,
    channel: ChannelId,
    until: Instant,
    /// The old device's first message, which makes the pipe, was there.
    is_begun: AtomicBool,
}

impl Line {
    fn new(user: UserId, channel: ChannelId) -> Self {
        Self {
            user,
            channel,
            until: Instant::now() + LIFETIME,
            is_begun: AtomicBool::new(false),
        }
    }

    /// Puts a message of one's own in its place; the same again is fine.
    async fn say(
        &self,
        http: &Http,
        side: LinkSide,
        number: u8,
        message: &[u8],
    ) -> Result<(), Error> {
        let mut troubled = None;
        loop {
            let put = http.put_link(self.user, self.channel, side, number, message);
            match put.await {
                Ok(()) => {
                    self.is_begun.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                Err(error) => self.after(error, &mut troubled).await?,
            }
        }
    }

    /// Waits for a message of the other's.
    async fn hear(&self, http: &Http, side: LinkSide, number: u8) -> Result<Bytes, Error> {
        let (mut troubled, mut looks) = (None, 0);
        loop {
            let get = http.link(self.user, self.channel, side, number);
            match get.await {
                Ok(Some(message)) => {
                    self.is_begun.store(true, Ordering::Relaxed);
                    return Ok(message);
                }
                Ok(None) => {
                    (troubled, looks) = (None, looks + 1);
                    if looks % LOOKS == 0 && self.is_gone(http).await {
                        return Err(gone());
                    }
                    self.pause(LOOK).await?;
                }
                Err(error) => self.after(error, &mut troubled).await?,
            }
        }
    }

    /// Whether there was a pipe, and is none any more. Where the relay does not answer nobody knows.
    async fn is_gone(&self, http: &Http) -> bool {
        let first = http.link(self.user, self.channel, LinkSide::Old, 0);
        self.is_begun.load(Ordering::Relaxed) && matches!(first.await, Ok(None))
    }

    /// Waits after an error that may pass. `troubled`: since when there was nothing but errors.
    async fn after(&self, error: Error, troubled: &mut Option<Instant>) -> Result<(), Error> {
        let lasts = troubled.get_or_insert_with(Instant::now).elapsed();
        match error.retry() {
            Retry::After(wait) if lasts < TROUBLE => self.pause(wait.max(LOOK)).await,
            _ => Err(error),
        }
    }

    async fn pause(&self, wait: Duration) -> Result<(), Error> {
        if Instant::now() + wait >= self.until {
            return Err(Error::new(Code::LinkEnded, ""));
        }
        sleep(wait).await;
        Ok(())
    }
}

/// The new device.
pub(crate) struct Joining {
    locked: Arc<Locked>,
    line: Line,
    invited: Invited,
    code: String,
    state: Mutex<State>,
}

enum State {
    /// Nobody has read the code.
    Invited,
    /// The old device has, and was told this.
    Met { pipe: Box<Pipe>, entry: Vec<u8> },
    /// It has granted this, which was opened once and is to be stored; it is told so with `ready`.
    Granted { grant: Bytes, ready: Vec<u8> },
    /// What it has granted is stored.
    Stored {
        list: Box<DeviceList>,
        ready: Vec<u8>,
    },
    /// What came is not of the other device: this pipe opens nothing more.
    Broken,
}

impl Joining {
    /// Begins: a code to be shown.
    pub(crate) fn new(locked: Arc<Locked>) -> Self {
        let new = &locked.signer.new;
        let rng = &mut rand::rng();
        let invited = Invited::new(rng, locked.user, new.device, new.keys.public());
        let invitation = invited.invitation();
        let line = Line::new(locked.user, ChannelId::from_bytes(invitation.channel));
        Self {
            code: code_of(&invitation, locked.core.relay.name()),
            locked,
            line,
            invited,
            state: Mutex::new(State::Invited),
        }
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// Waits until the code was read.
    pub(crate) async fn met(&self) -> Result<(), Error> {
        // If one leaves meanwhile, the login is over, as with any change of the list.
        must_have_room(&self.locked.list)?;
        let mut state = self.state.lock().await;
        if matches!(*state, State::Invited) {
            let key = self
                .line
                .hear(&self.locked.http, LinkSide::Old, 0)
                .await
                .map_err(ended)?;
            let key = key
                .as_ref()
                .try_into()
                .map_err(|_| changed(LinkError::Key))?;
            let mut pipe = self.invited.meet(key).map_err(changed)?;
            // Sealed once: the same bytes are sent again after an error.
            let entry = pipe.seal(&self.entry().encode_to_vec());
            let pipe = Box::new(pipe);
            *state = State::Met { pipe, entry };
        }
        let State::Met { entry, .. } = &*state else {
            return Err(Error::new(Code::LinkEnded, ""));
        };
        let hello = self.invited.hello();
        self.line
            .say(&self.locked.http, LinkSide::New, 0, hello)
            .await
            .map_err(ended)?;
        self.line
            .say(&self.locked.http, LinkSide::New, 1, entry)
            .await
            .map_err(ended)
    }

    /// Takes what the other side grants, if these are the digits that the old device shows; waits until this one is on the account.
    ///
    /// What is granted decides whom this device will trust. All that came before is the relay's word, which may have played the old
    /// device itself: only a person who reads the digits there says that it has not.
    pub(crate) async fn join(&self, digits: &str) -> Result<User, Error> {
        let core = &self.locked.core;
        let mut state = self.state.lock().await;
        if let State::Met { pipe, .. } = &mut *state {
            let typed: String = digits.split_whitespace().collect();
            if typed != pipe.digits() {
                let detail = "these are not the digits of this link: type them again; if they are what the other device shows, somebody stands in between";
                return Err(Error::new(Code::BadRequest, detail));
            }
            let grant = self
                .line
                .hear(&self.locked.http, LinkSide::Old, 1)
                .await
                .map_err(ended)?;
            // Each message of the pipe is opened and sealed once: what follows may fail, and be tried again with the same.
            *state = match pipe.open(&grant) {
                Ok(grant) => State::Granted {
                    ready: pipe.seal(&[]),
                    grant: Bytes::copy_from_slice(&grant),
                },
                Err(error) => {
                    *state = State::Broken;
                    return Err(changed(error));
                }
            };
        }
        if let State::Granted { grant, ready } = &mut *state {
            let list = Box::new(self.store(grant.clone()).await?);
            let ready = std::mem::take(ready);
            *state = State::Stored { list, ready };
        }
        let (list, ready) = match &*state {
            State::Stored { list, ready } => (list, ready),
            State::Broken => return Err(Error::new(Code::LinkEnded, "begin with another code")),
            _ => return Err(Error::new(Code::LinkEnded, "nobody has read the code yet")),
        };
        // Its login ends with the list: whether that is stored, the relay says to the device itself.
        let said = self
            .line
            .say(&self.locked.http, LinkSide::New, 2, ready)
            .await;
        let device = unconfirmed(core);
        let mut lost = None;
        loop {
            if let Some(user) = is_listed(&device, list).await? {
                let _one = core.account.lock().await;
                // The recovery key may have been used meanwhile: then the store is that list's.
                let held = core.shared.run(|machine| machine.own_list()).await?;
                if held.hash != list.hash {
                    return Err(Error::new(Code::LinkEnded, ""));
                }
                return confirm(core, user).await;
            }
            if let Err(error) = &said
                && error.retry() == Retry::Never
            {
                return Err(error.clone());
            }
            if !self.line.is_gone(&self.locked.http).await {
                lost = None;
            } else if lost.get_or_insert_with(Instant::now).elapsed() >= LISTED {
                return Err(gone());
            }
            self.line.pause(2 * LOOK).await?;
        }
    }

    fn entry(&self) -> pb::ListedDevice {
        let (list, new) = (&self.locked.list, &self.locked.signer.new);
        listed(
            list.user,
            &list.identity_key,
            new.device,
            &new.keys,
            now_ms(),
        )
    }

    /// Keeps what was granted, before the relay is asked for the list that names this device.
    async fn store(&self, grant: Bytes) -> Result<DeviceList, Error> {
        let core = &self.locked.core;
        let unfit = || {
            Error::new(
                Code::BadKeys,
                "what the other device gave does not fit together",
            )
        };
        let grant: pb::LinkGrant = frame::decode(grant, &frame::LINK_GRANT).map_err(|_| unfit())?;
        let list = grant.list.as_ref().map(parse);
        let list = list.and_then(Result::ok).ok_or_else(unfit)?;
        let new = &self.locked.signer.new;
        let public = new.keys.public();
        let named = list.device(new.device).is_some_and(|device| {
            let keys = (device.signing_key, device.identity_key);
            keys == (public.signing_key, public.identity_key) && device.co_signer.is_some()
        });
        // The relay may have shown another identity key at the login: the old device's word goes.
        if list.user != self.locked.user || list.identity_key != self.locked.list.identity_key {
            let detail = "it gave the new device another identity key than the account's";
            return Err(Error::new(Code::RelayMisbehaved, detail));
        }
        let keys = grant.keys.as_ref();
        let (shared, openers) = keys
            .and_then(|keys| granted(&list, keys))
            .ok_or_else(unfit)?;
        if !named {
            return Err(unfit());
        }
        let (signing, identity) = new.keys.to_secret();
        let device = NewDevice {
            account: StoredAccount {
                user: self.locked.user,
                device: new.device,
                username: self.locked.username.clone(),
                registered: false,
                keys: DeviceKeys::from_secret(&signing, &identity),
            },
            shared,
            backup_keys: Vec::new(),
            openers,
            recovery_key: None,
            list: list.clone(),
        };
        let _one = core.account.lock().await;
        core.shared
            .run(move |machine| machine.begin_joining(device, now_ms()))
            .await?;
        Ok(list)
    }
}

/// The old device: another has shown it a code.
pub(crate) struct Linking {
    core: Arc<Core>,
    line: Line,
    hello: Hello,
    entry: pb::ListedDevice,
    digits: String,
    pipe: Mutex<Option<Pipe>>,
}

impl Linking {
    /// Meets the device that shows this code.
    pub(crate) async fn begin(core: &Arc<Core>, code: &str) -> Result<Self, Error> {
        let me = core.shared.registered()?;
        let (invitation, relay) = parse_code(code).ok_or_else(|| {
            Error::new(
                Code::BadRequest,
                "this is not the code of a device that is to be linked",
            )
        })?;
        if relay != core.relay.name() {
            let detail = format!("the code is of a device at the relay {relay:?}");
            return Err(Error::new(Code::BadRequest, detail));
        }
        // Before the two meet: refused later, the new device would wait in vain for what it is to be granted.
        must_have_room(&Here::find(core).await?.list)?;
        let line = Line::new(me.user, ChannelId::from_bytes(invitation.channel));
        let old = OldDevice::new(&mut rand::rng(), invitation);
        line.say(&core.http, LinkSide::Old, 0, &old.ephemeral())
            .await?;
        let hello = line.hear(&core.http, LinkSide::New, 0).await?;
        let hello: &[u8; HELLO] = hello
            .as_ref()
            .try_into()
            .map_err(|_| changed(LinkError::Hello))?;
        let (hello, mut pipe) = old.meet(hello).map_err(changed)?;
        if hello.user != me.user {
            let detail = "the device is to be on another account";
            return Err(Error::new(Code::BadRequest, detail));
        }
        let entry = line.hear(&core.http, LinkSide::New, 1).await?;
        let entry = pipe.open(&entry).map_err(changed)?;
        let entry = frame::decode(Bytes::copy_from_slice(&entry), &frame::LISTED_DEVICE)
            .map_err(|_| changed(LinkError::Message))?;
        Ok(Self {
            core: core.clone(),
            line,
            hello,
            entry,
            digits: pipe.digits(),
            pipe: Mutex::new(Some(pipe)),
        })
    }

    pub(crate) fn digits(&self) -> &str {
        &self.digits
    }

    /// The person has compared the digits: the device gets the account's keys, and stands on its list.
    pub(crate) async fn confirm(&self) -> Result<DeviceId, Error> {
        let core = &self.core;
        // Once: there is no second message in its place.
        let pipe = self.pipe.lock().await.take();
        let mut pipe = pipe.ok_or_else(|| Error::new(Code::LinkEnded, ""))?;
        let entry = self.entry.clone();
        let same = entry.device == self.hello.device.to_pb()
            && entry.signing_key == self.hello.keys.signing_key.as_slice()
            && entry.identity_key == self.hello.keys.identity_key.as_slice();
        if !same {
            return Err(changed(LinkError::Hello));
        }
        let (here, (list, grant)) = {
            let _one = core.account.lock().await;
            let here = Here::find(core).await?;
            let before = here.list.clone();
            let begun = core
                .shared
                .run(move |machine| machine.begin_linking(&before, entry, now_ms()));
            (here, begun.await?)
        };
        let grant = pipe.seal(&grant.encode_to_vec());
        self.line.say(&core.http, LinkSide::Old, 1, &grant).await?;
        let ready = self.line.hear(&core.http, LinkSide::New, 2).await?;
        pipe.open(&ready).map_err(changed)?;
        // Not held while the other device is waited for, which may take minutes. If the list has become another meanwhile, the relay
        // takes none that does not follow it.
        let _one = core.account.lock().await;
        here.put(core, &core.http, list, None).await?;
        Ok(self.hello.device)
    }
}

pub(crate) fn code_of(invitation: &Invitation, relay: &str) -> String {
    let bytes = [&invitation.channel[..], &invitation.hello_hash].concat();
    format!("{CODE}{}:{relay}", BASE32_NOPAD.encode(&bytes))
}

/// Also as somebody typed or copied it, in several lines.
fn parse_code(code: &str) -> Option<(Invitation, String)> {
    let code: String = code.split_whitespace().collect();
    let (head, rest) = code.split_at_checked(CODE.len())?;
    let (letters, relay) = rest.split_once(':')?;
    let bytes = BASE32_NOPAD.decode(letters.to_ascii_uppercase().as_bytes());
    let bytes: [u8; 48] = bytes.ok()?.try_into().ok()?;
    let (channel, hello_hash) = bytes.split_first_chunk()?;
    let invitation = Invitation {
        channel: *channel,
        hello_hash: hello_hash.try_into().ok()?,
    };
    let is_one = head.eq_ignore_ascii_case(CODE);
    is_one.then(|| (invitation, relay.to_owned()))
}

/// The relay has no such pipe any more.
fn gone() -> Error {
    let detail = "the relay was restarted, or another link was begun: begin with another code";
    Error::new(Code::LinkEnded, detail)
}

/// What came over the pipe is not what the other device sent.
fn changed(error: LinkError) -> Error {
    Error::new(Code::RelayMisbehaved, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_back_as_it_was_typed() {
        let invitation = Invitation {
            channel: [0xab; 16],
            hello_hash: [0x01; 32],
        };
        let code = code_of(&invitation, "chat.example");
        let (first, rest) = code.split_at(30);
        let lines = format!(" {first}\n  {rest}\n");
        for typed in [code.clone(), lines, code.to_lowercase()] {
            let read = Some((invitation, "chat.example".to_owned()));
            assert_eq!(parse_code(&typed), read, "{typed}");
        }
        let cut = &code[..code.len() - ":chat.example".len() - 1];
        let cut = format!("{cut}:chat.example");
        let other = code.replace("LN1", "SN1");
        for wrong in ["", &cut, &other, &code.replace(':', "1"), &"é".repeat(60)] {
            assert_eq!(parse_code(wrong), None, "{wrong}");
        }
    }
}
