//! Answers that are not 2xx.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sordino_protocol::{Code, Retry, UserId, http::ErrorBody};

use crate::{
    auth::challenge::ChallengeError,
    history::HistoryError,
    user::{UserError, Users},
};

/// A code, and what happened in this case.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    detail: String,
    /// Where this answer knows better than the code when to come back.
    after: Option<Duration>,
    /// Where a load balancer asks, which looks at the status alone.
    status: Option<StatusCode>,
}

impl ApiError {
    /// With a detail of its own.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            code,
            detail,
            after: None,
            status: None,
        }
    }

    /// To be tried again after `wait`.
    pub fn after(code: Code, wait: Duration) -> Self {
        Self {
            after: Some(wait),
            ..Self::from(code)
        }
    }

    /// With the status 503, whatever the code's own.
    pub(super) fn unavailable(self) -> Self {
        Self {
            status: Some(StatusCode::SERVICE_UNAVAILABLE),
            ..self
        }
    }
}

impl From<Code> for ApiError {
    fn from(code: Code) -> Self {
        Self::new(code, code.meaning())
    }
}

impl From<ChallengeError> for ApiError {
    fn from(error: ChallengeError) -> Self {
        match error {
            ChallengeError::Expired => Code::ChallengeExpired,
            ChallengeError::Full => Code::Busy,
        }
        .into()
    }
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        code_of_users(error).into()
    }
}

impl From<HistoryError> for ApiError {
    fn from(error: HistoryError) -> Self {
        code_of_history(error).into()
    }
}

/// What the caller learns of an error of the store of users. The cause is the operator's.
pub(crate) fn code_of_users(error: UserError) -> Code {
    match error {
        UserError::NameTaken => Code::NameTaken,
        UserError::EmailTaken => Code::EmailTaken,
        UserError::UserExists => Code::UserExists,
        UserError::NotFound => Code::UserNotFound,
        UserError::ListConflict => Code::ListConflict,
        UserError::BackupClosed => Code::BackupClosed,
        UserError::BackupConflict => Code::BackupConflict,
        UserError::BackupMoved => Code::BackupMoved,
        UserError::TooManyChains | UserError::TooManyBlocks => Code::TooLarge,
        UserError::PrekeyExists => Code::BadPrekey,
        UserError::InviteRefused => Code::InviteRefused,
        UserError::HasAccount => Code::HasAccount,
        UserError::ResetWaits => Code::Forbidden,
        UserError::Full => Code::StorageFull,
        UserError::Failed(cause) => {
            tracing::error!(%cause, "the store of users failed");
            Code::Internal
        }
    }
}

/// What is said of somebody who has no list: never there, or not any more.
pub(crate) async fn nobody(users: &dyn Users, user: UserId) -> Code {
    match users.deleted(user).await {
        Ok(Some(_)) => Code::UserDeleted,
        Ok(None) => Code::UserNotFound,
        Err(error) => code_of_users(error),
    }
}

/// What the caller learns of an error of history. The cause is the operator's.
pub(crate) fn code_of_history(error: HistoryError) -> Code {
    match error {
        HistoryError::Full => Code::StorageFull,
        HistoryError::Failed(cause) => {
            tracing::error!(%cause, "the store of messages failed");
            Code::Internal
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status.unwrap_or_else(|| {
            StatusCode::from_u16(self.code.http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        });
        let wait = self.after.or(match self.code.retry() {
            Retry::After(wait) => Some(wait),
            Retry::Never | Retry::Now => None,
        });
        let body = ErrorBody {
            code: self.code.as_str().to_owned(),
            detail: self.detail,
            retry_after_ms: wait
                .map(|wait| u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)),
        };
        let mut response = (status, Json(body)).into_response();
        if let Some(wait) = wait {
            // Whole seconds, rounded up: the header knows no fractions.
            let seconds = wait.as_millis().div_ceil(1000);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        if self.code == Code::RateLimited {
            // Or a refusal would leave its connection open, and refusals could fill the relay.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}
