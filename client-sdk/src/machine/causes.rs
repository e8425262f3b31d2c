//! Why a row cannot be shown, in stable words.

use sordino_crypto::receive::{Bad, Undecryptable};

pub(super) const fn bad_word(bad: Bad) -> &'static str {
    match bad {
        Bad::Header(_) | Bad::Counter => "bad_header",
        Bad::Elsewhere => "other_conversation",
        Bad::Replay => "replay",
        Bad::NoSuchList => "no_such_list",
        Bad::Unlisted => "unlisted_device",
        Bad::Removed => "removed_device",
        Bad::Sender => "wrong_sender",
        Bad::Recipient => "wrong_recipient",
        Bad::Content(_) => "bad_content",
        Bad::After => "bad_order",
    }
}

pub(super) const fn undecryptable_word(cause: Undecryptable) -> &'static str {
    match cause {
        Undecryptable::Malformed => "bad_wrap",
        Undecryptable::UnknownSession => "unknown_session",
        Undecryptable::RetiredSession => "retired_session",
        Undecryptable::OtherKeys => "other_keys",
        Undecryptable::PrekeyGone => "prekey_gone",
        Undecryptable::Setup(_) => "bad_handshake",
        Undecryptable::Session(_) => "bad_ratchet",
        Undecryptable::Envelope => "swapped_envelope",
    }
}
