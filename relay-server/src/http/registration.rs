//! Who may make an account, by the operator's word.

use sordino_protocol::Code;

use super::ApiError;
use crate::{
    auth::{
        invite::invite_hash,
        issuer::{Issuer, IssuerError},
    },
    user::Admission,
};

/// `registration.policy`, at work.
#[derive(Debug)]
pub enum Registration {
    /// Everybody.
    Open,
    /// Who has an invite.
    Invite,
    /// Nobody.
    Closed,
    /// Whom the app's own login vouches for.
    External(Issuer),
}

/// What somebody who wants an account has brought.
#[derive(Default)]
pub(super) struct Brought {
    pub(super) invite: Option<String>,
    pub(super) external_token: Option<String>,
    /// They want one that is entered by password.
    pub(super) password: bool,
}

impl Registration {
    /// By what the account is made. Whether an invite holds is seen when it is used.
    pub(super) async fn admit(&self, brought: Brought, now_ms: u64) -> Result<Admission, ApiError> {
        match self {
            Self::Open => Ok(Admission::Open),
            Self::Closed => Err(Code::RegistrationClosed.into()),
            Self::Invite => {
                let invite = brought.invite.ok_or(Code::InviteNeeded)?;
                let hash = invite_hash(&invite).ok_or(Code::InviteRefused)?;
                Ok(Admission::Invite { hash, now_ms })
            }
            Self::External(issuer) => {
                let token = brought.external_token.ok_or(Code::ExternalTokenNeeded)?;
                if brought.password {
                    let what =
                        "password: accounts of this relay are entered by the app's own login";
                    return Err(ApiError::new(Code::BadRequest, what));
                }
                Ok(Admission::Subject(issuer.verify(&token, now_ms).await?))
            }
        }
    }

    /// Whether somebody without an account may begin to make one with a password.
    pub(super) fn begins_with_passwords(&self) -> Result<(), ApiError> {
        match self {
            Self::Closed => Err(Code::RegistrationClosed.into()),
            _ => self.takes_first_passwords(),
        }
    }

    /// Whether an account without a password may get one: a second way in would be none of the app's.
    pub(super) fn takes_first_passwords(&self) -> Result<(), ApiError> {
        match self {
            Self::Open | Self::Invite | Self::Closed => Ok(()),
            Self::External(_) => Err(Code::ExternalTokenNeeded.into()),
        }
    }
}

impl From<IssuerError> for ApiError {
    fn from(error: IssuerError) -> Self {
        match error {
            IssuerError::Refused => Code::ExternalTokenRefused,
            IssuerError::Away => Code::IssuerAway,
        }
        .into()
    }
}
