//! How a connection ends.

use std::time::Duration;

use sordino_protocol::{Code, close::CloseCode};

/// What the last frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The token expired.
    RefreshToken,
    /// The device broke the protocol.
    ProtocolError(Code),
    /// The device did not read.
    TooSlow,
    /// The device is no longer listed.
    Stop,
    /// Its account is gone.
    Deleted,
    /// Its account is disabled.
    Disabled,
    /// A newer connection of the same device took its place.
    Replaced,
    /// Something here failed, or the device seems to be gone.
    RetryNow,
    /// Come back after this.
    RetryLater(Duration),
}

impl Close {
    /// The number on the wire.
    pub fn code(self) -> CloseCode {
        match self {
            Self::RefreshToken => CloseCode::RefreshToken,
            Self::ProtocolError(_) => CloseCode::ProtocolError,
            Self::TooSlow => CloseCode::TooSlow,
            Self::Stop | Self::Deleted | Self::Disabled => CloseCode::Stop,
            Self::Replaced => CloseCode::Replaced,
            Self::RetryNow => CloseCode::RetryNow,
            Self::RetryLater(_) => CloseCode::RetryLater,
        }
    }

    /// The text beside it.
    pub fn reason(self) -> String {
        match self {
            Self::ProtocolError(code) => code.as_str().to_owned(),
            Self::Deleted => Code::AccountDeleted.as_str().to_owned(),
            Self::Disabled => Code::AccountDisabled.as_str().to_owned(),
            Self::RetryLater(wait) => wait.as_millis().to_string(),
            _ => String::new(),
        }
    }

    /// For metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::RefreshToken => "refresh_token",
            Self::ProtocolError(_) => "protocol_error",
            Self::TooSlow => "too_slow",
            Self::Stop => "stop",
            Self::Deleted => "deleted",
            Self::Disabled => "disabled",
            Self::Replaced => "replaced",
            Self::RetryNow => "retry_now",
            Self::RetryLater(_) => "retry_later",
        }
    }
}
