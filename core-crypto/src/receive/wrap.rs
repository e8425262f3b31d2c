//! From the wrap of a row to its plaintext: which session, or a new one.

use bytes::Bytes;
use rand::CryptoRng;
use sordino_protocol::{SessionId, frame, pb};
use zeroize::Zeroizing;

use super::{
    Context, HIGHEST_NUMBER,
    view::{Known, View},
};
use crate::{
    pqxdh::{self, SetupError},
    prekeys::{Peer, PqKind},
    session::{Position, Session, SessionError, parse_message, position},
};

/// Why a wrap does not open. The stored sessions and prekey secrets stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undecryptable {
    /// The bytes are no wrap, or name a place in a chain above [`super::HIGHEST_NUMBER`].
    #[error("the wrap cannot be read")]
    Malformed,
    /// It names a session that is not known and brings no handshake.
    #[error("the wrap is of a session that this device does not know")]
    UnknownSession,
    /// It names a session that was retired.
    #[error("the wrap is of a session that was retired")]
    RetiredSession,
    /// The session is with other device keys than the list has.
    #[error("the session was set up with other keys than the sender's device has")]
    OtherKeys,
    /// The handshake names a prekey whose secret is gone.
    #[error("the handshake names a prekey that this device no longer has")]
    PrekeyGone,
    /// The handshake does not set up a session.
    #[error(transparent)]
    Setup(SetupError),
    /// The session does not decrypt it.
    #[error(transparent)]
    Session(SessionError),
    /// It is genuine, but belongs to another envelope: the relay swapped one of them.
    #[error("the wrap belongs to another envelope")]
    Envelope,
}

impl Undecryptable {
    /// Whether the peer's session can be broken, so that a new one may help ([`crate::sessions::Book::broken`]). Else the
    /// relay changed this one row.
    pub fn breaks_session(self) -> bool {
        match self {
            Self::UnknownSession
            | Self::RetiredSession
            | Self::OtherKeys
            | Self::PrekeyGone
            | Self::Setup(_)
            | Self::Session(_) => true,
            Self::Malformed | Self::Envelope => false,
        }
    }
}

/// The own one-time secrets that set a session up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedPrekeys {
    /// Of the OPK with this id.
    pub one_time: Option<u32>,
    /// Of the PQOPK with this id.
    pub pq_one_time: Option<u32>,
}

impl UsedPrekeys {
    fn of(handshake: &pb::Handshake) -> Self {
        let pq_one_time = handshake.pq_kind == PqKind::OneTime as u32;
        Self {
            one_time: (handshake.opk_id != 0).then_some(handshake.opk_id),
            pq_one_time: pq_one_time.then_some(handshake.pq_id),
        }
    }
}

pub(super) enum Wrap {
    Pending(Position),
    Refused {
        cause: Undecryptable,
        session: Option<SessionId>,
    },
    Opened(Box<Decrypted>),
}

pub(super) struct Decrypted {
    pub(super) session: Session,
    pub(super) plaintext: Zeroizing<Vec<u8>>,
    pub(super) used: Option<UsedPrekeys>,
}

/// `in_order`: leave a message that is not the next of its chain for later. vodozemac keeps 40 skipped keys, and own devices
/// use one session in all conversations, which come in any order.
pub(super) fn open<V: View>(
    rng: &mut impl CryptoRng,
    view: &V,
    context: &Context<'_>,
    sender: &Peer,
    bytes: &Bytes,
    in_order: bool,
) -> Result<Wrap, V::Error> {
    let Some((payload, sid)) = parse(bytes) else {
        return Ok(Wrap::Refused {
            cause: Undecryptable::Malformed,
            session: None,
        });
    };
    let refused = |cause| {
        Ok(Wrap::Refused {
            cause,
            session: Some(sid),
        })
    };
    let at = match parse_message(&payload.message) {
        Ok(message) => position(&message),
        Err(error) => return refused(Undecryptable::Session(error)),
    };
    // Nothing vouches for the place yet, and a pending row is stored with it.
    if at.index > HIGHEST_NUMBER {
        return refused(Undecryptable::Malformed);
    }
    match view.session(sender.user, sender.device, sid)? {
        Known::Retired => refused(Undecryptable::RetiredSession),
        Known::Held(session) => {
            if !same_device(&session.meta().peer, sender) || session.meta().sid != sid {
                return refused(Undecryptable::OtherKeys);
            }
            if in_order && !session.is_next(&at) {
                return Ok(Wrap::Pending(at));
            }
            match session.decrypt(&payload.message) {
                Ok((session, plaintext)) => Ok(Wrap::Opened(Box::new(Decrypted {
                    session,
                    plaintext,
                    used: None,
                }))),
                Err(error) => refused(Undecryptable::Session(error)),
            }
        }
        Known::Unknown if in_order && at.index > 0 => Ok(Wrap::Pending(at)),
        Known::Unknown => {
            let Some(handshake) = &payload.handshake else {
                return refused(Undecryptable::UnknownSession);
            };
            let Some(secrets) = view.prekey_secrets(handshake)? else {
                return refused(Undecryptable::PrekeyGone);
            };
            let (me, keys) = (context.me, context.keys);
            match pqxdh::respond(rng, me, keys, sender, &secrets.borrow(), &payload) {
                Ok((session, plaintext)) => Ok(Wrap::Opened(Box::new(Decrypted {
                    session,
                    plaintext,
                    used: Some(UsedPrekeys::of(handshake)),
                }))),
                Err(error) => refused(Undecryptable::Setup(error)),
            }
        }
    }
}

fn parse(bytes: &Bytes) -> Option<(pb::WrapPayload, SessionId)> {
    let payload: pb::WrapPayload = frame::decode(bytes.clone(), &frame::WRAP_PAYLOAD).ok()?;
    let sid = SessionId::from_slice(&payload.session).ok()?;
    Some((payload, sid))
}

/// An old id may come back with new keys: then it is another device, and the old one's sessions do not speak for it.
fn same_device(known: &Peer, listed: &Peer) -> bool {
    (known.user, known.device) == (listed.user, listed.device)
        && known.identity_key == listed.identity_key
        && known.signing_key == listed.signing_key
}
