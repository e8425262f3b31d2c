//! WebSocket close codes. Each tells the client what to do next.

/// Why the relay ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// Connect again at once (the relay drains and spreads its devices by itself, or lost a part).
    RetryNow = 4000,
    /// Connect again after the milliseconds in the reason, with jitter (overload).
    RetryLater = 4001,
    /// The token expired: get a new one, connect again.
    RefreshToken = 4002,
    /// The client broke the protocol: do not retry with the same bytes. The reason carries an error code.
    ProtocolError = 4003,
    /// The client did not read for too long: connect again, catch up.
    TooSlow = 4004,
    /// The device is no longer listed, or the account is gone or disabled: stop. The reason carries the account's error code.
    Stop = 4005,
    /// The same device is connected too many times: the oldest connection is closed.
    Replaced = 4006,
}

impl CloseCode {
    /// From the number on the wire; `None` for codes of RFC 6455 and of later versions, which mean "retry with backoff".
    pub fn from_u16(code: u16) -> Option<Self> {
        Some(match code {
            4000 => Self::RetryNow,
            4001 => Self::RetryLater,
            4002 => Self::RefreshToken,
            4003 => Self::ProtocolError,
            4004 => Self::TooSlow,
            4005 => Self::Stop,
            4006 => Self::Replaced,
            _ => return None,
        })
    }
}
